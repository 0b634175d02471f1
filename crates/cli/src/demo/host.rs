//! The broker that the demo runs against: one of its own, or any.

use std::fs;
use std::path::{Path, PathBuf};

use strandline_broker::Broker;
use strandline_config::BrokerConfig;
use strandline_ports::World;

use crate::failure::Failure;
use crate::logging;

/// Where the demo runs.
pub(super) struct Host {
    pub(super) bootstrap: String,
    pub(super) own: Option<Own>,
}

/// A broker in this process.
pub(super) struct Own {
    pub(super) broker: Broker,
    _dir: Option<TemporaryDir>,
}

impl Host {
    pub(super) fn foreign(bootstrap: &str) -> Self {
        Self { bootstrap: bootstrap.to_owned(), own: None }
    }

    /// Starts a broker on free ports, its data in `data_dir` or somewhere temporary.
    ///
    /// # Errors
    /// When something is in the way of that.
    pub(super) async fn start(world: &World, data_dir: Option<&Path>) -> Result<Self, Failure> {
        let temporary = match data_dir {
            Some(_) => None,
            None => Some(TemporaryDir::new(world)?),
        };
        let dir = data_dir.or(temporary.as_ref().map(|dir| dir.0.as_path()));
        let dir = dir.map(|dir| dir.display().to_string()).unwrap_or_default();
        let settings = [
            ("log.dirs", &*dir),
            ("listeners", "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0"),
            // Time for the three members to come together; and no longer, as somebody is watching.
            ("group.initial.rebalance.delay.ms", "200"),
            ("strandline.log.level", "error"),
        ];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let resolved = BrokerConfig::resolve(None, &settings)
            .map_err(|errors| Failure::misuse("cannot start a broker").because(&errors))?;
        logging::start(&resolved.config.own)?;
        let broker = Broker::start(world.clone(), resolved.config)
            .await
            .map_err(|error| Failure::new("cannot start a broker").because(&error))?;
        let mut listeners = broker.ready().listeners.iter();
        let kafka = listeners.find(|listener| !listener.is_controller);
        let bootstrap = kafka.map(|listener| listener.address.to_string()).unwrap_or_default();
        Ok(Self { bootstrap, own: Some(Own { broker, _dir: temporary }) })
    }

    /// Never resolves for a broker that is not ours.
    pub(super) async fn failed(&mut self) -> Failure {
        match &mut self.own {
            Some(own) => Failure::new("the broker has stopped").because(&own.broker.failed().await),
            None => std::future::pending().await,
        }
    }

    /// Stops the broker cleanly, and removes what was temporary.
    ///
    /// # Errors
    /// When its files could not be completed.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        let Some(Own { broker, _dir }) = self.own else { return Ok(()) };
        broker.stop().await.map_err(|fault| Failure::new("this was no clean stop").because(&fault))
    }
}

/// Removed with everything in it when dropped.
struct TemporaryDir(PathBuf);

impl TemporaryDir {
    fn new(world: &World) -> Result<Self, Failure> {
        let name = format!("strandline-demo-{:016x}", world.entropy.next_u64());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).map_err(|error| {
            Failure::new(format!("cannot create {}", path.display()))
                .because(&error)
                .next("name a directory with --data-dir")
        })?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        // What cannot be removed stays in the system's temporary directory, where it is expected.
        let _ = fs::remove_dir_all(&self.0);
    }
}
