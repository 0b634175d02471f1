//! One client connection, served by one task without a queue hop or a second thread.
//!
//! Each request has two stages. *Ordered*: it is decoded and, for a Produce, admitted to its logs;
//! that decides the order. *Answered*: replicated, synced, or a long poll is over. The session
//! starts the next request as soon as the one before is ordered, and answers leave in the order
//! of the requests. Only a Produce may follow an unanswered Produce; any other pair waits, since
//! clients of Kafka may assume that a request sees the effects of those before it.

mod budget;
mod connections;
mod inbox;
mod outbox;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use strandline_ports::Conn;

use budget::Charge;
pub(crate) use budget::RequestMemory;
pub(crate) use connections::{Activity, ConnectionLimits, Connections};
pub(crate) use inbox::End;
use inbox::{Frame, Inbox};
use outbox::Outbox;
pub(crate) use outbox::Piece;

/// Requests of one connection that are ordered but not answered.
const UNANSWERED_MAX: usize = 128;
/// Answers that are ready are sent together up to about this size.
const FLUSH_AT_BYTES: usize = 64 * 1024;

/// Why a session hangs up on its client: one log line, and nothing else happens.
#[derive(Debug)]
pub(crate) struct Hangup(pub(crate) String);

/// The bytes of one answer with its size prefix; empty when the client expects none (acks=0).
pub(crate) type Answer = Vec<Piece>;
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Answer, Hangup>> + Send>>;

/// What a session asks of the layer above it.
pub(crate) trait Serve: Send {
    /// True when the request in `frame` is a Produce.
    fn is_produce(&self, frame: &Bytes) -> bool;
    /// Whether a request has to wait for those before it.
    fn request_waits(&self, waits: bool);
    /// Whether the last request is a Produce that is not ordered yet.
    fn is_held(&self) -> bool;
    /// A Produce is ordered once the future has been polled for the first time, unless it holds the
    /// next one back.
    fn serve(&mut self, frame: Bytes) -> Result<Answering, Hangup>;
}

struct Unanswered {
    stage: Stage,
    is_produce: bool,
    _charge: Charge,
}

enum Stage {
    Answering(Answering),
    Answered(Answer),
}

/// One connection's state between polls.
pub(crate) struct Session<S> {
    conn: Arc<dyn Conn>,
    server: S,
    inbox: Inbox,
    /// Read while the requests before it were still being answered.
    next: Option<Frame>,
    unanswered: VecDeque<Unanswered>,
    outbox: Outbox,
}

/// How a session ended.
#[derive(Debug)]
pub(crate) enum SessionEnd {
    Client(End),
    Hangup(Hangup),
    Write(std::io::Error),
}

impl<S: Serve + Unpin> Session<S> {
    pub(crate) fn new(
        conn: Arc<dyn Conn>,
        server: S,
        activity: Arc<Activity>,
        memory: &RequestMemory,
        frame_max_bytes: usize,
    ) -> Self {
        Self {
            conn,
            server,
            inbox: Inbox::new(memory, activity, frame_max_bytes),
            next: None,
            unanswered: VecDeque::new(),
            outbox: Outbox::default(),
        }
    }

    /// Serves the connection until it ends. Dropping the future drops what is unanswered.
    pub(crate) async fn run(mut self) -> SessionEnd {
        let end = poll_fn(|cx| self.poll(cx)).await;
        self.conn.close();
        end
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<SessionEnd> {
        loop {
            let started = self.start_requests(cx);
            if let Poll::Ready(Err(end)) = started {
                return Poll::Ready(end);
            }
            let was_held = self.server.is_held();
            let ordered = self.poll_held(cx);
            if let Err(hangup) = ordered {
                return Poll::Ready(SessionEnd::Hangup(hangup));
            }
            let answered = self.collect_answers(cx);
            if let Poll::Ready(Err(hangup)) = answered {
                return Poll::Ready(SessionEnd::Hangup(hangup));
            }
            if was_held && !self.server.is_held() {
                continue;
            }
            let had_output = self.outbox.queued_bytes() > 0;
            match self.outbox.poll_flush(cx, &*self.conn) {
                Poll::Ready(Err(error)) => return Poll::Ready(SessionEnd::Write(error)),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if had_output || started.is_ready() => {}
                // Nothing came in, nothing went out: every waker is set.
                Poll::Ready(Ok(())) => return Poll::Pending,
            }
        }
    }

    /// Starts every request that may start now. Ready when at least one did.
    ///
    /// Keeps reading while requests are parked, at most one frame ahead: so that a client that
    /// hangs up is noticed, and its parked requests are dropped with the session.
    fn start_requests(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SessionEnd>> {
        let mut started = false;
        loop {
            if self.next.is_none() {
                match self.inbox.poll_frame(cx, &*self.conn) {
                    Poll::Ready(Ok(frame)) => self.next = Some(frame),
                    Poll::Ready(Err(end)) => return Poll::Ready(Err(SessionEnd::Client(end))),
                    Poll::Pending => break,
                }
            }
            let room = self.outbox.queued_bytes() < FLUSH_AT_BYTES;
            let Some(Frame { bytes, charge }) =
                self.next.take_if(|frame| room && may_start(&self.server, &self.unanswered, frame))
            else {
                break;
            };
            if let Err(hangup) = self.order(cx, bytes, charge) {
                return Poll::Ready(Err(SessionEnd::Hangup(hangup)));
            }
            started = true;
            if let Poll::Ready(Err(hangup)) = self.collect_answers(cx) {
                return Poll::Ready(Err(SessionEnd::Hangup(hangup)));
            }
        }
        self.server.request_waits(self.next.is_some());
        if started { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Runs a request's first stage; a request that waits for nothing is answered by it already.
    fn order(&mut self, cx: &mut Context<'_>, frame: Bytes, charge: Charge) -> Result<(), Hangup> {
        let is_produce = self.server.is_produce(&frame);
        let mut answering = self.server.serve(frame)?;
        let stage = match answering.as_mut().poll(cx) {
            Poll::Ready(answer) => Stage::Answered(answer?),
            Poll::Pending => Stage::Answering(answering),
        };
        self.unanswered.push_back(Unanswered { stage, is_produce, _charge: charge });
        Ok(())
    }

    /// Goes on with a Produce that is not ordered yet, whatever those before it wait for.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Result<(), Hangup> {
        if !self.server.is_held() {
            return Ok(());
        }
        let Some(Unanswered { stage, .. }) = self.unanswered.back_mut() else { return Ok(()) };
        if let Stage::Answering(answering) = stage
            && let Poll::Ready(answer) = answering.as_mut().poll(cx)
        {
            *stage = Stage::Answered(answer?);
        }
        Ok(())
    }

    /// Moves answers that are ready to the outbox, in order. A client that does not read its
    /// answers gets no further ones made: its session holds about one answer, not a backlog.
    fn collect_answers(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Hangup>> {
        while self.outbox.queued_bytes() < FLUSH_AT_BYTES {
            let Some(front) = self.unanswered.front_mut() else { break };
            let answer = match &mut front.stage {
                Stage::Answering(answering) => ready!(answering.as_mut().poll(cx))?,
                Stage::Answered(answer) => std::mem::take(answer),
            };
            self.unanswered.pop_front();
            for piece in answer {
                self.outbox.push(piece);
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn may_start(server: &impl Serve, unanswered: &VecDeque<Unanswered>, frame: &Frame) -> bool {
    match unanswered.back() {
        None => true,
        Some(last) => {
            last.is_produce
                && unanswered.len() < UNANSWERED_MAX
                && server.is_produce(&frame.bytes)
                && !server.is_held()
        }
    }
}
