//! `GET /metrics`: just enough HTTP for Prometheus and curl, over the same ports as everything
//! else. Each connection has one request and one answer.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use strandline_ports::{Conn, Lane, Listener, World, timeout};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::scrape::Scrape;
use super::text;

/// Who is slower than this is cut off.
const PATIENCE: Duration = Duration::from_secs(10);
/// Scrapes at one time; further ones wait to be accepted.
const AT_ONCE_MAX: usize = 8;
const HEAD_MAX_BYTES: usize = 8 * 1024;
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

pub(crate) struct Endpoint {
    pub(crate) world: World,
    pub(crate) scrape: Scrape,
}

/// What is wanted, as the first line says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Metrics,
    OtherPath,
    OtherMethod,
    Nonsense,
}

impl Endpoint {
    /// Serves until the world ends.
    pub(crate) async fn run(self, listener: Box<dyn Listener>) {
        let it = Arc::new(self);
        let turns = Arc::new(Semaphore::new(AT_ONCE_MAX));
        loop {
            let turn = Arc::clone(&turns).acquire_owned().await;
            let turn = turn.expect("nobody closes the turns");
            match poll_fn(|cx| listener.poll_accept(cx)).await {
                Ok(conn) => {
                    it.world.spawn.spawn(Lane::Data, Box::pin(Arc::clone(&it).serve(conn, turn)))
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the metrics");
                    it.world.clock.sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    async fn serve(self: Arc<Self>, conn: Arc<dyn Conn>, _turn: OwnedSemaphorePermit) {
        let clock = &self.world.clock;
        let deadline = clock.now().instant + PATIENCE;
        let answered = timeout(&**clock, deadline, self.answer(&*conn)).await;
        if !matches!(answered, Ok(Ok(()))) {
            tracing::debug!(peer = %conn.peer_addr(), ?answered, "a scrape came to nothing");
        }
        conn.close();
    }

    async fn answer(&self, conn: &dyn Conn) -> io::Result<()> {
        let head = read_head(conn).await?;
        let response = match asked(&head) {
            Asked::Metrics => response("200 OK", text::CONTENT_TYPE, &self.scrape.text().await),
            Asked::OtherPath => refusal("404 Not Found", "the metrics are at /metrics\n"),
            Asked::OtherMethod => refusal("405 Method Not Allowed", "only GET is served\n"),
            Asked::Nonsense => refusal("400 Bad Request", "this is no HTTP request\n"),
        };
        write_all(conn, response.as_bytes()).await
    }
}

/// Reads up to the empty line, or as much as a head may have.
async fn read_head(conn: &dyn Conn) -> io::Result<BytesMut> {
    let mut head = BytesMut::with_capacity(HEAD_MAX_BYTES);
    while head.len() < HEAD_MAX_BYTES && !head.windows(4).any(|it| it == b"\r\n\r\n") {
        if poll_fn(|cx| conn.poll_read(cx, &mut head)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn asked(head: &[u8]) -> Asked {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Asked::Nonsense;
    };
    if !version.starts_with(b"HTTP/1.") {
        return Asked::Nonsense;
    }
    let path = target.split(|&byte| byte == b'?').next();
    match (method, path) {
        (b"GET", Some(b"/metrics")) => Asked::Metrics,
        (b"GET", _) => Asked::OtherPath,
        _ => Asked::OtherMethod,
    }
}

fn refusal(status: &str, reason: &str) -> String {
    response(status, "text/plain; charset=utf-8", reason)
}

fn response(status: &str, content_type: &str, body: &str) -> String {
    let len = body.len();
    let allow = if status.starts_with("405") { "Allow: GET\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len}\r\n{allow}\
         Connection: close\r\n\r\n{body}"
    )
}

async fn write_all(conn: &dyn Conn, mut rest: &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        match poll_fn(|cx| conn.poll_write(cx, &[IoSlice::new(rest)])).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => rest = &rest[count..],
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines() {
        for (line, expected) in [
            ("GET /metrics HTTP/1.1\r\n", Asked::Metrics),
            ("GET /metrics?name[]=x HTTP/1.0\r\n", Asked::Metrics),
            ("GET / HTTP/1.1\r\n", Asked::OtherPath),
            ("GET /metricsx HTTP/1.1\r\n", Asked::OtherPath),
            ("POST /metrics HTTP/1.1\r\n", Asked::OtherMethod),
            ("GET /metrics\r\n", Asked::Nonsense),
            ("GET /metrics SPDY/3\r\n", Asked::Nonsense),
            ("GET  /metrics HTTP/1.1\r\n", Asked::Nonsense),
            ("\0\0\0\u{12}\0\u{12}\0\u{4}", Asked::Nonsense),
            ("", Asked::Nonsense),
        ] {
            assert_eq!(asked(line.as_bytes()), expected, "{line:?}");
        }
    }
}
