use std::future::Future;
use std::io;
use std::num::NonZero;
use std::pin::Pin;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Handle, Runtime};

use super::priority::give_way;
use crate::{Entropy, Lane, Spawn};

/// Two tokio runtimes: many threads for sessions, one thread for the control plane. A third one has
/// nothing but the threads for work in no hurry.
#[derive(Debug)]
pub struct RealSpawn {
    data: Handle,
    /// `None` only while dropping, as the next.
    control: Option<Runtime>,
    idle: Option<Runtime>,
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
        let idle = Builder::new_current_thread()
            .max_blocking_threads(available_parallelism().map_or(1, NonZero::get))
            .thread_name("idle")
            .on_thread_start(give_way)
            .build()?;
        Ok(Self { data, control: Some(control), idle: Some(idle) })
    }
}

impl Drop for RealSpawn {
    fn drop(&mut self) {
        // An ordinary drop would wait for tasks, which panics inside another runtime's task.
        let runtimes = [self.control.take(), self.idle.take()];
        runtimes.into_iter().flatten().for_each(Runtime::shutdown_background);
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

    fn spawn_idle(&self, work: Box<dyn FnOnce() + Send>) {
        match &self.idle {
            Some(idle) => drop(idle.spawn_blocking(work)),
            None => self.spawn_blocking(work),
        }
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use super::*;
    use crate::{blocking, idle};

    /// The policy of the thread that asks, see `proc(5)`: 0 is the ordinary one, 5 the idle one.
    fn policy() -> String {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').nth(38).unwrap().to_owned()
    }

    #[tokio::test]
    async fn work_in_no_hurry_has_threads_that_give_way() {
        let spawn: Arc<dyn Spawn> = Arc::new(RealSpawn::new(Handle::current()).unwrap());
        assert_eq!(idle(&spawn, policy).await, "5");
        assert_eq!(blocking(&spawn, policy).await, "0");
    }
}
