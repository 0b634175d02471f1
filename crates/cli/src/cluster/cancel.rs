//! Taking back what has not arrived yet.

use std::process::ExitCode;

use serde_json::json;
use strandline_client::Admin;
use strandline_types::{ErrorCode, TopicPartition};

use super::goal::Goal;
use super::membership::set_cordon;
use super::throttle;
use super::view::View;
use crate::connect::{failed, refused};
use crate::failure::Failure;
use crate::output::Output;

/// Ends the moves that serve the goal; what has arrived stays where it is. A broker that was being
/// emptied may get new partitions again.
pub(super) async fn run(admin: &Admin, goal: Goal, output: &Output) -> Result<ExitCode, Failure> {
    let what = "take the moves back";
    let view = View::take(admin).await.map_err(|error| failed(what, &error))?;
    let ended = end_moves(admin, goal.under_way(&view)).await?;
    throttle::clear(admin, &view).await.map_err(|error| failed(what, &error))?;
    let mut text = match ended.len() {
        0 => "nothing was moving\n".to_owned(),
        count => format!("took back {count} moves; what had arrived stays\n"),
    };
    if let Goal::Empty(node) = goal
        && view.cordons(node).0 > 0
    {
        set_cordon(admin, node, false).await.map_err(|error| failed(what, &error))?;
        text += &format!("broker {node} takes new partitions again\n");
    }
    let names: Vec<String> = ended.iter().map(ToString::to_string).collect();
    output.done(&text, &json!({ "cancelled": names }))
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
