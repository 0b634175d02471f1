//! `strandline topic`: create, list, describe, alter, delete.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use strandline_client::admin::{
    ConfigChange, ConfigEntry, ConfigResource, ConfigSource, NewTopic, OffsetSpec,
};
use strandline_client::{Admin, Refusal, Topic};
use strandline_types::{ErrorCode, NodeId, Offset, TopicPartition};

mod cleaning;

use crate::connect::{ConnectArgs, failed, key_value, refused};
use crate::failure::Failure;
use crate::output::{Output, nodes, table};
use cleaning::Cleanings;

#[derive(Subcommand, Debug)]
pub(crate) enum TopicVerb {
    /// Create topics
    #[command(
        after_help = "Example:\n  strandline topic create orders --partitions 6 --config retention.ms=86400000"
    )]
    Create(CreateArgs),

    /// List topics
    #[command(after_help = "Example:\n  strandline topic list")]
    List {
        /// Show internal topics too
        #[arg(long)]
        internal: bool,
        #[command(flatten)]
        connect: ConnectArgs,
    },

    /// Show a topic's partitions, where they begin and end, and its settings
    #[command(after_help = "Example:\n  strandline topic describe orders")]
    Describe {
        #[arg(required = true, value_name = "TOPIC")]
        names: Vec<String>,
        #[command(flatten)]
        connect: ConnectArgs,
    },

    /// Add partitions, or change settings
    #[command(
        after_help = "Example:\n  strandline topic alter orders --partitions 12 --config retention.ms=3600000"
    )]
    Alter(AlterArgs),

    /// Delete topics with all their records
    #[command(after_help = "Example:\n  strandline topic delete orders")]
    Delete {
        #[arg(required = true, value_name = "TOPIC")]
        names: Vec<String>,
        /// Say nothing of topics that do not exist
        #[arg(long)]
        if_exists: bool,
        #[command(flatten)]
        connect: ConnectArgs,
    },
}

#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<String>,

    /// Partitions; the brokers' default if not given
    #[arg(long, short, value_name = "COUNT")]
    partitions: Option<i32>,

    /// Replicas of each partition; the brokers' default if not given
    #[arg(long, short, value_name = "COUNT")]
    replication_factor: Option<i16>,

    /// A setting; may be repeated
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = key_value)]
    config: Vec<(String, String)>,

    /// Leave topics alone that exist
    #[arg(long)]
    if_not_exists: bool,

    /// Only say whether it would succeed
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Args, Debug)]
pub(crate) struct AlterArgs {
    #[arg(value_name = "TOPIC")]
    name: String,

    /// Grow to so many partitions
    #[arg(long, short, value_name = "COUNT")]
    partitions: Option<i32>,

    /// A setting; may be repeated
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = key_value)]
    config: Vec<(String, String)>,

    /// Put a setting back to its default; may be repeated
    #[arg(long, value_name = "KEY")]
    delete_config: Vec<String>,

    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) fn run(verb: TopicVerb, output: &Output) -> Result<ExitCode, Failure> {
    match verb {
        TopicVerb::Create(args) => args.connect.administer(|admin| create(admin, &args, output)),
        TopicVerb::List { internal, connect } => {
            connect.administer(|admin| list(admin, internal, output))
        }
        TopicVerb::Describe { names, connect } => {
            connect.administer(|admin| describe(admin, names, output))
        }
        TopicVerb::Alter(args) => args.connect.administer(|admin| alter(admin, &args, output)),
        TopicVerb::Delete { names, if_exists, connect } => {
            connect.administer(|admin| delete(admin, names, if_exists, output))
        }
    }
}

async fn create(admin: Admin, args: &CreateArgs, output: &Output) -> Result<ExitCode, Failure> {
    let what = "create the topics";
    let topics: Vec<_> = args
        .names
        .iter()
        .map(|name| NewTopic {
            configs: args.config.iter().cloned().collect(),
            ..NewTopic::new(
                name,
                args.partitions.unwrap_or(-1),
                args.replication_factor.unwrap_or(-1),
            )
        })
        .collect();
    let results = admin.create_topics(&topics, args.dry_run).await;
    let results = results.map_err(|error| failed(what, &error))?;
    let (mut text, mut json, mut refusals) = (String::new(), Vec::new(), Vec::new());
    for (name, result) in results {
        match result {
            Ok(made) => {
                let (partitions, replicas) = (made.partitions, made.replication_factor);
                let done = if args.dry_run { "would create" } else { "created" };
                text += &format!("{done} {name}: partitions {partitions}, replicas {replicas}\n");
                json.push(json!({
                    "topic": name,
                    "id": made.id.to_string(),
                    "partitions": partitions,
                    "replicationFactor": replicas,
                }));
            }
            Err(refusal)
                if args.if_not_exists && refusal.code == ErrorCode::TOPIC_ALREADY_EXISTS =>
            {
                text += &format!("{name} exists\n");
            }
            Err(refusal) => refusals.push((name, refusal)),
        }
    }
    output.print(&text, &json!(json))?;
    all_done(what, &refusals)
}

fn all_done(what: &str, refusals: &[(String, Refusal)]) -> Result<ExitCode, Failure> {
    match refusals {
        [] => Ok(ExitCode::SUCCESS),
        _ => Err(refused(what, refusals.iter().map(|(name, refusal)| (name.clone(), refusal)))),
    }
}

async fn list(admin: Admin, internal: bool, output: &Output) -> Result<ExitCode, Failure> {
    let mut topics =
        admin.list_topics().await.map_err(|error| failed("list the topics", &error))?;
    topics.retain(|topic| internal || !topic.is_internal);
    topics.sort_by(|left, right| left.name.cmp(&right.name));
    if topics.is_empty() {
        let text = "no topics yet; `strandline topic create NAME` makes one\n";
        return output.done(text, &json!([]));
    }
    let replicas = |topic: &Topic| topic.partitions.first().map_or(0, |p| p.replicas.len());
    let rows = topics.iter().map(|topic| {
        let partitions = topic.partitions.len().to_string();
        [topic.name.clone(), partitions, replicas(topic).to_string(), topic.id.to_string()]
    });
    let text = table(["topic", "partitions", "replicas", "id"], rows);
    let json: Vec<_> = topics
        .iter()
        .map(|topic| {
            json!({
                "topic": topic.name,
                "partitions": topic.partitions.len(),
                "replicationFactor": replicas(topic),
                "id": topic.id.to_string(),
                "internal": topic.is_internal,
            })
        })
        .collect();
    output.done(&text, &json!(json))
}

/// Where partitions begin and end, as far as their leaders say.
type Ends = BTreeMap<TopicPartition, (Option<Offset>, Option<Offset>)>;

async fn ends(admin: &Admin, topics: &[(String, &Topic)]) -> Result<Ends, Failure> {
    let mut ends = Ends::new();
    let partitions: Vec<_> = topics
        .iter()
        .flat_map(|(name, topic)| {
            let partition = |index| TopicPartition { topic: name.clone(), partition: index };
            topic.partitions.iter().filter(|p| p.leader.is_some()).map(move |p| partition(p.index))
        })
        .collect();
    for spec in [OffsetSpec::Earliest, OffsetSpec::Latest] {
        let specs = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
        let listed = admin.list_offsets(&specs, false).await;
        let listed = listed.map_err(|error| failed("look up the topic's ends", &error))?;
        for (partition, result) in listed {
            let offset = result.ok().map(|listed| listed.offset);
            let entry = ends.entry(partition).or_default();
            match spec {
                OffsetSpec::Earliest => entry.0 = offset,
                _ => entry.1 = offset,
            }
        }
    }
    Ok(ends)
}

async fn describe(admin: Admin, names: Vec<String>, output: &Output) -> Result<ExitCode, Failure> {
    let what = "describe the topics";
    let results = admin.describe_topics(&names).await.map_err(|error| failed(what, &error))?;
    let found: Vec<_> = results
        .iter()
        .filter_map(|(name, result)| Some((name.clone(), &**result.as_ref().ok()?)))
        .collect();
    let ends = ends(&admin, &found).await?;
    let resources: Vec<_> = found.iter().map(|(name, _)| ConfigResource::topic(name)).collect();
    let configs = admin.describe_configs(&resources, false).await;
    let configs: BTreeMap<_, _> = configs
        .map_err(|error| failed("describe the topics' settings", &error))?
        .into_iter()
        .filter_map(|(resource, entries)| Some((resource.name, entries.ok()?)))
        .collect();
    let all_of = |name: &String| configs.get(name).map_or(&[][..], Vec::as_slice);
    let cleanings = Cleanings::of(&admin, &found, all_of).await?;
    let (mut text, mut json) = (String::new(), Vec::new());
    for (name, topic) in &found {
        let own = all_of(name);
        let own: Vec<_> = own.iter().filter(|entry| entry.source == ConfigSource::Topic).collect();
        if !text.is_empty() {
            text.push('\n');
        }
        text += &describe_text(name, topic, &ends, &own);
        text += &cleanings.text(name);
        json.push(describe_json(name, topic, (&ends, &cleanings), &own));
    }
    output.print(&text, &json!(json))?;
    let refusals: Vec<_> =
        results.into_iter().filter_map(|(name, result)| Some((name, result.err()?))).collect();
    all_done(what, &refusals)
}

fn describe_text(name: &str, topic: &Topic, ends: &Ends, own: &[&ConfigEntry]) -> String {
    let shown = |offset: Option<Offset>| offset.map_or("?".to_owned(), |it| it.to_string());
    let rows = topic.partitions.iter().map(|partition| {
        let key = TopicPartition { topic: name.to_owned(), partition: partition.index };
        let (first, end) = ends.get(&key).copied().unwrap_or_default();
        let count = first.zip(end).map(|(first, end)| end.since(first).to_string());
        [
            partition.index.to_string(),
            partition.leader.map_or("none".to_owned(), |leader| leader.to_string()),
            nodes(&partition.replicas),
            nodes(&partition.isr),
            shown(first),
            shown(end),
            count.unwrap_or_else(|| "?".to_owned()),
        ]
    });
    let names = ["partition", "leader", "replicas", "in sync", "first", "end", "offsets"];
    let mut text = format!("{name}  id {}\n{}", topic.id, table(names, rows));
    for entry in own {
        text += &format!("{}={}\n", entry.name, entry.value.as_deref().unwrap_or(""));
    }
    text
}

fn describe_json(
    name: &str,
    topic: &Topic,
    (ends, cleanings): (&Ends, &Cleanings),
    own: &[&ConfigEntry],
) -> Value {
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.get()).collect::<Vec<_>>();
    let partitions: Vec<_> = topic
        .partitions
        .iter()
        .map(|partition| {
            let key = TopicPartition { topic: name.to_owned(), partition: partition.index };
            let (first, end) = ends.get(&key).copied().unwrap_or_default();
            json!({
                "partition": partition.index.get(),
                "leader": partition.leader.map(NodeId::get),
                "leaderEpoch": partition.leader_epoch.get(),
                "replicas": ids(&partition.replicas),
                "inSync": ids(&partition.isr),
                "offline": ids(&partition.offline_replicas),
                "firstOffset": first.map(Offset::get),
                "endOffset": end.map(Offset::get),
                "cleaning": cleanings.json(&key),
            })
        })
        .collect();
    let own: BTreeMap<_, _> = own.iter().map(|entry| (&entry.name, &entry.value)).collect();
    json!({
        "topic": name,
        "id": topic.id.to_string(),
        "internal": topic.is_internal,
        "partitions": partitions,
        "configs": own,
    })
}

async fn alter(admin: Admin, args: &AlterArgs, output: &Output) -> Result<ExitCode, Failure> {
    let what = "alter the topic";
    let set = args.config.iter().map(|(key, value)| ConfigChange::set(key, value));
    let unset = args.delete_config.iter().map(|key| ConfigChange::Delete { name: key.clone() });
    let changes: Vec<_> = set.chain(unset).collect();
    if changes.is_empty() && args.partitions.is_none() {
        return Err(Failure::misuse("nothing to alter")
            .next("say --partitions, --config KEY=VALUE or --delete-config KEY"));
    }
    let mut refusals = Vec::new();
    if let Some(count) = args.partitions {
        let results = admin.create_partitions(&[(args.name.clone(), count)], false).await;
        let results = results.map_err(|error| failed(what, &error))?;
        refusals.extend(results.into_iter().filter_map(|(name, r)| Some((name, r.err()?))));
    }
    if !changes.is_empty() && refusals.is_empty() {
        let resource = ConfigResource::topic(&args.name);
        let results = admin.alter_configs(&[(resource, changes)], false).await;
        let results = results.map_err(|error| failed(what, &error))?;
        refusals.extend(results.into_iter().filter_map(|(it, r)| Some((it.name, r.err()?))));
    }
    all_done(what, &refusals)?;
    output.done(&format!("altered {}\n", args.name), &json!({ "topic": args.name }))
}

async fn delete(
    admin: Admin,
    names: Vec<String>,
    if_exists: bool,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let what = "delete the topics";
    let results = admin.delete_topics(&names).await.map_err(|error| failed(what, &error))?;
    let (mut deleted, mut refusals) = (Vec::new(), Vec::new());
    for (name, result) in results {
        match result {
            Ok(()) => deleted.push(name),
            Err(refusal) if if_exists && refusal.code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {}
            Err(refusal) => refusals.push((name, refusal)),
        }
    }
    let text: String = deleted.iter().map(|name| format!("deleted {name}\n")).collect();
    output.print(&text, &json!(deleted))?;
    all_done(what, &refusals)
}
