//! `drain` and `rebalance`: carries out a plan, a few partitions at a time.
//!
//! Nothing is remembered between two looks at the cluster: each look is planned anew, and a plan that
//! is half carried out goes on where it stopped. So this process may end at any moment, and the next
//! one goes on. So does this one, when something is in its way that may pass: a broker that starts
//! anew, a controller that has just been elected.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use strandline_client::plan::Move;
use strandline_client::{Admin, ClientError, Partition};
use strandline_ports::{TimedOut, timeout};
use strandline_types::{ErrorCode, Instant, NodeId, TopicPartition};

use super::goal::Goal;
use super::progress::{Left, Progress};
use super::view::View;
use super::{cancel, membership, throttle};
use crate::connect::{ConnectArgs, failed, refused};
use crate::failure::Failure;
use crate::output::{Output, bytes, nodes, table};
use crate::signals::Signals;

const LOOK_EVERY: Duration = Duration::from_millis(400);
/// A broker that lives is no further behind the controller.
const BEHIND_MAX: Duration = Duration::from_secs(5);
/// A broker may tell for so long of replicas that have left, and so leave no place for others. What
/// cannot be planned after that is a fact.
const OBJECTIONS_FOR: Duration = Duration::from_millis(1_200);
/// A person is left without a word for so long.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// Once so much is on its way to one broker, no more is sent there.
const UNDER_WAY_BYTES_MAX: u64 = 4 << 30;
/// Kafka's controllers take 10,000 partitions in one request.
const REQUEST_PARTITIONS_MAX: usize = 1_000;

#[derive(Args, Debug)]
pub(crate) struct ScaleArgs {
    /// Only show what would move where
    #[arg(long)]
    dry_run: bool,

    /// Take back what is moving and has not arrived
    #[arg(long, conflicts_with = "dry_run")]
    cancel: bool,

    /// Partitions that may travel to one broker at the same time
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    parallel: u32,

    /// Most bytes per second that each broker sends and takes for this, by Kafka's throttles
    ///
    /// Taken off at the end. A run that was stopped is taken up again with the same rate: that is how
    /// it knows its own. Brokers that have a rate of their own already, and topics whose throttled
    /// replicas are `*`, keep them.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    throttle: Option<u64>,

    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) fn run(goal: Goal, args: ScaleArgs, output: &Output) -> Result<ExitCode, Failure> {
    args.connect.administer(|admin| serve(admin, goal, &args, output))
}

async fn serve(
    admin: Admin,
    goal: Goal,
    args: &ScaleArgs,
    output: &Output,
) -> Result<ExitCode, Failure> {
    if args.cancel {
        return cancel::run(&admin, goal, args.throttle, output).await;
    }
    let mut scaling = Scaling::new(admin, goal, args, output);
    if args.dry_run {
        return show(&scaling.first_plan().await?, output);
    }
    let mut signals = Signals::listen()
        .map_err(|error| Failure::new("cannot listen to signals").because(&error))?;
    match signals.unless_signalled(scaling.carry_out()).await {
        Ok(done) => done,
        Err(stop) => {
            let (go_on, cancel) = scaling.commands();
            scaling.progress.say(&format!(
                "stopped: what is moving goes on by itself\nnext: `{go_on}` goes on with the rest, `{cancel}` takes back what has not arrived{}",
                if args.throttle.is_some() { "; both take the throttle off at their end" } else { "" }
            ));
            Ok(stop.exit_code())
        }
    }
}

/// Where to and when partitions were last sent. What was sent long ago may have been sent elsewhere
/// by somebody else since.
type Sent = BTreeMap<TopicPartition, (Vec<NodeId>, Instant)>;

/// What became of the cordon of a broker that is emptied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cordon {
    Unset,
    /// The broker is away, and gets it when it is back.
    Awaited,
    /// It has it, or cannot have it.
    Settled,
}

/// What is in the way of a look at the cluster. Each has a clock of its own: an objection that may
/// pass within a second must not be final at once because a broker was waited for before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Obstacle {
    /// Another look does not help.
    Lasting,
    Objection,
    BrokersAway,
    Error,
}

/// Why nothing came of a look at the cluster.
struct Setback {
    failure: Failure,
    obstacle: Obstacle,
    /// Continues "waiting: ".
    reason: String,
}

fn show(moves: &[Move], output: &Output) -> Result<ExitCode, Failure> {
    let copied = |it: &Move| it.bytes * it.adding().count() as u64;
    let rows = moves.iter().map(|it| {
        let what = if it.copies() { bytes(copied(it)) } else { "-".into() };
        [it.partition.to_string(), nodes(&it.from), nodes(&it.to), what]
    });
    let total: u64 = moves.iter().map(copied).sum();
    let text = match moves {
        [] => "nothing has to move\n".to_owned(),
        _ => format!(
            "{}{} partitions, {} to copy\n",
            table(["partition", "from", "to", "to copy"], rows),
            moves.len(),
            bytes(total)
        ),
    };
    let ids = |nodes: &[NodeId]| nodes.iter().map(|id| id.get()).collect::<Vec<_>>();
    let json: Vec<_> = moves
        .iter()
        .map(|it| {
            json!({
                "topic": it.partition.topic,
                "partition": it.partition.partition.get(),
                "from": ids(&it.from),
                "to": ids(&it.to),
                "bytes": copied(it),
            })
        })
        .collect();
    output.done(&text, &json!(json))
}

struct Scaling<'a> {
    admin: Admin,
    goal: Goal,
    parallel: usize,
    throttle: Option<u64>,
    output: &'a Output,
    progress: Progress,
    /// How long to wait for what is away.
    patience: Duration,
    has_begun: bool,
    /// Brokers that have the throttle's rate, or one of their own.
    rated: BTreeSet<NodeId>,
    cordon: Cordon,
    /// What the broker's cordon was before all of its dirs were cordoned.
    former_cordon: Option<String>,
    /// When each was first met since the last look that nothing was in the way of.
    hindered_since: BTreeMap<Obstacle, Instant>,
    /// Partitions that this process has seen on their way.
    moved: BTreeSet<TopicPartition>,
    sent: Sent,
}

impl<'a> Scaling<'a> {
    fn new(admin: Admin, goal: Goal, args: &ScaleArgs, output: &'a Output) -> Self {
        let now = admin.client().clock().now().instant;
        let progress = Progress::new(now, output.is_json());
        let (parallel, throttle) = (args.parallel as usize, args.throttle);
        // A person who only wants to see a plan is told at once what is in its way.
        let patience = match args.dry_run {
            true => OBJECTIONS_FOR,
            false => admin.client().config().operation_timeout,
        };
        Self {
            admin,
            goal,
            parallel,
            throttle,
            output,
            progress,
            patience,
            has_begun: false,
            rated: BTreeSet::new(),
            cordon: Cordon::Unset,
            former_cordon: None,
            hindered_since: BTreeMap::new(),
            moved: BTreeSet::new(),
            sent: Sent::new(),
        }
    }

    fn now(&self) -> Instant {
        self.admin.client().clock().now().instant
    }

    async fn carry_out(&mut self) -> Result<ExitCode, Failure> {
        let moved = self.move_all().await;
        self.progress.end();
        let view = moved.map_err(|failure| self.with_limits_left(failure))?;
        self.report(&view).await
    }

    /// What moves goes on by itself, and so do its limits.
    fn with_limits_left(&self, failure: Failure) -> Failure {
        let (go_on, cancel) = self.commands();
        match self.throttle {
            Some(_) if self.has_begun => failure.reason(format!(
                "what is moving stays throttled: `{go_on}` goes on and takes the throttle off at its end, `{cancel}` at once"
            )),
            _ => failure,
        }
    }

    /// What goes on with this, and what takes it back.
    fn commands(&self) -> (String, String) {
        let throttle = self.throttle.map(|rate| format!(" --throttle {rate}")).unwrap_or_default();
        let command = self.goal.command();
        (format!("{command}{throttle}"), format!("{command} --cancel{throttle}"))
    }

    /// Gives the cluster as it is when nothing is left to move.
    async fn move_all(&mut self) -> Result<View, Failure> {
        loop {
            match self.round().await {
                Ok(Some(view)) => return Ok(view),
                Ok(None) => self.hindered_since.clear(),
                Err(setback) => self.bear(setback)?,
            }
            self.admin.client().clock().sleep(LOOK_EVERY).await;
        }
    }

    async fn first_plan(&mut self) -> Result<Vec<Move>, Failure> {
        loop {
            match self.look().await {
                Ok((view, plan)) => return self.goal.check(&view).map(|()| plan),
                Err(setback) => self.bear(setback)?,
            }
            self.admin.client().clock().sleep(LOOK_EVERY).await;
        }
    }

    /// One look at the cluster, and what follows from it.
    async fn round(&mut self) -> Result<Option<View>, Setback> {
        let (view, plan) = self.look().await?;
        if !self.has_begun {
            self.begin(&view).await?;
        }
        if let Goal::Empty(node) = self.goal
            && self.cordon != Cordon::Settled
        {
            self.keep_new_ones_away(&view, node).await;
        }
        let under_way = self.goal.under_way(&view);
        if plan.is_empty() && under_way.is_empty() && view.has_arrived() {
            self.elect(&view).await?;
            self.unlimit(&view).await?;
            return Ok(Some(view));
        }
        let waiting: u64 = plan.iter().map(|it| it.bytes * it.adding().count() as u64).sum();
        let left = Left {
            waiting: plan.iter().filter(|it| !under_way.contains(&it.partition)).count(),
            moving: under_way.len(),
            bytes: waiting + view.bytes_under_way(),
        };
        self.progress.tell(self.now(), left);
        self.moved.extend(under_way);
        let next = next_moves(&plan, &view, self.parallel);
        self.limit(&view, &next).await?;
        self.submit(&next).await?;
        self.elect(&view).await?;
        Ok(None)
    }

    /// The cluster, and what has to move in it.
    async fn look(&mut self) -> Result<(View, Vec<Move>), Setback> {
        let mut view = self.view().await.map_err(|error| self.setback(&error))?;
        let (now, sent) = (self.now(), &mut self.sent);
        sent.extend(view.moving.iter().map(|(name, it)| (name.clone(), (it.target(), now))));
        sent.retain(|_, (_, at)| now.since(*at) < BEHIND_MAX);
        view.sent = sent.iter().map(|(name, (to, _))| (name.clone(), to.clone())).collect();
        match self.goal.plan(&view) {
            Ok(plan) => Ok((view, plan)),
            Err(objection) => {
                let failure = self.goal.check(&view).err().unwrap_or(objection);
                Err(self.objection(&view, failure))
            }
        }
    }

    /// A client is patient by itself, and a person wants to know what for.
    async fn view(&mut self) -> Result<View, ClientError> {
        let admin = self.admin.clone();
        let mut taken = pin!(View::take(&admin));
        loop {
            let deadline = self.now() + SILENCE_MAX;
            match timeout(&**admin.client().clock(), deadline, taken.as_mut()).await {
                Ok(view) => return view,
                Err(TimedOut) => self.progress.wait(self.now(), "the cluster does not answer"),
            }
        }
    }

    async fn begin(&mut self, view: &View) -> Result<(), Setback> {
        self.goal.check(view).map_err(|failure| self.objection(view, failure))?;
        // Good to know, and no reason to wait.
        let others = throttle::others(&self.admin, view, self.throttle).await;
        others.iter().flatten().for_each(|line| self.progress.say(line));
        self.has_begun = true;
        Ok(())
    }

    async fn limit(&mut self, view: &View, next: &[Move]) -> Result<(), Setback> {
        let Some(rate) = self.throttle else { return Ok(()) };
        // Those that have just answered: one that has died is not waited for, and gets it when it is
        // back.
        let unrated: Vec<NodeId> =
            view.dirs.keys().copied().filter(|id| !self.rated.contains(id)).collect();
        if !unrated.is_empty() {
            let set = throttle::set_rate(&self.admin, &unrated, rate).await;
            set.map_err(|error| self.setback(&error))?;
            self.rated.extend(unrated);
        }
        let marked = throttle::mark(&self.admin, next).await;
        marked.map_err(|error| self.setback(&error))
    }

    async fn unlimit(&self, view: &View) -> Result<(), Setback> {
        if self.throttle.is_some() {
            let left = throttle::clear(&self.admin, view, self.throttle).await;
            let left = left.map_err(|error| self.setback(&error))?;
            left.iter().for_each(|line| self.progress.say(line));
        }
        Ok(())
    }

    /// An error that may pass is waited out.
    fn setback(&self, error: &ClientError) -> Setback {
        let obstacle = if error.is_retriable() { Obstacle::Error } else { Obstacle::Lasting };
        let failure = failed(&self.goal.what(), error);
        Setback { failure, obstacle, reason: error.to_string() }
    }

    /// The goal cannot be reached in the cluster as it is. With a broker that starts anew it may.
    fn objection(&self, view: &View, failure: Failure) -> Setback {
        let fenced = view.cluster.nodes.iter().filter(|node| node.is_fenced).map(|node| node.id);
        let away = fenced.chain(view.silent());
        let away: Vec<NodeId> = away.filter(|id| self.goal != Goal::Empty(*id)).collect();
        let obstacle = match self.goal {
            Goal::Empty(node) if view.node(node).is_none() => Obstacle::Lasting,
            _ if away.is_empty() => Obstacle::Objection,
            _ => Obstacle::BrokersAway,
        };
        let (what, away) = (self.goal.what(), nodes(&away));
        let reason =
            format!("cannot {what} without brokers that are not running, or silent: {away}");
        Setback { failure, obstacle, reason }
    }

    fn bear(&mut self, setback: Setback) -> Result<(), Failure> {
        let now = self.now();
        let patience = match setback.obstacle {
            Obstacle::Lasting => Duration::ZERO,
            Obstacle::Objection => OBJECTIONS_FOR,
            Obstacle::BrokersAway | Obstacle::Error => self.patience,
        };
        let since = *self.hindered_since.entry(setback.obstacle).or_insert(now);
        if now.since(since) >= patience {
            return Err(setback.failure);
        }
        if patience > OBJECTIONS_FOR {
            self.progress.wait(now, &setback.reason);
        }
        Ok(())
    }

    /// Without it the broker may be given new partitions while it is emptied; they are moved too.
    async fn keep_new_ones_away(&mut self, view: &View, node: NodeId) {
        let (cordoned, dirs) = view.cordons(node);
        if dirs > 0 && cordoned == dirs {
            self.cordon = Cordon::Settled;
            return;
        }
        // Only the broker itself can be asked what its cordon was.
        if !view.dirs.contains_key(&node) {
            self.await_cordon(node);
            return;
        }
        match self.set_cordon(node).await {
            Ok(()) => self.progress.say(&format!("broker {node} is cordoned: it gets no new partitions")),
            Err(error) if error.is_retriable() => return self.await_cordon(node),
            Err(error) => self.progress.say(&format!(
                "broker {node} cannot be cordoned, so it may get new partitions until it is stopped ({error})"
            )),
        }
        self.cordon = Cordon::Settled;
        if let Some(former) = &self.former_cordon {
            self.progress.say(&format!("its cordon was {former} before"));
        }
    }

    fn await_cordon(&mut self, node: NodeId) {
        if self.cordon == Cordon::Unset {
            self.progress.say(&format!(
                "broker {node} does not answer: it may get replicas until it is back, and is cordoned then"
            ));
        }
        self.cordon = Cordon::Awaited;
    }

    async fn set_cordon(&mut self, node: NodeId) -> Result<(), ClientError> {
        let former = membership::cordon_of(&self.admin, node).await?;
        membership::set_cordon(&self.admin, node, true).await?;
        self.former_cordon = former.filter(|it| !it.is_empty() && it != membership::ALL_DIRS);
        Ok(())
    }

    async fn submit(&mut self, moves: &[Move]) -> Result<(), Setback> {
        for some in moves.chunks(REQUEST_PARTITIONS_MAX) {
            let targets = some.iter().map(|it| (it.partition.clone(), Some(it.to.clone())));
            let results = self.admin.alter_partition_reassignments(&targets.collect(), false).await;
            let results = results.map_err(|error| self.setback(&error))?;
            let mut refusals = Vec::new();
            for (partition, result) in results {
                match result {
                    Ok(()) => {
                        let now = self.admin.client().clock().now().instant;
                        let to = some.iter().find(|it| it.partition == partition);
                        let to = to.map(|it| (partition.clone(), (it.to.clone(), now)));
                        self.sent.extend(to);
                        self.moved.insert(partition);
                    }
                    Err(refusal) if is_outdated(refusal.code) => {}
                    Err(refusal) => refusals.push((partition.to_string(), refusal)),
                }
            }
            if !refusals.is_empty() {
                let refusals = refusals.iter().map(|(name, it)| (name.clone(), it));
                let failure = refused(&self.goal.what(), refusals);
                return Err(Setback {
                    failure,
                    obstacle: Obstacle::Lasting,
                    reason: String::new(),
                });
            }
        }
        Ok(())
    }

    /// Leaders go to the replicas that are preferred, as soon as those are in sync.
    async fn elect(&self, view: &View) -> Result<(), Setback> {
        let is_due = |(_, it): &(TopicPartition, &Partition)| {
            let Some(first) = it.replicas.first() else { return false };
            let leads_elsewhere = it.leader.is_some_and(|leader| leader != *first);
            let serves = match self.goal {
                Goal::Empty(node) => it.leader == Some(node),
                Goal::Spread => true,
            };
            serves && leads_elsewhere && it.isr.contains(first)
        };
        let due: Vec<TopicPartition> =
            view.partitions().filter(is_due).map(|(name, _)| name).collect();
        for some in due.chunks(REQUEST_PARTITIONS_MAX) {
            // What is refused has changed meanwhile: the next look says how.
            let elected = self.admin.elect_preferred_leaders(some).await;
            elected.map_err(|error| self.setback(&error))?;
        }
        Ok(())
    }

    async fn report(&self, view: &View) -> Result<ExitCode, Failure> {
        let moved = self.moved.len();
        let (text, json) = match self.goal {
            Goal::Spread if moved == 0 => {
                ("the cluster is balanced\n".to_owned(), json!({ "moved": 0 }))
            }
            Goal::Spread => (
                format!("the cluster is balanced: {moved} partitions moved\n"),
                json!({ "moved": moved }),
            ),
            Goal::Empty(node) => {
                let next = self.steps_after(view, node).await;
                let mut text = format!("broker {node} holds nothing: {moved} partitions moved\n");
                for (index, step) in next.iter().enumerate() {
                    text += &format!("{} {step}\n", if index == 0 { "next:" } else { "     " });
                }
                (text, json!({ "broker": node.get(), "moved": moved, "next": next }))
            }
        };
        self.output.done(&text, &json)
    }

    /// What is left to do until the broker is gone.
    async fn steps_after(&self, view: &View, node: NodeId) -> Vec<String> {
        let mut steps = Vec::new();
        // Whoever cannot tell need not be asked: the steps that are certain help all the same.
        if let Ok(quorum) = self.admin.describe_quorum().await
            && quorum.voters.iter().any(|voter| voter.id == node)
        {
            steps.push(match membership::fixed_voters(&quorum) {
                Some(_) => {
                    "it votes on the metadata: take it out of every node's `controller.quorum.voters`"
                        .into()
                }
                None => format!("`strandline cluster controllers remove {node}`: it votes on the metadata"),
            });
        }
        let forget = format!("`strandline cluster unregister {node}`");
        if view.node(node).is_some_and(|found| !found.is_fenced) {
            let uncordon = match &self.former_cordon {
                None => format!("`strandline cluster uncordon {node}`"),
                Some(dirs) => {
                    format!("`strandline config set broker {node} cordoned.log.dirs={dirs}`")
                }
            };
            steps.push(format!("stop it, or {uncordon} to use it again"));
            steps.push(format!("{forget} when it is stopped"));
        } else {
            steps.push(forget);
        }
        steps
    }
}

/// Whether the next look will tell something else: the topic was deleted or has got other replicas, or
/// the controller has no time.
fn is_outdated(code: ErrorCode) -> bool {
    let has_changed =
        [ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ErrorCode::INVALID_REPLICATION_FACTOR];
    has_changed.contains(&code) || code.is_retriable()
}

/// What may begin to move now. What copies nothing comes last, when everything lies where it should.
fn next_moves(plan: &[Move], view: &View, parallel: usize) -> Vec<Move> {
    let mut under_way: BTreeMap<NodeId, (usize, u64)> = BTreeMap::new();
    for (partition, moves) in &view.moving {
        for id in &moves.adding {
            let entry = under_way.entry(*id).or_default();
            *entry = (entry.0 + 1, entry.1 + view.bytes_left(partition, *id));
        }
    }
    let resting = plan.iter().filter(|it| !view.moving.contains_key(&it.partition));
    let (copying, reordered): (Vec<&Move>, Vec<&Move>) = resting.partition(|it| it.copies());
    if copying.is_empty() {
        let is_over = under_way.is_empty();
        return if is_over { reordered.into_iter().cloned().collect() } else { Vec::new() };
    }
    let mut next = Vec::new();
    for step in copying {
        let has_room = |id: NodeId| {
            let (count, bytes) = under_way.get(&id).copied().unwrap_or_default();
            count < parallel && bytes < UNDER_WAY_BYTES_MAX
        };
        if step.adding().all(has_room) {
            for id in step.adding() {
                let entry = under_way.entry(id).or_default();
                *entry = (entry.0 + 1, entry.1 + step.bytes);
            }
            next.push(step.clone());
        }
    }
    next
}
