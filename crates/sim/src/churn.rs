//! Somebody who makes topics, lets them grow and deletes them all the while, so that nodes are never
//! done with opening and removing partitions when something goes wrong. What becomes of each request
//! does not matter; that the nodes stay one does.

use std::sync::Arc;
use std::time::Duration;

use strandline_ports::{World, timeout};
use strandline_wire::messages::create_partitions_request::CreatePartitionsTopic;
use strandline_wire::messages::create_topics_request::CreatableTopic;
use strandline_wire::messages::delete_topics_request::DeleteTopicState;
use strandline_wire::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, Request,
};

use crate::client::Client;
use crate::rng::Rng;
use crate::workload::Field;

const TIMEOUT_MS: i32 = 3_000;
/// Of so many topics the latest are let grow and deleted.
const LATEST: u64 = 3;

pub(crate) struct Churn {
    field: Arc<Field>,
    world: World,
    rng: Rng,
    client: Client,
    ports: Vec<u16>,
    pause_max: Duration,
    /// Topics so far. None gets the name of another: what is seen of them is told apart by names.
    created: u64,
}

impl Churn {
    pub(crate) fn new(
        field: &Arc<Field>,
        world: &World,
        rng: Rng,
        ports: Vec<u16>,
        pause_max: Duration,
    ) -> Self {
        let client = Client::new(world.clone(), ports[0], "churn");
        Self {
            field: Arc::clone(field),
            world: world.clone(),
            rng,
            client,
            ports,
            pause_max,
            created: 0,
        }
    }

    pub(crate) async fn run(mut self) {
        while !self.field.is_over() {
            let name = format!("churn-{}", self.created.saturating_sub(self.rng.below(LATEST)));
            match self.rng.below(3) {
                0 => {
                    self.created += 1;
                    self.create(format!("churn-{}", self.created)).await;
                }
                1 => self.grow(name).await,
                _ => self.delete(name).await,
            }
            let millis = self.rng.between(1, self.pause_max.as_millis() as u64);
            self.world.clock.sleep(Duration::from_millis(millis)).await;
        }
        // What is left must not keep anybody waiting.
        for number in 0..=self.created {
            self.delete(format!("churn-{number}")).await;
        }
    }

    async fn create(&mut self, name: String) {
        let num_partitions = self.rng.between(1, 3) as i32;
        let topic =
            CreatableTopic { name, num_partitions, replication_factor: 3, ..Default::default() };
        let request = CreateTopicsRequest {
            topics: vec![topic],
            timeout_ms: TIMEOUT_MS,
            ..Default::default()
        };
        self.ask(&request, 7).await;
    }

    async fn grow(&mut self, name: String) {
        let count = self.rng.between(2, 6) as i32;
        let topic = CreatePartitionsTopic { name, count, ..Default::default() };
        let request = CreatePartitionsRequest {
            topics: vec![topic],
            timeout_ms: TIMEOUT_MS,
            ..Default::default()
        };
        self.ask(&request, 3).await;
    }

    async fn delete(&mut self, name: String) {
        let topic = DeleteTopicState { name: Some(name), ..Default::default() };
        let request = DeleteTopicsRequest {
            topics: vec![topic],
            timeout_ms: TIMEOUT_MS,
            ..Default::default()
        };
        self.ask(&request, 6).await;
    }

    async fn ask<R: Request>(&mut self, request: &R, version: i16) {
        let deadline = self.world.clock.now().instant + Duration::from_millis(TIMEOUT_MS as u64);
        let answer = timeout(&*self.world.clock, deadline, self.client.ask(request, version)).await;
        if !matches!(answer, Ok(Ok(_))) {
            self.client.hang_up();
            let chosen = self.rng.below(self.ports.len() as u64) as usize;
            self.client.turn_to(self.ports[chosen]);
        }
    }
}
