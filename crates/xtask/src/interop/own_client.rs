//! The client crate's own tests, against brokers of the kind to be tested: transactions work by either
//! of their protocols, and the level of a feature says by which.

use anyhow::Result;

use super::clients::Client;
use super::home::Home;
use super::peer::{Against, Peer};
use super::place::Place;
use super::{CLIENT_TIMEOUT, FETCH_TIMEOUT};

pub(super) fn run(place: &Place, client: &Client, against: &Against) -> Result<()> {
    // Java's consumers share a group with ours.
    place.fetch_kafka(FETCH_TIMEOUT)?;
    for level in ["transaction.version=0", "transaction.version=2"] {
        let home = Home::alone(&place.cache().join(client.name).join("node"))?;
        home.format_with(place, against, Some(level))?;
        let peer = Peer::start_at(place, against, &home)?;
        place.run(client, client.run, peer.bootstrap(), CLIENT_TIMEOUT)?;
        peer.stop()?;
    }
    Ok(())
}
