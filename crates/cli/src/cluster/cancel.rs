//! Taking back what has not arrived yet.

use std::process::ExitCode;

use serde_json::json;
use strandline_client::{Admin, ClientError};
use strandline_types::{ErrorCode, NodeId, TopicPartition};

use super::goal::Goal;
use super::view::View;
use super::{membership, throttle};
use crate::connect::{failed, refused};
use crate::failure::Failure;
use crate::output::Output;

/// Ends the moves that serve the goal; what has arrived stays where it is. A broker that was being
/// emptied may get new partitions again.
pub(super) async fn run(
    admin: &Admin,
    goal: Goal,
    throttle: Option<u64>,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let what = "take the moves back";
    let view = View::take(admin).await.map_err(|error| failed(what, &error))?;
    let ended = end_moves(admin, goal.under_way(&view)).await?;
    let cleared = throttle::clear(admin, &view, throttle).await;
    let mut left = cleared.map_err(|error| failed(what, &error))?;
    left.extend(throttle::others(admin, &view, throttle).await.into_iter().flatten());
    let mut text = match ended.len() {
        0 => "nothing was moving\n".to_owned(),
        count => format!("took back {count} moves; what had arrived stays\n"),
    };
    if let Goal::Empty(node) = goal
        && view.node(node).is_some()
    {
        if view.cordons(node).0 > 0 {
            let told = uncordon(admin, node).await.map_err(|error| failed(what, &error))?;
            text += &format!("broker {node} {told}\n");
        } else if !view.dirs.contains_key(&node) {
            let again = goal.command();
            text += &format!(
                "broker {node} does not answer and may keep its cordon: `{again} --cancel` takes it off when it is back\n"
            );
        }
    }
    left.iter().for_each(|line| text += &format!("{line}\n"));
    let names: Vec<String> = ended.iter().map(ToString::to_string).collect();
    output.done(&text, &json!({ "cancelled": names }))
}

/// Takes back what drain has set. A cordon of some dirs, or one in the broker's file, is somebody
/// else's.
async fn uncordon(admin: &Admin, node: NodeId) -> Result<String, ClientError> {
    match membership::cordon_of(admin, node).await? {
        Some(dirs) if dirs == membership::ALL_DIRS => {
            membership::set_cordon(admin, node, false).await?;
            Ok("takes new partitions again".to_owned())
        }
        Some(dirs) => Ok(format!("keeps its cordon, which is {dirs}")),
        None => Ok("keeps its cordon, which is in its own file or all brokers'".to_owned()),
    }
}

async fn end_moves(
    admin: &Admin,
    moves: Vec<TopicPartition>,
) -> Result<Vec<TopicPartition>, Failure> {
    let what = "take the moves back";
    if moves.is_empty() {
        return Ok(moves);
    }
    let targets = moves.into_iter().map(|partition| (partition, None)).collect();
    let results = admin.alter_partition_reassignments(&targets, false).await;
    let results = results.map_err(|error| failed(what, &error))?;
    let (mut ended, mut refusals) = (Vec::new(), Vec::new());
    for (partition, result) in results {
        match result {
            Ok(()) => ended.push(partition),
            // It has just arrived, or was deleted.
            Err(refusal)
                if matches!(
                    refusal.code,
                    ErrorCode::NO_REASSIGNMENT_IN_PROGRESS | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                ) => {}
            Err(refusal) => refusals.push((partition.to_string(), refusal)),
        }
    }
    match refusals.is_empty() {
        true => Ok(ended),
        false => Err(refused(what, refusals.iter().map(|(name, it)| (name.clone(), it)))),
    }
}
