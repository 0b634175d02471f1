//! The tree of verbs, with a help text and an example each.

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand};

use crate::bench::BenchArgs;
use crate::cluster::ClusterArgs;
use crate::config::ConfigVerb;
use crate::consume::ConsumeArgs;
use crate::demo::DemoArgs;
use crate::group::GroupVerb;
use crate::log_dump::LogVerb;
use crate::produce::ProduceArgs;
use crate::start::StartArgs;
use crate::storage::StorageVerb;
use crate::table::TableArgs;
use crate::topic::TopicVerb;
use crate::txn::TxnVerb;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// Apache Kafka's protocol, storage and settings in one small binary.
#[derive(Parser, Debug)]
#[command(name = "strandline", version, styles = STYLES, arg_required_else_help = true)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    /// Measure a Kafka: throughput and latencies, on a topic made for it
    ///
    /// The topic is removed at the end. With a rate, a record's latency counts from when it was due
    /// by the schedule, so that a broker that stands still cannot hide it; without one, from when
    /// the producer had room to take it.
    #[command(
        after_help = "Examples:\n  strandline bench\n  strandline bench produce --duration 10 --size 100 --compression zstd\n  strandline bench roundtrip --rate 20000 --json\n  strandline bench roundtrip --commit-every 100"
    )]
    Bench(BenchArgs),

    /// Show how the cluster is, let it grow and shrink
    #[command(
        after_help = "Examples:\n  strandline cluster\n  strandline cluster drain 4\n  strandline cluster rebalance"
    )]
    Cluster(ClusterArgs),

    /// Show and change settings of topics, brokers and groups
    #[command(subcommand, arg_required_else_help = true)]
    Config(ConfigVerb),

    /// Print a topic's records as they come, or up to an end
    #[command(
        after_help = "Examples:\n  strandline consume orders --from beginning -n 10 --key\n  strandline consume orders --from 2026-01-30 --until 2026-01-31 --json\n  strandline consume orders --group billing --json"
    )]
    Consume(ConsumeArgs),

    /// See Kafka's main job done on real data, every answer checked
    ///
    /// Starts a broker on a free port. Three sources publish the flights that left New York in 2013
    /// (336,776 of them, within this binary), keyed by route; two groups read the topic
    /// independently, one of three members, one of one. What they compute must be what the data
    /// says: the exit code is 0 only then.
    #[command(
        after_help = "Examples:\n  strandline demo\n  strandline demo --data-dir ./demo-data\n  strandline demo --bootstrap localhost:9092"
    )]
    Demo(DemoArgs),

    /// List, describe, reset and delete consumer groups
    #[command(subcommand, arg_required_else_help = true)]
    Group(GroupVerb),

    /// Look into the files of a log
    #[command(subcommand, arg_required_else_help = true)]
    Log(LogVerb),

    /// Send standard input to a topic, one record per line
    #[command(
        after_help = "Examples:\n  echo hello | strandline produce greetings\n  strandline produce orders -K : < orders.txt"
    )]
    Produce(ProduceArgs),

    /// Start a node: broker and controller
    ///
    /// Without arguments: data in ./strandline-data, Kafka on 127.0.0.1:9092, the controller on
    /// 127.0.0.1:9093. An empty directory is formatted. SIGTERM stops cleanly, a second one at once.
    #[command(
        after_help = "Examples:\n  strandline start\n  strandline start --config server.properties --set log.dirs=/data"
    )]
    Start(StartArgs),

    /// Format a node's directories, or tell whose they are
    #[command(subcommand, arg_required_else_help = true)]
    Storage(StorageVerb),

    /// Show the table that a topic of changes stands for, now or at a moment
    ///
    /// One row per key, sorted by key: its newest value. A null value deletes the key. Within a
    /// partition the later offset is the newer; of a key in several partitions the later timestamp
    /// counts. Records without a key are counted, and in no row. A topic that is compacted no longer
    /// knows what a key was before its newest value.
    #[command(
        after_help = "Examples:\n  strandline table flights\n  strandline table flights --at 2026-01-31 --json\n  strandline table flights --key EWR-IAH"
    )]
    Table(TableArgs),

    /// Create, list, describe, alter and delete topics
    #[command(subcommand, arg_required_else_help = true)]
    Topic(TopicVerb),

    /// See which transactions are open and why, and end them
    #[command(subcommand, arg_required_else_help = true)]
    Txn(TxnVerb),
}
