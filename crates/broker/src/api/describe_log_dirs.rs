//! DescribeLogDirs (KIP-113): what lies where, and how much room is left.

use std::collections::{BTreeMap, BTreeSet};

use strandline_types::ErrorCode;
use strandline_wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use strandline_wire::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};

use crate::cx::Cx;
use crate::dirs::{Dir, DirIndex};
use crate::partitions::Held;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: DescribeLogDirsRequest,
) -> Result<DescribeLogDirsResponse, Hangup> {
    let asked: Option<BTreeMap<String, BTreeSet<i32>>> = request.topics.map(|topics| {
        let mut asked: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for topic in topics {
            asked.entry(topic.topic).or_default().extend(topic.partitions);
        }
        asked
    });
    let is_asked = |held: &Held| {
        let name = held.partition.name();
        asked.as_ref().is_none_or(|topics| {
            topics.get(&name.topic).is_some_and(|it| it.contains(&name.partition.get()))
        })
    };
    let asked: Vec<Held> = cx.handles.partitions.all().into_iter().filter(is_asked).collect();
    let version = cx.handles.image().features.metadata_version();
    let tells_of_cordons = version.supports_cordoned_directories();
    let mut response = DescribeLogDirsResponse::default();
    for (index, dir) in cx.handles.dirs.log_dirs() {
        let mut result = describe(index, dir, &asked).await;
        result.is_cordoned = tells_of_cordons && dir.is_cordoned();
        response.results.push(result);
    }
    Ok(response)
}

async fn describe(index: DirIndex, dir: &Dir, asked: &[Held]) -> DescribeLogDirsResult {
    let log_dir = dir.log.path().display().to_string();
    let space = match dir.is_usable() {
        true => dir.log.space().await.ok(),
        false => None,
    };
    let Some(space) = space else {
        let error_code = ErrorCode::KAFKA_STORAGE_ERROR;
        return DescribeLogDirsResult { error_code, log_dir, ..Default::default() };
    };
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for held in asked.iter().filter(|held| held.dir == index) {
        let name = held.partition.name();
        topics.entry(name.topic.clone()).or_default().push(DescribeLogDirsPartition {
            partition_index: name.partition.get(),
            partition_size: held.partition.store().size_bytes() as i64,
            // Nothing is being moved, so nothing lags behind.
            offset_lag: 0,
            ..Default::default()
        });
    }
    let topics = topics.into_iter().map(|(name, partitions)| DescribeLogDirsTopic {
        name,
        partitions,
        ..Default::default()
    });
    DescribeLogDirsResult {
        log_dir,
        topics: topics.collect(),
        total_bytes: i64::try_from(space.total_bytes).unwrap_or(i64::MAX),
        usable_bytes: i64::try_from(space.usable_bytes).unwrap_or(i64::MAX),
        ..Default::default()
    }
}
