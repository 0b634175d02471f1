//! The wires between real processes: every listener stands behind a port of this process, which
//! passes on what it hears, or does not.
//!
//! Who connects says so in its first request, by its client id, so that two nodes can be cut from each
//! other, and one way, while clients go on.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Ports;

/// Where a connection begins or ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Party {
    Node(usize),
    /// Whoever is none of the nodes.
    Client,
}

#[derive(Clone, Default)]
struct Weather {
    /// What flows from one to the other does not arrive.
    cut: BTreeSet<(Party, Party)>,
    /// Everything arrives so late.
    delay: Duration,
    /// Connections that are older than the last reset are broken.
    resets: u64,
}

/// See the module text. Clones share the wires.
#[derive(Clone)]
pub struct Wires {
    /// Where others find the nodes.
    pub ports: Ports,
    weather: watch::Sender<Weather>,
}

impl Wires {
    /// Ports that pass everything on to `bound`.
    pub async fn to(bound: Ports) -> Self {
        let mut wires = Self { ports: bound, weather: watch::Sender::new(Weather::default()) };
        for index in 0..3 {
            wires.ports.kafka[index] = wires.lay(index, bound.kafka[index]).await;
            wires.ports.controller[index] = wires.lay(index, bound.controller[index]).await;
        }
        wires
    }

    async fn lay(&self, node: usize, port: u16) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let told = listener.local_addr().unwrap().port();
        let wires = self.clone();
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                tokio::spawn(wires.clone().connect(Party::Node(node), near, port));
            }
        });
        told
    }

    async fn connect(self, to: Party, near: TcpStream, port: u16) {
        let mut weather = self.weather.subscribe();
        let resets = weather.borrow().resets;
        // Nobody listens there: whoever connected sees its connection end.
        let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        let (near_in, near_out) = near.into_split();
        let (far_in, far_out) = far.into_split();
        let caller = OnceLock::new();
        let there = |said: &[u8]| (*caller.get_or_init(|| caller_of(said)), to);
        // Whoever was called speaks second.
        let back = |_: &[u8]| (to, *caller.get().unwrap());
        tokio::select! {
            biased;
            () = pass(near_in, far_out, there, self.weather.subscribe()) => {}
            () = pass(far_in, near_out, back, self.weather.subscribe()) => {}
            _ = weather.wait_for(|it| it.resets > resets) => {}
        }
    }

    /// From now on nothing that `from` says to `to` arrives.
    pub fn cut(&self, from: usize, to: usize) {
        self.weather.send_modify(|it| {
            it.cut.insert((Party::Node(from), Party::Node(to)));
        });
    }

    /// No other node hears it, nor does it hear one; clients do.
    pub fn cut_off(&self, node: usize) {
        for other in (0..3).filter(|other| *other != node) {
            self.cut(node, other);
            self.cut(other, node);
        }
    }

    pub fn delay(&self, delay: Duration) {
        self.weather.send_modify(|it| it.delay = delay);
    }

    /// Breaks every connection.
    pub fn reset(&self) {
        self.weather.send_modify(|it| it.resets += 1);
    }

    /// Everything is passed on again; what was held back is lost with its connection.
    pub fn heal(&self) {
        self.weather.send_modify(|it| {
            it.cut.clear();
            it.delay = Duration::ZERO;
        });
    }
}

/// Who begins with this request: nodes have their ids in all their names, as `broker-1-fetcher-0`.
fn caller_of(request: &[u8]) -> Party {
    // Behind the size, the API, its version and the request's number.
    let name = request.get(12..).and_then(|rest| {
        let (size, rest) = rest.split_first_chunk()?;
        std::str::from_utf8(rest.get(..u16::from_be_bytes(*size).into())?).ok()
    });
    let id = name.and_then(|name| name.split('-').find_map(|word| word.parse::<usize>().ok()));
    id.and_then(|id| id.checked_sub(1)).map_or(Party::Client, Party::Node)
}

/// Passes on what one side says, until it ends or something was held back.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: impl Fn(&[u8]) -> (Party, Party),
    mut weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(count) if count > 0 => count,
            _ => return,
        };
        let way = way(&buffer[..count]);
        let (is_cut, delay) = {
            let weather = weather.borrow();
            (weather.cut.contains(&way), weather.delay)
        };
        if is_cut {
            // The wires outlive their connections.
            let _ = weather.wait_for(|it| !it.cut.contains(&way)).await;
            return;
        }
        tokio::time::sleep(delay).await;
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
