//! What goes wrong with a quorum, and when: at any step, right after an election, right after an
//! answer. Those are the moments at which a promise was made that is not kept yet.

use std::sync::Arc;
use std::time::Duration;

use super::change::{Change, Changer};
use super::founding::Voting;
use super::{HOME, Stage, lock, start_if_down};
use crate::disk::DiskFaults;
use crate::net::NetFaults;
use crate::node::{Crash, NodeId};
use crate::process::BrokerProcess;
use crate::rng::Rng;

/// How long the moment is waited for at which something goes wrong.
const MOMENT_MAX: Duration = Duration::from_secs(3);
/// No delay is longer.
const ANSWERS_ARRIVE: Duration = Duration::from_secs(1);
/// How often it is looked for.
const TICK: Duration = Duration::from_micros(500);

/// What goes wrong in one round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Some processes die.
    ProcessCrash,
    /// Some machines go down.
    PowerLoss,
    /// All of them do.
    PowerLossOfAll,
    /// A machine goes down and comes back with an empty disk, unless another one has just done so:
    /// what a majority holds is lost with the disks of two.
    ReplacedDisk,
    /// Most machines come back with empty disks while the others are down, and get their old ones again,
    /// but for one.
    LostMajority,
    /// All machines but the leader's go down, and nobody reaches the leader any more.
    LonelyLeader,
    CleanStop,
    /// The nodes fall into two groups that do not hear each other, but perhaps for one node.
    Split,
    /// Some of the ways between two nodes are gone.
    OneWayCuts,
    Delay,
    Resets,
    /// A node stands still, and goes on.
    Pause,
    /// A voter is to be none any more, where that can be.
    VoterRemoved,
    /// Another node is to be a voter, where that can be.
    VoterAdded,
}

impl Trouble {
    const OF_ALL: &[Self] = &[
        Self::ProcessCrash,
        Self::PowerLoss,
        Self::PowerLossOfAll,
        Self::ReplacedDisk,
        Self::LonelyLeader,
        Self::CleanStop,
        Self::Split,
        Self::OneWayCuts,
        Self::Delay,
        Self::Resets,
        Self::Pause,
    ];
    /// So many troubles of a quorum whose voters can change are such changes.
    const CHANGES_OF_VOTERS_ONE_IN: u64 = 3;

    /// So many of one whose voters are fixed take the disks of a majority.
    const LOST_MAJORITIES_ONE_IN: u64 = 8;

    pub(super) fn draw(rng: &mut Rng, voting: Voting) -> Self {
        if voting.is_fixed() && rng.one_in(Self::LOST_MAJORITIES_ONE_IN) {
            return Self::LostMajority;
        }
        if !voting.is_fixed() && rng.one_in(Self::CHANGES_OF_VOTERS_ONE_IN) {
            return if rng.one_in(3) { Self::VoterAdded } else { Self::VoterRemoved };
        }
        Self::OF_ALL[rng.below(Self::OF_ALL.len() as u64) as usize]
    }
}

impl Stage {
    pub(super) async fn suffer(&mut self, trouble: Trouble) {
        let all = 0..self.nodes.len();
        match trouble {
            Trouble::ProcessCrash | Trouble::PowerLoss => {
                let mut some: Vec<_> = all.collect();
                some.retain(|_| self.rng.one_in(2));
                let is_power = trouble == Trouble::PowerLoss;
                self.moment().await;
                self.crash(&some, if is_power { Crash::Power } else { Crash::Process });
            }
            Trouble::PowerLossOfAll => {
                self.moment().await;
                self.crash(&all.collect::<Vec<_>>(), Crash::Power);
            }
            Trouble::ReplacedDisk => {
                self.moment().await;
                let index = self.any_node();
                if self.may_lose_disk(index) {
                    self.crash(&[index], Crash::Power);
                    self.nodes[index].node().disk.replace();
                }
            }
            Trouble::LostMajority => {
                self.moment().await;
                if BrokerProcess::may_lose_disk(&self.nodes) {
                    self.lose_majority().await;
                }
            }
            Trouble::LonelyLeader => {
                if self.rng.one_in(2) {
                    // Of a new leader the votes may not be durable yet.
                    self.crash(&[self.leader()], Crash::Process);
                    self.changed(|stage| lock(&stage.watcher).quorum_leader()).await;
                } else {
                    self.moment().await;
                }
                let leader = self.leader();
                self.cut_off(leader);
                let others: Vec<_> = all.filter(|index| *index != leader).collect();
                self.crash(&others, Crash::Power);
                self.sleep(200).await;
                others.iter().for_each(|index| start_if_down(&self.nodes[*index]));
                self.long_time().await;
            }
            Trouble::CleanStop => {
                let index = self.any_node();
                self.nodes[index].stop();
            }
            Trouble::Split => self.split(),
            Trouble::OneWayCuts => {
                for _ in 0..self.rng.between(1, 3) {
                    let (from, to) = (self.any_node(), self.any_node());
                    self.network.cut(node_id(from), node_id(to));
                }
            }
            Trouble::Delay => {
                let delay_max = Duration::from_millis(self.rng.between(5, 500));
                self.network.set_faults(NetFaults { delay_max, ..NetFaults::CALM });
            }
            Trouble::Resets => {
                let reset_one_in = self.rng.between(5, 100);
                self.network.set_faults(NetFaults { reset_one_in, ..NetFaults::CALM });
            }
            Trouble::Pause => {
                let index = self.any_node();
                self.nodes[index].node().pause();
            }
            Trouble::VoterRemoved => {
                self.moment().await;
                self.remove_voter();
            }
            Trouble::VoterAdded => {
                self.moment().await;
                self.add_voter();
            }
        }
    }

    /// Those without data may hear of the cluster from the others, for a moment, but must not go on without
    /// them: WORLD-24.
    async fn lose_majority(&mut self) {
        let mut lost: Vec<_> = (0..self.nodes.len()).collect();
        self.crash(&lost, Crash::Power);
        // What was answered before has arrived.
        self.world.clock.sleep(ANSWERS_ARRIVE).await;
        let acked = self.field.oracle().acked;
        let mut kept = Vec::new();
        while lost.len() > self.nodes.len() / 2 + 1 {
            kept.push(lost.remove(self.rng.below(lost.len() as u64) as usize));
        }
        let disks: Vec<_> =
            lost.iter().map(|index| (*index, self.nodes[*index].node().disk.replace())).collect();
        lost.iter().for_each(|index| self.nodes[*index].start());
        if self.rng.one_in(2) {
            kept.iter().for_each(|index| self.nodes[*index].start());
            self.sleep(2_000).await;
            self.crash(&kept, Crash::Process);
        }
        self.long_time().await;
        let decided = self.field.oracle().acked - acked;
        if decided > 0 {
            let detail = format!("{lost:?} have new disks, and {decided} changes were acked");
            self.field.oracle().violate("WORLD-24", detail);
        }
        self.crash(&lost, Crash::Power);
        for (index, disk) in disks.into_iter().skip(1) {
            self.nodes[index].node().disk.put_back(disk);
        }
    }

    /// Before a node is started that has to find out with others which cluster they are.
    pub(super) async fn trouble_the_founding(&mut self) {
        match self.rng.below(8) {
            0 => self.suffer(Trouble::Delay).await,
            1 => self.suffer(Trouble::OneWayCuts).await,
            2 => self.suffer(Trouble::Resets).await,
            _ => {}
        }
        self.sleep(300).await;
    }

    /// Nodes are started again while they agree, most likely when the first knows the cluster's id.
    pub(super) async fn break_off_the_founding(&mut self) {
        for _ in 0..self.rng.below(4) {
            if self.rng.one_in(2) {
                let known = |stage: &Self| stage.nodes.iter().any(|it| it.directory_id().is_some());
                self.changed(known).await;
                self.sleep(50).await;
            } else {
                self.sleep(1_000).await;
            }
            let mut some: Vec<_> = (0..self.nodes.len()).collect();
            some.retain(|_| self.rng.below(4) > 0);
            let crash = if self.rng.one_in(2) { Crash::Power } else { Crash::Process };
            self.crash(&some, crash);
            some.iter().for_each(|index| self.nodes[*index].start());
        }
    }

    fn may_lose_disk(&self, index: usize) -> bool {
        match self.voting {
            Voting::Fixed | Voting::Unfounded => BrokerProcess::may_lose_disk(&self.nodes),
            Voting::InLog { .. } => self.electorate.may_lose_disk(index),
        }
    }

    fn remove_voter(&mut self) {
        let voters: Vec<_> = self.electorate.newest().into_iter().collect();
        let chosen = self.rng.below(voters.len() as u64) as usize;
        let Some(voter) = voters.get(chosen).copied() else { return };
        if self.electorate.may_leave(voter) {
            self.ask_for(Change::Remove(voter));
        }
    }

    fn add_voter(&mut self) {
        let voters = self.electorate.newest();
        let others = (0..self.nodes.len()).filter_map(|index| self.electorate.voter(index));
        let others: Vec<_> =
            others.filter(|(index, directory)| voters.get(index) != Some(directory)).collect();
        let chosen = self.rng.below(others.len() as u64) as usize;
        if let Some(voter) = others.get(chosen) {
            self.ask_for(Change::Add(*voter));
        }
    }

    /// Nobody waits for it: other troubles come meanwhile.
    fn ask_for(&mut self, change: Change) {
        self.sim.note(&format!("asks for {change:?}"));
        let changer = Changer {
            world: self.world.clone(),
            ports: self.ports.clone(),
            electorate: Arc::clone(&self.electorate),
            rng: self.rng.split(),
        };
        self.sim.spawn(HOME, Box::pin(changer.run(change)));
    }

    /// Some time passes, and some of what is wrong is put right.
    pub(super) async fn recover_perhaps(&mut self) {
        match self.rng.one_in(2) {
            true => self.long_time().await,
            false => self.sleep(100).await,
        }
        if self.rng.one_in(2) {
            self.heal();
        }
        for index in 0..self.nodes.len() {
            if self.rng.below(3) > 0 {
                start_if_down(&self.nodes[index]);
            }
            if self.rng.one_in(4) {
                self.change_disk(index);
            }
        }
        match self.rng.one_in(2) {
            true => self.long_time().await,
            false => self.sleep(100).await,
        }
    }

    pub(super) fn heal(&mut self) {
        self.network.set_faults(NetFaults::CALM);
        self.network.heal();
        self.nodes.iter().for_each(|node| node.node().go_on());
    }

    /// From now on its disk is as quick as another one.
    pub(super) fn change_disk(&mut self, index: usize) {
        let sync_max = [10, 500, 20_000, 300_000][self.rng.below(4) as usize];
        let faults = DiskFaults {
            late_one_in: [0, 2, 10][self.rng.below(3) as usize],
            sync_max: Duration::from_micros(sync_max),
            ..DiskFaults::default()
        };
        self.nodes[index].node().disk.set_faults(faults);
    }

    fn any_node(&mut self) -> usize {
        self.rng.below(self.nodes.len() as u64) as usize
    }

    async fn sleep(&mut self, millis_max: u64) {
        let millis = self.rng.between(0, millis_max);
        self.world.clock.sleep(Duration::from_millis(millis)).await;
    }

    /// Long enough, mostly, for a leader to be given up.
    async fn long_time(&mut self) {
        self.sleep(3_000).await;
    }

    /// Waits for the moment at which something goes wrong.
    async fn moment(&mut self) {
        match self.rng.below(3) {
            0 => self.sleep(1_000).await,
            1 => self.changed(|stage| lock(&stage.watcher).quorum_leader()).await,
            _ => self.changed(|stage| stage.field.oracle().acked).await,
        }
    }

    /// Waits until something is seen to change, for a while.
    async fn changed<T: PartialEq>(&mut self, seen: impl Fn(&Self) -> T) {
        let deadline = self.world.clock.now().instant + MOMENT_MAX;
        let before = seen(self);
        while seen(self) == before && self.world.clock.now().instant < deadline {
            self.world.clock.sleep(TICK).await;
            lock(&self.watcher).look();
        }
    }

    fn leader(&self) -> usize {
        let leader = lock(&self.watcher).quorum_leader().map(|(_, leader)| leader.get());
        leader.and_then(|id| usize::try_from(id).ok()).unwrap_or(0)
    }

    fn crash(&mut self, indices: &[usize], crash: Crash) {
        for index in indices {
            self.nodes[*index].crash(crash);
        }
    }

    fn cut_off(&mut self, index: usize) {
        let others = (0..self.nodes.len()).filter(|other| *other != index).map(node_id);
        for other in others.chain([HOME]) {
            self.network.cut(node_id(index), other);
            self.network.cut(other, node_id(index));
        }
    }

    fn split(&mut self) {
        let between = self.rng.one_in(2).then(|| self.any_node());
        let sides: Vec<bool> = self.nodes.iter().map(|_| self.rng.one_in(2)).collect();
        for from in 0..sides.len() {
            for to in 0..sides.len() {
                let is_between = between.is_some_and(|it| it == from || it == to);
                if sides[from] != sides[to] && !is_between {
                    self.network.cut(node_id(from), node_id(to));
                }
            }
        }
    }
}

fn node_id(index: usize) -> NodeId {
    NodeId(index as u32)
}
