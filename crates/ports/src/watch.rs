//! One value that many wait for. Like tokio's channel of this name, but it wakes those who wait in
//! the order in which they began: tokio's draws lots, and a simulation could not be replayed.

use std::future::poll_fn;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// The sender is gone: the value will not change any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed;

struct State<T> {
    value: T,
    version: u64,
    is_closed: bool,
    waiting: Vec<Waker>,
}

struct Shared<T>(Mutex<State<T>>);

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The value, locked until dropped: never keep it across an await.
pub struct Ref<'a, T>(MutexGuard<'a, State<T>>);

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

/// Changes the value. Dropping it ends all waits.
pub struct Sender<T>(Arc<Shared<T>>);

/// Sees the value; remembers which one it saw last.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

/// A sender and a receiver that has seen `value`.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Sender<T> {
    pub fn new(value: T) -> Self {
        let state = State { value, version: 0, is_closed: false, waiting: Vec::new() };
        Self(Arc::new(Shared(Mutex::new(state))))
    }

    pub fn subscribe(&self) -> Receiver<T> {
        let seen = self.0.lock().version;
        Receiver { shared: Arc::clone(&self.0), seen }
    }

    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.0.lock())
    }

    pub fn send_replace(&self, value: T) -> T {
        let mut old = None;
        self.send_if_modified(|current| {
            old = Some(std::mem::replace(current, value));
            true
        });
        old.expect("the closure has run")
    }

    pub fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            modify(value);
            true
        });
    }

    /// Wakes those who wait if `modify` says that it changed something; gives what it says.
    pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let waiting = {
            let mut state = self.0.lock();
            if !modify(&mut state.value) {
                return false;
            }
            state.version += 1;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
        true
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.lock();
            state.is_closed = true;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), seen: self.seen }
    }
}

impl<T> Receiver<T> {
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.lock())
    }

    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let state = self.shared.lock();
        self.seen = state.version;
        Ref(state)
    }

    /// Waits until the value is another one than was seen last, and counts it as seen.
    ///
    /// # Errors
    /// When it cannot change any more.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        let seen = self.seen;
        self.seen = poll_fn(|cx| {
            let mut state = self.shared.lock();
            if state.version != seen {
                return Poll::Ready(Ok(state.version));
            }
            if state.is_closed {
                return Poll::Ready(Err(Closed));
            }
            remember(&mut state.waiting, cx.waker());
            Poll::Pending
        })
        .await?;
        Ok(())
    }

    /// Waits until the value fulfils `is_wanted`.
    ///
    /// # Errors
    /// When it does not and cannot change any more.
    pub async fn wait_for(
        &mut self,
        mut is_wanted: impl FnMut(&T) -> bool,
    ) -> Result<Ref<'_, T>, Closed> {
        loop {
            let is_there = {
                let state = self.shared.lock();
                self.seen = state.version;
                is_wanted(&state.value)
            };
            if is_there {
                return Ok(self.borrow());
            }
            self.changed().await?;
        }
    }
}

/// A task that is polled for another reason waits once, not twice.
fn remember(waiting: &mut Vec<Waker>, waker: &Waker) {
    if !waiting.iter().any(|known| known.will_wake(waker)) {
        waiting.push(waker.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    use super::*;

    /// Notes its turn when it is woken.
    struct Turn {
        next: Arc<AtomicUsize>,
        taken: AtomicUsize,
    }

    impl Wake for Turn {
        fn wake(self: Arc<Self>) {
            self.taken.store(self.next.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        }
    }

    #[test]
    fn those_who_wait_are_woken_in_the_order_in_which_they_began() {
        let (sender, receiver) = channel(0);
        let next = Arc::new(AtomicUsize::new(0));
        let turns: Vec<Arc<Turn>> = (0..20)
            .map(|_| Arc::new(Turn { next: Arc::clone(&next), taken: AtomicUsize::new(0) }))
            .collect();
        for turn in &turns {
            let mut receiver = receiver.clone();
            let waker = Waker::from(Arc::clone(turn));
            let waiting = pin!(receiver.changed());
            assert!(waiting.poll(&mut Context::from_waker(&waker)).is_pending());
        }
        sender.send_replace(1);
        let taken: Vec<usize> = turns.iter().map(|it| it.taken.load(Ordering::SeqCst)).collect();
        assert_eq!(taken, (1..=20).collect::<Vec<_>>());
    }

    #[test]
    fn a_value_that_was_missed_is_seen_and_a_dropped_sender_ends_the_wait() {
        let (sender, mut receiver) = channel(1);
        let cx = &mut Context::from_waker(Waker::noop());
        sender.send_replace(2);
        assert_eq!(pin!(receiver.changed()).poll(cx), Poll::Ready(Ok(())));
        assert!(!sender.send_if_modified(|_| false));
        assert!(pin!(receiver.changed()).poll(cx).is_pending());
        drop(sender);
        assert_eq!(pin!(receiver.changed()).poll(cx), Poll::Ready(Err(Closed)));
        assert!(matches!(
            pin!(receiver.wait_for(|value| *value == 2)).poll(cx),
            Poll::Ready(Ok(_))
        ));
    }
}
