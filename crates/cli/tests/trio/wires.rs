//! The wires between real processes: every listener stands behind a port of this process, which
//! passes on what it hears, or does not.
//!
//! Who connects is found by whose socket it is, so that two nodes can be cut from each other, and one
//! way, while clients go on.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Cluster, Ports};

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
    pids: Arc<Mutex<[Option<Pid>; 3]>>,
}

impl Wires {
    /// Ports that pass everything on to `bound`.
    pub async fn to(bound: Ports) -> Self {
        let mut wires = Self {
            ports: bound,
            weather: watch::Sender::new(Weather::default()),
            pids: Arc::default(),
        };
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
                let (near, peer) = listener.accept().await.unwrap();
                let from = wires.party_at(peer);
                tokio::spawn(wires.clone().connect((from, Party::Node(node)), near, port));
            }
        });
        told
    }

    async fn connect(self, (from, to): (Party, Party), near: TcpStream, port: u16) {
        let mut weather = self.weather.subscribe();
        let resets = weather.borrow().resets;
        // Nobody listens there: whoever connected sees its connection end.
        let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        let (near_in, near_out) = near.into_split();
        let (far_in, far_out) = far.into_split();
        tokio::select! {
            biased;
            () = pass(near_in, far_out, (from, to), self.weather.subscribe()) => {}
            () = pass(far_in, near_out, (to, from), self.weather.subscribe()) => {}
            _ = weather.wait_for(|it| it.resets > resets) => {}
        }
    }

    /// Remembers which processes the nodes are, after each start.
    pub fn know(&self, cluster: &Cluster) {
        let mut pids = self.pids.lock().unwrap();
        for (pid, node) in pids.iter_mut().zip(&cluster.nodes) {
            *pid = node.as_ref().map(|node| node.pid());
        }
    }

    /// Whose end of a connection is at `address`.
    fn party_at(&self, address: SocketAddr) -> Party {
        let pids = *self.pids.lock().unwrap();
        let Some(socket) = socket_at(address.port()) else { return Party::Client };
        let holds = |pid: Pid| {
            let open = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero()));
            let mut links = open.into_iter().flatten().flatten().map(|it| fs::read_link(it.path()));
            links.any(|link| link.is_ok_and(|link| link.to_str() == Some(&socket)))
        };
        let node = pids.iter().position(|pid| pid.is_some_and(holds));
        node.map_or(Party::Client, Party::Node)
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

/// `socket:[INODE]` of the connection from `port`.
fn socket_at(port: u16) -> Option<String> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!("0100007F:{port:04X}");
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = lines.find(|columns| columns.get(1) == Some(&&*local) && columns.len() > 9)?;
    Some(format!("socket:[{}]", found[9]))
}

/// Passes on what one side says, until it ends or something was held back.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: (Party, Party),
    mut weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(count) if count > 0 => count,
            _ => return,
        };
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
