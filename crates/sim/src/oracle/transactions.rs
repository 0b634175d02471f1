//! What readers of committed records may see of transactions: WORLD-27 to WORLD-29.
//!
//! A transaction copies records: each copy says which transaction made it, and of which record.

use std::collections::{BTreeMap, BTreeSet};

use super::{Oracle, PartitionKey};

/// The copy of a record, as it is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Copied {
    /// Counts transactions.
    pub(crate) transaction: u32,
    /// Where the record stands that was copied.
    pub(crate) source: PartitionKey,
    pub(crate) offset: i64,
}

/// All transactions of a scenario, by their numbers.
#[derive(Default)]
pub(super) struct TransactionHistory(Vec<Transaction>);

#[derive(Default)]
struct Transaction {
    fate: Fate,
    copies: BTreeSet<Copied>,
    is_seen: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Fate {
    /// Nobody has asked for its commit, and nobody may see it.
    #[default]
    Open,
    /// Somebody has, and has not heard what came of it.
    Asked,
    Committed,
    /// Somebody has asked, and has heard that it was not.
    Aborted,
}

impl Oracle {
    pub(crate) fn transaction_begun(&mut self) -> u32 {
        self.transactions.0.push(Transaction::default());
        self.transactions.0.len() as u32 - 1
    }

    /// A copy is about to be sent.
    pub(crate) fn copied(&mut self, copy: Copied) {
        self.transaction(copy.transaction).copies.insert(copy);
    }

    pub(crate) fn commit_asked(&mut self, number: u32) {
        self.transaction(number).fate = Fate::Asked;
    }

    /// Its producer has been told how it ended.
    pub(crate) fn transaction_ended(&mut self, number: u32, is_committed: bool) {
        let transaction = self.transaction(number);
        transaction.fate = if is_committed { Fate::Committed } else { Fate::Aborted };
        if !is_committed && transaction.is_seen {
            self.violate("WORLD-27", format!("transaction {number} was read, and is aborted"));
        }
        self.committed_transactions += u64::from(is_committed);
    }

    /// A reader of committed records has been given a copy.
    pub(crate) fn copy_read(&mut self, copy: Copied) {
        let transaction = self.transaction(copy.transaction);
        transaction.is_seen = true;
        let (fate, is_known) = (transaction.fate, transaction.copies.contains(&copy));
        if matches!(fate, Fate::Open | Fate::Aborted) {
            self.violate("WORLD-27", format!("{copy:?} was read, and is {fate:?}"));
        }
        if !is_known {
            self.violate("WORLD-6", format!("nobody sent {copy:?}"));
        }
    }

    /// All copies, in whatever order, when no transaction is open any more, and what the group that
    /// made them has committed of what it read.
    pub(crate) fn check_copies(
        &mut self,
        read: &[Copied],
        committed: &BTreeMap<PartitionKey, i64>,
    ) {
        let mut counts: BTreeMap<Copied, u32> = BTreeMap::new();
        let mut sources: BTreeMap<(PartitionKey, i64), u32> = BTreeMap::new();
        for copy in read {
            self.copy_read(*copy);
            *counts.entry(*copy).or_default() += 1;
            *sources.entry((copy.source, copy.offset)).or_default() += 1;
        }
        let mut wrong = Vec::new();
        for (number, transaction) in self.transactions.0.iter().enumerate() {
            let there = transaction.copies.iter().filter(|copy| counts.contains_key(copy)).count();
            let (all, fate) = (transaction.copies.len(), transaction.fate);
            let is_whole = there == all || (there == 0 && fate != Fate::Committed);
            if !is_whole {
                wrong.push(format!("{there} of {all} copies of transaction {number}, {fate:?}"));
            }
        }
        for detail in wrong {
            self.violate("WORLD-28", detail);
        }
        let below = committed.iter().flat_map(|(key, end)| (0..*end).map(|offset| (*key, offset)));
        for place in below {
            let times = sources.remove(&place).unwrap_or(0);
            if times != 1 {
                self.violate("WORLD-29", format!("{place:?} was copied {times} times"));
            }
        }
        if let Some((place, times)) = sources.first_key_value() {
            let detail = format!("{place:?} was copied {times} times, and is not committed");
            self.violate("WORLD-29", detail);
        }
    }

    fn transaction(&mut self, number: u32) -> &mut Transaction {
        let all = &mut self.transactions.0;
        let index = number as usize;
        // A number that nobody gave stands for one that nobody may see.
        if index >= all.len() {
            all.push(Transaction::default());
            return all.last_mut().expect("it was put there");
        }
        &mut all[index]
    }
}
