//! AlterReplicaLogDirs (KIP-113): partitions of this broker are to lie in other log directories.
//! The answer comes at once; the moves take their time, see [`crate::driver::moves`].

use std::collections::BTreeMap;
use std::path::Path;

use strandline_store::format::names::future_dir_name;
use strandline_types::{ErrorCode, PartitionId, TopicPartition, Uuid};
use strandline_wire::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use strandline_wire::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};

use crate::cx::Cx;
use crate::dirs::DirIndex;
use crate::partitions::{LookupRefusal, find};
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: AlterReplicaLogDirsRequest,
) -> Result<AlterReplicaLogDirsResponse, Hangup> {
    let mut codes: BTreeMap<TopicPartition, ErrorCode> = BTreeMap::new();
    for dir in request.dirs {
        for topic in dir.topics {
            for index in topic.partitions {
                let name =
                    TopicPartition { topic: topic.name.clone(), partition: PartitionId(index) };
                let altered = alter(cx, &name, &dir.path);
                let code = altered.map_or_else(|refusal| refusal.code(), |()| ErrorCode::NONE);
                codes.insert(name, code);
            }
        }
    }
    let mut response = AlterReplicaLogDirsResponse::default();
    for (TopicPartition { topic, partition }, error_code) in codes {
        let partition_index = partition.get();
        let result =
            AlterReplicaLogDirPartitionResult { partition_index, error_code, ..Default::default() };
        match response.results.last_mut().filter(|last| last.topic_name == topic) {
            Some(last) => last.partitions.push(result),
            None => response.results.push(AlterReplicaLogDirTopicResult {
                topic_name: topic,
                partitions: vec![result],
                ..Default::default()
            }),
        }
    }
    Ok(response)
}

enum Refusal {
    /// The name of the copy in the making would be too long for a file system.
    NameTooLong,
    NoSuchDir,
    DirOffline,
    Cordoned,
    Lookup(LookupRefusal),
}

impl Refusal {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NameTooLong => ErrorCode::INVALID_TOPIC_EXCEPTION,
            Self::NoSuchDir => ErrorCode::LOG_DIR_NOT_FOUND,
            Self::DirOffline => ErrorCode::KAFKA_STORAGE_ERROR,
            Self::Cordoned => ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            // The name that tools know for it: they wait for the replica to come.
            Self::Lookup(LookupRefusal::NotLeaderOrFollower) => ErrorCode::REPLICA_NOT_AVAILABLE,
            Self::Lookup(refusal) => refusal.code(),
        }
    }
}

fn alter(cx: &Cx, name: &TopicPartition, path: &str) -> Result<(), Refusal> {
    future_dir_name(name, Uuid::ZERO).ok_or(Refusal::NameTooLong)?;
    let (to, is_usable) = dir_at(cx, path).ok_or(Refusal::NoSuchDir)?;
    if !is_usable {
        return Err(Refusal::DirOffline);
    }
    if cx.handles.dirs.get(to).is_cordoned() {
        return Err(Refusal::Cordoned);
    }
    let held = match find(cx, &name.topic, Uuid::ZERO, name.partition.get()) {
        Ok(held) => held,
        Err(refusal) => {
            if refusal != LookupRefusal::Offline {
                // A replica that a reassignment brings here is made there at once.
                cx.handles.moves.prefer(name.clone(), to);
            }
            return Err(Refusal::Lookup(refusal));
        }
    };
    let partition = &held.partition;
    if partition.view().is_offline {
        return Err(Refusal::Lookup(LookupRefusal::Offline));
    }
    // What lies in a directory that has failed may come back, and there must not be two copies.
    if partition.dir() != to && cx.handles.dirs.offline().next().is_some() {
        return Err(Refusal::DirOffline);
    }
    cx.handles.moves.request(partition, to);
    Ok(())
}

/// A directory of `log.dirs`, by the path that this broker knows it by or its absolute one, and
/// whether it can be used.
fn dir_at(cx: &Cx, path: &str) -> Option<(DirIndex, bool)> {
    let path = Path::new(path);
    let is_there = |known: &Path| {
        known == path || std::path::absolute(known).is_ok_and(|absolute| absolute == path)
    };
    let mut dirs = cx.handles.dirs.log_dirs();
    let found = dirs.find(|(_, dir)| is_there(dir.log.path()));
    found.map(|(index, dir)| (index, dir.is_usable()))
}
