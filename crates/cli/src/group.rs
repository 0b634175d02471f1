//! `strandline group`: list, describe with lag, reset, delete.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use strandline_client::admin::{CommittedOffset, GroupDescription, OffsetSpec};
use strandline_client::{Admin, Refusal};
use strandline_types::{ErrorCode, Offset, PartitionId, Timestamp, TopicPartition};

use crate::connect::{ConnectArgs, failed, refused};
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::when;

#[derive(Subcommand, Debug)]
pub(crate) enum GroupVerb {
    /// List groups
    #[command(after_help = "Example:\n  strandline group list")]
    List {
        #[command(flatten)]
        connect: ConnectArgs,
    },

    /// Show a group's state, who reads what, and how far behind
    #[command(after_help = "Example:\n  strandline group describe billing")]
    Describe {
        #[arg(required = true, value_name = "GROUP")]
        names: Vec<String>,
        #[command(flatten)]
        connect: ConnectArgs,
    },

    /// Move a group that has no members; shows what would change unless told to --execute
    #[command(
        after_help = "Examples:\n  strandline group reset billing --to beginning\n  strandline group reset billing --topic orders --to 2026-01-31T12:30 --execute"
    )]
    Reset(ResetArgs),

    /// Delete groups that have no members, with what they committed
    #[command(after_help = "Example:\n  strandline group delete billing")]
    Delete {
        #[arg(required = true, value_name = "GROUP")]
        names: Vec<String>,
        #[command(flatten)]
        connect: ConnectArgs,
    },
}

#[derive(Args, Debug)]
pub(crate) struct ResetArgs {
    #[arg(value_name = "GROUP")]
    name: String,

    /// Where to: beginning, end, an offset, +N or -N from where the group is, a time
    /// (2026-01-31T12:30, UTC) or how long ago (15m, 2h, 7d)
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true)]
    to: String,

    /// Only this topic, or TOPIC:PARTITION; may be repeated. Else all that the group has committed
    #[arg(long, short, value_name = "TOPIC")]
    topic: Vec<String>,

    /// Do it
    #[arg(long)]
    execute: bool,

    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) fn run(verb: GroupVerb, output: &Output) -> Result<ExitCode, Failure> {
    match verb {
        GroupVerb::List { connect } => connect.administer(|admin| list(admin, output)),
        GroupVerb::Describe { names, connect } => {
            connect.administer(|admin| describe(admin, names, output))
        }
        GroupVerb::Reset(args) => args.connect.administer(|admin| reset(admin, &args, output)),
        GroupVerb::Delete { names, connect } => {
            connect.administer(|admin| delete(admin, names, output))
        }
    }
}

async fn list(admin: Admin, output: &Output) -> Result<ExitCode, Failure> {
    let groups = admin.list_groups().await.map_err(|error| failed("list the groups", &error))?;
    if groups.is_empty() {
        let text = "no groups yet; `strandline consume TOPIC --group NAME` makes one\n";
        return output.done(text, &json!([]));
    }
    let rows = groups.iter().map(|group| {
        let coordinator = group.coordinator.to_string();
        [group.id.clone(), group.state.clone(), group.kind.clone(), coordinator]
    });
    let text = table(["group", "state", "type", "coordinator"], rows);
    let json = groups.iter().map(|group| {
        json!({
            "group": group.id,
            "state": group.state,
            "type": group.kind,
            "protocolType": group.protocol_type,
            "coordinator": group.coordinator.get(),
        })
    });
    output.done(&text, &json!(json.collect::<Vec<_>>()))
}

/// How far a group has come in a partition.
struct Progress {
    partition: TopicPartition,
    committed: Option<Offset>,
    end: Option<Offset>,
    /// Index into the group's members.
    member: Option<usize>,
}

impl Progress {
    fn lag(&self) -> Option<i64> {
        Some(self.end?.since(self.committed?).max(0))
    }
}

async fn committed(
    admin: &Admin,
    group: &str,
) -> Result<BTreeMap<TopicPartition, CommittedOffset>, Failure> {
    let offsets = admin.group_offsets(group, None).await;
    let offsets = offsets.map_err(|error| failed("read the group's offsets", &error))?;
    let (mut committed, mut refusals) = (BTreeMap::new(), Vec::new());
    for (partition, result) in offsets {
        match result {
            Ok(offset) => drop(committed.insert(partition, offset)),
            Err(refusal) => refusals.push((partition.to_string(), refusal)),
        }
    }
    match refusals.is_empty() {
        true => Ok(committed),
        false => Err(refused("read the group's offsets", refusals.iter().map(told))),
    }
}

fn told((item, refusal): &(String, Refusal)) -> (String, &Refusal) {
    (item.clone(), refusal)
}

async fn offsets(
    admin: &Admin,
    partitions: &BTreeSet<TopicPartition>,
    spec: OffsetSpec,
) -> Result<BTreeMap<TopicPartition, Offset>, Failure> {
    let specs = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
    let listed = admin.list_offsets(&specs, false).await;
    let listed = listed.map_err(|error| failed("look offsets up", &error))?;
    let found = listed.into_iter().filter_map(|(it, listed)| Some((it, listed.ok()?.offset)));
    Ok(found.collect())
}

async fn progress(admin: &Admin, group: &GroupDescription) -> Result<Vec<Progress>, Failure> {
    let committed = committed(admin, &group.id).await?;
    let mut owners = BTreeMap::new();
    for (index, member) in group.members.iter().enumerate() {
        owners.extend(member.assignment.iter().map(|partition| (partition.clone(), index)));
    }
    let partitions: BTreeSet<_> = committed.keys().chain(owners.keys()).cloned().collect();
    let ends = offsets(admin, &partitions, OffsetSpec::Latest).await?;
    let progress = partitions.into_iter().map(|partition| Progress {
        committed: committed.get(&partition).map(|committed| committed.offset),
        end: ends.get(&partition).copied(),
        member: owners.get(&partition).copied(),
        partition,
    });
    Ok(progress.collect())
}

async fn describe(admin: Admin, names: Vec<String>, output: &Output) -> Result<ExitCode, Failure> {
    let what = "describe the groups";
    let results = admin.describe_groups(&names).await.map_err(|error| failed(what, &error))?;
    let (mut text, mut json, mut refusals) = (String::new(), Vec::new(), Vec::new());
    for (name, result) in results {
        match result {
            Ok(group) => {
                let progress = progress(&admin, &group).await?;
                if !text.is_empty() {
                    text.push('\n');
                }
                text += &describe_text(&group, &progress);
                json.push(describe_json(&group, &progress));
            }
            Err(refusal) => refusals.push((name, refusal)),
        }
    }
    output.print(&text, &json!(json))?;
    match refusals.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Err(refused(what, refusals.iter().map(told))),
    }
}

fn describe_text(group: &GroupDescription, progress: &[Progress]) -> String {
    let lag: i64 = progress.iter().filter_map(Progress::lag).sum();
    let members = group.members.len();
    let mut text = format!("{}  {}  members {members}  lag {lag}\n", group.id, group.state);
    if progress.is_empty() {
        return text;
    }
    let shown = |offset: Option<i64>| offset.map_or("-".to_owned(), |it| it.to_string());
    let rows = progress.iter().map(|row| {
        let member = row.member.map(|index| &group.members[index]);
        [
            row.partition.topic.clone(),
            row.partition.partition.to_string(),
            shown(row.committed.map(Offset::get)),
            shown(row.end.map(Offset::get)),
            shown(row.lag()),
            member.map_or("-".to_owned(), |member| member.id.clone()),
            member.map_or("-".to_owned(), |member| member.host.clone()),
        ]
    });
    text += &table(["topic", "partition", "committed", "end", "lag", "member", "host"], rows);
    text
}

fn describe_json(group: &GroupDescription, progress: &[Progress]) -> Value {
    let members: Vec<_> = group
        .members
        .iter()
        .map(|member| {
            json!({
                "member": member.id,
                "instance": member.instance_id,
                "clientId": member.client_id,
                "host": member.host,
            })
        })
        .collect();
    let partitions: Vec<_> = progress
        .iter()
        .map(|row| {
            json!({
                "topic": row.partition.topic,
                "partition": row.partition.partition.get(),
                "committed": row.committed.map(Offset::get),
                "end": row.end.map(Offset::get),
                "lag": row.lag(),
                "member": row.member.map(|index| &group.members[index].id),
            })
        })
        .collect();
    json!({
        "group": group.id,
        "state": group.state,
        "protocol": group.protocol,
        "coordinator": group.coordinator.get(),
        "members": members,
        "partitions": partitions,
    })
}

#[derive(Clone, Copy)]
enum Target {
    Spec(OffsetSpec),
    Offset(i64),
    Shift(i64),
}

fn target(text: &str, now: Timestamp) -> Result<Target, Failure> {
    let shift = text.strip_prefix('+').map_or_else(
        || text.starts_with('-').then(|| text.parse().ok()).flatten(),
        |more| more.parse().ok(),
    );
    Ok(match (text, shift, text.parse::<i64>()) {
        ("beginning" | "earliest" | "start", ..) => Target::Spec(OffsetSpec::Earliest),
        ("end" | "latest", ..) => Target::Spec(OffsetSpec::Latest),
        (_, Some(shift), _) => Target::Shift(shift),
        (_, None, Ok(offset)) => Target::Offset(offset),
        _ => match when::parse(text, now) {
            Some(at) => Target::Spec(OffsetSpec::At(at)),
            None => {
                return Err(Failure::misuse(format!("--to {text} is nowhere")).next(
                    "say beginning, end, an offset, +N, -N, a time such as 2026-01-31T12:30, or 2h",
                ));
            }
        },
    })
}

async fn chosen(
    admin: &Admin,
    args: &ResetArgs,
    committed: &BTreeMap<TopicPartition, CommittedOffset>,
) -> Result<BTreeSet<TopicPartition>, Failure> {
    if args.topic.is_empty() {
        return Ok(committed.keys().cloned().collect());
    }
    let mut chosen = BTreeSet::new();
    for text in &args.topic {
        let one = text.rsplit_once(':').and_then(|(topic, index)| {
            let partition = PartitionId(index.parse().ok()?);
            Some(TopicPartition { topic: topic.to_owned(), partition })
        });
        if let Some(one) = one {
            chosen.insert(one);
            continue;
        }
        let topic = admin.client().existing_topic(text, false).await;
        let topic = topic.map_err(|error| failed("reset the group", &error))?;
        chosen.extend(
            topic.partitions.iter().map(|partition| TopicPartition {
                topic: text.clone(),
                partition: partition.index,
            }),
        );
    }
    Ok(chosen)
}

async fn reset(admin: Admin, args: &ResetArgs, output: &Output) -> Result<ExitCode, Failure> {
    let what = "reset the group";
    let target = target(&args.to, admin.client().clock().now().timestamp)?;
    let committed = committed(&admin, &args.name).await?;
    let partitions = chosen(&admin, args, &committed).await?;
    if partitions.is_empty() {
        return Err(Failure::new(format!("group {} has committed nothing", args.name))
            .next("name the topics to commit for with --topic"));
    }
    let first = offsets(&admin, &partitions, OffsetSpec::Earliest).await?;
    let end = offsets(&admin, &partitions, OffsetSpec::Latest).await?;
    let found = match target {
        Target::Spec(spec) => offsets(&admin, &partitions, spec).await?,
        Target::Offset(_) | Target::Shift(_) => BTreeMap::new(),
    };
    let mut moves = BTreeMap::new();
    for partition in &partitions {
        let (Some(first), Some(end)) = (first.get(partition), end.get(partition)) else {
            return Err(Failure::new(format!("cannot {what}"))
                .because(&Refusal::from(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))
                .next(format!("{partition} does not exist; choose topics with --topic")));
        };
        let wanted = match target {
            // No record is that young: the end.
            Target::Spec(_) => found.get(partition).filter(|at| at.get() >= 0).unwrap_or(end).get(),
            Target::Offset(offset) => offset,
            Target::Shift(by) => {
                let from = committed.get(partition).map_or(*first, |committed| committed.offset);
                from.get().saturating_add(by)
            }
        };
        moves.insert(partition.clone(), Offset(wanted.clamp(first.get(), end.get())));
    }
    if args.execute {
        let offsets =
            moves.iter().map(|(it, offset)| (it.clone(), CommittedOffset::new(*offset))).collect();
        let results = admin.alter_group_offsets(&args.name, &offsets).await;
        let results = results.map_err(|error| failed(what, &error))?;
        let refusals: Vec<_> = results
            .into_iter()
            .filter_map(|(partition, result)| Some((partition.to_string(), result.err()?)))
            .collect();
        if !refusals.is_empty() {
            return Err(refused(what, refusals.iter().map(told)));
        }
    }
    report_moves(args, &committed, &moves, output)
}

fn report_moves(
    args: &ResetArgs,
    committed: &BTreeMap<TopicPartition, CommittedOffset>,
    moves: &BTreeMap<TopicPartition, Offset>,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let from = |partition: &TopicPartition| committed.get(partition).map(|it| it.offset.get());
    let rows = moves.iter().map(|(partition, to)| {
        let before = from(partition).map_or("-".to_owned(), |offset| offset.to_string());
        [partition.topic.clone(), partition.partition.to_string(), before, to.to_string()]
    });
    let mut text = table(["topic", "partition", "from", "to"], rows);
    if !args.execute {
        text += "nothing is changed yet; add --execute to do it\n";
    }
    let json: Vec<_> = moves
        .iter()
        .map(|(partition, to)| {
            json!({
                "topic": partition.topic,
                "partition": partition.partition.get(),
                "from": from(partition),
                "to": to.get(),
            })
        })
        .collect();
    output.done(&text, &json!({ "group": args.name, "executed": args.execute, "moves": json }))
}

async fn delete(admin: Admin, names: Vec<String>, output: &Output) -> Result<ExitCode, Failure> {
    let what = "delete the groups";
    let results = admin.delete_groups(&names).await.map_err(|error| failed(what, &error))?;
    let (mut deleted, mut refusals) = (Vec::new(), Vec::new());
    for (name, result) in results {
        match result {
            Ok(()) => deleted.push(name),
            Err(refusal) => refusals.push((name, refusal)),
        }
    }
    let text: String = deleted.iter().map(|name| format!("deleted {name}\n")).collect();
    output.print(&text, &json!(deleted))?;
    match refusals.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Err(refused(what, refusals.iter().map(told))),
    }
}
