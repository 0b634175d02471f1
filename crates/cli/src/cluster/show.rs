//! The quorum, the features and the log dirs, each by itself.

use std::process::ExitCode;

use serde_json::{Value, json};
use strandline_client::Admin;
use strandline_client::admin::{Quorum, QuorumReplica};

use crate::connect::failed;
use crate::failure::Failure;
use crate::output::{Output, table};

pub(super) async fn quorum(admin: Admin, output: &Output) -> Result<ExitCode, Failure> {
    let quorum = admin.describe_quorum().await;
    let quorum = quorum.map_err(|error| failed("describe the quorum", &error))?;
    let rows = members(&quorum).map(|(role, replica)| {
        let role = if replica.id == quorum.leader { "leader" } else { role };
        let (end, lag) = (replica.log_end_offset, quorum.lag(replica));
        [replica.id.to_string(), role.to_owned(), end.to_string(), lag.to_string()]
    });
    let text = format!(
        "leader {}  epoch {}  high watermark {}\n{}",
        quorum.leader,
        quorum.leader_epoch,
        quorum.high_watermark,
        table(["node", "role", "log end", "lag"], rows)
    );
    output.done(&text, &quorum_json(&quorum))
}

fn members(quorum: &Quorum) -> impl Iterator<Item = (&'static str, &QuorumReplica)> {
    let voters = quorum.voters.iter().map(|replica| ("voter", replica));
    voters.chain(quorum.observers.iter().map(|replica| ("observer", replica)))
}

pub(super) fn quorum_json(quorum: &Quorum) -> Value {
    let nodes = members(quorum).map(|(role, replica)| {
        json!({
            "node": replica.id.get(),
            "role": role,
            "directoryId": replica.directory_id.to_string(),
            "logEndOffset": replica.log_end_offset.get(),
            "lag": quorum.lag(replica),
        })
    });
    json!({
        "leader": quorum.leader.get(),
        "leaderEpoch": quorum.leader_epoch.get(),
        "highWatermark": quorum.high_watermark.get(),
        "replicas": nodes.collect::<Vec<_>>(),
    })
}

pub(super) async fn features(admin: Admin, output: &Output) -> Result<ExitCode, Failure> {
    let features = admin.describe_features().await;
    let features = features.map_err(|error| failed("describe the features", &error))?;
    let level = |name: &String| features.finalized.get(name).copied();
    let rows = features.supported.iter().map(|(name, (min, max))| {
        let in_use = level(name).map_or("-".to_owned(), |level| level.to_string());
        [name.clone(), in_use, format!("{min} to {max}")]
    });
    let text = table(["feature", "level", "supported"], rows);
    let json = features.supported.iter().map(
        |(name, (min, max))| json!({ "feature": name, "level": level(name), "min": min, "max": max }),
    );
    output.done(&text, &json!(json.collect::<Vec<_>>()))
}

pub(super) async fn log_dirs(admin: Admin, output: &Output) -> Result<ExitCode, Failure> {
    let brokers = admin.describe_log_dirs().await;
    let brokers = brokers.map_err(|error| failed("describe the log dirs", &error))?;
    let (mut rows, mut json) = (Vec::new(), Vec::new());
    for (broker, dirs) in brokers {
        for (path, result) in dirs {
            match result {
                Ok(dir) => {
                    let bytes: i64 = dir.replicas.iter().map(|replica| replica.size_bytes).sum();
                    rows.push([
                        broker.to_string(),
                        path,
                        dir.replicas.len().to_string(),
                        bytes.to_string(),
                        dir.usable_bytes.to_string(),
                        if dir.is_cordoned { "cordoned" } else { "online" }.to_owned(),
                    ]);
                    let replicas = dir.replicas.iter().map(|replica| {
                        json!({
                            "topic": replica.partition.topic,
                            "partition": replica.partition.partition.get(),
                            "bytes": replica.size_bytes,
                            "offsetLag": replica.offset_lag,
                            "future": replica.is_future,
                        })
                    });
                    json.push(json!({
                        "broker": broker.get(),
                        "path": dir.path,
                        "totalBytes": dir.total_bytes,
                        "usableBytes": dir.usable_bytes,
                        "cordoned": dir.is_cordoned,
                        "replicas": replicas.collect::<Vec<_>>(),
                    }));
                }
                Err(refusal) => {
                    let none = String::new;
                    let row = [broker.to_string(), path.clone(), none(), none(), none()];
                    let [broker_id, at, replicas, bytes, usable] = row;
                    rows.push([broker_id, at, replicas, bytes, usable, refusal.to_string()]);
                    json.push(json!({
                        "broker": broker.get(),
                        "path": path,
                        "error": refusal.to_string(),
                    }));
                }
            }
        }
    }
    let names = ["broker", "log dir", "replicas", "bytes", "usable bytes", "state"];
    output.done(&table(names, rows), &json!(json))
}
