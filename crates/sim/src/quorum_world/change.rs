//! Somebody who has a voter added or removed, by way of any node, as people do (KIP-853).

use std::sync::Arc;
use std::time::Duration;

use strandline_ports::{World, timeout};
use strandline_types::ErrorCode;
use strandline_wire::messages::add_raft_voter_request::Listener;
use strandline_wire::messages::{AddRaftVoterRequest, RemoveRaftVoterRequest};

use super::electorate::{Electorate, Voter};
use crate::client::Client;
use crate::cluster;
use crate::rng::Rng;

const ADD_VERSION: i16 = 1;
const REMOVE_VERSION: i16 = 0;
/// Whoever hears nothing for so long asks somebody else.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// A change is asked for so often.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);
/// What has not been answered by then will not be done any more: nobody relays a request for longer.
const UNANSWERED_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Add(Voter),
    Remove(Voter),
}

pub(super) struct Changer {
    pub(super) world: World,
    pub(super) ports: Vec<u16>,
    pub(super) electorate: Arc<Electorate>,
    pub(super) rng: Rng,
}

impl Changer {
    pub(super) async fn run(mut self, change: Change) {
        let mut client = Client::new(self.world.clone(), self.any_port(), "voters");
        let mut is_done_at_once = false;
        for attempt in 0..ATTEMPTS {
            let deadline = self.world.clock.now().instant + ANSWER_WITHIN;
            let asked = ask(&mut client, change);
            let answer = timeout(&*self.world.clock, deadline, asked).await.ok().flatten();
            if answer == Some(ErrorCode::NONE) {
                is_done_at_once = attempt == 0;
                break;
            }
            client.hang_up();
            client.turn_to(self.any_port());
            self.world.clock.sleep(PAUSE).await;
        }
        if let Change::Remove(voter) = change {
            if !is_done_at_once {
                // It may have been told more than once.
                self.world.clock.sleep(UNANSWERED_MAX).await;
            }
            self.electorate.has_left(voter);
        }
    }

    fn any_port(&mut self) -> u16 {
        self.ports[self.rng.below(self.ports.len() as u64) as usize]
    }
}

/// What is said to it, if anything is.
async fn ask(client: &mut Client, change: Change) -> Option<ErrorCode> {
    let cluster_id = Some(cluster::CLUSTER_ID.to_owned());
    match change {
        Change::Add((index, voter_directory_id)) => {
            let listener = Listener {
                name: cluster::CONTROLLER_LISTENER.to_owned(),
                host: "127.0.0.1".to_owned(),
                port: cluster::controller_port(index as u16),
                ..Default::default()
            };
            let request = AddRaftVoterRequest {
                cluster_id,
                timeout_ms: ANSWER_WITHIN.as_millis() as i32,
                voter_id: index as i32,
                voter_directory_id,
                listeners: vec![listener],
                ack_when_committed: true,
                ..Default::default()
            };
            client.ask(&request, ADD_VERSION).await.ok().map(|answer| answer.error_code)
        }
        Change::Remove((index, voter_directory_id)) => {
            let request = RemoveRaftVoterRequest {
                cluster_id,
                voter_id: index as i32,
                voter_directory_id,
                ..Default::default()
            };
            client.ask(&request, REMOVE_VERSION).await.ok().map(|answer| answer.error_code)
        }
    }
}
