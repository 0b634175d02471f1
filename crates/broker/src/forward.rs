//! Requests that the active controller decides.

use std::sync::Arc;
use std::time::Duration;

use strandline_metadata::Image;
use strandline_metadata::controller::{Refusal, Request, Response};
use strandline_ports::{timeout, watch};

use crate::cx::{Cx, ListenerRole};
use crate::driver::quorum::Leadership;
use crate::session::Hangup;

/// A node that is slow to do its part does not hold the answer back for longer.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);

/// Has the active controller decide. By a broker's listener that may be another node, and a client
/// that waited in vain is hung up on and looks for another broker. By a controller's listener it is
/// this node or nobody: whoever came in by it looks for the active controller itself, and is told.
pub(crate) async fn forward<Q, R>(cx: &Cx, request: Q) -> Result<R, Hangup>
where
    Q: Into<Request> + Clone,
    R: TryFrom<Response, Error = Response>,
{
    let answer = match cx.session.role {
        ListenerRole::Broker => ask(cx, request).await,
        ListenerRole::Controller => ask_here(cx, request).await,
    };
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

/// Asks this node's controller as long as it is the active one, else gives the answer that refuses
/// everything.
async fn ask_here<Q, R>(cx: &Cx, request: Q) -> Result<R, Refusal>
where
    Q: Into<Request> + Clone,
    R: TryFrom<Response, Error = Response>,
{
    let asked = cx.handles.controller.ask(request.clone());
    while_leading(cx.handles.quorum.leadership(), asked).await.or_else(|refusal| {
        let refused = request.into().refused(refusal);
        R::try_from(refused).map_err(|_| refusal)
    })
}

/// What was begun under a leadership has no answer without it, even if it may still be done.
async fn while_leading<R>(
    mut leadership: watch::Receiver<Leadership>,
    answer: impl Future<Output = Result<R, Refusal>>,
) -> Result<R, Refusal> {
    tokio::select! {
        biased;
        // Also when the quorum has stopped.
        _ = leadership.wait_for(|leadership| !leadership.is_ready) => Err(Refusal::NotController),
        answer = answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use strandline_types::{LeaderEpoch, NodeId};

    use super::*;

    fn leadership(is_ready: bool) -> (watch::Sender<Leadership>, watch::Receiver<Leadership>) {
        let leader = is_ready.then_some(NodeId(1));
        watch::channel(Leadership { epoch: LeaderEpoch(3), leader, is_ready })
    }

    fn poll<T>(work: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        work.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_leader_answers_and_nobody_else() {
        let (_leads, watched) = leadership(true);
        let answered = pin!(while_leading(watched, ready(Ok(7))));
        assert_eq!(poll(answered), Poll::Ready(Ok(7)));
        let (_follows, watched) = leadership(false);
        let refused = pin!(while_leading(watched, ready(Ok(7))));
        assert_eq!(poll(refused), Poll::Ready(Err(Refusal::NotController)));
    }

    #[test]
    fn who_waits_is_refused_when_the_leadership_ends() {
        let (leads, watched) = leadership(true);
        let mut waiting = pin!(while_leading(watched, pending::<Result<u8, Refusal>>()));
        assert_eq!(poll(waiting.as_mut()), Poll::Pending);
        leads.send_modify(|leadership| leadership.is_ready = false);
        assert_eq!(poll(waiting), Poll::Ready(Err(Refusal::NotController)));

        let (stops, watched) = leadership(true);
        let mut waiting = pin!(while_leading(watched, pending::<Result<u8, Refusal>>()));
        assert_eq!(poll(waiting.as_mut()), Poll::Pending);
        drop(stops);
        assert_eq!(poll(waiting), Poll::Ready(Err(Refusal::NotController)));
    }
}
