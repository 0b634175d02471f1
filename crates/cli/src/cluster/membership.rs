//! Who takes new partitions, who belongs to the cluster, and who votes on its metadata.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use strandline_client::admin::{ConfigChange, ConfigResource, NewVoter, Quorum};
use strandline_client::{Admin, ClientError};
use strandline_types::{ErrorCode, NodeId};

use super::settings;
use super::view::View;
use crate::connect::{ConnectArgs, failed};
use crate::failure::Failure;
use crate::output::Output;

const CORDONED_LOG_DIRS: &str = "cordoned.log.dirs";
pub(super) const ALL_DIRS: &str = "*";

#[derive(Subcommand, Debug)]
pub(crate) enum ControllersVerb {
    /// Let a controller vote that follows the metadata already
    #[command(
        after_help = "Example:\n  strandline cluster controllers add 4 --address 10.0.0.4:9093"
    )]
    Add {
        #[arg(value_name = "NODE")]
        node: i32,
        /// Where the other controllers reach it
        #[arg(long, value_name = "HOST:PORT", value_parser = address)]
        address: (String, u16),
        /// Name of that listener
        #[arg(long, value_name = "NAME", default_value = "CONTROLLER")]
        listener: String,
        #[command(flatten)]
        connect: ConnectArgs,
    },

    /// Take a controller's vote away
    #[command(after_help = "Example:\n  strandline cluster controllers remove 4")]
    Remove {
        #[arg(value_name = "NODE")]
        node: i32,
        #[command(flatten)]
        connect: ConnectArgs,
    },
}

fn address(text: &str) -> Result<(String, u16), String> {
    let parsed = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    match parsed {
        Some((host, port)) if !host.is_empty() => Ok((host.to_owned(), port)),
        _ => Err("expected HOST:PORT".to_owned()),
    }
}

/// What keeps new partitions from a broker, where that was set at run time: dirs, or all of them.
pub(super) async fn cordon_of(admin: &Admin, node: NodeId) -> Result<Option<String>, ClientError> {
    let broker = ConfigResource::broker(node.to_string());
    let own = settings::own(admin, &[broker], &[CORDONED_LOG_DIRS]).await?;
    Ok(own.into_values().next())
}

/// Cordons all of a broker's dirs at run time, or takes back what was cordoned so.
pub(super) async fn set_cordon(
    admin: &Admin,
    node: NodeId,
    is_cordoned: bool,
) -> Result<(), ClientError> {
    let change = match is_cordoned {
        true => ConfigChange::set(CORDONED_LOG_DIRS, ALL_DIRS),
        false => ConfigChange::Delete { name: CORDONED_LOG_DIRS.into() },
    };
    let broker = ConfigResource::broker(node.to_string());
    settings::alter(admin, [(broker, vec![change])].into()).await
}

pub(super) async fn cordon(
    admin: Admin,
    node: NodeId,
    is_cordoned: bool,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let verb = if is_cordoned { "cordon" } else { "uncordon" };
    set_cordon(&admin, node, is_cordoned).await.map_err(|error| {
        let failure = failed(&format!("{verb} broker {node}"), &error);
        match error.code() {
            Some(ErrorCode::INVALID_CONFIG) => failure.next(
                "`strandline cluster features` shows metadata.version; cordoning came with 4.3-IV0 (level 30)",
            ),
            _ => failure,
        }
    })?;
    let text = match is_cordoned {
        true => format!("broker {node} gets no new partitions; what it has stays\n"),
        false => format!("broker {node} takes new partitions\n"),
    };
    output.done(&text, &json!({ "broker": node.get(), "cordoned": is_cordoned }))
}

pub(super) async fn unregister(
    admin: Admin,
    node: NodeId,
    is_forced: bool,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let what = format!("unregister broker {node}");
    if !is_forced {
        let view = View::take(&admin).await.map_err(|error| failed(&what, &error))?;
        let held = view.partitions().filter(|(_, it)| it.replicas.contains(&node)).count();
        let found = view.node(node).ok_or_else(|| unknown(node))?;
        if held > 0 {
            return Err(Failure::new(format!("broker {node} holds {held} replicas"))
                .next(format!("`strandline cluster drain {node}` moves them to others")));
        }
        if !found.is_fenced {
            return Err(Failure::new(format!("broker {node} is running"))
                .next("stop it first, or it is back when it next starts"));
        }
    }
    admin.unregister_broker(node).await.map_err(|error| failed(&what, &error))?;
    output.done(&format!("broker {node} is forgotten\n"), &json!({ "unregistered": node.get() }))
}

pub(super) fn unknown(node: NodeId) -> Failure {
    Failure::new(format!("no broker is registered as {node}"))
        .next("`strandline cluster` shows who is")
}

pub(super) fn controllers(verb: ControllersVerb, output: &Output) -> Result<ExitCode, Failure> {
    match verb {
        ControllersVerb::Add { node, address, listener, connect } => {
            connect.administer(|admin| add(admin, NodeId(node), address, listener, output))
        }
        ControllersVerb::Remove { node, connect } => {
            connect.administer(|admin| remove(admin, NodeId(node), output))
        }
    }
}

async fn add(
    admin: Admin,
    node: NodeId,
    (host, port): (String, u16),
    listener: String,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let what = format!("add controller {node}");
    let quorum = admin.describe_quorum().await.map_err(|error| failed(&what, &error))?;
    let Some(observer) = quorum.observers.iter().find(|it| it.id == node) else {
        let failure = Failure::new(format!("node {node} does not follow the metadata"));
        return Err(failure.next(
            "start it with `controller.quorum.bootstrap.servers`; `strandline cluster quorum` shows it then",
        ));
    };
    let directory_id = observer.directory_id;
    let voter = NewVoter { id: node, directory_id, listener, host, port };
    admin.add_voter(&voter).await.map_err(|error| failed(&what, &error))?;
    let voters = quorum.voters.iter().map(|voter| voter.id.get());
    told(&format!("node {node} votes"), voters.chain([node.get()]).collect(), output)
}

async fn remove(admin: Admin, node: NodeId, output: &Output) -> Result<ExitCode, Failure> {
    let what = format!("remove controller {node}");
    let quorum = admin.describe_quorum().await.map_err(|error| failed(&what, &error))?;
    let Some(voter) = quorum.voters.iter().find(|it| it.id == node) else {
        let failure = Failure::new(format!("node {node} does not vote"));
        return Err(failure.next("`strandline cluster quorum` shows who does"));
    };
    if let Some(hint) = fixed_voters(&quorum) {
        return Err(Failure::new(format!("cannot {what}: the voters are fixed")).next(hint));
    }
    let removed = admin.remove_voter(node, voter.directory_id).await;
    removed.map_err(|error| failed(&what, &error))?;
    let voters = quorum.voters.iter().map(|voter| voter.id.get());
    let left = voters.filter(|id| *id != node.get()).collect();
    told(&format!("node {node} votes no more"), left, output)
}

/// How voters that are written into every node's settings change.
pub(super) fn fixed_voters(quorum: &Quorum) -> Option<&'static str> {
    let are_fixed = quorum.voters.iter().all(|voter| voter.directory_id.is_zero());
    are_fixed.then_some("they change with `controller.quorum.voters` and a restart of every node")
}

/// What the quorum was asked last, with the change in it: after its leader has been taken out there
/// is nobody to ask for a moment.
fn told(done: &str, mut ids: Vec<i32>, output: &Output) -> Result<ExitCode, Failure> {
    ids.sort_unstable();
    let text = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    output.done(&format!("{done}; voters: {text}\n"), &json!({ "voters": ids }))
}
