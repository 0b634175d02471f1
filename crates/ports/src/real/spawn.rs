use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::{Entropy, Lane, Spawn};

/// Two tokio runtimes: many threads for sessions, one thread for the control plane.
#[derive(Debug)]
pub struct RealSpawn {
    data: Handle,
    /// `None` only while dropping.
    control: Option<Runtime>,
}

impl RealSpawn {
    /// `data` runs sessions and blocking work; the control plane's runtime is made here.
    ///
    /// # Errors
    /// When the system refuses a thread or an event queue.
    pub fn new(data: Handle) -> io::Result<Self> {
        let control = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .thread_name("control")
            .enable_all()
            .build()?;
        Ok(Self { data, control: Some(control) })
    }
}

impl Drop for RealSpawn {
    fn drop(&mut self) {
        // An ordinary drop would wait for tasks, which panics inside another runtime's task.
        if let Some(control) = self.control.take() {
            control.shutdown_background();
        }
    }
}

impl Spawn for RealSpawn {
    fn spawn(&self, lane: Lane, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let runtime = match (lane, &self.control) {
            (Lane::Control, Some(control)) => control.handle(),
            (Lane::Data, _) | (_, None) => &self.data,
        };
        runtime.spawn(task);
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.data.spawn_blocking(work);
    }
}

/// The system's randomness.
#[derive(Debug, Default)]
pub struct RealEntropy;

impl Entropy for RealEntropy {
    fn next_u64(&self) -> u64 {
        getrandom::u64().expect("the system has no randomness")
    }
}
