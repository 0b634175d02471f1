//! Requests that the active controller decides.

use std::sync::Arc;
use std::time::Duration;

use strandline_metadata::Image;
use strandline_metadata::controller::{Refusal, Request, Response};
use strandline_ports::timeout;

use crate::cx::Cx;
use crate::session::Hangup;

/// A node that is slow to do its part does not hold the answer back for longer.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);

/// Asks the controller and hands its answer through. A client that waited in vain is hung up on,
/// and looks for another broker.
pub(crate) async fn forward<Q, R>(cx: &Cx, request: Q) -> Result<R, Hangup>
where
    Q: Into<Request> + Clone,
    R: TryFrom<Response, Error = Response>,
{
    let answer = ask(cx, request).await;
    answer.map_err(|refusal| Hangup(format!("{}: {refusal}", cx.api)))
}

/// Asks the controller, and waits until this node has applied what it decided: who creates a topic
/// here can write to it here.
pub(crate) async fn ask<Q, R>(cx: &Cx, request: Q) -> Result<R, Refusal>
where
    Q: Into<Request> + Clone,
    R: TryFrom<Response, Error = Response>,
{
    let answer = cx.handles.controller.ask(request).await?;
    let decided = cx.handles.controller.watch_image().borrow().offset;
    let mut applied = cx.handles.image.clone();
    let is_applied = |image: &Arc<Image>| image.offset >= decided;
    let deadline = cx.handles.clock.now().instant + CATCH_UP_MAX;
    // An answer that comes before its effect is seen is Kafka's rule; after it is better.
    let _ = timeout(&*cx.handles.clock, deadline, applied.wait_for(is_applied)).await;
    Ok(answer)
}
