//! `strandline cluster`: how the cluster is, and how it grows and shrinks.

mod cancel;
mod goal;
mod membership;
mod progress;
mod scale;
mod settings;
mod show;
mod status;
mod throttle;
mod view;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use strandline_types::NodeId;

use crate::connect::ConnectArgs;
use crate::failure::Failure;
use crate::output::Output;
use goal::Goal;
use membership::ControllersVerb;
use scale::ScaleArgs;

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    connect: ConnectArgs,

    #[command(subcommand)]
    verb: Option<ClusterVerb>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ClusterVerb {
    /// Show brokers, quorum, partitions in trouble and what moves, and what to do about it
    ///
    /// The same as `strandline cluster` alone. Without a controller it tells what the brokers know, after
    /// 5 seconds. Its exit code is 0 whatever it has seen: machines read --json. A partition is under-replicated while replicas are not
    /// in sync, at its minimum when one more that fails stops producers with acks=all, and below it
    /// when they are stopped already.
    #[command(after_help = "Example:\n  strandline cluster status --bootstrap localhost:9092")]
    Status {
        #[command(flatten)]
        connect: ConnectArgs,
    },

    /// Show the metadata quorum: leader, voters, observers, and how far each has come
    #[command(after_help = "Example:\n  strandline cluster quorum")]
    Quorum {
        #[command(flatten)]
        connect: ConnectArgs,
    },

    /// Show which features are supported, and at which level they are in use
    #[command(after_help = "Example:\n  strandline cluster features")]
    Features {
        #[command(flatten)]
        connect: ConnectArgs,
    },

    /// Show each broker's log dirs and what lies in them
    #[command(after_help = "Example:\n  strandline cluster log-dirs")]
    LogDirs {
        #[command(flatten)]
        connect: ConnectArgs,
    },

    /// Keep new partitions away from a broker
    ///
    /// What it has stays, and goes on being served. Sets `cordoned.log.dirs=*` for that broker, at
    /// run time (KIP-1066).
    #[command(after_help = "Example:\n  strandline cluster cordon 4")]
    Cordon {
        #[arg(value_name = "NODE")]
        node: i32,
        #[command(flatten)]
        connect: ConnectArgs,
    },

    /// Let new partitions come to a broker again
    #[command(after_help = "Example:\n  strandline cluster uncordon 4")]
    Uncordon {
        #[arg(value_name = "NODE")]
        node: i32,
        #[command(flatten)]
        connect: ConnectArgs,
    },

    /// Empty a broker, so that it can be stopped for good
    ///
    /// Cordons the broker, then moves each of its replicas to another one, the large ones spread
    /// evenly, racks respected, a few at a time. Each partition keeps its number of replicas, and no
    /// replica leaves before its successor is in sync. Ends when the broker holds nothing. It may be
    /// stopped at any moment: what moves goes on by itself, and the same command goes on with the rest. A
    /// broker that starts anew meanwhile is waited for, as long as --timeout says.
    #[command(
        after_help = "Examples:\n  strandline cluster drain 4 --dry-run\n  strandline cluster drain 4\n  strandline cluster drain 4 --cancel"
    )]
    Drain {
        #[arg(value_name = "NODE")]
        node: i32,
        #[command(flatten)]
        args: ScaleArgs,
    },

    /// Spread partitions and leaders over all brokers, such as those that have joined
    ///
    /// Moves no more replicas than it must until the brokers of a rack hold as many as each other,
    /// give or take one (all brokers, where racks allow it), and are the preferred leaders of as many.
    /// Cordoned brokers get nothing. It may be stopped at any moment, as drain.
    #[command(
        after_help = "Examples:\n  strandline cluster rebalance --dry-run\n  strandline cluster rebalance"
    )]
    Rebalance {
        #[command(flatten)]
        args: ScaleArgs,
    },

    /// Forget a broker that has been stopped for good
    ///
    /// Refused while it runs or holds replicas, unless forced.
    #[command(after_help = "Example:\n  strandline cluster unregister 4")]
    Unregister {
        #[arg(value_name = "NODE")]
        node: i32,
        /// Forget it as it is: what only it holds is out of reach
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        connect: ConnectArgs,
    },

    /// Change who votes on the cluster's metadata
    #[command(subcommand, arg_required_else_help = true)]
    Controllers(ControllersVerb),
}

pub(crate) fn run(args: ClusterArgs, output: &Output) -> Result<ExitCode, Failure> {
    let Some(verb) = args.verb else {
        return args.connect.administer(|admin| status::run(admin, output));
    };
    match verb {
        ClusterVerb::Status { connect } => connect.administer(|admin| status::run(admin, output)),
        ClusterVerb::Quorum { connect } => connect.administer(|admin| show::quorum(admin, output)),
        ClusterVerb::Features { connect } => {
            connect.administer(|admin| show::features(admin, output))
        }
        ClusterVerb::LogDirs { connect } => {
            connect.administer(|admin| show::log_dirs(admin, output))
        }
        ClusterVerb::Cordon { node, connect } => {
            connect.administer(|admin| membership::cordon(admin, NodeId(node), true, output))
        }
        ClusterVerb::Uncordon { node, connect } => {
            connect.administer(|admin| membership::cordon(admin, NodeId(node), false, output))
        }
        ClusterVerb::Drain { node, args } => scale::run(Goal::Empty(NodeId(node)), args, output),
        ClusterVerb::Rebalance { args } => scale::run(Goal::Spread, args, output),
        ClusterVerb::Unregister { node, force, connect } => {
            connect.administer(|admin| membership::unregister(admin, NodeId(node), force, output))
        }
        ClusterVerb::Controllers(verb) => membership::controllers(verb, output),
    }
}
