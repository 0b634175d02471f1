//! Names of files and directories below a log dir.

use strandline_types::{LeaderEpoch, Offset, PartitionId, TopicPartition, Uuid};

/// What a file of a partition's directory holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FileKind {
    Log,
    OffsetIndex,
    TimeIndex,
    TransactionIndex,
    ProducerSnapshot,
}

impl FileKind {
    /// The files of one segment. The log first, when a segment goes: what has no log is no segment,
    /// and a crash in between leaves only orphans.
    pub const OF_SEGMENT: [Self; 4] =
        [Self::Log, Self::OffsetIndex, Self::TimeIndex, Self::TransactionIndex];

    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Log => ".log",
            Self::OffsetIndex => ".index",
            Self::TimeIndex => ".timeindex",
            Self::TransactionIndex => ".txnindex",
            Self::ProducerSnapshot => ".snapshot",
        }
    }

    fn from_suffix(suffix: &str) -> Option<Self> {
        let all = [
            Self::Log,
            Self::OffsetIndex,
            Self::TimeIndex,
            Self::TransactionIndex,
            Self::ProducerSnapshot,
        ];
        all.into_iter().find(|kind| kind.suffix() == suffix)
    }
}

/// What a second suffix says of a file's life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FileState {
    Live,
    /// `.deleted`: out of the log, not yet unlinked.
    Deleted,
    /// `.cleaned`: compaction was writing it.
    Cleaned,
    /// `.swap`: compaction had finished it and was putting it in place.
    Swap,
}

impl FileState {
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Live => "",
            Self::Deleted => ".deleted",
            Self::Cleaned => ".cleaned",
            Self::Swap => ".swap",
        }
    }
}

/// A file that belongs to an offset, such as `00000000000000000042.timeindex.deleted`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OffsetFile {
    pub offset: Offset,
    pub kind: FileKind,
    pub state: FileState,
}

impl OffsetFile {
    pub const fn live(offset: Offset, kind: FileKind) -> Self {
        Self { offset, kind, state: FileState::Live }
    }

    pub fn name(self) -> String {
        format!("{:020}{}{}", self.offset.get(), self.kind.suffix(), self.state.suffix())
    }

    /// `None` for every other file: it is not ours to touch.
    pub fn parse(name: &str) -> Option<Self> {
        let (digits, suffixes) = name.split_at_checked(20)?;
        let offset = Offset(parse_digits(digits)?);
        let states = [FileState::Deleted, FileState::Cleaned, FileState::Swap];
        let found = states
            .into_iter()
            .find_map(|state| suffixes.strip_suffix(state.suffix()).map(|suffix| (suffix, state)));
        let (suffix, state) = found.unwrap_or((suffixes, FileState::Live));
        Some(Self { offset, kind: FileKind::from_suffix(suffix)?, state })
    }
}

/// A snapshot of the metadata log: everything below `end`, whose last record has `epoch`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SnapshotId {
    pub end: Offset,
    pub epoch: LeaderEpoch,
}

impl SnapshotId {
    pub fn name(self) -> String {
        format!("{:020}-{:010}.checkpoint", self.end.get(), self.epoch.get())
    }

    /// `None` for every other file, half-written and deleted snapshots too.
    pub fn parse(name: &str) -> Option<Self> {
        let (end, epoch) = name.strip_suffix(".checkpoint")?.split_once('-')?;
        if end.len() != 20 || epoch.len() != 10 {
            return None;
        }
        let epoch = i32::try_from(parse_digits(epoch)?).ok()?;
        Some(Self { end: Offset(parse_digits(end)?), epoch: LeaderEpoch(epoch) })
    }
}

fn parse_digits(digits: &str) -> Option<i64> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// A partition's directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PartitionDir {
    /// `topic-0`.
    Live(TopicPartition),
    /// `topic-0.<id>-future`: being moved here from another log dir.
    Future(TopicPartition),
    /// `topic-0.<id>-delete`: its topic is gone, its files go soon. A long topic name is cut off.
    Deleted,
    /// `topic-0.<id>-stray`: this node is not a replica (any more); kept for a person to decide.
    Stray,
}

const NAME_BYTES_MAX: usize = 255;

impl PartitionDir {
    /// `None` for what no partition's directory is named.
    pub fn parse(name: &str) -> Option<Self> {
        let marked = |mark: &str| name.strip_suffix(mark)?.rsplit_once('.');
        if marked("-delete").is_some() {
            return Some(Self::Deleted);
        }
        if marked("-stray").is_some() {
            return Some(Self::Stray);
        }
        if let Some((partition, _)) = marked("-future") {
            return Some(Self::Future(parse_partition(partition)?));
        }
        Some(Self::Live(parse_partition(name)?))
    }
}

/// The name under which a deleted partition waits for its files to go.
pub fn deleted_dir_name(partition: &TopicPartition, unique: Uuid) -> String {
    marked_dir_name(partition, unique, "-delete")
}

/// The name under which a partition is kept that nobody assigned to this node.
pub fn stray_dir_name(partition: &TopicPartition, unique: Uuid) -> String {
    marked_dir_name(partition, unique, "-stray")
}

/// The name under which a partition is copied from another log dir; `None` for a topic whose name
/// leaves no room for it.
pub fn future_dir_name(partition: &TopicPartition, unique: Uuid) -> Option<String> {
    let name = marked_dir_name(partition, unique, "-future");
    name.starts_with(&format!("{partition}.")).then_some(name)
}

fn marked_dir_name(partition: &TopicPartition, unique: Uuid, mark: &str) -> String {
    let id = format!("{:032x}", u128::from_be_bytes(unique.0));
    let mut name = partition.to_string();
    // Topic names are ASCII; for anything else the cut must still fall between characters.
    let room = NAME_BYTES_MAX - 1 - id.len() - mark.len();
    name.truncate(
        (0..=room.min(name.len())).rev().find(|&at| name.is_char_boundary(at)).unwrap_or(0),
    );
    format!("{name}.{id}{mark}")
}

fn parse_partition(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    // `topic-01` and `topic-+1` are not what anybody writes for 1.
    let is_plain = partition == "0" || partition.starts_with(|c: char| ('1'..='9').contains(&c));
    if topic.is_empty() || !is_plain {
        return None;
    }
    let partition = i32::try_from(parse_digits(partition)?).ok()?;
    Some(TopicPartition { topic: topic.to_owned(), partition: PartitionId(partition) })
}
