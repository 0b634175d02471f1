//! Follows the metadata, image by image: first the settings made at run time, then the partitions,
//! then clients see the image.

use std::sync::Arc;

use strandline_config::{BrokerConfig, CleanerSettings};
use strandline_metadata::Image;
use strandline_metadata::image::ConfigResource;
use strandline_ports::watch;
use tokio::sync::Notify;

use super::replicas::{ReplicaSettings, Replicas};
use crate::dirs::Dirs;
use crate::session::{ConnectionLimits, Connections};

/// Makes this node what the images say.
pub(crate) struct Follower {
    /// As the node was started, before anything was set at run time.
    pub(crate) config: Arc<BrokerConfig>,
    pub(crate) connections: Connections,
    pub(crate) replicas: Replicas,
    pub(crate) dirs: Arc<Dirs>,
    /// What the log cleaner goes by.
    pub(crate) cleaner: watch::Sender<CleanerSettings>,
    /// A directory that was full has room.
    pub(crate) room: Arc<Notify>,
    /// The image that this node has done its part of.
    pub(crate) applied: watch::Sender<Arc<Image>>,
}

impl Follower {
    /// Does this node's part of an image. Nobody sees it yet.
    pub(crate) async fn apply(&mut self, image: &Image) {
        if let Some(config) = self.reconfigured(image) {
            self.connections.limit(ConnectionLimits::of(&config.network));
            self.replicas.set_defaults(ReplicaSettings::of(&config));
            self.dirs.cordon(&config.cordoned_log_dirs);
            self.cleaner.send_replace(config.cleaner);
        }
        self.replicas.apply(image).await;
    }

    pub(crate) fn publish(&self, image: Arc<Image>) {
        self.applied.send_replace(image);
    }

    /// Applies and publishes one image after another.
    pub(crate) async fn run(mut self, mut images: watch::Receiver<Arc<Image>>) {
        loop {
            let changed = tokio::select! {
                biased;
                changed = images.changed() => changed,
                () = self.room.notified() => {
                    if self.replicas.open_waiting().await {
                        // Nothing in it is new, but more of it is done.
                        self.applied.send_modify(|_| {});
                    }
                    continue;
                }
            };
            if changed.is_err() {
                return;
            }
            let image = Arc::clone(&images.borrow_and_update());
            self.apply(&image).await;
            self.publish(image);
        }
    }

    /// The node's configuration with what is set at run time, if that is not as it was.
    fn reconfigured(&self, image: &Image) -> Option<BrokerConfig> {
        let own = ConfigResource::broker(self.config.node_id);
        let resources = [ConfigResource::all_brokers(), own];
        let set =
            |image: &Image| resources.each_ref().map(|it| image.configs.overrides(it).clone());
        let set_now = set(image);
        if set_now == set(self.replicas.applied()) {
            return None;
        }
        let [all_brokers, own] = set_now;
        let (config, warnings) = self.config.with_dynamic(all_brokers, own);
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Some(config)
    }
}
