//! A client that changes metadata, one new thing after the other, and tells the oracle what it was
//! promised. What it sets are settings of groups that nobody else knows.

use std::sync::Arc;
use std::time::Duration;

use strandline_metadata::image::{ConfigResource, ResourceType};
use strandline_ports::{World, timeout};
use strandline_types::ErrorCode;
use strandline_wire::messages::IncrementalAlterConfigsRequest;
use strandline_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};

use crate::client::Client;
use crate::rng::Rng;
use crate::workload::Field;

const VERSION: i16 = 1;
const SETTING: &str = "consumer.heartbeat.interval.ms";
const VALUE: &str = "6000";
const SET: i8 = 0;
/// Whoever hears nothing for so long asks somebody else.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) struct Registrar {
    field: Arc<Field>,
    world: World,
    rng: Rng,
    client: Client,
    ports: Vec<u16>,
    name: String,
    number: u64,
    pause_max: Duration,
}

impl Registrar {
    /// `name` must be its own. It asks whoever listens at `ports`.
    pub(crate) fn new(
        field: &Arc<Field>,
        world: &World,
        rng: Rng,
        (name, ports): (&str, Vec<u16>),
        pause_max: Duration,
    ) -> Self {
        Self {
            field: Arc::clone(field),
            world: world.clone(),
            rng,
            client: Client::new(world.clone(), ports[0], name),
            ports,
            name: name.to_owned(),
            number: 0,
            pause_max,
        }
    }

    pub(crate) async fn run(mut self) {
        while !self.field.is_over() {
            self.register().await;
            let millis = self.rng.between(0, self.pause_max.as_millis() as u64);
            self.world.clock.sleep(Duration::from_millis(millis)).await;
        }
    }

    /// Sets something new until that is acked, and says what.
    pub(crate) async fn register_for_certain(&mut self) -> ConfigResource {
        loop {
            match self.register().await {
                Some(registered) => return registered,
                None => self.world.clock.sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Asks once for something new, and says what it is if that was acked. Whoever knows of it knows of
    /// everything that was acked when this was called, but not of what others were told meanwhile.
    pub(crate) async fn register(&mut self) -> Option<ConfigResource> {
        self.number += 1;
        let name = format!("{}-{}", self.name, self.number);
        let config = AlterableConfig {
            name: SETTING.into(),
            config_operation: SET,
            value: Some(VALUE.into()),
            ..Default::default()
        };
        let resource = AlterConfigsResource {
            resource_type: ResourceType::GROUP.0,
            resource_name: name.clone(),
            configs: vec![config],
            ..Default::default()
        };
        let request =
            IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
        let deadline = self.world.clock.now().instant + PATIENCE;
        let asking = self.client.ask(&request, VERSION);
        let answer = timeout(&*self.world.clock, deadline, asking).await;
        let is_acked = matches!(
            answer,
            Ok(Ok(answer)) if answer.responses.iter().all(|it| it.error_code == ErrorCode::NONE)
        );
        if is_acked {
            let resource = ConfigResource::group(name);
            self.field.oracle().registered(resource.clone());
            return Some(resource);
        }
        self.client.hang_up();
        let chosen = self.rng.below(self.ports.len() as u64) as usize;
        self.client.turn_to(self.ports[chosen]);
        None
    }
}
