//! Chains from one topic to another, by the transactions of several clients, while brokers and
//! members of the chains are killed: what went in comes out once, and in order.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::clients::Client;
use super::cluster::{Cluster, Load};
use super::home::{Home, Roles};
use super::peer::Against;
use super::place::Place;
use super::shell::Running;
use super::{CLIENT_TIMEOUT, FETCH_TIMEOUT};

/// Each is a command of the client, a group of its own and the topic that it writes to.
const CHAINS: [&str; 4] = ["copier", "franz-go", "librdkafka", "streams"];
const MEMBERS: usize = 2;
/// So often every broker is killed, and every member.
const ROUNDS: &str = "STRANDLINE_EXACTLY_ONCE_ROUNDS";

/// A node goes, the leader of the quorum first, and comes back; with the second and the third goes
/// a member of every chain. It comes back at once, and ends what it left open; in every second
/// round it stays away until the other has gone on, which has to wait until the time of what is
/// open is up.
pub(super) fn run(place: &Place, client: &Client, against: &Against) -> Result<()> {
    let rounds = match std::env::var(ROUNDS) {
        Ok(rounds) => rounds.parse().with_context(|| format!("{ROUNDS}={rounds}"))?,
        Err(_) => 1,
    };
    place.fetch_kafka(FETCH_TIMEOUT)?;
    place.run(client, &format!("{} build", client.run), "", CLIENT_TIMEOUT)?;
    let folder = place.cache().join("exactly-once").join("nodes");
    let homes = Home::cluster(&folder, [Roles::BrokerAndController; 3])?;
    let mut cluster = Cluster::start(place, &homes, &[against; 3])?;
    let mut load = Load::start(place, client, &format!("load {}", CHAINS.join(" ")), &cluster)?;
    let mut members = Members::new(place, client, cluster.bootstrap());
    (1..=MEMBERS).try_for_each(|number| members.begin(number))?;
    load.whole()?;
    for round in 0..rounds {
        let stays_away = round % 2 == 1;
        let leader = load.leader()?;
        let others = (1..=homes.len()).filter(|id| *id != leader);
        let turns = std::iter::once(leader).chain(others).zip([None, Some(1), Some(2)]);
        for (node, member) in turns {
            cluster.kill(node)?;
            if let Some(number) = member {
                members.kill(number);
                if stays_away {
                    members.watch(load.progress())?;
                }
                members.begin(number)?;
            }
            members.watch(load.progress())?;
            cluster.begin(node, against)?;
            members.watch(load.whole())?;
        }
    }
    members.watch(load.drain())?;
    drop(members);
    load.finish()
}

/// The members of all chains, by their numbers from 1 on.
struct Members<'a> {
    place: &'a Place,
    client: &'a Client,
    bootstrap: String,
    running: BTreeMap<(usize, &'static str), Running>,
    begun: usize,
}

impl<'a> Members<'a> {
    fn new(place: &'a Place, client: &'a Client, bootstrap: String) -> Self {
        Self { place, client, bootstrap, running: BTreeMap::new(), begun: 0 }
    }

    /// Begins the member of this number in every chain.
    fn begin(&mut self, number: usize) -> Result<()> {
        for chain in CHAINS {
            self.begun += 1;
            let line = format!("{} {chain} {number}", self.client.run);
            let log = format!("{chain}-{number}.{}.log", self.begun);
            let member = self.place.start(self.client, &line, &self.bootstrap, &log)?;
            self.running.insert((number, chain), member);
        }
        Ok(())
    }

    /// Kills the member of this number in every chain.
    fn kill(&mut self, number: usize) {
        self.running.retain(|(other, _), _| *other != number);
    }

    /// What was waited for. A member that ended by itself is why it did not come, or ended wrongly
    /// although it came.
    fn watch(&mut self, waited: Result<()>) -> Result<()> {
        for ((number, chain), member) in &mut self.running {
            member.check().with_context(|| format!("member {number} of {chain} ended"))?;
        }
        waited
    }
}
