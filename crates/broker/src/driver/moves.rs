//! Moves partitions between the log dirs of this node (KIP-113), one after another.
//!
//! A copy is made beside the partition in use. When it has nearly everything the controller is told
//! where the partition will be; once it knows, the rest is copied while no append is under
//! way, and the copy takes the partition's place. Before that the old files are the partition, after
//! it the new ones are, and at no moment neither. That a copy's directory is there is also how the next
//! start knows that a move was under way; it begins anew.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strandline_ports::{World, random_uuid, timeout};
use strandline_store::format::names::future_dir_name;
use strandline_store::{Progress, Relocation, StoreFault};
use strandline_types::{Instant, Offset, TopicIdPartition, TopicPartition, Uuid};
use tokio::sync::{Notify, mpsc, oneshot};

use super::assignments::Assignment;
use super::partition::{Arrival, Arrived, Partition, PartitionContext};
use super::replicas::remove_later;
use crate::dirs::{DirIndex, Dirs};
use crate::partitions::{Held, Partitions};

/// How long a step waits for the metadata, for a limit or for room before the next look.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest wait for room: the first is [`LOOK_EVERY`], and each is twice the one before.
const ROOM_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Partitions that this node does not hold and that somebody has named a directory for.
const PREFERENCES_MAX: usize = 10_000;

/// What is to be moved. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Moves(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    moves: BTreeMap<TopicIdPartition, Move>,
    next_turn: u64,
    /// Where partitions are to be made that come to this node.
    preferred: BTreeMap<TopicPartition, DirIndex>,
}

/// One move, and how far it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Move {
    pub(crate) to: DirIndex,
    pub(crate) copied_bytes: u64,
    /// Everything before is copied.
    pub(crate) upto: Offset,
    /// The lowest is next. Another one for the same partition is another move.
    turn: u64,
    /// How long it waits for room, and until when.
    pause: Duration,
    not_before: Option<Instant>,
}

impl Move {
    fn new(to: DirIndex, turn: u64) -> Self {
        let (copied_bytes, upto) = (0, Offset::ZERO);
        Self { to, copied_bytes, upto, turn, pause: Duration::ZERO, not_before: None }
    }
}

/// What there is to do.
enum Next {
    Move(TopicIdPartition, Move),
    /// Nothing before.
    At(Instant),
    Nothing,
}

impl Moves {
    /// The partition is to lie there. Whatever was under way to another directory is called off.
    pub(crate) fn request(&self, partition: &Partition, to: DirIndex) {
        let mut state = self.state();
        let id = partition.id();
        // Also when it has just arrived there, which its mover is about to see.
        if state.moves.get(&id).is_some_and(|known| known.to == to) {
            return;
        }
        if partition.dir() == to {
            state.moves.remove(&id);
        } else {
            let turn = state.take_turn();
            state.moves.insert(id, Move::new(to, turn));
        }
        drop(state);
        self.0.changed.notify_one();
    }

    /// The partition is deleted here. One with its id may be made here again, somewhere else.
    pub(crate) fn forget(&self, id: TopicIdPartition) {
        self.state().moves.remove(&id);
    }

    /// A partition that is not here yet is to be made there.
    pub(crate) fn prefer(&self, partition: TopicPartition, to: DirIndex) {
        let mut state = self.state();
        if state.preferred.len() < PREFERENCES_MAX || state.preferred.contains_key(&partition) {
            state.preferred.insert(partition, to);
        }
    }

    /// Where the partition is to be made, if somebody said so.
    pub(crate) fn take_preference(&self, partition: &TopicPartition) -> Option<DirIndex> {
        self.state().preferred.remove(partition)
    }

    pub(crate) fn under_way(&self) -> BTreeMap<TopicIdPartition, Move> {
        self.state().moves.clone()
    }

    fn next(&self, now: Instant) -> Next {
        let state = self.state();
        let due = state.moves.iter().filter(|(_, it)| it.not_before.is_none_or(|at| at <= now));
        if let Some((id, job)) = due.min_by_key(|(_, it)| it.turn) {
            return Next::Move(*id, *job);
        }
        let first = state.moves.values().filter_map(|it| it.not_before).min();
        first.map_or(Next::Nothing, Next::At)
    }

    fn is_under_way(&self, id: TopicIdPartition) -> bool {
        self.state().moves.contains_key(&id)
    }

    fn is_current(&self, id: TopicIdPartition, job: Move) -> bool {
        self.state().moves.get(&id).is_some_and(|it| it.turn == job.turn)
    }

    fn progress(&self, id: TopicIdPartition, job: Move, copy: &Relocation) {
        let mut state = self.state();
        if let Some(known) = state.moves.get_mut(&id).filter(|it| it.turn == job.turn) {
            (known.copied_bytes, known.upto) = (copy.copied_bytes(), copy.upto());
        }
    }

    fn end(&self, id: TopicIdPartition, job: Move) {
        let mut state = self.state();
        if state.moves.get(&id).is_some_and(|it| it.turn == job.turn) {
            state.moves.remove(&id);
        }
    }

    /// The others first.
    fn put_off(&self, id: TopicIdPartition, job: Move, now: Instant) {
        let mut state = self.state();
        let turn = state.take_turn();
        if let Some(known) = state.moves.get_mut(&id).filter(|it| it.turn == job.turn) {
            let pause = (known.pause * 2).clamp(LOOK_EVERY, ROOM_PAUSE_MAX);
            *known = Move { pause, not_before: Some(now + pause), ..Move::new(known.to, turn) };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }
}

/// Carries the moves out.
pub(crate) struct Mover {
    pub(crate) world: World,
    pub(crate) dirs: Arc<Dirs>,
    pub(crate) partitions: Partitions,
    pub(crate) context: Arc<PartitionContext>,
    pub(crate) moves: Moves,
    pub(crate) assignments: mpsc::UnboundedSender<Assignment>,
}

/// How a move has ended.
enum Outcome {
    /// See [`Arrived::There`].
    Moved(Option<PathBuf>),
    Unwanted,
}

/// Whether the controller was told where a partition will be.
enum Telling {
    Nothing,
    Asked(oneshot::Receiver<()>),
    Known,
}

impl Mover {
    /// Runs as long as the node.
    pub(crate) async fn run(self) {
        loop {
            let changed = self.moves.0.changed.notified();
            let (id, job) = match self.moves.next(self.world.clock.now().instant) {
                Next::Move(id, job) => (id, job),
                Next::At(at) => {
                    let _ = timeout(&*self.world.clock, at, changed).await;
                    continue;
                }
                Next::Nothing => {
                    changed.await;
                    continue;
                }
            };
            match self.carry_out(id, job).await {
                Ok(()) => self.moves.end(id, job),
                Err(fault) if fault.is_full() => {
                    tracing::warn!(%fault, "a move between log directories waits for room");
                    self.moves.put_off(id, job, self.world.clock.now().instant);
                }
                Err(fault) => {
                    tracing::error!(%fault, "cannot move a partition to another log directory");
                    self.moves.end(id, job);
                }
            }
        }
    }

    async fn carry_out(&self, id: TopicIdPartition, job: Move) -> Result<(), StoreFault> {
        let Some(held) = self.partitions.get(id) else { return Ok(()) };
        let partition = &held.partition;
        let unique = random_uuid(&*self.world.entropy);
        let Some(future) = future_dir_name(partition.name(), unique) else { return Ok(()) };
        let (from, target) = (partition.dir(), self.dirs.get(job.to));
        if from == job.to {
            // It was called off and asked for again while it arrived.
            return Ok(());
        }
        let Some(target_id) = target.id else { return Ok(()) };
        self.check_room(job.to, partition.store().size_bytes()).await?;
        partition.set_moves_to(Some(job.to));
        let mut telling = Telling::Nothing;
        let outcome = match target.log.begin_relocation(partition.store(), &future).await {
            Ok(copy) => self.travel(&held, job, target_id, (copy, unique), &mut telling).await,
            Err(fault) => Err(fault),
        };
        if let Ok(Outcome::Moved(old)) = outcome {
            self.has_moved(&held, from, old);
            return Ok(());
        }
        partition.set_moves_to(None);
        if !matches!(telling, Telling::Nothing) {
            // While the controller names the new place, the copy alone keeps a start without the old
            // directory from beginning the log anew there.
            self.tell_where_it_stays(id, from).await;
        }
        let leftover = target.log.remove_dir(&target.log.path().join(future)).await;
        outcome.map(drop).and(leftover)
    }

    fn has_moved(&self, held: &Held, from: DirIndex, old: Option<PathBuf>) {
        let partition = &held.partition;
        let to = self.dirs.get(partition.dir()).log.path().display();
        tracing::info!(partition = %partition.name(), %to, "moved to another log directory");
        if let Some(path) = old {
            remove_later(&self.world, &self.dirs, (from, path), held);
        }
        let left = self.dirs.get(from);
        if left.is_usable() && !self.moves.is_under_way(partition.id()) {
            // Called off when it could not be stopped any more.
            self.moves.request(partition, from);
        }
        if let Some(failed) = left.id.filter(|_| !left.is_usable() && partition.view().is_offline) {
            // Whoever takes offline what lies in a directory that fails found it there still: only as
            // long as the controller takes it to lie there does somebody else lead it.
            drop(self.tell(partition.id(), failed));
        }
    }

    /// Copies until the partition has arrived, or need not any more.
    async fn travel(
        &self,
        held: &Held,
        job: Move,
        target: Uuid,
        (mut copy, unique): (Relocation, Uuid),
        telling: &mut Telling,
    ) -> Result<Outcome, StoreFault> {
        while self.copy(held, job, target, &mut copy, telling).await? {
            match held.partition.move_to(Arrival { copy, dir: job.to, unique }).await? {
                Arrived::There(old) => return Ok(Outcome::Moved(old)),
                Arrived::NotYet(back) => copy = *back,
            }
        }
        Ok(Outcome::Unwanted)
    }

    /// Copies until next to nothing is missing, and the controller knows that the partition will be
    /// there: were it told later, a crash in between would leave two logs of which it names the
    /// wrong one. False when the move is not wanted any more.
    async fn copy(
        &self,
        held: &Held,
        job: Move,
        target: Uuid,
        copy: &mut Relocation,
        telling: &mut Telling,
    ) -> Result<bool, StoreFault> {
        let id = held.partition.id();
        loop {
            if !self.is_wanted(held, job) {
                return Ok(false);
            }
            let now = self.world.clock.now().instant;
            if let Some(until) = self.context.throttles.moves.exceeded_until(now) {
                self.world.clock.sleep_until(until.min(now + LOOK_EVERY)).await;
                continue;
            }
            self.check_room(job.to, copy.missing_bytes()).await?;
            let progress = copy.advance(Relocation::PIECE_BYTES).await?;
            self.moves.progress(id, job, copy);
            match progress {
                Progress::Copied(bytes) => {
                    self.context.throttles.moves.record(now, bytes.into());
                    if copy.missing_bytes() > Relocation::PIECE_BYTES.into() {
                        continue;
                    }
                }
                Progress::Whole => {}
                Progress::Waits => {
                    self.world.clock.sleep(LOOK_EVERY).await;
                    continue;
                }
            }
            if self.has_told(id, target, telling).await {
                copy.sync().await?;
                // Its topic may have been deleted: to the controller, too, that is an answer.
                return Ok(self.is_wanted(held, job));
            }
        }
    }

    /// A copy that fills its directory would take all that lies there out of service: it is rather
    /// removed again, and waits.
    async fn check_room(&self, to: DirIndex, bytes: u64) -> Result<(), StoreFault> {
        let log = &self.dirs.get(to).log;
        match log.has_room_for(bytes).await? {
            true => Ok(()),
            false => Err(StoreFault::Full { path: log.path().to_owned() }),
        }
    }

    /// Whether the controller knows where the partition will be. Returns after a while in any case.
    async fn has_told(&self, id: TopicIdPartition, target: Uuid, telling: &mut Telling) -> bool {
        if matches!(telling, Telling::Nothing) {
            *telling = Telling::Asked(self.tell(id, target));
        }
        let Telling::Asked(answer) = telling else { return true };
        let until = self.world.clock.now().instant + LOOK_EVERY;
        match timeout(&*self.world.clock, until, answer).await {
            Ok(Ok(())) => *telling = Telling::Known,
            // Told otherwise since, or the node is stopping.
            Ok(Err(_)) => {
                self.world.clock.sleep(LOOK_EVERY).await;
                *telling = Telling::Asked(self.tell(id, target));
            }
            Err(_) => {}
        }
        matches!(telling, Telling::Known)
    }

    /// Nobody has thought better of it, and the partition is still here.
    fn is_wanted(&self, Held { partition, .. }: &Held, job: Move) -> bool {
        let id = partition.id();
        let is_held = |it: Held| Arc::ptr_eq(&it.partition, partition);
        let is_there = self.partitions.get(id).is_some_and(is_held);
        self.moves.is_current(id, job) && is_there && !partition.view().is_offline
    }

    /// Returns when the controller knows. Whoever opens the partition again tells it, too, and may
    /// have put it elsewhere.
    async fn tell_where_it_stays(&self, id: TopicIdPartition, from: DirIndex) {
        loop {
            let dir = self.partitions.get(id).map_or(from, |held| held.partition.dir());
            let Some(stays) = self.dirs.get(dir).id else { return };
            if self.tell(id, stays).await.is_ok() {
                return;
            }
            // Or the node is stopping.
            self.world.clock.sleep(LOOK_EVERY).await;
        }
    }

    /// Tells the controller where the partition is or will be.
    fn tell(&self, partition: TopicIdPartition, directory: Uuid) -> oneshot::Receiver<()> {
        let (told, answer) = oneshot::channel();
        // Without a receiver the node is stopping.
        let _ = self.assignments.send(Assignment { partition, directory, told: Some(told) });
        answer
    }
}

#[cfg(test)]
mod tests;
