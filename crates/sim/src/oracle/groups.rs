//! What a group's members and its coordinator may say: WORLD-11 to WORLD-14.

use std::collections::{BTreeMap, BTreeSet};

use super::{Oracle, PartitionKey, Promise};

/// Everything that is known of one group.
#[derive(Default)]
pub(super) struct GroupHistory {
    /// Commits outlive a power loss.
    is_durable: bool,
    read: BTreeMap<PartitionKey, Coverage>,
    /// The highest offset of each partition whose commit was acked.
    committed: BTreeMap<PartitionKey, i64>,
    owners: BTreeMap<(i32, PartitionKey), String>,
    /// The latest generation of which a commit was acked.
    committer: i32,
}

/// Which offsets were read: all below `end`, and some above.
#[derive(Default)]
struct Coverage {
    end: i64,
    beyond: BTreeSet<i64>,
}

impl Coverage {
    fn add(&mut self, offset: i64) {
        if offset > self.end {
            self.beyond.insert(offset);
        } else if offset == self.end {
            self.end += 1;
            while self.beyond.remove(&self.end) {
                self.end += 1;
            }
        }
    }
}

impl Oracle {
    /// A group comes into being; `is_durable` when its commits are synced before they are acked.
    pub fn begin_group(&mut self, group: &str, is_durable: bool) {
        let history = GroupHistory { is_durable, committer: -1, ..GroupHistory::default() };
        self.groups.insert(group.to_owned(), history);
    }

    /// Of a partition that has lost records, or of a group that may have lost commits, nothing can
    /// be said: new records stand at old offsets, and old generations come again.
    pub fn power_lost(&mut self) {
        self.power_losses += 1;
        for history in self.groups.values_mut().filter(|history| !history.is_durable) {
            history.committed.clear();
            history.owners.clear();
            history.committer = -1;
        }
    }

    /// Whether the records of a partition still stand where they were read.
    pub fn is_judged(&self, key: PartitionKey) -> bool {
        match self.partitions.get(&key).map(|history| history.promise) {
            Some(Promise::All) => true,
            Some(Promise::UntilUnclean) => false,
            _ => self.power_losses == 0,
        }
    }

    pub fn is_durable(&self, group: &str) -> bool {
        self.groups.get(group).is_some_and(|history| history.is_durable)
    }

    /// A member has been handed a record.
    pub fn group_read(&mut self, group: &str, key: PartitionKey, offset: i64) {
        if let Some(history) = self.groups.get_mut(group) {
            history.read.entry(key).or_default().add(offset);
        }
    }

    /// A member works on these partitions in this generation.
    pub fn owns(&mut self, group: &str, generation: i32, member: &str, keys: &[PartitionKey]) {
        let Some(history) = self.groups.get_mut(group) else { return };
        let mut shared = Vec::new();
        for key in keys {
            let owner = history.owners.entry((generation, *key)).or_insert_with(|| member.into());
            if owner != member {
                shared.push(format!(
                    "{group}, generation {generation}: {key:?} belongs to {owner} and {member}"
                ));
            }
        }
        shared.into_iter().for_each(|detail| self.violate("WORLD-11", detail));
    }

    /// The latest generation of which a commit was acked, or -1.
    pub fn committer(&self, group: &str) -> i32 {
        self.groups.get(group).map_or(-1, |history| history.committer)
    }

    /// A commit by a member of `generation` was acked; `newest` is what [`Oracle::committer`] said
    /// before it was sent.
    pub fn committed(
        &mut self,
        group: &str,
        generation: i32,
        newest: i32,
        offsets: &BTreeMap<PartitionKey, i64>,
    ) {
        if generation < newest {
            let detail = format!("{group}: generation {generation} commits after {newest} has");
            self.violate("WORLD-11", detail);
        }
        let floors = self.commits(group);
        for (key, offset) in offsets {
            self.check_commit(group, *key, *offset, floors.get(key).copied());
        }
        let Some(history) = self.groups.get_mut(group) else { return };
        history.committer = history.committer.max(generation);
        for (key, offset) in offsets {
            let known = history.committed.entry(*key).or_default();
            *known = (*known).max(*offset);
        }
    }

    /// What is known to be committed.
    pub fn commits(&self, group: &str) -> BTreeMap<PartitionKey, i64> {
        self.groups.get(group).map(|history| history.committed.clone()).unwrap_or_default()
    }

    /// The coordinator says that `offsets` are committed; `floors` is what [`Oracle::commits`] said
    /// before it was asked.
    pub fn coordinated(
        &mut self,
        group: &str,
        floors: &BTreeMap<PartitionKey, i64>,
        offsets: &BTreeMap<PartitionKey, i64>,
    ) {
        for (key, floor) in floors {
            let offset = offsets.get(key).copied().unwrap_or(-1);
            self.check_commit(group, *key, offset, Some(*floor));
        }
    }

    fn check_commit(&mut self, group: &str, key: PartitionKey, offset: i64, floor: Option<i64>) {
        if !self.is_judged(key) {
            return;
        }
        if let Some(floor) = floor.filter(|floor| offset < *floor) {
            let detail = format!("{group}: {key:?} is committed at {offset}, was at {floor}");
            self.violate("WORLD-12", detail);
        }
        let read = self.groups.get(group).and_then(|history| history.read.get(&key));
        let read_to = read.map_or(0, |coverage| coverage.end);
        if offset > read_to {
            let detail = format!("{group}: {key:?} is committed at {offset}, read to {read_to}");
            self.violate("WORLD-13", detail);
        }
    }

    /// The log of the groups says that a generation of a group was followed by another one.
    pub fn generation_followed(&mut self, group: &str, before: i32, after: i32) {
        if after < before {
            self.violate("WORLD-14", format!("{group}: generation {after} follows {before}"));
        }
    }
}
