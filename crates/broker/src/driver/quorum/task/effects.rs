//! What the core asks for, carried out or handed to whoever carries it out.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use strandline_ports::Lane;
use strandline_quorum::{
    ControlRecord, Effect, FetchReply, Peer, Reply, ReplyBody, Request, RequestId, Ticket, WriteId,
};
use strandline_types::{Instant, LeaderEpoch, Now, Offset};

use super::disk::{Write, WriteKind};
use super::{Command, Done, Task};
use crate::driver::quorum::control::{Place, control_batch, data_batch, encode};
use crate::driver::quorum::metadata_log::encode_election;
use crate::driver::quorum::peers::Outcome;
use crate::driver::quorum::rpc::Content;
use crate::driver::quorum::{AppendError, CommittedBatch, MetadataEvent};

/// What waits for a write.
pub(super) struct Deferred {
    until: Until,
    what: Outgoing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    Durable(WriteId),
    /// The record at `offset` is in the file: whoever reads finds it. Until `at_latest`, if there is
    /// such a time.
    Written {
        offset: Offset,
        at_latest: Option<Instant>,
    },
}

/// A quarter of the time in which followers must hear their leader.
const UNWRITTEN_FOR: Duration = Duration::from_millis(500);
/// A disk may stand still for so long before its leader falls silent, which it does then because
/// nobody can read what it decides.
const DISK_PATIENCE: Duration = Duration::from_secs(3);

enum Outgoing {
    Send(Peer, RequestId, Request),
    Reply(Ticket, Reply),
    /// This node may vote, from the next start on too.
    Remember,
}

impl Task {
    pub(super) fn obey(&mut self, now: Now, effects: Vec<Effect>) {
        for effect in effects {
            self.obey_one(now, effect);
        }
    }

    fn obey_one(&mut self, now: Now, effect: Effect) {
        match effect {
            Effect::Persist { write, election } => {
                let membership = self.parts.quorum.membership();
                let (version, voters) = (membership.kraft_version, membership.voters.ids());
                let bytes = encode_election(&election, version, voters);
                self.stage(Some(write), WriteKind::Election(bytes));
            }
            Effect::Append { write, ticket, base_offset, epoch } => {
                let Some((records, done)) = self.appending.remove(&ticket) else { return };
                self.append(now, write, (base_offset, epoch), records, done);
            }
            Effect::AppendControl { write, base_offset, epoch, records } => {
                self.append_control(now, write, (base_offset, epoch), records);
            }
            Effect::AppendFetched { write, request, batches } => {
                self.append_fetched(write, request, batches);
            }
            Effect::Truncate { write, end_offset } => {
                while self.parts.uncommitted.back().is_some_and(|it| it.next_offset > end_offset) {
                    self.parts.uncommitted.pop_back();
                }
                self.stage(Some(write), WriteKind::Truncate(end_offset));
            }
            Effect::AppendRefused { ticket, .. } => {
                if let Some((_, done)) = self.appending.remove(&ticket) {
                    self.refuse(done);
                }
            }
            Effect::Send { after, to, id, request } => {
                self.when_durable(after, Outgoing::Send(to, id, request));
            }
            Effect::Reply { after, ticket, reply } => {
                self.when_durable(after, Outgoing::Reply(ticket, reply));
            }
            Effect::Arm { timer, at } => {
                self.timers.insert(timer, at);
            }
            Effect::Cancel { timer } => {
                self.timers.remove(&timer);
            }
            Effect::Committed { end_offset } => self.committed(end_offset),
            Effect::LeaderChanged { epoch, leader } => self.leader_changed(epoch, leader),
            Effect::Remembered { after } => self.when_durable(after, Outgoing::Remember),
            Effect::Joined => {
                tracing::info!("this node is a voter of the metadata quorum now");
                self.take_away(self.parts.joining.clone());
            }
            Effect::LeaderReady { epoch, last_heard, .. } => {
                self.is_leading = true;
                self.tell(MetadataEvent::Leading { epoch, last_heard });
                self.publish_leadership();
            }
            Effect::TakeSnapshot { id } => self.tell(MetadataEvent::TakeSnapshot { id }),
            Effect::DeletePrefix { start_offset } => self.prefix = Some(start_offset),
            Effect::KeepSnapshotChunk { id, position, request } => {
                let Some((of, Content::Chunk(bytes))) = &self.answered else { return };
                assert_eq!(*of, request, "only the answer that was just given is kept");
                let bytes = bytes.clone();
                self.stage(None, WriteKind::Chunk { id, position, bytes });
            }
            Effect::InstallSnapshot { id } => self.stage(None, WriteKind::Install(id)),
        }
    }

    fn leader_changed(&mut self, epoch: LeaderEpoch, leader: Option<strandline_types::NodeId>) {
        let me = self.parts.quorum.me().id;
        if leader != Some(me) {
            if std::mem::take(&mut self.is_leading) {
                self.tell(MetadataEvent::NotLeading { epoch });
            }
            // Whether what was appended ever commits is for the next leader to decide.
            for done in std::mem::take(&mut self.committing).into_values().flatten() {
                self.refuse(done);
            }
        }
        self.publish_leadership();
    }

    fn refuse(&self, done: Done) {
        // Whoever asked may have gone.
        let _ = done.send(Err(AppendError::NotLeader(self.parts.quorum.epoch())));
    }

    fn append(
        &mut self,
        now: Now,
        write: WriteId,
        (base_offset, epoch): (Offset, LeaderEpoch),
        records: Vec<Bytes>,
        done: Done,
    ) {
        let place = Place { base_offset, epoch, timestamp: now.timestamp };
        let batch = data_batch(place, &records).expect("its size was checked");
        let next_offset = base_offset + records.len() as i64;
        self.parts.uncommitted.push_back(CommittedBatch {
            base_offset,
            next_offset,
            epoch,
            timestamp: now.timestamp,
            size_bytes: batch.len() as u64,
            control: Vec::new(),
            records,
        });
        self.stage(Some(write), WriteKind::Append(batch, next_offset));
        self.when_committed(next_offset, done);
    }

    fn append_control(
        &mut self,
        now: Now,
        write: WriteId,
        (base_offset, epoch): (Offset, LeaderEpoch),
        records: Vec<ControlRecord>,
    ) {
        let place = Place { base_offset, epoch, timestamp: now.timestamp };
        let encoded: Vec<_> = records.iter().map(encode).collect();
        let batch = control_batch(place, &encoded);
        let next_offset = base_offset + records.len() as i64;
        if self.is_leading {
            self.tell(MetadataEvent::Appended { next_offset });
        }
        let offsets = (0..).map(|index| base_offset + index);
        self.parts.uncommitted.push_back(CommittedBatch {
            base_offset,
            next_offset,
            epoch,
            timestamp: now.timestamp,
            size_bytes: batch.len() as u64,
            control: offsets.zip(records).collect(),
            records: Vec::new(),
        });
        self.stage(Some(write), WriteKind::Append(batch, next_offset));
    }

    fn append_fetched(&mut self, write: WriteId, request: RequestId, count: usize) {
        let Some((of, Content::Batches(batches))) = &mut self.answered else {
            unreachable!("batches are appended while their answer is stepped through")
        };
        assert_eq!(*of, request, "only the answer that was just given is appended");
        let batches: Vec<_> = batches.drain(..count).collect();
        for (bytes, batch) in batches {
            let next_offset = batch.next_offset;
            self.parts.uncommitted.push_back(batch);
            self.stage(Some(write), WriteKind::Append(bytes, next_offset));
        }
    }

    fn stage(&mut self, id: Option<WriteId>, kind: WriteKind) {
        self.staged.push_back(Write { id, kind });
    }

    fn committed(&mut self, end_offset: Offset) {
        while self.parts.uncommitted.front().is_some_and(|batch| batch.next_offset <= end_offset) {
            if let Some(batch) = self.parts.uncommitted.pop_front() {
                self.tell(MetadataEvent::Committed(batch));
            }
        }
        let above = self.committing.split_off(&(end_offset + 1));
        for (end, waiting) in std::mem::replace(&mut self.committing, above) {
            for done in waiting {
                // Whoever asked may have gone.
                let _ = done.send(Ok(end));
            }
        }
    }

    pub(super) fn when_committed(&mut self, end: Offset, done: Done) {
        if end <= self.parts.quorum.high_watermark() {
            // Whoever asked may have gone.
            let _ = done.send(Ok(end));
        } else {
            self.committing.entry(end).or_default().push(done);
        }
    }

    pub(super) fn tell(&self, event: MetadataEvent) {
        // Without a listener nobody needs to know.
        let _ = self.parts.events.send(event);
    }

    fn when_durable(&mut self, after: Option<WriteId>, what: Outgoing) {
        match after {
            Some(write) => {
                self.deferred.push(Deferred { until: Until::Durable(write), what });
            }
            None => self.let_go(what),
        }
    }

    /// Everything up to this write is durable.
    pub(super) fn durable(&mut self, write: WriteId) {
        self.let_go_if(|until| matches!(until, Until::Durable(after) if after <= write));
    }

    /// Everything below this offset can be read.
    pub(super) fn written(&mut self, end: Offset) {
        self.let_go_if(|until| matches!(until, Until::Written { offset, .. } if offset < end));
    }

    /// When the next answer goes out, whether its records can be read or not.
    pub(super) fn next_answer(&self) -> Option<Instant> {
        let at_latest = |deferred: &Deferred| match deferred.until {
            Until::Written { at_latest, .. } => at_latest,
            Until::Durable(_) => None,
        };
        self.deferred.iter().filter_map(at_latest).min()
    }

    pub(super) fn answer_what_is_due(&mut self, now: Instant) {
        let is_late = |at_latest: Option<Instant>| at_latest.is_some_and(|at| at <= now);
        self.let_go_if(
            |until| matches!(until, Until::Written { at_latest, .. } if is_late(at_latest)),
        );
    }

    fn let_go_if(&mut self, is_due: impl Fn(Until) -> bool) {
        let (due, later): (Vec<_>, _) = std::mem::take(&mut self.deferred)
            .into_iter()
            .partition(|deferred| is_due(deferred.until));
        self.deferred = later;
        for Deferred { until, what } in due {
            match (until, what) {
                (Until::Written { .. }, Outgoing::Reply(ticket, reply)) => {
                    self.reply(ticket, reply);
                }
                (_, what) => self.let_go(what),
            }
        }
    }

    fn let_go(&mut self, what: Outgoing) {
        match what {
            Outgoing::Send(to, id, request) => self.send(to, id, request),
            Outgoing::Remember => self.take_away(self.parts.forgotten.clone()),
            Outgoing::Reply(ticket, reply) => {
                // Whoever is told of records would ask again and again for what is not there yet.
                let written = self.parts.log.log.written_end();
                if let ReplyBody::Fetch(FetchReply::Read { offset, end_offset, .. }) = &reply.body
                    && *offset < *end_offset
                    && *offset >= written
                {
                    let now = self.parts.world.clock.now().instant;
                    let is_patient = now < self.work_began + DISK_PATIENCE;
                    let at_latest = is_patient.then_some(now + UNWRITTEN_FOR);
                    let until = Until::Written { offset: *offset, at_latest };
                    self.deferred.push(Deferred { until, what: Outgoing::Reply(ticket, reply) });
                    return;
                }
                self.reply(ticket, reply);
            }
        }
    }

    fn reply(&mut self, ticket: Ticket, reply: Reply) {
        if let Some(done) = self.asking.remove(&ticket) {
            // Whoever asked may have gone.
            let _ = done.send(reply);
        }
    }

    /// Deletes a note that does not hold any more.
    fn take_away(&self, note: PathBuf) {
        let io = self.parts.log.io.clone();
        let removing = async move {
            if let Err(fault) = io.remove_files(vec![note]).await {
                // The next start finds it, and does once more what was done.
                tracing::warn!(%fault, "a note that does not hold any more cannot be deleted");
            }
        };
        self.parts.world.spawn.spawn(Lane::Control, Box::pin(removing));
    }

    fn send(&self, to: Peer, id: RequestId, request: Request) {
        let address = match to {
            Peer::Node(node) => self.address_of(node),
            Peer::Bootstrap(index) => self.parts.bootstrap_servers.get(index as usize).cloned(),
        };
        let asked = match to {
            Peer::Node(node) => address.clone().map(|address| (node, address)),
            Peer::Bootstrap(_) => None,
        };
        let Some(commands) = self.parts.commands.upgrade() else { return };
        let peers = self.parts.peers.clone();
        let asking = async move {
            let outcome = match address {
                Some(address) => peers.ask(address, request).await,
                None => Outcome::Unanswered,
            };
            // The quorum may have stopped.
            let _ = commands.send(Command::Answered { id, asked, outcome });
        };
        self.parts.world.spawn.spawn(Lane::Control, Box::pin(asking));
    }
}
