//! The twin proof of the files: one data directory, taken in turn by Kafka and by the broker under
//! test. Each takes over what the other wrote, and Kafka's own tools find nothing to complain about.

use anyhow::{Context, Result};

use super::CLIENT_TIMEOUT;
use super::clients::Client;
use super::home::Home;
use super::peer::{Against, Peer};
use super::place::Place;

/// Both directions: a directory that Kafka made, and one that the broker under test made.
pub(super) fn records(place: &Place, client: &Client, against: &Against) -> Result<()> {
    let relay = Relay { place, client };
    relay.run("made-by-kafka", &[Against::Kafka, against.clone(), Against::Kafka])?;
    relay.run("made-by-peer", &[against.clone(), Against::Kafka, against.clone()])
}

/// The same with transactions: either kind hands over to the other once by a stop and once by a crash.
pub(super) fn transactions(place: &Place, client: &Client, against: &Against) -> Result<()> {
    let relay = Relay { place, client };
    let owners = [Against::Kafka, against.clone(), Against::Kafka];
    relay.transactions("transactions-stopped", &owners, Ending::Stopped)?;
    let owners = [against.clone(), Against::Kafka, against.clone()];
    relay.transactions("transactions-killed", &owners, Ending::Killed)
}

/// How owners but the last one leave.
#[derive(PartialEq)]
enum Ending {
    Stopped,
    Killed,
}

struct Relay<'a> {
    place: &'a Place,
    client: &'a Client,
}

impl Relay<'_> {
    /// The first owner fills the directory and writes down what it holds; each later one must
    /// serve exactly that and adds to it. Between owners the files are checked at rest.
    fn run(&self, name: &str, owners: &[Against]) -> Result<()> {
        let folder = self.place.cache().join("files").join(name);
        let home = Home::alone(&folder)?;
        let manifest = folder.join("manifest.jsonl");
        for (turn, owner) in owners.iter().enumerate() {
            let context =
                || format!("{name}, turn {} of {}: {}", turn + 1, owners.len(), owner.name());
            let peer = Peer::start_at(self.place, owner, &home).with_context(context)?;
            let manifest = manifest.display();
            let line = match (turn, owner) {
                (0, Against::Kafka) => format!("fill {manifest} compacts"),
                (0, _) => format!("fill {manifest}"),
                _ => format!("check {manifest}"),
            };
            self.step(&line, peer.bootstrap()).with_context(context)?;
            peer.stop().with_context(context)?;
            let line = format!("dump {}", home.data().display());
            self.step(&line, "").with_context(context)?;
        }
        Ok(())
    }

    /// Each owner leaves transactions open and a table compacted; the next one must serve exactly
    /// that, end what is open, and go on. Files that were closed are checked at rest.
    fn transactions(&self, name: &str, owners: &[Against], ending: Ending) -> Result<()> {
        let folder = self.place.cache().join("files").join(name);
        let home = Home::alone(&folder)?;
        let (folder, data) = (folder.display(), home.data().display());
        for (turn, owner) in owners.iter().enumerate() {
            let context =
                || format!("{name}, turn {} of {}: {}", turn + 1, owners.len(), owner.name());
            let peer = Peer::start_at(self.place, owner, &home).with_context(context)?;
            let late = match (&ending, owners.get(turn + 1)) {
                // Kafka after a crash, with a transaction over its time when it starts, sees partitions
                // without a leader, takes them for deleted, and never writes their markers.
                (Ending::Killed, Some(Against::Kafka)) => 40,
                _ => 10,
            };
            let line = format!("transactions {turn} {folder} {late}");
            self.step(&line, peer.bootstrap()).with_context(context)?;
            if ending == Ending::Killed && turn + 1 < owners.len() {
                peer.kill().with_context(context)?;
                continue;
            }
            peer.stop().with_context(context)?;
            self.step(&format!("dump {data}"), "").with_context(context)?;
            let mut line = format!("ends {data} {folder}/read_committed.jsonl");
            if owners.contains(&Against::Strandline) {
                line += &format!(" {}", self.place.strandline()?.display());
            }
            self.step(&line, "").with_context(context)?;
        }
        Ok(())
    }

    fn step(&self, arguments: &str, bootstrap: &str) -> Result<()> {
        let line = format!("{} {arguments}", self.client.run);
        self.place.run(self.client, &line, bootstrap, CLIENT_TIMEOUT)
    }
}
