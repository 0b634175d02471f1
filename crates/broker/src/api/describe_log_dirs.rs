//! DescribeLogDirs (KIP-113): what lies where, and how much room is left.

use std::collections::{BTreeMap, BTreeSet};

use strandline_types::{ErrorCode, TopicIdPartition};
use strandline_wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use strandline_wire::messages::{
    DescribeLogDirsRequest, DescribeLogDirsResponse, ReplicaCleaning,
};

use crate::cx::Cx;
use crate::dirs::{Dir, DirIndex};
use crate::driver::cleaner;
use crate::driver::moves::Move;
use crate::partitions::Held;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: DescribeLogDirsRequest,
) -> Result<DescribeLogDirsResponse, Hangup> {
    let tells_cleaning = ReplicaCleaning::is_asked_for(&request);
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
    let moves = cx.handles.moves.under_way();
    let mut response = DescribeLogDirsResponse::default();
    for (index, dir) in cx.handles.dirs.log_dirs() {
        let mut result = describe(index, dir, &asked, tells_cleaning, &moves).await;
        result.is_cordoned = tells_of_cordons && dir.is_cordoned();
        response.results.push(result);
    }
    Ok(response)
}

async fn describe(
    index: DirIndex,
    dir: &Dir,
    asked: &[Held],
    tells_cleaning: bool,
    moves: &BTreeMap<TopicIdPartition, Move>,
) -> DescribeLogDirsResult {
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
    for held in asked {
        let partition = &held.partition;
        let name = partition.name();
        let mut add = |replica| topics.entry(name.topic.clone()).or_default().push(replica);
        let partition_index = name.partition.get();
        if partition.dir() == index {
            let partition_size = partition.store().size_bytes() as i64;
            let mut replica =
                DescribeLogDirsPartition { partition_index, partition_size, ..Default::default() };
            if let Some(cleaning) = tells_cleaning.then(|| cleaner::describe(held)).flatten()
                && let Err(error) = cleaning.tell(&mut replica)
            {
                tracing::warn!(partition = %name, %error, "cannot tell how far it is cleaned");
            }
            add(replica);
        }
        if let Some(coming) = moves.get(&partition.id()).filter(|it| it.to == index) {
            let lag = partition.view().log_end.get() - coming.upto.get();
            add(DescribeLogDirsPartition {
                partition_index,
                partition_size: coming.copied_bytes as i64,
                offset_lag: lag.max(0),
                is_future_key: true,
                ..Default::default()
            });
        }
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
