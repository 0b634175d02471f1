//! The real world, as one process has it.

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use strandline_config::OwnSettings;
use strandline_ports::World;
use strandline_ports::real::{
    RealClock, RealDisk, RealEntropy, RealNet, RealSpawn, WriteBudget, raise_open_file_limit,
};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::failure::Failure;

/// Threads that may wait for a device at the same time.
const BLOCKING_THREADS_MAX: usize = 32;

/// Does the work of a verb. It comes in a box so that the runtime's loop is compiled once, instead
/// of once for every verb.
///
/// # Errors
/// What the work fails with, or when the system refuses threads.
pub fn run(
    work: Pin<Box<dyn Future<Output = Result<ExitCode, Failure>> + '_>>,
) -> Result<ExitCode, Failure> {
    let runtime = runtime()?;
    let done = runtime.block_on(work);
    // What still waits for a device or an answer must not keep a process that has ended.
    runtime.shutdown_background();
    done
}

/// The runtime of everything but the control plane, which has its own.
fn runtime() -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("strandline")
        .enable_all()
        .build()
        .map_err(|error| Failure::new("cannot start threads").because(&error))
}

/// The ports of this process. Must run inside the runtime.
///
/// # Errors
/// When the system refuses threads.
pub fn world(own: Option<&OwnSettings>) -> Result<World, Failure> {
    raise_open_file_limit();
    let budget = match own.and_then(|own| own.dirty_max_bytes) {
        Some(bytes) if bytes > 0 => WriteBudget { dirty_bytes_max: bytes as u64 },
        _ => WriteBudget::default(),
    };
    let spawn = RealSpawn::new(Handle::current())
        .map_err(|error| Failure::new("cannot start threads").because(&error))?;
    Ok(World {
        clock: Arc::new(RealClock::default()),
        entropy: Arc::new(RealEntropy),
        spawn: Arc::new(spawn),
        net: Arc::new(RealNet),
        disk: Arc::new(RealDisk::new(budget)),
    })
}
