//! Where a node lives: its data directory, its settings and its ports.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, bail, ensure};

use super::FETCH_TIMEOUT;
use super::peer::{Against, java};
use super::place::Place;

const CLUSTER_ID: &str = "mJ2nSfQfQ1y3h4v5w6x7yA";
/// Every finalized feature is one that a broker must honestly support; these arrive later than
/// the log, classic groups, transactions and metadata that the clients here use.
const FEATURES_OFF: [&str; 3] = ["group.version=0", "share.version=0", "streams.version=0"];

/// A snapshot of the metadata every few seconds, and soon no log before it: who comes late is given
/// the snapshot.
const FORGETS: &str = "metadata.log.max.snapshot.interval.ms=3000\n\
     metadata.log.max.record.bytes.between.snapshots=4000\n\
     metadata.max.retention.ms=2000";

/// Enough for a few on each broker.
const COORDINATORS: &str = "transaction.state.log.num.partitions=10";

/// What a node of a cluster does.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Roles {
    BrokerAndController,
    Broker,
    Controller,
}

/// How its directory becomes part of a cluster.
#[derive(Clone, Copy, PartialEq)]
enum Founding {
    /// The only node there will be.
    Alone,
    /// The voters are in the settings of all.
    FixedVoters,
    /// The first voter of a quorum that is to grow.
    FirstVoter,
    /// Of a quorum that is there.
    Joins,
}

/// A data directory with the settings file of the node that owns it.
///
/// The ports are part of it: a quorum knows its voters by their addresses.
pub(super) struct Home {
    data: PathBuf,
    properties: PathBuf,
    roles: Roles,
    /// Where it listens: for clients, unless it is a controller alone.
    address: String,
    founding: Founding,
}

impl Home {
    /// An empty one at `folder` for a node that is alone, replacing what an earlier run left there.
    pub(super) fn alone(folder: &Path) -> Result<Home> {
        let (broker, controller) = free_ports(1)?[0];
        let quorum = format!("controller.quorum.bootstrap.servers=127.0.0.1:{controller}");
        let lines = [both_listeners(broker, controller), quorum, replicas(1)];
        Home::create(folder, (1, Roles::BrokerAndController), broker, &lines, Founding::Alone)
    }

    /// Empty ones below `folder` for the nodes 1, 2 and so on. The controllers are fixed voters.
    pub(super) fn cluster<const N: usize>(folder: &Path, roles: [Roles; N]) -> Result<[Home; N]> {
        let ports = free_ports(N)?;
        let voters: Vec<String> = (1..)
            .zip(roles.iter().zip(&ports))
            .filter(|(_, (roles, _))| **roles != Roles::Broker)
            .map(|(id, (_, (_, controller)))| format!("{id}@127.0.0.1:{controller}"))
            .collect();
        let quorum = format!("controller.quorum.voters={}", voters.join(","));
        Home::several(folder, roles, &ports, &quorum, |_| Founding::FixedVoters)
    }

    /// Empty ones below `folder` for the nodes 1, 2 and so on, brokers and controllers all. The
    /// first is the only voter until others are added.
    pub(super) fn growing<const N: usize>(folder: &Path) -> Result<[Home; N]> {
        let ports = free_ports(N)?;
        let known: Vec<String> =
            ports.iter().map(|(_, controller)| format!("127.0.0.1:{controller}")).collect();
        let quorum = format!("controller.quorum.bootstrap.servers={}", known.join(","));
        Home::several(folder, [Roles::BrokerAndController; N], &ports, &quorum, |id| match id {
            1 => Founding::FirstVoter,
            _ => Founding::Joins,
        })
    }

    fn several<const N: usize>(
        folder: &Path,
        roles: [Roles; N],
        ports: &[(u16, u16)],
        quorum: &str,
        founding: impl Fn(usize) -> Founding,
    ) -> Result<[Home; N]> {
        let mut homes = Vec::new();
        for (id, (roles, &(broker, controller))) in (1..).zip(roles.into_iter().zip(ports)) {
            let (listeners, port) = match roles {
                Roles::BrokerAndController => (both_listeners(broker, controller), broker),
                Roles::Broker => (broker_listener(broker), broker),
                Roles::Controller => (controller_listener(controller), controller),
            };
            let lines =
                [listeners, quorum.to_owned(), replicas(3), COORDINATORS.into(), FORGETS.into()];
            let folder = folder.join(format!("node-{id}"));
            homes.push(Home::create(&folder, (id, roles), port, &lines, founding(id))?);
        }
        homes.try_into().ok().context("as many homes as roles")
    }

    fn create(
        folder: &Path,
        (id, roles): (usize, Roles),
        port: u16,
        lines: &[String],
        founding: Founding,
    ) -> Result<Home> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
        }
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let data = folder.join("data");
        let properties = folder.join("server.properties");
        let text = format!(
            "node.id={id}\n\
             {}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             log.dirs={}\n\
             group.initial.rebalance.delay.ms=0\n\
             initial.broker.registration.timeout.ms=300000\n\
             log.cleaner.backoff.ms=500\n\
             transaction.abort.timed.out.transaction.cleanup.interval.ms=1000\n",
            lines.join("\n"),
            data.display()
        );
        fs::write(&properties, text).with_context(|| format!("write {}", properties.display()))?;
        Ok(Home { data, properties, roles, address: format!("127.0.0.1:{port}"), founding })
    }

    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    pub(super) fn properties(&self) -> &Path {
        &self.properties
    }

    /// Whether its cluster is this node.
    pub(super) fn is_alone(&self) -> bool {
        self.founding == Founding::Alone
    }

    /// Where it listens: for clients, if it is a broker.
    pub(super) fn bootstrap(&self) -> &str {
        &self.address
    }

    pub(super) fn is_broker(&self) -> bool {
        self.roles != Roles::Controller
    }

    /// Whether its metadata log begins with a snapshot that it was given: nothing before is here.
    pub(super) fn began_with_snapshot(&self) -> Result<bool> {
        let folder = self.data.join("__cluster_metadata-0");
        let mut segments = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            segments.extend(name.strip_suffix(".log").and_then(|it| it.parse::<u64>().ok()));
        }
        Ok(segments.iter().min().is_some_and(|&first| first > 0))
    }

    /// Loses the disk.
    pub(super) fn lose(&self) -> Result<()> {
        fs::remove_dir_all(&self.data).with_context(|| format!("remove {}", self.data.display()))
    }

    /// Makes the data directory a node's own, by the tool of whoever is to start on it.
    pub(super) fn format(&self, place: &Place, by: &Against) -> Result<()> {
        self.format_with(place, by, None)
    }

    /// The same, of a cluster that begins with another level of a feature than the usual one.
    pub(super) fn format_with(
        &self,
        place: &Place,
        by: &Against,
        feature: Option<&str>,
    ) -> Result<()> {
        let flag = match self.founding {
            Founding::Alone | Founding::FirstVoter => Some("--standalone"),
            Founding::Joins => Some("--no-initial-controllers"),
            Founding::FixedVoters => None,
        };
        let mut command = match by {
            Against::Kafka => {
                let mut command = java(&place.fetch_kafka(FETCH_TIMEOUT)?);
                command.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID]);
                command.args(flag);
                command.args(FEATURES_OFF.iter().flat_map(|feature| ["--feature", feature]));
                command
            }
            Against::Strandline => {
                let mut command = Command::new(place.strandline()?);
                command.args(["storage", "format", "-t", CLUSTER_ID]);
                command.args(flag);
                command
            }
            Against::Address(_) => bail!("a running broker has its directories"),
        };
        command.args(feature.iter().flat_map(|feature| ["--feature", feature]));
        let output = command.arg("--config").arg(&self.properties).output();
        let output = output.with_context(|| format!("format a directory by {}", by.name()))?;
        ensure!(
            output.status.success(),
            "{} does not format {}: {}",
            by.name(),
            self.data.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

fn both_listeners(broker: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller\n\
         listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}"
    )
}

fn broker_listener(broker: u16) -> String {
    format!("process.roles=broker\nlisteners=PLAINTEXT://127.0.0.1:{broker}")
}

fn controller_listener(controller: u16) -> String {
    format!("process.roles=controller\nlisteners=CONTROLLER://127.0.0.1:{controller}")
}

/// Internal topics are on so many brokers, and a majority of them must hold what is acknowledged.
fn replicas(count: u16) -> String {
    let minimum = count.div_ceil(2);
    format!(
        "offsets.topic.replication.factor={count}\n\
         transaction.state.log.replication.factor={count}\n\
         transaction.state.log.min.isr={minimum}\n\
         min.insync.replicas={minimum}"
    )
}

/// Two ports for each of so many nodes, for clients and for controllers, that were free a moment ago.
/// They lie below those that the system gives to outgoing connections, which would take that of a
/// node while it is down.
fn free_ports(nodes: usize) -> Result<Vec<(u16, u16)>> {
    static NEXT: AtomicU16 = AtomicU16::new(30_000);
    let mut free = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed))
        .take_while(|port| *port < 32_000)
        .filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let mut port = || free.next().context("no port is free from 30000 to 32000");
    (0..nodes).map(|_| Ok((port()?, port()?))).collect()
}
