//! Which brokers are alive, as the leading controller has heard it. Nothing of this is written
//! down: it begins anew with each leadership, and then every broker has a whole session to be heard.
//!
//! A session lasts `broker.session.timeout.ms`, or longer for a broker that beats slowly: those of
//! Apache Kafka pause for 2 s, and one late heartbeat is no death. Who has just been heard for the
//! first time is taken for one of them.

use alloc::collections::BTreeMap;
use core::time::Duration;

use strandline_types::{BrokerEpoch, Instant, NodeId, Offset};

use crate::image::Cluster;

/// A session lasts no longer than this for the sake of a broker's rhythm: Kafka's own default.
const LONGEST_FOR_RHYTHM: Duration = Duration::from_secs(9);
/// Between two heartbeats of a broker of Kafka's.
const KAFKAS_PAUSE: Duration = Duration::from_secs(2);

/// How a broker beats.
#[derive(Clone, Copy, Debug)]
enum Rhythm {
    /// Not heard yet, or fenced: nothing is expected of it.
    Unknown,
    HeardOnce,
    /// The longest pause between heartbeats lately. Older ones count less with each heartbeat, so
    /// that a broker which stood still once is not trusted for long because of it.
    Pauses(Duration),
}

#[derive(Clone, Debug)]
struct Session {
    epoch: BrokerEpoch,
    rhythm: Rhythm,
    /// When the broker must have been heard of again; none while it is fenced.
    deadline: Option<Instant>,
    last_contact: Option<Instant>,
    /// How far the broker has applied the metadata log.
    metadata_offset: Option<Offset>,
    /// When set: the broker may stop once all active brokers have applied this much, because then
    /// none of them sends clients to it any more.
    shutdown_offset: Option<Offset>,
}

#[derive(Clone, Debug)]
pub(crate) struct Heartbeats {
    session_timeout: Duration,
    sessions: BTreeMap<NodeId, Session>,
}

impl Session {
    /// How long this broker may be silent: four and a half of its pauses, the ratio of Kafka's
    /// defaults, if that is longer than what is set.
    fn length(&self, session_timeout: Duration) -> Duration {
        session_timeout.max((self.pause() * 9 / 2).min(LONGEST_FOR_RHYTHM))
    }

    /// The longest pause that is no silence.
    fn pause(&self) -> Duration {
        match self.rhythm {
            Rhythm::Unknown => Duration::ZERO,
            Rhythm::HeardOnce => KAFKAS_PAUSE,
            Rhythm::Pauses(pause) => pause,
        }
    }
}

impl Heartbeats {
    /// Brokers found in the log have a session's time to be heard before they are fenced. Until it
    /// is over nobody may take their id; except for the broker in this very process: its previous
    /// incarnation is dead for sure, and a node that was killed need not wait for its own ghost.
    pub(crate) fn new(
        now: Instant,
        session_timeout: Duration,
        own: NodeId,
        cluster: &Cluster,
    ) -> Self {
        let mut heartbeats = Self { session_timeout, sessions: BTreeMap::new() };
        for broker in cluster.brokers() {
            heartbeats.register(now, broker.id(), broker.epoch(), broker.is_fenced());
            if let Some(session) = heartbeats.sessions.get_mut(&broker.id())
                && (broker.is_fenced() || broker.id() == own)
            {
                session.last_contact = None;
            }
        }
        heartbeats
    }

    /// The broker of the node that led before: its session runs since the quorum has heard it, and
    /// leaves it a moment to find the new leader. It fell silent a fetch time-out ago, as a machine
    /// does that stands still; a whole session more would keep its partitions without a leader.
    pub(crate) fn was_heard(&mut self, now: Instant, id: NodeId, at: Instant) {
        let session_timeout = self.session_timeout;
        if let Some(session) = self.sessions.get_mut(&id)
            && session.deadline.is_some()
        {
            let end = at + session.length(session_timeout);
            session.deadline = Some(end.max(now + session_timeout * 2 / 5));
        }
    }

    pub(crate) fn register(
        &mut self,
        now: Instant,
        id: NodeId,
        epoch: BrokerEpoch,
        is_fenced: bool,
    ) {
        let session = self.sessions.entry(id).or_insert(Session {
            epoch,
            rhythm: Rhythm::Unknown,
            deadline: None,
            last_contact: None,
            metadata_offset: None,
            shutdown_offset: None,
        });
        session.epoch = epoch;
        session.last_contact = Some(now);
        let length = session.length(self.session_timeout);
        session.deadline = (!is_fenced).then_some(now + length);
    }

    pub(crate) fn forget(&mut self, id: NodeId) {
        self.sessions.remove(&id);
    }

    /// Whether this incarnation has been heard within a session time.
    pub(crate) fn has_valid_session(&self, now: Instant, id: NodeId, epoch: BrokerEpoch) -> bool {
        self.sessions.get(&id).is_some_and(|session| {
            session.epoch == epoch
                && session
                    .last_contact
                    .is_some_and(|at| at + session.length(self.session_timeout) > now)
        })
    }

    /// Whether this incarnation has been heard so lately that it must be running. Only to be silent
    /// for two of its pauses is a sign that it may have ended.
    pub(crate) fn is_beating(&self, now: Instant, id: NodeId, epoch: BrokerEpoch) -> bool {
        self.sessions.get(&id).is_some_and(|session| {
            session.epoch == epoch
                && session.last_contact.is_some_and(|at| at + session.pause() * 2 > now)
        })
    }

    pub(crate) fn touch(
        &mut self,
        now: Instant,
        id: NodeId,
        epoch: BrokerEpoch,
        is_fenced: bool,
        metadata_offset: Offset,
    ) {
        if let Some(session) = self.sessions.get_mut(&id) {
            // A broker that starts hurries; what it does once it serves is its rhythm.
            session.rhythm = match (session.rhythm, session.last_contact) {
                _ if is_fenced => Rhythm::Unknown,
                (Rhythm::HeardOnce, Some(at)) => Rhythm::Pauses(now.since(at)),
                (Rhythm::Pauses(pause), Some(at)) => {
                    Rhythm::Pauses(now.since(at).max(pause * 3 / 4))
                }
                (Rhythm::Unknown, _) | (_, None) => Rhythm::HeardOnce,
            };
        }
        self.register(now, id, epoch, is_fenced);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.metadata_offset = Some(metadata_offset);
            if is_fenced {
                session.shutdown_offset = None;
            }
        }
    }

    /// The broker has no session any more: another incarnation may take its id at once.
    pub(crate) fn fence(&mut self, id: NodeId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.deadline = None;
            session.last_contact = None;
            session.shutdown_offset = None;
        }
    }

    /// The broker's leaderships are moved by records up to `offset`. It gets no others, so whoever
    /// has applied that much knows enough: an end that moved on with the log could keep a broker
    /// waiting for as long as there is something to write.
    pub(crate) fn begin_shutdown(&mut self, id: NodeId, offset: Offset) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.shutdown_offset.get_or_insert(offset);
        }
    }

    /// Whether every active broker knows that this one leads nothing any more.
    pub(crate) fn may_stop(&self, id: NodeId, cluster: &Cluster) -> bool {
        let target = self.sessions.get(&id).and_then(|session| session.shutdown_offset);
        // The controller before this one knew it, and nobody can say who else does.
        if target.is_none() {
            return false;
        }
        cluster.brokers().filter(|broker| broker.is_active()).all(|broker| {
            let seen = self.sessions.get(&broker.id()).and_then(|session| session.metadata_offset);
            seen >= target
        })
    }

    /// When the next session ends.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.sessions.values().filter_map(|session| session.deadline).min()
    }

    /// The broker whose session ended longest ago.
    pub(crate) fn expired(&self, now: Instant) -> Option<NodeId> {
        let ended = self
            .sessions
            .iter()
            .filter_map(|(id, session)| Some((session.deadline.filter(|at| *at <= now)?, *id)));
        ended.min().map(|(_, id)| id)
    }
}
