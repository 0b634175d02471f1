//! Requests that the active controller decides.

use std::sync::Arc;
use std::time::Duration;

use strandline_metadata::Image;
use strandline_metadata::controller::{Refusal, Request, Response};
use strandline_ports::timeout;
use strandline_wire::messages::Request as WireRequest;

use crate::cx::{Cx, ListenerRole};
use crate::driver::controller::ControllerAnswer;
use crate::session::Hangup;

/// A node that is slow to do its part does not hold the answer back for longer.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);

/// Has the active controller decide. By a broker's listener that may be another node, and a client
/// that waited in vain is hung up on and looks for another broker. By a controller's listener it is
/// this node or nobody: whoever came in by it looks for the active controller itself, and is told.
pub(crate) async fn forward<Q>(cx: &Cx, request: Q) -> Result<Q::Response, Hangup>
where
    Q: WireRequest + Into<Request> + Clone,
    Q::Response: TryFrom<Response, Error = Response> + ControllerAnswer,
{
    let answer = match cx.session.role {
        ListenerRole::Broker => ask(cx, request).await,
        ListenerRole::Controller => ask_here(cx, request).await,
    };
    answer.map_err(|refusal| Hangup(format!("{}: {refusal}", cx.api)))
}

/// Asks the controller, and waits until this node has applied what it decided: who creates a topic
/// here can write to it here.
pub(crate) async fn ask<Q>(cx: &Cx, request: Q) -> Result<Q::Response, Refusal>
where
    Q: WireRequest + Into<Request> + Clone,
    Q::Response: TryFrom<Response, Error = Response> + ControllerAnswer,
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

/// Asks this node's controller; one that is not the active one refuses everything.
async fn ask_here<Q>(cx: &Cx, request: Q) -> Result<Q::Response, Refusal>
where
    Q: WireRequest + Into<Request> + Clone,
    Q::Response: TryFrom<Response, Error = Response>,
{
    let answer = cx.handles.controller.ask_local(request.clone()).await;
    answer.or_else(|refusal| {
        let refused = request.into().refused(refusal);
        Q::Response::try_from(refused).map_err(|_| refusal)
    })
}
