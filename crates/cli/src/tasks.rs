//! Work that runs beside its caller and hands its result back.

use std::future::Future;

use strandline_ports::{Lane, World};
use tokio::sync::oneshot;

/// Starts the work now; the future gives its value.
///
/// # Panics
/// When the work itself panicked, or the world has ended.
pub(crate) fn task<T: Send + 'static>(
    world: &World,
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send + 'static {
    let (done, value) = oneshot::channel();
    let work = async move {
        // The waiter may have gone; the work was done all the same.
        let _ = done.send(work.await);
    };
    world.spawn.spawn(Lane::Data, Box::pin(work));
    async move { value.await.expect("a task ended without its value") }
}
