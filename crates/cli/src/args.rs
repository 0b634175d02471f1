//! The tree of verbs, with a help text and an example each.

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand};

use crate::log_dump::LogVerb;
use crate::start::StartArgs;
use crate::storage::StorageVerb;

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
    /// Look into the files of a log
    #[command(subcommand, arg_required_else_help = true)]
    Log(LogVerb),

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
}
