//! Several nodes that come and go, and a load of clients on them that is told what to wait for.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::clients::Client;
use super::home::Home;
use super::peer::{Against, Peer};
use super::place::Place;
use super::shell::Conversation;

/// The load gives up by itself before that, and says why.
pub(super) const LOAD_TIMEOUT: Duration = Duration::from_secs(300);

/// The nodes, by their ids from 1 on. Those that run at the end are killed: without a majority
/// Kafka would wait for minutes for a controller's leave to stop.
pub(super) struct Cluster<'a> {
    pub(super) place: &'a Place,
    pub(super) homes: &'a [Home],
    nodes: Vec<Option<Peer>>,
}

impl<'a> Cluster<'a> {
    pub(super) fn start(place: &'a Place, homes: &'a [Home], kinds: &[&Against]) -> Result<Self> {
        for (home, kind) in homes.iter().zip(kinds) {
            home.format(place, kind)?;
        }
        // None is ready before a majority is.
        let nodes: Result<_> = thread::scope(|scope| {
            let begun: Vec<_> = homes
                .iter()
                .zip(kinds)
                .map(|(home, kind)| scope.spawn(|| Peer::start_at(place, kind, home).map(Some)))
                .collect();
            begun.into_iter().map(|it| it.join().expect("no start panics")).collect()
        });
        Ok(Self { place, homes, nodes: nodes? })
    }

    pub(super) fn bootstrap(&self) -> String {
        let brokers = self.homes.iter().filter(|home| home.is_broker());
        brokers.map(Home::bootstrap).collect::<Vec<_>>().join(",")
    }

    pub(super) fn begin(&mut self, id: usize, kind: &Against) -> Result<()> {
        let peer = Peer::start_at(self.place, kind, &self.homes[id - 1]);
        self.nodes[id - 1] = Some(peer.with_context(|| format!("node {id}"))?);
        Ok(())
    }

    fn take(&mut self, id: usize) -> Result<Peer> {
        let node = self.nodes.get_mut(id - 1).and_then(Option::take);
        node.with_context(|| format!("node {id} does not run"))
    }

    pub(super) fn stop(&mut self, id: usize) -> Result<()> {
        self.take(id)?.stop().with_context(|| format!("node {id}"))
    }

    pub(super) fn kill(&mut self, id: usize) -> Result<()> {
        self.take(id)?.kill().with_context(|| format!("node {id}"))
    }
}

/// Clients at work, which judge what they see.
pub(super) struct Load(Conversation);

impl Load {
    /// By the words that follow the client's command line.
    pub(super) fn start(
        place: &Place,
        client: &Client,
        words: &str,
        cluster: &Cluster<'_>,
    ) -> Result<Self> {
        let line = format!("{} {words}", client.run);
        let load = place.converse(client, &line, &cluster.bootstrap())?;
        load.hear(LOAD_TIMEOUT).context("start the load")?;
        Ok(Self(load))
    }

    /// Waits until every partition has taken and delivered more records, by way of all that is at
    /// work.
    pub(super) fn progress(&mut self) -> Result<()> {
        self.0.ask("progress", LOAD_TIMEOUT).map(drop)
    }

    /// Waits until every replica is in sync, and for progress.
    pub(super) fn whole(&mut self) -> Result<()> {
        self.0.ask("whole", LOAD_TIMEOUT).map(drop)
    }

    /// The node that leads the metadata quorum.
    pub(super) fn leader(&mut self) -> Result<usize> {
        let answer = self.0.ask("leader", LOAD_TIMEOUT)?;
        let id = answer.strip_prefix("leader ").and_then(|id| id.parse().ok());
        id.with_context(|| format!("`{answer}` names no leader"))
    }

    /// Ends the feeding of what is at work, and waits until all that was fed has come out.
    pub(super) fn drain(&mut self) -> Result<()> {
        self.0.ask("drain", LOAD_TIMEOUT).map(drop)
    }

    /// Has everything read and compared.
    pub(super) fn finish(mut self) -> Result<()> {
        let answer = self.0.ask("finish", LOAD_TIMEOUT)?;
        println!("    {answer}");
        Ok(())
    }
}
