//! Fetch sessions (KIP-227): the broker remembers what we read, we send only what changed.

use std::collections::BTreeMap;

use strandline_types::{LeaderEpoch, Offset, TopicPartition, Uuid};

/// What to fetch of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Want {
    pub(super) topic_id: Uuid,
    pub(super) offset: Offset,
    pub(super) current_leader_epoch: LeaderEpoch,
    /// Of the last record before `offset`; NONE where that is not known.
    pub(super) last_fetched_epoch: LeaderEpoch,
}

/// One session with one broker.
#[derive(Default)]
pub(super) struct Session {
    /// 0 while there is none.
    id: i32,
    /// 0 opens a session.
    epoch: i32,
    partitions: BTreeMap<TopicPartition, Want>,
}

/// What the next request says.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Plan {
    pub(super) id: i32,
    pub(super) epoch: i32,
    pub(super) fetch: Vec<(TopicPartition, Want)>,
    pub(super) forget: Vec<(TopicPartition, Uuid)>,
}

impl Session {
    pub(super) fn plan(&mut self, wanted: BTreeMap<TopicPartition, Want>) -> Plan {
        let recreated = |(partition, want): (&TopicPartition, &Want)| {
            self.partitions.get(partition).is_some_and(|known| known.topic_id != want.topic_id)
        };
        if wanted.iter().any(recreated) {
            // Two incarnations of a topic in one session only cause confusion.
            self.reset();
        }
        let is_new = |partition: &TopicPartition, want: &Want| {
            self.epoch == 0 || self.partitions.get(partition) != Some(want)
        };
        let fetch = wanted.iter().filter(|(partition, want)| is_new(partition, want));
        let forgotten = self.partitions.iter().filter(|(p, _)| !wanted.contains_key(*p));
        let plan = Plan {
            id: self.id,
            epoch: self.epoch,
            fetch: fetch.map(|(partition, want)| (partition.clone(), *want)).collect(),
            forget: match self.epoch {
                0 => Vec::new(),
                _ => forgotten.map(|(p, known)| (p.clone(), known.topic_id)).collect(),
            },
        };
        self.partitions = wanted;
        plan
    }

    /// What a partition in an answer was asked for with.
    pub(super) fn wanted(&self, partition: &TopicPartition) -> Option<&Want> {
        self.partitions.get(partition)
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = (&TopicPartition, &Want)> {
        self.partitions.iter()
    }

    pub(super) fn topic_of(&self, id: Uuid) -> Option<&str> {
        let mut partitions = self.partitions.iter();
        partitions.find(|(_, want)| want.topic_id == id).map(|(p, _)| p.topic.as_str())
    }

    /// The request was answered under this session; 0 means that the broker keeps none.
    pub(super) fn answered(&mut self, id: i32) {
        if id == 0 {
            return self.reset();
        }
        self.epoch = if id == self.id { self.epoch.checked_add(1).unwrap_or(1) } else { 1 };
        self.id = id;
    }

    /// The next request opens a new session.
    pub(super) fn reset(&mut self) {
        (self.id, self.epoch) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use strandline_types::PartitionId;

    use super::*;

    fn wants(offsets: &[(i32, i64)]) -> BTreeMap<TopicPartition, Want> {
        let want = |(partition, offset): &(i32, i64)| {
            let partition =
                TopicPartition { topic: "t".into(), partition: PartitionId(*partition) };
            let want = Want {
                topic_id: Uuid::ONE,
                offset: Offset(*offset),
                current_leader_epoch: LeaderEpoch(0),
                last_fetched_epoch: LeaderEpoch::NONE,
            };
            (partition, want)
        };
        offsets.iter().map(want).collect()
    }

    fn said(plan: &Plan) -> String {
        let fetch: Vec<_> =
            plan.fetch.iter().map(|(p, want)| format!("{}@{}", p.partition, want.offset)).collect();
        let forget: Vec<_> = plan.forget.iter().map(|(p, _)| p.partition.to_string()).collect();
        format!("{}/{} fetch {fetch:?} forget {forget:?}", plan.id, plan.epoch)
    }

    #[test]
    fn sends_only_what_changed() {
        let mut session = Session::default();
        let mut say = |offsets: &[(i32, i64)], answer| {
            let text = said(&session.plan(wants(offsets)));
            session.answered(answer);
            text
        };
        assert_eq!(say(&[(0, 5), (1, 6)], 9), r#"0/0 fetch ["0@5", "1@6"] forget []"#);
        assert_eq!(say(&[(0, 5), (1, 6)], 9), r#"9/1 fetch [] forget []"#);
        assert_eq!(say(&[(0, 8), (1, 6)], 9), r#"9/2 fetch ["0@8"] forget []"#);
        assert_eq!(say(&[(1, 6), (2, 0)], 9), r#"9/3 fetch ["2@0"] forget ["0"]"#);
        // The broker had no room for the session: everything is said each time.
        assert_eq!(say(&[(1, 6)], 0), r#"9/4 fetch [] forget ["2"]"#);
        assert_eq!(say(&[(1, 6)], 0), r#"0/0 fetch ["1@6"] forget []"#);
        assert_eq!(say(&[(1, 6)], 4), r#"0/0 fetch ["1@6"] forget []"#);
    }
}
