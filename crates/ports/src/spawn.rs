//! Tasks and randomness as ports.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use strandline_types::Uuid;
use tokio::sync::oneshot;

/// Which runtime runs a task. The control plane has one of its own, so that a slow disk or a busy
/// client never costs a leadership.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    Data,
    Control,
}

pub trait Spawn: Send + Sync {
    /// Runs a task until it ends or the world does. A task that must stop earlier listens for that.
    fn spawn(&self, lane: Lane, task: Pin<Box<dyn Future<Output = ()> + Send>>);

    /// Runs work that may wait for a device on a bounded pool.
    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>);

    /// The same for work in no hurry: where the system knows such work, it runs while nobody else in this
    /// process's group wants the processor. Whoever asks sees to it that work gets done also where
    /// somebody always does, and that none of it holds a lock that others wait for.
    fn spawn_idle(&self, work: Box<dyn FnOnce() + Send>) {
        self.spawn_blocking(work);
    }
}

/// Random bits: for ids, jitter and hash seeds.
pub trait Entropy: Send + Sync {
    fn next_u64(&self) -> u64;
}

/// Runs blocking work on the pool and waits for its value.
///
/// # Panics
/// When the work itself panicked, or the world has ended.
pub async fn blocking<T: Send + 'static>(
    spawn: &Arc<dyn Spawn>,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    value_of(work, |work| spawn.spawn_blocking(work)).await
}

/// Runs work that is in no hurry, see [`Spawn::spawn_idle`], and waits for its value.
///
/// # Panics
/// As [`blocking`].
pub async fn idle<T: Send + 'static>(
    spawn: &Arc<dyn Spawn>,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    value_of(work, |work| spawn.spawn_idle(work)).await
}

async fn value_of<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    spawn: impl FnOnce(Box<dyn FnOnce() + Send>),
) -> T {
    let (done, answer) = oneshot::channel();
    spawn(Box::new(move || {
        // The waiter may have gone; the work was done all the same.
        let _ = done.send(work());
    }));
    answer.await.expect("blocking work ended without a value")
}

/// A fresh id that Kafka's tools accept.
pub fn random_uuid(entropy: &dyn Entropy) -> Uuid {
    loop {
        let bits = (u128::from(entropy.next_u64()) << 64) | u128::from(entropy.next_u64());
        if let Some(id) = Uuid::from_random(bits) {
            return id;
        }
    }
}
