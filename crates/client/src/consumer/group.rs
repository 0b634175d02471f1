//! The consumer's side of a group: when to give up partitions, what to take over, what to commit.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use strandline_ports::Lane;
use strandline_types::{Instant, TopicPartition};
use tokio::sync::oneshot;

use super::assignor::Assignor;
use super::error::ConsumeError;
use super::membership::{Membership, Turn};
use super::{Assigned, Consumer};
use crate::admin::CommittedOffset;
use crate::admin::offsets::{Committer, commit_offsets, fetch_committed};
use crate::cluster::Client;
use crate::error::ClientError;
use crate::sync::lock;

/// Kafka's settings of a member of a group, with its defaults.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    pub id: String,
    /// Keeps its partitions over a restart, up to the session time-out (KIP-345).
    pub instance_id: Option<String>,
    pub session_timeout: Duration,
    pub heartbeat_interval: Duration,
    /// A member that does not poll for so long leaves the group.
    pub max_poll_interval: Duration,
    /// In order of preference; the group uses the first that all members know.
    pub assignors: Vec<Assignor>,
    /// How often positions are committed while polling; `None` leaves it to you.
    pub auto_commit: Option<Duration>,
}

impl GroupConfig {
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            instance_id: None,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            max_poll_interval: Duration::from_secs(300),
            assignors: vec![Assignor::Range, Assignor::CooperativeSticky],
            auto_commit: Some(Duration::from_secs(5)),
        }
    }

    /// Only if every assignor can work so: otherwise all is given up before each rebalance.
    pub(super) fn is_cooperative(&self) -> bool {
        self.assignors.iter().all(|assignor| assignor.is_cooperative())
    }
}

/// A member of a group in the generation that gave it what it owns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupMember {
    pub(crate) group: String,
    pub(crate) committer: Committer,
}

/// Is told what the group decides, from within [`Consumer::poll`].
pub trait RebalanceListener: Send + Sync {
    /// Before partitions go to somebody else. What is returned is committed first.
    fn revoked(&mut self, _: &[TopicPartition]) -> BTreeMap<TopicPartition, CommittedOffset> {
        BTreeMap::new()
    }

    /// Partitions that are read from now on.
    fn assigned(&mut self, _: &[TopicPartition]) {}

    /// Somebody else may own them already: too late to commit.
    fn lost(&mut self, _: &[TopicPartition]) {}
}

pub(super) struct Group {
    client: Client,
    config: GroupConfig,
    /// `None` while not subscribed.
    membership: Option<Arc<Membership>>,
    listener: Option<Box<dyn RebalanceListener>>,
    commit_at: Instant,
    /// Ends with the last commit in the background: a later one must not be overtaken by it, or the
    /// older offsets would stand.
    last_commit: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Drop for Group {
    fn drop(&mut self) {
        self.unsubscribe();
    }
}

impl Group {
    pub(super) fn new(client: Client, config: GroupConfig) -> Self {
        Self {
            client,
            config,
            membership: None,
            listener: None,
            commit_at: Instant::NEVER,
            last_commit: Mutex::default(),
        }
    }

    /// Leaves the group in the background.
    pub(super) fn unsubscribe(&mut self) {
        if let Some(membership) = self.membership.take() {
            membership.leave();
        }
    }

    /// Waits for `work`, or until the group wants something.
    pub(super) async fn or_changed<T>(&self, work: impl Future<Output = Option<T>>) -> Option<T> {
        let Some(membership) = &self.membership else { return work.await };
        let (mut work, mut changed) = (pin!(work), pin!(membership.changed()));
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(value),
            Poll::Pending => changed.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    /// Why the group's coordinator was not reached.
    pub(super) fn trouble(&self) -> Option<ClientError> {
        self.membership.as_ref()?.trouble()
    }

    pub(super) async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, ConsumeError> {
        let results =
            fetch_committed(&self.client, &self.config.id, Some(partitions), true).await?;
        let mut committed = BTreeMap::new();
        for (partition, result) in results {
            match result {
                Ok(offset) => drop(committed.insert(partition, offset)),
                Err(refusal) => return Err(ConsumeError::Refused { partition, refusal }),
            }
        }
        Ok(committed)
    }

    async fn commit(
        &self,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<(), ConsumeError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let before = lock(&self.last_commit).take();
        wait_for(before).await;
        let committer = self.membership.as_ref().map(|m| m.committer()).unwrap_or_default();
        let results = commit_offsets(&self.client, &self.config.id, &committer, offsets).await?;
        for (_, result) in results {
            result.map_err(|refusal| {
                let group = self.config.id.clone();
                ConsumeError::Group { group, refusal }
            })?;
        }
        Ok(())
    }

    fn spawn_commit(&self, offsets: BTreeMap<TopicPartition, CommittedOffset>) {
        let committer = self.membership.as_ref().map(|m| m.committer()).unwrap_or_default();
        let (client, group) = (self.client.clone(), self.config.id.clone());
        let spawn = Arc::clone(&self.client.world().spawn);
        let (done, ended) = oneshot::channel();
        let before = lock(&self.last_commit).replace(ended);
        let commit = async move {
            wait_for(before).await;
            match commit_offsets(&client, &group, &committer, &offsets).await {
                Ok(results) => {
                    for (partition, result) in results {
                        if let Err(refusal) = result {
                            tracing::warn!(%group, %partition, %refusal, "offset not committed");
                        }
                    }
                }
                Err(error) => tracing::warn!(%group, %error, "offsets not committed"),
            }
            drop(done);
        };
        spawn.spawn(Lane::Data, Box::pin(commit));
    }
}

async fn wait_for(commit: Option<oneshot::Receiver<()>>) {
    if let Some(commit) = commit {
        // It ends by dropping its sender.
        let _ = commit.await;
    }
}

impl Consumer {
    /// Shares the partitions of these topics with the other members of the group.
    ///
    /// # Panics
    /// Without a group in the configuration.
    pub fn subscribe<T: Into<String>>(&mut self, topics: impl IntoIterator<Item = T>) {
        let group = self.group.as_mut().expect("a subscription needs a group in the configuration");
        group.unsubscribe();
        let topics: BTreeSet<String> = topics.into_iter().map(Into::into).collect();
        let membership = Membership::start(group.client.clone(), group.config.clone(), topics);
        group.membership = Some(membership);
        let interval = group.config.auto_commit;
        group.commit_at = interval.map_or(Instant::NEVER, |every| group.client.now() + every);
        self.set_assignment(BTreeSet::new());
    }

    /// Is told of rebalances from now on.
    pub fn on_rebalance(&mut self, listener: impl RebalanceListener + 'static) {
        if let Some(group) = &mut self.group {
            group.listener = Some(Box::new(listener));
        }
    }

    /// This member's id and generation; `None` while it has none.
    pub fn member(&self) -> Option<(String, i32)> {
        let committer = self.group.as_ref()?.membership.as_ref()?.committer();
        (committer.generation_id >= 0).then_some((committer.member_id, committer.generation_id))
    }

    /// This member as it was given what it owns, for a transaction that commits what it has read;
    /// `None` before it was given anything.
    pub fn group_member(&self) -> Option<GroupMember> {
        let group = self.group.as_ref()?;
        let committer = group.membership.as_ref()?.assigned()?;
        Some(GroupMember { group: group.config.id.clone(), committer })
    }

    /// The generation in which this member was given its assignment; `None` before the first. While
    /// a rebalance is under way, [`Consumer::member`] may be of a later one.
    pub fn assigned_generation(&self) -> Option<i32> {
        self.group.as_ref()?.membership.as_ref()?.assigned_generation()
    }

    /// Commits the positions: everything returned by polls so far counts as done.
    pub async fn commit(&self) -> Result<(), ConsumeError> {
        self.commit_offsets(&self.positions()).await
    }

    /// Commits these offsets: of each partition the next record to be read.
    pub async fn commit_offsets(
        &self,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<(), ConsumeError> {
        self.group.as_ref().ok_or(ConsumeError::NoGroup)?.commit(offsets).await
    }

    /// Commits the positions without waiting; a failure is only logged.
    pub fn commit_in_background(&self) -> Result<(), ConsumeError> {
        self.group.as_ref().ok_or(ConsumeError::NoGroup)?.spawn_commit(self.positions());
        Ok(())
    }

    /// What the group has committed for these partitions.
    pub async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, ConsumeError> {
        self.group.as_ref().ok_or(ConsumeError::NoGroup)?.committed(partitions).await
    }

    /// Commits if that is automatic, and leaves the group; a static member only goes away.
    pub async fn close(mut self) -> Result<(), ConsumeError> {
        let is_automatic = self.config.group.as_ref().is_some_and(|g| g.auto_commit.is_some());
        let committed = match is_automatic {
            true => self.commit().await,
            false => Ok(()),
        };
        let membership = self.group.as_mut().and_then(|group| group.membership.take());
        if let Some(membership) = membership {
            membership.leave();
            membership.left().await;
        }
        committed
    }

    /// Does what the group asks for, and the automatic commit.
    pub(super) async fn step_group(&mut self) -> Result<(), ConsumeError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let Some(membership) = group.membership.clone() else { return Ok(()) };
        let now = group.client.now();
        membership.polled(now);
        if now >= group.commit_at {
            group.commit_at = now + group.config.auto_commit.unwrap_or(Duration::MAX);
            self.commit_in_background()?;
        }
        while let Some(turn) = membership.turn()? {
            match turn {
                Turn::Prepare => {
                    let owned = self.prepare().await;
                    membership.join(owned);
                }
                Turn::Lost => {
                    self.give_up_lost();
                    membership.join(Vec::new());
                }
                Turn::Assigned(partitions) => self.take_over(&membership, partitions).await,
            }
        }
        Ok(())
    }

    /// Before a rebalance: an eager member gives up everything, a cooperative one keeps it.
    async fn prepare(&mut self) -> Vec<TopicPartition> {
        if self.config.group.as_ref().is_some_and(GroupConfig::is_cooperative) {
            return self.assignment();
        }
        let owned = self.assignment();
        self.give_up(&owned).await;
        Vec::new()
    }

    async fn take_over(&mut self, membership: &Membership, partitions: Vec<TopicPartition>) {
        let target: BTreeSet<_> = partitions.into_iter().collect();
        let owned: BTreeSet<_> = self.assigned.keys().cloned().collect();
        let revoked: Vec<_> = owned.difference(&target).cloned().collect();
        let added: Vec<_> = target.difference(&owned).cloned().collect();
        self.give_up(&revoked).await;
        self.set_assignment(target);
        if let Some(listener) = self.group.as_mut().and_then(|group| group.listener.as_mut()) {
            listener.assigned(&added);
        }
        if !revoked.is_empty() {
            // Somebody waits for what was given up: the next round hands it on.
            membership.join(self.assignment());
        }
    }

    async fn give_up(&mut self, partitions: &[TopicPartition]) {
        if partitions.is_empty() {
            return;
        }
        let is_automatic = self.config.group.as_ref().is_some_and(|g| g.auto_commit.is_some());
        let mut offsets = BTreeMap::new();
        if is_automatic {
            offsets = self.positions();
            offsets.retain(|partition, _| partitions.contains(partition));
        }
        if let Some(listener) = self.group.as_mut().and_then(|group| group.listener.as_mut()) {
            offsets.extend(listener.revoked(partitions));
        }
        // The rebalance goes on without it: the new owner reads a little twice.
        if let Err(error) = self.commit_offsets(&offsets).await {
            tracing::warn!(%error, "offsets not committed before a rebalance");
        }
        self.forget(partitions);
    }

    fn give_up_lost(&mut self) {
        let lost = self.assignment();
        if let Some(listener) = self.group.as_mut().and_then(|group| group.listener.as_mut())
            && !lost.is_empty()
        {
            listener.lost(&lost);
        }
        self.forget(&lost);
    }

    fn forget(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            let _: Option<Assigned> = self.assigned.remove(partition);
            self.fetcher.discard(partition);
        }
    }
}
