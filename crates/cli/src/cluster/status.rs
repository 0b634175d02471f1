//! How the cluster is: who is there, what is in trouble, what moves, and what to do about it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use strandline_client::admin::{ClusterNode, ConfigResource, Quorum, QuorumReplica, Reassignment};
use strandline_client::{Admin, Client, ClientError, Partition};
use strandline_ports::{TimedOut, timeout};
use strandline_types::{NodeId, TopicPartition};

use super::progress::duration;
use super::view::View;
use crate::connect::failed;
use crate::failure::Failure;
use crate::output::{Output, bytes, nodes, table};

/// A person reads so many of many rows; machines get all.
const ROWS_MAX: usize = 20;
/// A controller that there is answers this soon.
const CONTROLLER_PATIENCE: Duration = Duration::from_secs(5);
/// How fast things move shows between two looks.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// What is wrong with a partition, the worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Trouble {
    Offline,
    UnderMinIsr,
    AtMinIsr,
    UnderReplicated,
}

impl Trouble {
    const ALL: [Self; 4] =
        [Self::Offline, Self::UnderMinIsr, Self::AtMinIsr, Self::UnderReplicated];

    const fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::UnderMinIsr => "under min ISR",
            Self::AtMinIsr => "at min ISR",
            Self::UnderReplicated => "under-replicated",
        }
    }

    const fn json_name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::UnderMinIsr => "underMinIsr",
            Self::AtMinIsr => "atMinIsr",
            Self::UnderReplicated => "underReplicated",
        }
    }

    /// Replicas that are only on their way are not missed; a broker that is behind the controller may
    /// not tell of them yet. Kafka's tools call a partition "at min
    /// ISR" also when nothing is wrong with it and it has no more replicas than that.
    fn of(partition: &Partition, adding: usize, min_in_sync: usize) -> Option<Self> {
        let (in_sync, replicas) =
            (partition.isr.len(), partition.replicas.len().saturating_sub(adding));
        let least = min_in_sync.min(partition.replicas.len());
        if partition.leader.is_none() {
            Some(Self::Offline)
        } else if in_sync < least {
            Some(Self::UnderMinIsr)
        } else if in_sync < replicas {
            Some(if in_sync == least { Self::AtMinIsr } else { Self::UnderReplicated })
        } else {
            None
        }
    }
}

struct Status {
    view: View,
    controller: Controller,
    troubles: Vec<(Trouble, TopicPartition, Partition)>,
    /// Of what is on its way; none when nothing arrived between the two looks, or the controller was
    /// lost.
    bytes_per_second: Option<u64>,
}

pub(super) async fn run(admin: Admin, output: &Output) -> Result<ExitCode, Failure> {
    let status = look(&admin).await.map_err(|error| failed("look at the cluster", &error))?;
    output.done(&status.text(), &status.json())
}

type Moving = BTreeMap<TopicPartition, Reassignment>;

/// What only the controller knows, or why it is not known.
struct Controller {
    quorum: Result<Quorum, String>,
    moving: Result<Moving, String>,
}

impl Controller {
    /// Brokers hold such questions until there is a controller, so they have a connection of their
    /// own, and an end: what the brokers know themselves is told all the same.
    async fn ask(aside: &Admin) -> Self {
        let clock = aside.client().clock();
        let deadline = clock.now().instant + CONTROLLER_PATIENCE;
        let (quorum, moving) = tokio::join!(
            timeout(&**clock, deadline, aside.describe_quorum()),
            timeout(&**clock, deadline, aside.list_partition_reassignments()),
        );
        Self { quorum: known(quorum), moving: known(moving) }
    }

    /// What moves, or did when the controller was last heard: what was on its way then is not missed
    /// now, and has not arrived because nobody tells of it.
    fn moving_since(&self, before: Moving) -> Moving {
        self.moving.clone().unwrap_or(before)
    }
}

fn known<T>(answer: Result<Result<T, ClientError>, TimedOut>) -> Result<T, String> {
    match answer {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(TimedOut) => Err(format!("no answer within {} s", CONTROLLER_PATIENCE.as_secs())),
    }
}

async fn look(admin: &Admin) -> Result<Status, ClientError> {
    let client = admin.client();
    let aside = Admin::new(Client::new(client.world().clone(), client.config().clone()));
    let mut controller = Controller::ask(&aside).await;
    let mut view = View::around(admin, controller.moving_since(BTreeMap::new())).await?;
    let mut bytes_per_second = None;
    if !view.moving.is_empty() {
        let (clock, before) = (client.clock(), view.bytes_under_way());
        let began = clock.now().instant;
        clock.sleep(SECOND_LOOK).await;
        controller = Controller::ask(&aside).await;
        view = View::around(admin, controller.moving_since(view.moving)).await?;
        let arrived = before.saturating_sub(view.bytes_under_way());
        let seconds = clock.now().instant.since(began).as_secs_f64();
        let rate = Some((arrived as f64 / seconds) as u64).filter(|rate| *rate > 0);
        bytes_per_second = rate.filter(|_| controller.moving.is_ok());
    }
    let minimums = min_in_sync(admin, &view).await?;
    let mut troubles: Vec<_> = view
        .partitions()
        .filter_map(|(name, partition)| {
            let adding = view.moving.get(&name).map_or(0, |moves| moves.adding.len());
            let least = minimums.get(&name.topic).copied().unwrap_or(1);
            Some((Trouble::of(partition, adding, least)?, name, partition.clone()))
        })
        .collect();
    troubles.sort_by(|left, right| (left.0, &left.1).cmp(&(right.0, &right.1)));
    Ok(Status { view, controller, troubles, bytes_per_second })
}

/// `min.insync.replicas` of each topic.
async fn min_in_sync(admin: &Admin, view: &View) -> Result<BTreeMap<String, usize>, ClientError> {
    let resources: Vec<_> =
        view.topics.iter().map(|topic| ConfigResource::topic(&topic.name)).collect();
    if resources.is_empty() {
        return Ok(BTreeMap::new());
    }
    let described = admin.describe_config(&resources, "min.insync.replicas").await?;
    let read = described.into_iter().filter_map(|(resource, entry)| {
        let value = entry.ok()??.value?;
        Some((resource.name, value.parse().ok()?))
    });
    Ok(read.collect())
}

/// What one broker holds.
#[derive(Default)]
struct Held {
    leaders: usize,
    replicas: usize,
    bytes: u64,
}

impl Status {
    fn held(&self) -> BTreeMap<NodeId, Held> {
        let mut held: BTreeMap<NodeId, Held> = BTreeMap::new();
        for (_, partition) in self.view.partitions() {
            for id in &partition.replicas {
                held.entry(*id).or_default().replicas += 1;
            }
            if let Some(leader) = partition.leader {
                held.entry(leader).or_default().leaders += 1;
            }
        }
        for (id, dirs) in &self.view.dirs {
            let sizes = dirs.iter().flat_map(|dir| &dir.replicas).map(|it| it.size_bytes);
            held.entry(*id).or_default().bytes = sizes.sum::<i64>().try_into().unwrap_or(0);
        }
        held
    }

    fn state(&self, id: NodeId) -> &'static str {
        let (cordoned, dirs) = self.view.cordons(id);
        match self.view.node(id) {
            Some(node) if node.is_fenced => "fenced",
            Some(_) if cordoned == 0 => "alive",
            Some(_) if cordoned < dirs => "partly cordoned",
            Some(_) => "cordoned",
            None => "not registered",
        }
    }

    fn count(&self, trouble: Trouble) -> usize {
        self.troubles.iter().filter(|(it, _, _)| *it == trouble).count()
    }

    fn text(&self) -> String {
        let mut text = format!("cluster {}\n\n{}\n", self.view.cluster.id, self.brokers());
        text += &self.quorum_text();
        text += &self.partitions_text();
        text += &self.moves_text();
        for (index, step) in self.steps().iter().enumerate() {
            text += &format!("{}{step}\n", if index == 0 { "\nnext: " } else { "      " });
        }
        text
    }

    fn brokers(&self) -> String {
        let held = self.held();
        let rows = self.view.cluster.nodes.iter().map(|node| {
            let none = Held::default();
            let has = held.get(&node.id).unwrap_or(&none);
            let size = match self.view.dirs.contains_key(&node.id) {
                true => bytes(has.bytes),
                false => "?".to_owned(),
            };
            [
                node.id.to_string(),
                format!("{}:{}", node.host, node.port),
                node.rack.clone().unwrap_or_default(),
                self.state(node.id).to_owned(),
                has.leaders.to_string(),
                has.replicas.to_string(),
                size,
            ]
        });
        table(["broker", "address", "rack", "state", "leads", "replicas", "size"], rows)
    }

    fn quorum_text(&self) -> String {
        let quorum = match &self.controller.quorum {
            Ok(quorum) => quorum,
            Err(reason) => return format!("quorum: nobody leads that can be reached ({reason})\n"),
        };
        let with_lag = |it: &QuorumReplica| match quorum.lag(it) {
            0 => it.id.to_string(),
            lag => format!("{} ({lag} behind)", it.id),
        };
        let list = |replicas: &[QuorumReplica]| {
            replicas.iter().map(with_lag).collect::<Vec<_>>().join(", ")
        };
        let (leader, epoch) = (quorum.leader, quorum.leader_epoch);
        let mut text = format!("quorum: {leader} leads in epoch {epoch}; voters ");
        text += &list(&quorum.voters);
        if !quorum.observers.is_empty() {
            text += &format!("; observers {}", list(&quorum.observers));
        }
        text + "\n"
    }

    fn partitions_text(&self) -> String {
        let total = self.view.partitions().count();
        if self.troubles.is_empty() {
            return format!("partitions: {total}, all replicas in sync\n");
        }
        let counts = Trouble::ALL.iter().filter(|it| self.count(**it) > 0);
        let counts: Vec<_> =
            counts.map(|it| format!("{} {}", self.count(*it), it.name())).collect();
        let rows = self.troubles.iter().take(ROWS_MAX).map(|(trouble, name, partition)| {
            [
                name.to_string(),
                trouble.name().to_owned(),
                partition.leader.map_or("none".to_owned(), |leader| leader.to_string()),
                nodes(&partition.replicas),
                nodes(&partition.isr),
            ]
        });
        let names = ["partition", "trouble", "leader", "replicas", "in sync"];
        let more = more_than(self.troubles.len());
        format!("partitions: {total}, {}\n\n{}{more}", counts.join(", "), table(names, rows))
    }

    fn moves_text(&self) -> String {
        let moving = &self.view.moving;
        if let Err(reason) = &self.controller.moving {
            return format!("moving: unknown ({reason})\n");
        }
        if moving.is_empty() {
            return String::new();
        }
        let left = self.view.bytes_under_way();
        let time = self.bytes_per_second.map_or(String::new(), |rate| {
            format!(", about {}", duration(Duration::from_secs(left / rate)))
        });
        let rows = moving.iter().take(ROWS_MAX).map(|(name, moves)| {
            let joining = moves.adding.iter().map(|id| self.view.bytes_left(name, *id));
            [name.to_string(), nodes(&moves.adding), nodes(&moves.removing), bytes(joining.sum())]
        });
        let (count, more) = (moving.len(), more_than(moving.len()));
        format!(
            "moving: {count} partitions, {} left{time}\n\n{}{more}",
            bytes(left),
            table(["partition", "joins", "leaves", "left"], rows)
        )
    }

    /// What a person can do, the most urgent first.
    fn steps(&self) -> Vec<String> {
        let mut steps = Vec::new();
        if let Err(reason) = &self.controller.quorum {
            steps.push(format!("see whether a majority of the controllers is up, since nothing can change without one, and what is told here may be old: {reason}"));
        }
        let offline = self.troubles.iter().filter(|(it, _, _)| *it == Trouble::Offline);
        let missed: BTreeSet<NodeId> = offline.flat_map(|(_, _, it)| it.replicas.clone()).collect();
        if !missed.is_empty() {
            let missed = nodes(&missed.into_iter().collect::<Vec<_>>());
            steps.push(format!("start the brokers that have the offline partitions ({missed}): nobody can read or write these"));
        }
        let (brokers, held) = (&self.view.cluster.nodes, self.held());
        steps.extend(brokers.iter().filter_map(|node| self.step_of(node, &held)));
        let is_explained = brokers.iter().any(|node| node.is_fenced)
            || !self.view.moving.is_empty()
            || self.controller.quorum.is_err();
        if !self.troubles.is_empty() && !is_explained {
            steps.push("look at the logs of the brokers whose replicas are not in sync; they catch up by themselves when nothing keeps them".into());
        }
        if steps.is_empty() && self.view.moving.is_empty() && self.is_lopsided(&held) {
            steps.push("some brokers hold much more than others: `strandline cluster rebalance --dry-run` shows what would even it out".into());
        }
        steps
    }

    fn step_of(&self, node: &ClusterNode, held: &BTreeMap<NodeId, Held>) -> Option<String> {
        let (id, (cordoned, dirs)) = (node.id, self.view.cordons(node.id));
        let is_empty = held.get(&id).is_none_or(|it| it.replicas == 0);
        match (node.is_fenced, is_empty) {
            (true, true) => Some(format!(
                "broker {id} is fenced and holds nothing: start it, or `strandline cluster unregister {id}`"
            )),
            (true, false) => Some(format!(
                "broker {id} is fenced: start it, look at its log, or `strandline cluster drain {id}`"
            )),
            (false, true) if dirs > 0 && cordoned == dirs => Some(format!(
                "broker {id} is cordoned and holds nothing: stop it for good, or `strandline cluster uncordon {id}`"
            )),
            (false, _) => None,
        }
    }

    /// Whether some broker that takes partitions has less than half of what another has.
    fn is_lopsided(&self, held: &BTreeMap<NodeId, Held>) -> bool {
        let open = self.view.places().into_iter().filter(|place| place.is_open);
        let counts: Vec<usize> =
            open.map(|place| held.get(&place.id).map_or(0, |it| it.replicas)).collect();
        let (least, most) = (counts.iter().min(), counts.iter().max());
        least.zip(most).is_some_and(|(least, most)| most - least > 1 && least * 2 < *most)
    }

    fn json(&self) -> Value {
        let held = self.held();
        let brokers = self.view.cluster.nodes.iter().map(|node| {
            let has = held.get(&node.id);
            json!({
                "id": node.id.get(),
                "host": node.host,
                "port": node.port,
                "rack": node.rack,
                "state": self.state(node.id),
                "leaders": has.map_or(0, |it| it.leaders),
                "replicas": has.map_or(0, |it| it.replicas),
                "bytes": has.filter(|_| self.view.dirs.contains_key(&node.id)).map(|it| it.bytes),
            })
        });
        let ids = |nodes: &[NodeId]| nodes.iter().map(|id| id.get()).collect::<Vec<_>>();
        let troubles = self.troubles.iter().map(|(trouble, name, partition)| {
            json!({
                "topic": name.topic,
                "partition": name.partition.get(),
                "trouble": trouble.json_name(),
                "leader": partition.leader.map(NodeId::get),
                "replicas": ids(&partition.replicas),
                "inSync": ids(&partition.isr),
            })
        });
        let moving = self.view.moving.iter().map(|(name, moves)| {
            let joining = moves.adding.iter().map(|id| self.view.bytes_left(name, *id));
            json!({
                "topic": name.topic,
                "partition": name.partition.get(),
                "replicas": ids(&moves.replicas),
                "adding": ids(&moves.adding),
                "removing": ids(&moves.removing),
                "bytesLeft": joining.sum::<u64>(),
            })
        });
        json!({
            "clusterId": self.view.cluster.id,
            "brokers": brokers.collect::<Vec<_>>(),
            "quorum": self.controller.quorum.as_ref().ok().map(super::show::quorum_json),
            "partitions": self.view.partitions().count(),
            "troubles": troubles.collect::<Vec<_>>(),
            "moving": self.controller.moving.as_ref().ok().map(|_| moving.collect::<Vec<_>>()),
            "bytesPerSecond": self.bytes_per_second,
            "next": self.steps(),
        })
    }
}

fn more_than(count: usize) -> String {
    match count.checked_sub(ROWS_MAX) {
        Some(more @ 1..) => format!("and {more} more; --json tells all\n"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use strandline_types::PartitionId;

    use super::*;

    #[test]
    fn what_moved_when_the_controller_was_last_heard_moves_on() {
        let moving = |topic: &str| {
            let (replicas, adding) = ([1, 2].map(NodeId).to_vec(), vec![NodeId(2)]);
            let name = TopicPartition { topic: topic.into(), partition: PartitionId(0) };
            Moving::from([(name, Reassignment { replicas, adding, removing: vec![NodeId(1)] })])
        };
        let since = |heard: Result<Moving, &str>| {
            let (quorum, moving_now) = (Err(String::new()), heard.map_err(str::to_owned));
            Controller { quorum, moving: moving_now }.moving_since(moving("before"))
        };
        assert_eq!(since(Err("no answer within 5 s")), moving("before"));
        assert_eq!(since(Ok(moving("now"))), moving("now"));
        assert_eq!(since(Ok(Moving::new())), Moving::new());
    }
}
