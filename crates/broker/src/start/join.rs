//! How a node that has opened its directories becomes a member of the cluster: it registers, does
//! what the metadata say, and waits until the controller takes the fence away.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use strandline_metadata::Image;
use strandline_ports::{Clock, Lane, TimedOut, World, both, timeout, watch};
use strandline_types::{BrokerEpoch, ErrorCode, Offset};

use super::StartError;
use crate::dirs::{DirIndex, Dirs};
use crate::driver::images::Follower;
use crate::driver::lifecycle::{Advertised, JoinError, Lifecycle, RETRY_PAUSE};
use crate::driver::quorum::unsupported;
use crate::driver::registration::ControllerRegistration;
use crate::features;

/// So long metadata are waited for that would only say more of an error.
const METADATA_PATIENCE: Duration = Duration::from_secs(2);
/// A person who waits is told so from time to time.
const TELL_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Joining {
    pub(super) clock: Arc<dyn Clock>,
    /// How long it may take until a controller has registered this node.
    pub(super) patience: Duration,
    pub(super) lifecycle: Arc<Lifecycle>,
    /// Of the controller in the same process.
    pub(super) controller: Option<ControllerRegistration>,
    pub(super) brokers: Vec<Advertised>,
    /// Of the last stop if it was clean, else −1.
    pub(super) previous_epoch: BrokerEpoch,
    pub(super) images: watch::Receiver<Arc<Image>>,
}

impl Joining {
    /// Registers, does what the metadata say by then, and goes on to follow them.
    pub(super) async fn follow(
        &mut self,
        world: &World,
        follower: Follower,
        dirs: (&Dirs, DirIndex),
    ) -> Result<(), StartError> {
        self.telling(
            "no controller has registered this node yet: is a majority of the voters up?",
            self.register(),
        )
        .await?;
        // An older image does not know yet what this node held when it stopped.
        let registered = Offset(self.lifecycle.broker_epoch.borrow().get());
        let knows_me = |image: &Arc<Image>| image.offset >= Some(registered);
        if self.images.wait_for(knows_me).await.is_err() {
            return Err(StartError::Metadata("the metadata log has stopped".into()));
        }
        follow_metadata(world, follower, self.images.clone(), dirs).await
    }

    /// Waits until this node may serve.
    pub(super) async fn become_available(&self) -> Result<(), StartError> {
        let available = self.lifecycle.become_available();
        Ok(self.telling("the controller does not let this broker serve yet", available).await?)
    }

    async fn register(&self) -> Result<(), StartError> {
        let deadline = self.clock.now().instant + self.patience;
        let mut told = None;
        loop {
            // Side by side, because every record of the metadata log waits for the device.
            let (as_controller, as_broker) = both(
                self.register_controller(),
                self.lifecycle.register_broker(&self.brokers, self.previous_epoch),
            )
            .await;
            match as_controller.and(as_broker) {
                Err(error) if error.may_pass() && self.clock.now().instant < deadline => {
                    let reason = error.to_string();
                    if told.as_ref() != Some(&reason) {
                        tracing::info!(reason, "not registered yet");
                        told = Some(reason);
                    }
                    self.clock.sleep(RETRY_PAUSE).await;
                }
                Err(JoinError::Refused(ErrorCode::UNSUPPORTED_VERSION)) => {
                    return Err(StartError::Join(self.what_is_unsupported().await));
                }
                registered => return Ok(registered?),
            }
        }
    }

    /// The controller does not say which of the cluster's features it is that this version lacks; the
    /// metadata do.
    async fn what_is_unsupported(&self) -> String {
        let lacking = |image: &Image| {
            let mut levels = image.features.iter();
            levels.find_map(|level| unsupported(level, features::SUPPORTED))
        };
        let deadline = self.clock.now().instant + METADATA_PATIENCE;
        let mut images = self.images.clone();
        let arrives = images.wait_for(|image| lacking(image).is_some());
        let _ = timeout(&*self.clock, deadline, arrives).await;
        let refused = JoinError::Refused(ErrorCode::UNSUPPORTED_VERSION);
        match lacking(&self.images.borrow()) {
            Some(feature) => format!("{refused}: {feature}"),
            None => refused.to_string(),
        }
    }

    async fn register_controller(&self) -> Result<(), JoinError> {
        match &self.controller {
            Some(controller) => controller.register().await,
            None => Ok(()),
        }
    }

    async fn telling<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            let deadline = self.clock.now().instant + TELL_EVERY;
            match timeout(&*self.clock, deadline, work.as_mut()).await {
                Ok(done) => return done,
                Err(TimedOut) => tracing::warn!("still starting: {what}"),
            }
        }
    }
}

/// Applies the first image, then every later one on a task of its own.
async fn follow_metadata(
    world: &World,
    mut follower: Follower,
    mut images: watch::Receiver<Arc<Image>>,
    (dirs, metadata_dir): (&Dirs, DirIndex),
) -> Result<(), StartError> {
    let first = Arc::clone(&images.borrow_and_update());
    follower.apply(&first).await;
    follower.replicas.set_strays_aside().await;
    for (index, dir) in dirs.iter().filter(|(_, dir)| dir.is_usable()) {
        match dir.log.begin().await {
            Err(fault) if index == metadata_dir => return Err(fault.into()),
            Err(fault) => {
                tracing::error!(%fault, "a log directory cannot be used: it goes offline");
                dir.log.take_offline();
            }
            Ok(()) => {}
        }
    }
    follower.replicas.begin_to_follow();
    follower.publish(first);
    world.spawn.spawn(Lane::Data, Box::pin(follower.run(images)));
    Ok(())
}
