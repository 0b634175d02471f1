//! How a node without data learns which cluster it belongs to, when the settings name others: it asks
//! them, and makes nothing up.
//!
//! Whoever has data tells the cluster's id (DescribeCluster on the controllers' listeners, KIP-919).
//! Only when all fixed voters say that they have none, and each has heard that of all others, does the
//! one with the lowest id make one up. They are its founders. Whoever comes later has lost a disk, or
//! is new: it must not vote before it has caught up, because it may have voted already. A controller id
//! of −1 in the answer of a node without data says "I have none", its own id "and neither has anybody".
//!
//! A founder notes that it is one before it says so. Otherwise two of three that are started again
//! between the word and their format would count as voters that have lost their disks, and the third
//! would wait for them for good.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use strandline_client::ConnectionConfig;
use strandline_config::{BrokerConfig, HostPort};
use strandline_ports::{Lane, Listener, World, random_uuid, timeout};
use strandline_types::{Bug, NodeId, planted};
use strandline_wire::Chunk;
use strandline_wire::frame::{self, Incoming};
use strandline_wire::messages::api_versions_response::ApiVersion;
use strandline_wire::messages::{
    ApiKey, ApiVersionsResponse, DescribeClusterRequest, DescribeClusterResponse, Message,
};

use super::bind::{Bound, frame_max_bytes, request_memory};
use crate::driver::links::Links;
use crate::format;
use crate::listener::Reception;
use crate::session::{Answering, ConnectionLimits, Connections, Hangup, Piece, Serve};

/// Between two rounds of questions.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// Connecting and two questions, over a long way.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// A person who waits is told so from time to time.
const TELL_EVERY: Duration = Duration::from_secs(5);
const CONTROLLERS: i8 = 2;

/// The cluster that a node without data belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Learned {
    pub(super) cluster_id: String,
    /// It began together with this node, which has forgotten nothing.
    pub(super) is_founder: bool,
}

/// What another node has said of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Seen {
    Nothing,
    Empty,
    /// It knows that all are empty.
    Ready,
    Member(String),
}

/// Whether the settings name another node that may know of the cluster.
pub(super) fn names_others(config: &BrokerConfig) -> bool {
    Founding::of(config).is_some()
}

/// Learns which cluster this node belongs to, if it has no data and is not alone.
pub(super) async fn learn(world: &World, config: &BrokerConfig, bound: &Bound) -> Option<Learned> {
    let founding = Founding::of(config)?;
    // What cannot be read is told when the directories are opened.
    let found = format::inspect(&*world.disk, format::directories(config)).ok()?;
    if found.iter().any(|dir| dir.state != format::DirState::Unformatted) {
        return None;
    }
    let reception = Reception {
        world: world.clone(),
        connections: Connections::new(ConnectionLimits::of(&config.network)),
        memory: request_memory(config),
        frame_max_bytes: frame_max_bytes(config),
        lane: Lane::Control,
    };
    founding.is_ready.store(format::is_founding(&*world.disk, config), Ordering::Relaxed);
    Some(founding.learn(world, config, bound.controllers(), &reception).await)
}

/// What this node knows of the others.
struct Founding {
    me: NodeId,
    /// Fixed voters by their ids; servers to join by have none.
    others: BTreeMap<HostPort, (Option<NodeId>, Seen)>,
    /// This node is one of the fixed voters.
    may_found: bool,
    is_ready: Arc<AtomicBool>,
}

impl Founding {
    /// `None` when the settings name nobody else.
    fn of(config: &BrokerConfig) -> Option<Self> {
        let (me, quorum) = (config.node_id, &config.quorum);
        let voters = quorum.voters.iter().filter(|voter| voter.id != me);
        let voters = voters.map(|voter| (voter.address.clone(), (Some(voter.id), Seen::Nothing)));
        let servers = quorum.bootstrap_servers.iter();
        // Port 0, the default, asks for any free one: that is not known to anybody else.
        let is_other = |it: &&HostPort| it.port != 0 && !config.is_own_controller(it);
        let servers = servers.filter(|it| quorum.voters.is_empty() && is_other(it));
        let servers = servers.map(|server| (server.clone(), (None, Seen::Nothing)));
        let others: BTreeMap<_, _> = servers.chain(voters).collect();
        let may_found = quorum.voters.iter().any(|voter| voter.id == me);
        let is_ready = Arc::default();
        (!others.is_empty()).then_some(Self { me, others, may_found, is_ready })
    }

    /// Asks until the cluster is known, and tells others what they ask meanwhile.
    async fn learn(
        mut self,
        world: &World,
        node: &BrokerConfig,
        listeners: Vec<(&str, &dyn Listener)>,
        reception: &Reception,
    ) -> Learned {
        let founder = Founder { me: self.me, is_ready: Arc::clone(&self.is_ready) };
        let mut accepting: Vec<_> = listeners
            .into_iter()
            .map(|(name, listener)| {
                let founder = founder.clone();
                Box::pin(reception.accept(name, listener, move |_, _| founder.clone()))
            })
            .collect();
        let mut asking = pin!(self.ask(world, node));
        let learned = poll_fn(|cx| {
            for accepting in &mut accepting {
                // It ends with the connections, below.
                let _ = accepting.as_mut().poll(cx);
            }
            asking.as_mut().poll(cx)
        })
        .await;
        reception.close();
        learned
    }

    async fn ask(&mut self, world: &World, node: &BrokerConfig) -> Learned {
        let config = ConnectionConfig {
            client_id: format!("founding-{}", self.me),
            connect_timeout: TELL_EVERY,
            request_timeout: TELL_EVERY,
            ..ConnectionConfig::default()
        };
        let links = Links::new(world.clone(), config);
        let mut told_at = world.clock.now().instant;
        loop {
            let addresses: Vec<HostPort> = self.others.keys().cloned().collect();
            for address in addresses {
                let deadline = world.clock.now().instant + ANSWER_WITHIN;
                let seen = timeout(&*world.clock, deadline, look_at(&links, &address)).await;
                if let Some((_, known)) = self.others.get_mut(&address) {
                    *known = seen.unwrap_or(Seen::Nothing);
                }
                if self.sees_all_empty() && !self.is_ready() {
                    match note(world, node).await {
                        Ok(()) => self.is_ready.store(true, Ordering::Relaxed),
                        Err(failure) => told_of_failure(world, &failure).await,
                    }
                }
                // Nobody else is waited for who may be silent.
                let made_up = || random_uuid(&*world.entropy).to_string();
                if let Some(learned) = self.conclude(made_up) {
                    return learned;
                }
            }
            let now = world.clock.now().instant;
            if now.since(told_at) >= TELL_EVERY {
                told_at = now;
                tracing::warn!(
                    silent = self.listed(|seen| *seen == Seen::Nothing),
                    empty = self.listed(|seen| matches!(seen, Seen::Empty | Seen::Ready)),
                    "still starting: this node has no data, and nobody tells which cluster it belongs to; start the silent ones; where all are empty, start one whose settings name nobody else, or give each the same id with `strandline storage format -t CLUSTER_ID`"
                );
            }
            world.clock.sleep(ASK_EVERY).await;
        }
    }

    /// The addresses of those that were seen so.
    fn listed(&self, is_so: impl Fn(&Seen) -> bool) -> String {
        let others = self.others.iter().filter(|(_, (_, seen))| is_so(seen));
        let addresses: Vec<String> = others.map(|(address, _)| address.to_string()).collect();
        addresses.join(", ")
    }

    /// It has noted that all were empty, and tells others.
    fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }

    fn sees_all_empty(&self) -> bool {
        self.may_found && self.all(|seen| matches!(seen, Seen::Empty | Seen::Ready))
    }

    /// Whether all others were seen so.
    fn all(&self, is_so: impl Fn(&Seen) -> bool) -> bool {
        let is_so = |seen| is_so(seen) || planted(Bug::SilentVotersAreEmpty);
        self.others.values().all(|(_, seen)| is_so(seen))
    }

    fn conclude(&self, make_up: impl FnOnce() -> String) -> Option<Learned> {
        let member = self.others.values().find_map(|(_, seen)| match seen {
            Seen::Member(cluster_id) => Some(cluster_id.clone()),
            _ => None,
        });
        if let Some(cluster_id) = member {
            return Some(Learned { cluster_id, is_founder: self.is_ready() });
        }
        let is_lowest = self.others.values().all(|(id, _)| id.is_some_and(|id| self.me < id));
        let all_are_ready = self.is_ready() && self.all(|seen| *seen == Seen::Ready);
        (is_lowest && all_are_ready).then(|| Learned { cluster_id: make_up(), is_founder: true })
    }
}

async fn note(world: &World, node: &BrokerConfig) -> Result<(), format::FormatFailure> {
    if planted(Bug::FounderNotesNothing) {
        return Ok(());
    }
    format::note_founding(&*world.disk, node).await
}

/// Others wait for this node, so whoever can mend its disk should know.
async fn told_of_failure(world: &World, failure: &format::FormatFailure) {
    tracing::error!(%failure, "this node cannot note that it founds a cluster");
    world.clock.sleep(TELL_EVERY).await;
}

async fn look_at(links: &Links, address: &HostPort) -> Seen {
    let request = || DescribeClusterRequest { endpoint_type: CONTROLLERS, ..Default::default() };
    let Ok(connection) = links.connection(address).await else { return Seen::Nothing };
    match connection.call(request()).await {
        Ok(answer) if !answer.error_code.is_none() => Seen::Nothing,
        Ok(answer) if !answer.cluster_id.is_empty() => Seen::Member(answer.cluster_id),
        Ok(answer) if answer.controller_id < 0 => Seen::Empty,
        Ok(_) => Seen::Ready,
        Err(_) => Seen::Nothing,
    }
}

/// Answers the few questions that a node without data can answer.
#[derive(Clone)]
struct Founder {
    me: NodeId,
    is_ready: Arc<AtomicBool>,
}

impl Serve for Founder {
    fn is_produce(&self, _: &Bytes) -> bool {
        false
    }

    fn request_waits(&self, _: bool) {}

    fn is_held(&self) -> bool {
        false
    }

    fn serve(&mut self, frame: Bytes) -> Result<Answering, Hangup> {
        let incoming = Incoming::parse(&frame).map_err(|error| Hangup(error.to_string()))?;
        let answer = match incoming.api {
            ApiKey::ApiVersions => encode(&incoming, &self.versions()),
            ApiKey::DescribeCluster if incoming.is_supported() => {
                encode(&incoming, &self.describe())
            }
            api => Err(Hangup(format!("{api} cannot be served by a node without data"))),
        };
        Ok(Box::pin(async move { answer }))
    }
}

impl Founder {
    fn versions(&self) -> ApiVersionsResponse {
        let row = |api: ApiKey| {
            let versions = api.facts().advertised;
            ApiVersion {
                api_key: api.code(),
                min_version: versions.min,
                max_version: versions.max,
                ..Default::default()
            }
        };
        let api_keys = [ApiKey::ApiVersions, ApiKey::DescribeCluster].map(row);
        ApiVersionsResponse { api_keys: api_keys.into(), ..Default::default() }
    }

    fn describe(&self) -> DescribeClusterResponse {
        let is_ready = self.is_ready.load(Ordering::Relaxed);
        DescribeClusterResponse {
            endpoint_type: CONTROLLERS,
            controller_id: if is_ready { self.me.get() } else { -1 },
            ..Default::default()
        }
    }
}

fn encode<M: Message>(incoming: &Incoming, response: &M) -> Result<Vec<Piece>, Hangup> {
    // ApiVersions in a version from the future is answered in the one that everybody reads.
    let version = if incoming.is_supported() { incoming.version } else { 0 };
    let gathered = frame::response(incoming.api, version, incoming.correlation_id, response);
    let gathered = gathered.map_err(|error| Hangup(error.to_string()))?;
    let pieces = gathered.chunks.into_iter().filter_map(|chunk| match chunk {
        Chunk::Bytes(bytes) => Some(Piece::Bytes(bytes)),
        Chunk::External { .. } => None,
    });
    Ok(pieces.collect())
}

#[cfg(test)]
mod tests {
    use strandline_ports::real::{RealDisk, RealEntropy};
    use strandline_types::Timestamp;

    use super::*;

    fn founding(me: i32, others: &[(i32, Seen)]) -> Founding {
        let other = |(id, seen): &(i32, Seen)| {
            let address = HostPort { host: "h".into(), port: *id as u16 };
            (address, (Some(NodeId(*id)), seen.clone()))
        };
        let others = others.iter().map(other).collect();
        Founding { me: NodeId(me), others, may_found: true, is_ready: Arc::default() }
    }

    /// As a node does that can write.
    fn concluded(founding: &Founding) -> Option<(String, bool)> {
        let is_ready = founding.is_ready() || founding.sees_all_empty();
        founding.is_ready.store(is_ready, Ordering::Relaxed);
        let learned = founding.conclude(|| "new".into());
        learned.map(|it| (it.cluster_id, it.is_founder))
    }

    #[test]
    fn only_the_lowest_of_voters_that_know_all_to_be_empty_founds() {
        let founder = founding(1, &[(2, Seen::Ready), (3, Seen::Ready)]);
        assert_eq!(concluded(&founder), Some(("new".into(), true)));
        for silent in [Seen::Nothing, Seen::Empty] {
            let waits = founding(1, &[(2, Seen::Ready), (3, silent)]);
            assert_eq!(concluded(&waits), None);
        }
        let second = founding(2, &[(1, Seen::Ready), (3, Seen::Ready)]);
        assert_eq!(concluded(&second), None);
    }

    #[test]
    fn who_knew_all_to_be_empty_is_a_founder_and_who_did_not_has_forgotten() {
        let mut second = founding(2, &[(1, Seen::Empty), (3, Seen::Empty)]);
        assert_eq!(concluded(&second), None);
        let first = HostPort { host: "h".into(), port: 1 };
        second.others.insert(first, (Some(NodeId(1)), Seen::Member("c".into())));
        assert_eq!(concluded(&second), Some(("c".into(), true)));
        let late = founding(3, &[(1, Seen::Member("c".into())), (2, Seen::Nothing)]);
        assert_eq!(concluded(&late), Some(("c".into(), false)));
    }

    #[tokio::test]
    async fn a_founder_is_one_after_another_start_until_its_directory_is_somebodys() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("data");
        let set = [("log.dirs".to_owned(), dir.to_string_lossy().into_owned())];
        let config = BrokerConfig::resolve(None, &set).unwrap().config;
        let disk = RealDisk::default();
        assert!(!format::is_founding(&disk, &config));
        format::note_founding(&disk, &config).await.unwrap();
        assert!(format::is_founding(&disk, &config));
        let dirs = (&config, format::directories(&config));
        let plan = format::Plan {
            cluster_id: "c",
            founding: format::Founding::ByOthers,
            levels: &format::FirstLevels::default(),
            keep_formatted: false,
        };
        format::format(&disk, &RealEntropy, Timestamp(0), dirs, plan).await.unwrap();
        assert!(!format::is_founding(&disk, &config));
    }
}
