//! `strandline cluster`: brokers, quorum, features, log dirs.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use strandline_client::Admin;
use strandline_client::admin::QuorumReplica;

use crate::connect::{ConnectArgs, failed};
use crate::failure::Failure;
use crate::output::{Output, table};

#[derive(Subcommand, Debug)]
pub(crate) enum ClusterVerb {
    /// Show the cluster's id and its brokers
    #[command(after_help = "Example:\n  strandline cluster describe")]
    Describe {
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
}

pub(crate) fn run(verb: ClusterVerb, output: &Output) -> Result<ExitCode, Failure> {
    match verb {
        ClusterVerb::Describe { connect } => connect.administer(|admin| describe(admin, output)),
        ClusterVerb::Quorum { connect } => connect.administer(|admin| quorum(admin, output)),
        ClusterVerb::Features { connect } => connect.administer(|admin| features(admin, output)),
        ClusterVerb::LogDirs { connect } => connect.administer(|admin| log_dirs(admin, output)),
    }
}

async fn describe(admin: Admin, output: &Output) -> Result<ExitCode, Failure> {
    let cluster = admin.describe_cluster().await;
    let cluster = cluster.map_err(|error| failed("describe the cluster", &error))?;
    let rows = cluster.nodes.iter().map(|node| {
        let address = format!("{}:{}", node.host, node.port);
        let state = if node.is_fenced { "fenced" } else { "alive" }.to_owned();
        [node.id.to_string(), address, node.rack.clone().unwrap_or_default(), state]
    });
    let text =
        format!("cluster {}\n{}", cluster.id, table(["broker", "address", "rack", "state"], rows));
    let nodes = cluster.nodes.iter().map(|node| {
        json!({
            "id": node.id.get(),
            "host": node.host,
            "port": node.port,
            "rack": node.rack,
            "fenced": node.is_fenced,
        })
    });
    let json = json!({ "clusterId": cluster.id, "brokers": nodes.collect::<Vec<_>>() });
    output.done(&text, &json)
}

async fn quorum(admin: Admin, output: &Output) -> Result<ExitCode, Failure> {
    let quorum = admin.describe_quorum().await;
    let quorum = quorum.map_err(|error| failed("describe the quorum", &error))?;
    let replicas = || {
        let voters = quorum.voters.iter().map(|replica| ("voter", replica));
        voters.chain(quorum.observers.iter().map(|replica| ("observer", replica)))
    };
    let lag = |replica: &QuorumReplica| quorum.high_watermark.since(replica.log_end_offset).max(0);
    let rows = replicas().map(|(role, replica)| {
        let role = if replica.id == quorum.leader { "leader" } else { role };
        let end = replica.log_end_offset.to_string();
        [replica.id.to_string(), role.to_owned(), end, lag(replica).to_string()]
    });
    let text = format!(
        "leader {}  epoch {}  high watermark {}\n{}",
        quorum.leader,
        quorum.leader_epoch,
        quorum.high_watermark,
        table(["node", "role", "log end", "lag"], rows)
    );
    let nodes = replicas().map(|(role, replica)| {
        json!({
            "node": replica.id.get(),
            "role": role,
            "directoryId": replica.directory_id.to_string(),
            "logEndOffset": replica.log_end_offset.get(),
            "lag": lag(replica),
        })
    });
    let json = json!({
        "leader": quorum.leader.get(),
        "leaderEpoch": quorum.leader_epoch.get(),
        "highWatermark": quorum.high_watermark.get(),
        "replicas": nodes.collect::<Vec<_>>(),
    });
    output.done(&text, &json)
}

async fn features(admin: Admin, output: &Output) -> Result<ExitCode, Failure> {
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

async fn log_dirs(admin: Admin, output: &Output) -> Result<ExitCode, Failure> {
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
                        "online".to_owned(),
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
