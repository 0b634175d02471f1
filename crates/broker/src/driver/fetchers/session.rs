//! A follower's side of an incremental fetch session (KIP-227): what the leader has been told, and
//! what it must be told next. A request costs what has changed, not what is followed.

use std::collections::{BTreeMap, BTreeSet};

use strandline_replica::FetchPosition;
use strandline_types::{TopicIdPartition, Uuid};
use strandline_wire::messages::FetchRequest;
use strandline_wire::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};

#[derive(Default)]
pub(super) struct FetchSession {
    /// 0 without one.
    id: i32,
    /// Of the next request; 0 asks for a new session.
    epoch: i32,
    /// The leader had no room for one.
    is_refused: bool,
    wanted: BTreeMap<TopicIdPartition, Wanted>,
    /// Wanted otherwise than the leader knows.
    untold: BTreeSet<TopicIdPartition>,
    /// Known to the leader and no longer wanted.
    forgotten: BTreeSet<TopicIdPartition>,
}

struct Wanted {
    from: FetchPosition,
    /// The leader's session has it, perhaps with another position.
    is_known: bool,
}

impl FetchSession {
    pub(super) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// The next request opens a session: the sooner it is answered, the sooner others may follow.
    pub(super) fn is_opening(&self) -> bool {
        self.epoch == 0 && !self.is_refused
    }

    /// The leader has answered its first request.
    pub(super) fn is_open(&self) -> bool {
        self.epoch > 0
    }

    /// Whether a request would say anything.
    pub(super) fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    pub(super) fn want(&mut self, id: TopicIdPartition, from: FetchPosition) {
        match self.wanted.get_mut(&id) {
            Some(wanted) if wanted.from == from => return,
            Some(wanted) => wanted.from = from,
            None => {
                let is_known = self.forgotten.remove(&id);
                self.wanted.insert(id, Wanted { from, is_known });
            }
        }
        self.untold.insert(id);
    }

    pub(super) fn forget(&mut self, id: TopicIdPartition) {
        self.untold.remove(&id);
        if self.wanted.remove(&id).is_some_and(|wanted| wanted.is_known) {
            self.forgotten.insert(id);
        }
    }

    /// The position that the leader's answers about a partition go by. `None` when it has been
    /// changed since: an answer to the old question is of no use.
    pub(super) fn asked(&self, id: &TopicIdPartition) -> Option<FetchPosition> {
        let wanted = self.wanted.get(id).filter(|_| !self.untold.contains(id));
        wanted.map(|wanted| wanted.from)
    }

    /// The next request tells everything to a new session.
    pub(super) fn begin_again(&mut self) {
        (self.id, self.epoch) = (0, 0);
        self.forgotten.clear();
        for (id, wanted) in &mut self.wanted {
            wanted.is_known = false;
            self.untold.insert(*id);
        }
    }

    /// The session's part of the next request, which must then be sent.
    pub(super) fn next_request(&mut self, partition_max_bytes: i32) -> FetchRequest {
        let mut request =
            FetchRequest { session_id: self.id, session_epoch: self.epoch, ..Default::default() };
        for id in std::mem::take(&mut self.untold) {
            let Some(wanted) = self.wanted.get_mut(&id) else { continue };
            wanted.is_known = true;
            let partition = fetch_partition(id, &wanted.from, partition_max_bytes);
            match request.topics.last_mut().filter(|last| last.topic_id == id.topic_id) {
                Some(topic) => topic.partitions.push(partition),
                None => request.topics.push(FetchTopic {
                    topic_id: id.topic_id,
                    partitions: vec![partition],
                    ..Default::default()
                }),
            }
        }
        let mut forgotten: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
        for id in std::mem::take(&mut self.forgotten) {
            forgotten.entry(id.topic_id).or_default().push(id.partition.get());
        }
        let forgotten = forgotten.into_iter();
        request.forgotten_topics_data = forgotten
            .map(|(topic_id, partitions)| ForgottenTopic {
                topic_id,
                partitions,
                ..Default::default()
            })
            .collect();
        if self.epoch > 0 {
            self.epoch = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 };
        }
        request
    }

    /// A request was answered, in the session that the leader names.
    pub(super) fn answered(&mut self, session_id: i32) {
        self.is_refused = session_id == 0;
        if self.is_refused {
            // Everything is asked each time.
            self.begin_again();
        } else if self.epoch == 0 {
            (self.id, self.epoch) = (session_id, 1);
        }
    }
}

fn fetch_partition(
    id: TopicIdPartition,
    from: &FetchPosition,
    partition_max_bytes: i32,
) -> FetchPartition {
    FetchPartition {
        partition: id.partition.get(),
        current_leader_epoch: from.leader_epoch.get(),
        fetch_offset: from.offset.get(),
        last_fetched_epoch: from.last_epoch.get(),
        log_start_offset: from.log_start.get(),
        partition_max_bytes,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use strandline_types::{LeaderEpoch, NodeId, Offset, PartitionId};

    use super::*;

    fn id(partition: i32) -> TopicIdPartition {
        let topic_id = Uuid::from_u128(1 + partition as u128 / 10);
        TopicIdPartition { topic_id, partition: PartitionId(partition) }
    }

    fn from(offset: i64) -> FetchPosition {
        FetchPosition {
            leader: NodeId(1),
            leader_epoch: LeaderEpoch(3),
            offset: Offset(offset),
            last_epoch: LeaderEpoch(2),
            log_start: Offset(0),
        }
    }

    /// The next request: session and epoch, then what it asks and what it forgets.
    fn next(session: &mut FetchSession) -> String {
        let request = session.next_request(100);
        let topics = request.topics.iter().flat_map(|topic| &topic.partitions);
        let asked = topics.map(|it| format!(" {}@{}", it.partition, it.fetch_offset));
        let forgotten = request.forgotten_topics_data.iter().flat_map(|topic| &topic.partitions);
        let forgotten = forgotten.map(|partition| format!(" -{partition}"));
        let said: String = asked.chain(forgotten).collect();
        format!("{}/{}:{said}", request.session_id, request.session_epoch)
    }

    #[test]
    fn a_request_says_what_has_changed() {
        let mut session = FetchSession::default();
        [0, 1, 10].into_iter().for_each(|partition| session.want(id(partition), from(5)));
        assert!(session.is_opening() && !session.is_open());
        assert_eq!(next(&mut session), "0/0: 0@5 1@5 10@5");
        session.answered(77);
        assert!(session.is_open() && !session.has_untold());
        assert_eq!(next(&mut session), "77/1:");
        session.want(id(0), from(5));
        assert!(!session.has_untold());
        session.want(id(0), from(6));
        session.want(id(2), from(0));
        session.forget(id(1));
        assert_eq!(session.asked(&id(0)), None, "it was asked from elsewhere");
        assert_eq!(session.asked(&id(10)), Some(from(5)));
        assert_eq!(next(&mut session), "77/2: 0@6 2@0 -1");
        assert_eq!(session.asked(&id(0)), Some(from(6)));
        // Forgotten and wanted again before the leader heard of it; and the other way round.
        session.forget(id(0));
        session.want(id(0), from(6));
        session.want(id(3), from(0));
        session.forget(id(3));
        assert_eq!(next(&mut session), "77/3: 0@6");
        session.begin_again();
        assert_eq!(session.asked(&id(0)), None);
        assert_eq!(next(&mut session), "0/0: 0@6 2@0 10@5");
    }

    #[test]
    fn a_leader_without_room_is_asked_for_everything_each_time() {
        let mut session = FetchSession::default();
        session.want(id(0), from(5));
        assert_eq!(next(&mut session), "0/0: 0@5");
        session.answered(0);
        assert!(!session.is_opening() && !session.is_open());
        session.forget(id(0));
        session.want(id(1), from(5));
        assert_eq!(next(&mut session), "0/0: 1@5");
        session.answered(9);
        assert_eq!(next(&mut session), "9/1:");
    }
}
