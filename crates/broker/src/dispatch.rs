//! From the bytes of a frame to the handler of its API, and back: decoding, version checks,
//! encoding and request metrics live here, once.

use std::sync::Arc;

use bytes::Bytes;
use strandline_wire::Chunk;
use strandline_wire::frame::{self, Incoming};
use strandline_wire::messages::{ApiKey, Message, Request};

use crate::api::{self, api_versions};
use crate::cx::{Cx, SessionFacts};
use crate::handles::Handles;
use crate::metrics::OpenConnection;
use crate::session::{Activity, Answer, Answering, Hangup, Piece, Serve};

/// Serves the requests of one connection.
pub(crate) struct Dispatcher {
    handles: Arc<Handles>,
    session: Arc<SessionFacts>,
    activity: Arc<Activity>,
    _counted: OpenConnection,
}

impl Dispatcher {
    pub(crate) fn new(
        handles: Arc<Handles>,
        session: Arc<SessionFacts>,
        activity: Arc<Activity>,
        counted: OpenConnection,
    ) -> Self {
        Self { handles, session, activity, _counted: counted }
    }
}

impl Serve for Dispatcher {
    fn is_produce(&self, frame: &Bytes) -> bool {
        frame.first_chunk::<2>() == Some(&ApiKey::Produce.code().to_be_bytes())
    }

    fn request_waits(&self, waits: bool) {
        self.session.queue.set_has_next(waits);
    }

    fn is_held(&self) -> bool {
        self.session.queue.is_held()
    }

    fn serve(&mut self, frame: Bytes) -> Result<Answering, Hangup> {
        let now = self.handles.clock.now();
        self.activity.touch(now.instant);
        let incoming = Incoming::parse(&frame).map_err(|error| Hangup(error.to_string()))?;
        if !api::serves(incoming.api, self.session.role) {
            return Err(Hangup(format!("{} is not served on this listener", incoming.api)));
        }
        let cx = Cx::new(Arc::clone(&self.handles), Arc::clone(&self.session), now, &incoming);
        if incoming.is_supported() {
            return Ok(api::route(cx, incoming));
        }
        // Only ApiVersions comes this far in a version we do not know. Its answer tells the client
        // which ones to use, in version 0, the one that everybody reads.
        let mut cx = cx;
        cx.version = 0;
        Ok(Box::pin(async move {
            encode(&cx, Some(api_versions::unsupported_version(cx.session.role)))
        }))
    }
}

pub(crate) fn decode<R: Request>(incoming: &Incoming) -> Result<R, Hangup> {
    incoming.decode().map_err(|error| Hangup(error.to_string()))
}

/// Turns a response into the pieces that go on the wire; no response, no pieces.
pub(crate) fn encode<M: Message>(cx: &Cx, response: Option<M>) -> Result<Answer, Hangup> {
    let Some(response) = response else { return Ok(Answer::new()) };
    let gathered = frame::response(cx.api, cx.version, cx.correlation_id, &response);
    let gathered = gathered.map_err(|error| {
        // The handler said something that this version cannot carry.
        tracing::error!(api = %cx.api, version = cx.version, %error, "cannot encode an answer");
        Hangup(format!("{} version {}: {error}", cx.api, cx.version))
    })?;
    let files = cx.take_files();
    let pieces = gathered.chunks.into_iter().map(|chunk| match chunk {
        Chunk::Bytes(bytes) => Piece::Bytes(bytes),
        Chunk::External { id, len } => {
            let range = &files[id as usize];
            let file = Arc::clone(&range.file);
            Piece::FileRange { file, position: range.position, len: len as usize }
        }
    });
    Ok(pieces.collect())
}
