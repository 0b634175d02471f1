//! Whoever asks any broker for a change, and another one when that one does not answer.

use std::time::Duration;

use strandline_ports::{World, timeout};
use strandline_wire::messages::Request;

use crate::client::Client;
use crate::rng::Rng;

/// Who has not answered by then is given up.
const PATIENCE: Duration = Duration::from_secs(3);
/// What requests say of it.
pub(crate) const TIMEOUT_MS: i32 = PATIENCE.as_millis() as i32;

pub(crate) struct Asker {
    world: World,
    client: Client,
    ports: Vec<u16>,
    pub(crate) rng: Rng,
}

impl Asker {
    /// It asks whoever listens at `ports`.
    pub(crate) fn new(world: &World, rng: Rng, name: &str, ports: Vec<u16>) -> Self {
        let client = Client::new(world.clone(), ports[0], name);
        Self { world: world.clone(), client, ports, rng }
    }

    /// Asks once; none when there was no answer.
    pub(crate) async fn ask<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Option<R::Response> {
        let deadline = self.world.clock.now().instant + PATIENCE;
        let answer = timeout(&*self.world.clock, deadline, self.client.ask(request, version)).await;
        match answer {
            Ok(Ok(answer)) => Some(answer),
            _ => {
                self.turn_elsewhere();
                None
            }
        }
    }

    fn turn_elsewhere(&mut self) {
        self.client.hang_up();
        let chosen = self.rng.below(self.ports.len() as u64) as usize;
        self.client.turn_to(self.ports[chosen]);
    }

    /// Waits for as long at the most.
    pub(crate) async fn pause(&mut self, longest: Duration) {
        let millis = self.rng.between(1, longest.as_millis() as u64);
        self.world.clock.sleep(Duration::from_millis(millis)).await;
    }
}
