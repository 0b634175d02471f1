//! Stories: worlds that begin in order, and effects as lines. Timers, fetches and empty answers are
//! too many to tell.

use expect_test::Expect;
use strandline_quorum::{
    ControlRecord, Effect, Election, FetchReply, Peer, Reply, ReplyBody, Request, VoterChange,
    VoterSet,
};

use super::{CALM, World};

pub fn effect(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::Persist { election, .. } => format!("persist {}", promise(election)),
        Effect::Append { base_offset, epoch, .. } => format!("append at {base_offset}@{epoch}"),
        Effect::AppendControl { base_offset, epoch, records, .. } => {
            let records: Vec<String> = records.iter().map(control).collect();
            format!("append {} at {base_offset}@{epoch}", records.join(", "))
        }
        Effect::AppendFetched { batches, .. } => format!("append {batches} fetched"),
        Effect::Truncate { end_offset, .. } => format!("truncate to {end_offset}"),
        Effect::DeletePrefix { start_offset } => format!("log begins at {start_offset}"),
        Effect::AppendRefused { refusal, .. } => format!("refuse: {refusal}"),
        Effect::Send { to, request, .. } => format!("to {}: {}", peer(*to), question(request)?),
        Effect::Reply { reply, .. } => answer(reply)?,
        Effect::Committed { end_offset } => format!("committed {end_offset}"),
        Effect::LeaderReady { epoch, .. } => format!("ready to lead epoch {epoch}"),
        Effect::TakeSnapshot { id } => format!("take snapshot {id:?}"),
        Effect::KeepSnapshotChunk { id, position, .. } => {
            format!("keep chunk of {id:?} from {position}")
        }
        Effect::Remembered { .. } => "may vote again".into(),
        Effect::Joined => "has joined the voters".into(),
        Effect::InstallSnapshot { id } => format!("install snapshot {id:?}"),
        Effect::LeaderChanged { .. } | Effect::Arm { .. } | Effect::Cancel { .. } => return None,
    })
}

fn promise(election: &Election) -> String {
    let mut line = format!("epoch {}", election.epoch);
    if let Some(leader) = election.leader {
        line += &format!(" leader {leader}");
    }
    if let Some(voted) = election.voted {
        line += &format!(" voted {}", voted.id);
    }
    line
}

fn control(record: &ControlRecord) -> String {
    match record {
        ControlRecord::LeaderChange(change) => {
            let granting: Vec<i32> = change.granting_voters.iter().map(|key| key.id.0).collect();
            format!("LeaderChange(by {granting:?})")
        }
        ControlRecord::KraftVersion(level) => format!("KraftVersion({level})"),
        ControlRecord::Voters(set) => format!("Voters{:?}", voters(set)),
    }
}

fn voters(set: &VoterSet) -> Vec<i32> {
    set.ids().map(|id| id.0).collect()
}

fn peer(peer: Peer) -> String {
    match peer {
        Peer::Node(id) => id.to_string(),
        Peer::Bootstrap(index) => format!("bootstrap {index}"),
    }
}

fn question(request: &Request) -> Option<String> {
    Some(match request {
        Request::Vote(vote) => {
            let what = if vote.pre_vote { "pre-vote" } else { "vote" };
            format!("{what} epoch {}, log {}@{}?", vote.epoch, vote.end_offset, vote.last_epoch)
        }
        Request::BeginQuorumEpoch(begin) => format!("I lead epoch {}", begin.epoch),
        Request::EndQuorumEpoch(end) => {
            let preferred: Vec<i32> = end.preferred.iter().map(|key| key.id.0).collect();
            format!("epoch {} ends, preferred {preferred:?}", end.epoch)
        }
        Request::ChangeVoter(asked) => change(asked),
        Request::Fetch(_) | Request::FetchSnapshot(_) => return None,
    })
}

pub fn asked(request: &Request) -> String {
    match request {
        Request::Vote(vote) => {
            format!("by {}: {}", vote.candidate.id, question(request).unwrap_or_default())
        }
        _ => question(request).unwrap_or_default(),
    }
}

fn answer(reply: &Reply) -> Option<String> {
    if let Some(refusal) = reply.refusal {
        return Some(format!("refuses: {refusal}"));
    }
    Some(match &reply.body {
        ReplyBody::Vote { granted: true } => "grants".into(),
        ReplyBody::Vote { granted: false } => "denies".into(),
        ReplyBody::Fetch(FetchReply::Diverging { end, .. }) => {
            format!("answers: epoch {} ends at {}", end.epoch, end.start_offset)
        }
        ReplyBody::Fetch(FetchReply::Snapshot { id, .. }) => format!("answers: snapshot {id:?}"),
        ReplyBody::Fetch(FetchReply::Read { .. })
        | ReplyBody::FetchSnapshot(_)
        | ReplyBody::Empty => return None,
    })
}

pub fn change(change: &VoterChange) -> String {
    match change {
        VoterChange::Add { voter, .. } => format!("add voter {}", voter.key.id),
        VoterChange::Remove { key } => format!("remove voter {}", key.id),
        VoterChange::Update { voter, .. } => format!("update voter {}", voter.key.id),
    }
}

pub fn verdict(reply: &Reply) -> String {
    match (reply.refusal, &reply.body) {
        (Some(refusal), _) => refusal.to_string(),
        (None, ReplyBody::Vote { granted }) => format!("granted {granted}"),
        (None, _) => "done".into(),
    }
}

pub fn world(voters: &[i32]) -> World {
    World::new(7, voters, CALM)
}

pub fn started(voters: &[i32], nodes: &[i32]) -> World {
    let mut world = world(voters);
    world.tell_all = false;
    for id in nodes {
        world.start(*id);
    }
    world.run_until(|world| world.leader().is_some_and(|id| caught_up(world, id)));
    world.tell_all = true;
    world
}

/// All running nodes know everything to be committed.
fn caught_up(world: &World, leader: i32) -> bool {
    let end = world.quorum(leader).log_end();
    world.nodes.values().filter_map(|node| node.quorum.as_ref()).all(|quorum| {
        quorum.high_watermark() == end && quorum.epoch() == world.quorum(leader).epoch()
    })
}

pub fn settle(world: &mut World) {
    world.run_until(|world| world.leader().is_some_and(|id| caught_up(world, id)));
}

pub fn check(world: &World, story: &Expect) {
    story.assert_eq(&world.trace);
}

pub fn followers(world: &World) -> Vec<i32> {
    let leader = world.leader().unwrap();
    world.nodes.keys().copied().filter(|id| *id != leader).collect()
}
