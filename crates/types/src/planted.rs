//! Bugs planted on purpose, one at a time, to prove that the simulator finds such.
//!
//! Only a build with the feature `planted-bugs` can have one; in every other, [`planted`] is a
//! constant and the bugs are not compiled. What each one must be caught by is in the table of
//! `sim/tests/planted_bugs.rs`.

/// A mistake somebody could make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Bug {
    /// With `flush.messages=1` a record counts once it is written, not once it is synced.
    CountsUnsynced = 1,
    /// A sync vouches for what was written while it was under way, too.
    SyncVouchesTooMuch,
    /// The checkpointed recovery point is the log's end.
    RecoveryPointTooFar,
    /// Recovery does not look at checksums.
    RecoveryTrustsChecksums,
    /// What recovery does not like at the end of a segment stays in the file.
    TornTailStays,
    /// Of each producer one batch less is remembered than it may have in flight.
    FourBatchesRemembered,
    /// The producers are not in the snapshots.
    SnapshotsAreEmpty,
    /// An index entry names the place behind its batch.
    IndexPointsBehind,
    /// A clean stop is still believed after the next start.
    CleanStopOutlivesStart,
    /// Truncation leaves an epoch that begins behind the new end.
    TruncationKeepsEpochs,
    /// What a full disk refused is acked.
    FullDiskAcks,
    /// A fetch that waits is not woken when records come.
    FetchSleepsOn,
    /// A rebuilt time index stays in memory.
    TimeIndexStaysStale,
    /// A commit is answered before it is in the log.
    CommitAnsweredEarly,
    /// Generations begin anew with every start of the coordinator.
    GenerationForgotten,
    /// A coordinator that loads takes the first commit of a partition for the last.
    ReplayKeepsOldest,
    /// The high watermark is the leader's own end, whatever its followers have.
    WatermarkIgnoresIsr,
    /// A follower that the leader wants to put out of the ISR does not count from that moment on.
    PendingIsrCounts,
    /// A leader does not tell a follower where their logs part.
    DivergenceUntold,
    /// A follower of a new leader cuts its log at its own high watermark.
    CutsAtWatermark,
    /// A voter that has voted in an epoch grants a second candidate its vote.
    VoteGrantedTwice,
    /// A vote does not ask whether the candidate has everything.
    VoteIgnoresLog,
    /// A follower of the metadata log asks on before its own sync.
    MetadataFetchUnsynced,
    /// The leader of the quorum counts its own records before they are synced.
    MetadataLeaderUnsynced,
    /// Writes to the metadata log are told to be durable when they are written.
    MetadataDurableUnsynced,
    /// A leader of the quorum does not tell a follower where their logs part.
    MetadataDivergenceUntold,
    /// A change of the metadata is answered before it has committed.
    ControllerAnswersEarly,
    /// A voter on a new disk votes and stands like any other.
    ForgottenVotes,
    /// A voter without data takes those that it does not hear for empty, too.
    SilentVotersAreEmpty,
    /// A founder of the cluster keeps in memory alone that it is one.
    FounderNotesNothing,
    /// Some records for which the leader's own copy is enough wait before they have their places.
    LeaderAcksOvertaken,
    /// Consumers are given what only the leader has.
    UncommittedServed,
    /// Metadata does not tell a topic's id.
    TopicIdUntold,
    /// Of a generation only the lowest bit is in the groups' log.
    GenerationCutShort,
    /// Whoever leaves a partition at the end of a move stays in its ISR, and META-2 is not asserted.
    LeavingStayInSync,
    /// A transaction is complete when the first of its partitions has its marker.
    OneMarkerCompletes,
    /// A new coordinator leaves ends that are decided to the former one.
    DecidedEndsLeft,
    /// A producer that takes a transactional id over has the epoch of the former one.
    NewcomerKeepsEpoch,
    /// What a transaction has written may be read before it ends.
    StableIsCommitted,
    /// Readers are not told which transactions were aborted.
    AbortsUntold,
    /// Offsets that are committed with a transaction count at once.
    OffsetsCountAtOnce,
    /// Offsets are committed with a transaction for members of former generations, too.
    FormerMembersCommit,
    /// Of the records with one key a pass of compaction takes the first for the newest.
    SurveyKeepsOldest,
    /// A pass cleans what belongs to an open transaction, too.
    CleansUnstable,
    /// A pass drops deletions that it meets for the first time.
    DeletionsGoAtOnce,
    /// A pass takes what was aborted for committed.
    AbortedIsData,
    /// A pass drops the marker of a transaction whose data stays.
    MarkerGoesFirst,
    /// A pass drops the batch that tells a producer's last sequence.
    LastSequenceGoes,
    /// Which transactions were aborted is not written beside a cleaned segment.
    CleanedHidesAborts,
    /// A swap leaves the snapshots of producers from before the end of what was cleaned.
    SnapshotOutlivesMarkers,
    /// A cleaned segment takes its place before it is synced.
    CleanedUnsynced,
    /// A compacted log goes on in a new segment before the old one is synced.
    RollsUnsynced,
    /// What is stable does not end where a transaction is open.
    OpenIsStable,
    /// What a marker ends is stable before the marker is committed.
    MarkerCountsEarly,
    /// Recovery does not write down again which transactions were aborted.
    RecoveryForgetsAborts,
}

#[cfg(feature = "planted-bugs")]
static ACTIVE: core::sync::atomic::AtomicU8 = core::sync::atomic::AtomicU8::new(0);

/// From now on this bug is there, and no other.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Bug>) {
    let number = bug.map_or(0, |bug| bug as u8);
    ACTIVE.store(number, core::sync::atomic::Ordering::Relaxed);
}

/// Whether to behave as wrongly as `bug` says.
#[cfg(feature = "planted-bugs")]
pub fn planted(bug: Bug) -> bool {
    ACTIVE.load(core::sync::atomic::Ordering::Relaxed) == bug as u8
}

/// Never, in this build.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub const fn planted(_: Bug) -> bool {
    false
}
