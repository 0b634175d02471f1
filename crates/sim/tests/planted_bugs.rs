//! The simulator finds bugs: each of these is planted, and must be found within so many seeds, by a
//! rule that says what is wrong.

mod worlds;

use std::num::NonZero;
use std::thread::{ScopedJoinHandle, available_parallelism, scope};

use strandline_sim::Rounds;
use strandline_types::{Bug, plant};
use worlds::World;

use World::{Broker, Chain, Cluster, Core, Quorum};

/// A bug, the words of which one must be in what the world says first, and how many seeds it may
/// take to find it.
struct Hunt(Bug, World, &'static [&'static str], u64);

const HUNTS: &[Hunt] = &[
    Hunt(Bug::CountsUnsynced, Broker, &["WORLD-1:", "WORLD-2:"], 20),
    Hunt(
        Bug::SyncVouchesTooMuch,
        Broker,
        &["WORLD-1:", "WORLD-2:", "WORLD-5:", "WORLD-7:", "WORLD-10:", "WORLD-13:"],
        40,
    ),
    Hunt(Bug::RecoveryPointTooFar, Broker, &["WORLD-10:"], 40),
    Hunt(Bug::RecoveryTrustsChecksums, Broker, &["WORLD-6:", "WORLD-7:", "is malformed"], 60),
    Hunt(Bug::RecoveryTrustsChecksums, Core, &["served at", "nobody wrote", "stands"], 200),
    Hunt(Bug::TornTailStays, Core, &["was promised", "instead of", "cannot be read"], 500),
    Hunt(Bug::FourBatchesRemembered, Broker, &["WORLD-15:"], 40),
    Hunt(Bug::SnapshotsAreEmpty, Broker, &["WORLD-3:", "WORLD-15:"], 20),
    Hunt(Bug::SnapshotsAreEmpty, Core, &["the log knows", "again:", "next:"], 100),
    Hunt(Bug::IndexPointsBehind, Broker, &["WORLD-5:", "WORLD-10:", "WORLD-16:"], 20),
    Hunt(Bug::CleanStopOutlivesStart, Broker, &["WORLD-1:", "WORLD-7:", "WORLD-10:"], 20),
    Hunt(
        Bug::CleanStopOutlivesStart,
        Core,
        &["the log starts at", "was promised", "instead of", "cannot be read"],
        200,
    ),
    Hunt(Bug::TruncationKeepsEpochs, Core, &["LOG-4"], 200),
    Hunt(Bug::FullDiskAcks, Broker, &["WORLD-1:", "WORLD-2:"], 20),
    Hunt(Bug::FetchSleepsOn, Broker, &["WORLD-10:"], 10),
    Hunt(Bug::TimeIndexStaysStale, Broker, &["WORLD-16:"], 20),
    // What is answered early are generations, too.
    Hunt(Bug::CommitAnsweredEarly, Broker, &["WORLD-11:", "WORLD-12:"], 20),
    Hunt(Bug::GenerationForgotten, Broker, &["GROUP-7"], 20),
    Hunt(Bug::ReplayKeepsOldest, Broker, &["WORLD-12:"], 20),
    Hunt(
        Bug::WatermarkIgnoresIsr,
        Cluster,
        &["WORLD-1:", "WORLD-2:", "WORLD-11:", "WORLD-15:", "WORLD-19:", "WORLD-20:"],
        20,
    ),
    Hunt(Bug::PendingIsrCounts, Cluster, &["WORLD-1:", "WORLD-2:", "WORLD-19:", "WORLD-20:"], 100),
    Hunt(Bug::DivergenceUntold, Cluster, &["WORLD-20:", "a replica stays behind"], 80),
    Hunt(Bug::CutsAtWatermark, Cluster, &["WORLD-1:", "WORLD-2:", "WORLD-19:", "WORLD-20:"], 60),
    Hunt(Bug::VoteGrantedTwice, Quorum, &["WORLD-17:", "WORLD-21:", "WORLD-22:"], 60),
    Hunt(Bug::VoteIgnoresLog, Quorum, &["WORLD-10:", "WORLD-21:", "WORLD-22:"], 20),
    Hunt(Bug::MetadataFetchUnsynced, Quorum, &["WORLD-21:", "WORLD-22:"], 40),
    Hunt(Bug::MetadataLeaderUnsynced, Quorum, &["WORLD-21:", "WORLD-22:", "WORLD-23:"], 150),
    Hunt(Bug::MetadataDurableUnsynced, Quorum, &["WORLD-21:", "WORLD-22:"], 20),
    Hunt(Bug::MetadataDivergenceUntold, Quorum, &["WORLD-10:", "WORLD-21:", "WORLD-23:"], 40),
    Hunt(Bug::ControllerAnswersEarly, Quorum, &["WORLD-22:"], 20),
    Hunt(Bug::ForgottenVotes, Quorum, &["WORLD-21:", "WORLD-22:", "WORLD-24:"], 60),
    Hunt(Bug::SilentVotersAreEmpty, Quorum, &["WORLD-24:"], 60),
    Hunt(Bug::FounderNotesNothing, Quorum, &["WORLD-10:"], 60),
    Hunt(Bug::LeaderAcksOvertaken, Broker, &["WORLD-4:"], 40),
    Hunt(Bug::UncommittedServed, Cluster, &["WORLD-8:"], 10),
    Hunt(Bug::TopicIdUntold, Broker, &["WORLD-9:"], 10),
    Hunt(Bug::GenerationCutShort, Broker, &["WORLD-14:"], 40),
    Hunt(Bug::LeavingStayInSync, Cluster, &["WORLD-18:"], 20),
    Hunt(Bug::OneMarkerCompletes, Chain, &["WORLD-10:", "WORLD-28:"], 120),
    Hunt(Bug::DecidedEndsLeft, Chain, &["TXN-4", "WORLD-10:"], 40),
    // The former producer goes on, in sequence where its successor has not written.
    Hunt(Bug::NewcomerKeepsEpoch, Chain, &["OUT_OF_ORDER", "WORLD-27:", "WORLD-28:"], 20),
    Hunt(Bug::StableIsCommitted, Chain, &["WORLD-27:"], 10),
    Hunt(Bug::AbortsUntold, Chain, &["WORLD-27:"], 10),
    Hunt(Bug::OffsetsCountAtOnce, Chain, &["WORLD-29:"], 10),
    Hunt(Bug::FormerMembersCommit, Chain, &["WORLD-29:"], 60),
    Hunt(Bug::SurveyKeepsOldest, Core, &["is lost"], 200),
    Hunt(Bug::CleansUnstable, Core, &["is lost"], 200),
    Hunt(Bug::DeletionsGoAtOnce, Core, &["went before its time"], 100),
    Hunt(Bug::AbortedIsData, Core, &["is lost", "was aborted"], 300),
    Hunt(Bug::MarkerGoesFirst, Core, &["a copy of what is left", "is not given", "is lost"], 200),
    Hunt(Bug::LastSequenceGoes, Core, &["a copy of what is left"], 200),
    Hunt(Bug::SnapshotOutlivesMarkers, Core, &["with a snapshot at"], 100),
    Hunt(Bug::CleanedHidesAborts, Core, &["was aborted", "a copy of what is left"], 500),
    Hunt(Bug::CleanedUnsynced, Core, &["served at", "is lost", "is gone", "was promised"], 200),
    Hunt(Bug::RollsUnsynced, Core, &["behind a hole"], 300),
    Hunt(Bug::OpenIsStable, Core, &["what is stable ends"], 100),
    Hunt(Bug::MarkerCountsEarly, Core, &["before its marker"], 100),
    // A cleaner that does not hear of aborts keeps what the model knows to be gone, and drops what was
    // committed under the same key.
    Hunt(Bug::RecoveryForgetsAborts, Core, &["was aborted", "cut to", "is not given"], 500),
];

/// The first of so many seeds in which something is wrong; as many at once as there are cores.
fn first_found(world: World, seeds: u64) -> Option<(u64, String)> {
    let cores = available_parallelism().map_or(1, NonZero::get);
    (0..seeds).step_by(cores).find_map(|first| {
        let played: Vec<_> = scope(|scope| {
            let some = (first..seeds).take(cores);
            let playing: Vec<_> = some
                .map(|seed| (seed, scope.spawn(move || world.first_wrong(seed, Rounds::ALL))))
                .collect();
            let end = |(seed, it): (u64, ScopedJoinHandle<'_, _>)| (seed, it.join().ok().flatten());
            playing.into_iter().map(end).collect()
        });
        played.into_iter().find_map(|(seed, wrong)| Some((seed, wrong?)))
    })
}

fn hunt(Hunt(bug, world, words, seeds): &Hunt) -> Result<String, String> {
    plant(Some(*bug));
    let found = first_found(*world, *seeds);
    plant(None);
    let (seed, wrong) = found.ok_or("not found")?;
    let said = format!("seed {seed}: {wrong:.150}");
    if words.iter().any(|word| wrong.contains(word)) { Ok(said) } else { Err(said) }
}

#[test]
fn every_planted_bug_is_found() {
    let chosen = std::env::var("BUG").unwrap_or_default();
    let mut missed = Vec::new();
    for it in HUNTS.iter().filter(|Hunt(bug, ..)| format!("{bug:?}").contains(&chosen)) {
        let bug = it.0;
        match hunt(it) {
            Ok(said) => println!("{bug:?}: {said}"),
            Err(why) => {
                println!("{bug:?} is MISSED: {why}");
                missed.push(bug);
            }
        }
    }
    assert!(missed.is_empty(), "not found, or for another reason: {missed:?}");
}
