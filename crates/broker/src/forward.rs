//! Requests that the active controller decides.

use strandline_metadata::controller::{Request, Response};

use crate::cx::Cx;
use crate::session::Hangup;

/// Asks the controller and hands its answer through. A client that waited in vain is hung up on,
/// and looks for another broker.
pub(crate) async fn forward<Q, R>(cx: &Cx, request: Q) -> Result<R, Hangup>
where
    Q: Into<Request> + Clone,
    R: TryFrom<Response, Error = Response>,
{
    let answer = cx.handles.controller.ask(request).await;
    answer.map_err(|refusal| Hangup(format!("{}: {refusal}", cx.api)))
}
