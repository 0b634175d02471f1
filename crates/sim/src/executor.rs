//! Virtual time and tasks: what is ready runs, in an order that the seed chooses; when nothing is
//! ready, time jumps to the next event.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::future::Future;
use std::mem::take;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use strandline_types::Instant;

use crate::node::NodeId;
use crate::rng::Rng;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
type Action = Box<dyn FnOnce() + Send>;
type Observer = Box<dyn FnMut(NodeId) + Send>;

/// A handle on the whole simulation; clones share it.
#[derive(Clone)]
pub struct Sim {
    kernel: Arc<Mutex<Kernel>>,
    ready: Arc<ReadyQueue>,
}

struct Kernel {
    now: Instant,
    rng: Rng,
    next_id: u64,
    /// Tasks that are not being polled right now.
    tasks: BTreeMap<u64, (NodeId, Task)>,
    /// What happens when, in order of time and then of asking.
    events: BTreeMap<(Instant, u64), (NodeId, Action)>,
    steps: u64,
    /// What happens between two steps, see [`Sim::after_steps`].
    at_steps: BTreeMap<(u64, u64), Action>,
    /// See [`Sim::after_each_step`].
    observer: Option<Observer>,
    /// Nodes whose tasks are being dropped: what their destructors begin never happens.
    dying: BTreeSet<NodeId>,
    /// What nodes that stand still would be doing: woken tasks, and events that were due.
    paused: BTreeMap<NodeId, Standstill>,
    /// See [`Sim::end`].
    is_over: bool,
    fingerprint: u64,
    trace: Option<String>,
}

#[derive(Default)]
struct Standstill {
    woken: Vec<u64>,
    due: BTreeMap<u64, Action>,
}

/// Ids of woken tasks. Apart from the kernel, because a waker may fire while the kernel is locked.
#[derive(Default)]
struct ReadyQueue(Mutex<VecDeque<u64>>);

struct TaskWaker {
    id: u64,
    ready: Arc<ReadyQueue>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.push(self.id);
    }
}

impl ReadyQueue {
    fn push(&self, id: u64) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !queue.contains(&id) {
            queue.push_back(id);
        }
    }

    fn take(&self, rng: &mut Rng) -> Option<u64> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let chosen = rng.below(queue.len() as u64) as usize;
        queue.remove(chosen)
    }
}

impl Sim {
    pub fn new(seed: u64) -> Self {
        let kernel = Kernel {
            now: Instant::ZERO,
            rng: Rng::new(seed),
            next_id: 0,
            tasks: BTreeMap::new(),
            events: BTreeMap::new(),
            steps: 0,
            at_steps: BTreeMap::new(),
            observer: None,
            dying: BTreeSet::new(),
            paused: BTreeMap::new(),
            is_over: false,
            fingerprint: 0,
            trace: None,
        };
        Self { kernel: Arc::new(Mutex::new(kernel)), ready: Arc::default() }
    }

    /// Remembers what happens from now on, see [`Sim::take_trace`].
    pub fn record_trace(&self) {
        self.lock().trace = Some(String::new());
    }

    /// One line per scheduling step and per [`Sim::note`]: two runs of one seed must agree on it.
    pub fn take_trace(&self) -> String {
        self.lock().trace.take().unwrap_or_default()
    }

    /// Adds a line to the trace.
    pub fn note(&self, text: &str) {
        let mut kernel = self.lock();
        let now = kernel.now;
        kernel.mix(text.as_bytes());
        if let Some(trace) = &mut kernel.trace {
            writeln!(trace, "{now:?} {text}").expect("a string takes every line");
        }
    }

    /// Stands for everything that has happened: two runs of one seed must agree on it.
    pub fn fingerprint(&self) -> u64 {
        self.lock().fingerprint
    }

    /// How often something has happened so far.
    pub fn steps(&self) -> u64 {
        self.lock().steps
    }

    /// Does `action` after so many steps of whatever runs: faults are put anywhere by this, also
    /// between two polls of one task.
    pub fn after_steps(&self, steps: u64, action: impl FnOnce() + Send + 'static) {
        let mut kernel = self.lock();
        let key = (kernel.steps + steps, kernel.take_id());
        kernel.at_steps.insert(key, Box::new(action));
    }

    /// Shows every step from now on, when it is over, by the node that has made it. The observer must
    /// leave the world as it is.
    pub(crate) fn after_each_step(&self, observer: impl FnMut(NodeId) + Send + 'static) {
        self.lock().observer = Some(Box::new(observer));
    }

    fn observe(&self, node: NodeId) {
        let observer = self.lock().observer.take();
        if let Some(mut observer) = observer {
            observer(node);
            self.lock().observer = Some(observer);
        }
    }

    pub fn now(&self) -> Instant {
        self.lock().now
    }

    /// Runs `work` until it is done, and everything else meanwhile.
    ///
    /// # Panics
    /// When nothing can happen any more and `work` still waits, or `limit` of virtual time is over.
    pub fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let result = Arc::new(Mutex::new(None));
        let out = Arc::clone(&result);
        self.spawn(
            NodeId::OUTSIDE,
            Box::pin(async move {
                let value = work.await;
                *out.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            }),
        );
        let deadline = self.now() + limit;
        loop {
            if let Some(value) = result.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return value;
            }
            assert!(self.step(), "deadlock: nothing is ready and nothing is due");
            assert!(self.now() <= deadline, "still not done after {limit:?} of virtual time");
        }
    }

    /// Nothing happens any more. What would have holds this world, and the world holds it: neither
    /// was ever freed otherwise.
    pub(crate) fn end(&self) {
        let left = {
            let kernel = &mut *self.lock();
            kernel.is_over = true;
            let (tasks, events) = (take(&mut kernel.tasks), take(&mut kernel.events));
            let (at_steps, paused) = (take(&mut kernel.at_steps), take(&mut kernel.paused));
            (tasks, events, at_steps, paused, kernel.observer.take())
        };
        // Not while the kernel is locked: destructors ask it for things.
        drop(left);
    }

    /// Lets one thing happen; false when nothing can.
    fn step(&self) -> bool {
        self.lock().steps += 1;
        loop {
            let due = self.lock().take_due();
            let Some(action) = due else { break };
            action();
        }
        let chosen = {
            let rng = &mut self.lock().rng;
            self.ready.take(rng)
        };
        match chosen {
            Some(id) => self.poll_task(id),
            None => return self.run_next_event(),
        }
        true
    }

    fn poll_task(&self, id: u64) {
        // A task may be woken after it has ended, or after its node has crashed.
        let (node, mut task) = {
            let kernel = &mut *self.lock();
            let Some((node, task)) = kernel.tasks.remove(&id) else { return };
            if let Some(paused) = kernel.paused.get_mut(&node) {
                paused.woken.push(id);
                kernel.tasks.insert(id, (node, task));
                return;
            }
            (node, task)
        };
        self.note_step("poll", node, id);
        let waker = Waker::from(Arc::new(TaskWaker { id, ready: Arc::clone(&self.ready) }));
        match task.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(()) => drop(task),
            Poll::Pending => {
                self.lock().tasks.insert(id, (node, task));
            }
        }
        self.observe(node);
    }

    fn run_next_event(&self) -> bool {
        let (seq, node, action) = {
            let mut kernel = self.lock();
            let Some(((at, seq), (node, action))) = kernel.events.pop_first() else {
                return false;
            };
            kernel.now = kernel.now.max(at);
            if let Some(paused) = kernel.paused.get_mut(&node) {
                paused.due.insert(seq, action);
                return true;
            }
            (seq, node, action)
        };
        self.note_step("event", node, seq);
        action();
        self.observe(node);
        true
    }

    fn note_step(&self, what: &str, node: NodeId, id: u64) {
        let mut kernel = self.lock();
        let moment = kernel.now.as_nanos();
        kernel.mix(&id.to_le_bytes());
        kernel.mix(&moment.to_le_bytes());
        let is_traced = kernel.trace.is_some();
        drop(kernel);
        if is_traced {
            self.note(&format!("{what} {node} #{id}"));
        }
    }

    pub(crate) fn spawn(&self, node: NodeId, task: Task) {
        let id = {
            let mut kernel = self.lock();
            if kernel.is_over || kernel.dying.contains(&node) {
                drop(kernel);
                return drop(task);
            }
            let id = kernel.take_id();
            kernel.tasks.insert(id, (node, task));
            id
        };
        self.ready.push(id);
    }

    /// Does `action` after `delay`, unless `node` has crashed by then.
    pub(crate) fn after(&self, node: NodeId, delay: Duration, action: Action) {
        let at = self.now() + delay;
        self.at(node, at, action);
    }

    pub(crate) fn at(&self, node: NodeId, at: Instant, action: Action) {
        let mut kernel = self.lock();
        if kernel.is_over || kernel.dying.contains(&node) {
            drop(kernel);
            return drop(action);
        }
        let seq = kernel.take_id();
        kernel.events.insert((at, seq), (node, action));
    }

    /// Lets a node stand still: nothing of it happens until it is told to go on, or is killed.
    pub(crate) fn pause(&self, node: NodeId) {
        self.lock().paused.entry(node).or_default();
    }

    pub(crate) fn go_on(&self, node: NodeId) {
        let mut kernel = self.lock();
        let Some(Standstill { woken, due }) = kernel.paused.remove(&node) else { return };
        let now = kernel.now;
        kernel.events.extend(due.into_iter().map(|(seq, action)| ((now, seq), (node, action))));
        drop(kernel);
        woken.into_iter().for_each(|id| self.ready.push(id));
    }

    /// Ends everything that a node was doing.
    pub(crate) fn kill(&self, node: NodeId) {
        let mut kernel = self.lock();
        kernel.dying.insert(node);
        let (dead, alive) =
            std::mem::take(&mut kernel.tasks).into_iter().partition(|(_, (at, _))| *at == node);
        kernel.tasks = alive;
        let (cancelled, due): (BTreeMap<_, _>, _) =
            std::mem::take(&mut kernel.events).into_iter().partition(|(_, (at, _))| *at == node);
        kernel.events = due;
        let stood_still = kernel.paused.remove(&node);
        // Dropping a task may drop ports that lock the kernel.
        drop(kernel);
        let dead: BTreeMap<u64, (NodeId, Task)> = dead;
        drop((dead, cancelled, stood_still));
        self.lock().dying.remove(&node);
    }

    /// Draws from the seed.
    pub fn draw<T>(&self, choose: impl FnOnce(&mut Rng) -> T) -> T {
        choose(&mut self.lock().rng)
    }

    fn lock(&self) -> MutexGuard<'_, Kernel> {
        self.kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kernel {
    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn take_due(&mut self) -> Option<Action> {
        let due = self.at_steps.first_entry().filter(|it| it.key().0 <= self.steps)?;
        Some(due.remove())
    }

    /// FNV-1a.
    fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.fingerprint = (self.fingerprint ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}
