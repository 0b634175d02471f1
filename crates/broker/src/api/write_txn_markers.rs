//! WriteTxnMarkers (KIP-98): a transaction coordinator has decided, and the leaders of the partitions
//! write down how the transaction ended. Answered once every replica in sync has the markers.

use std::collections::BTreeSet;

use strandline_log::Origin;
use strandline_ports::TimedOut;
use strandline_replica::RequiredAcks;
use strandline_types::{ErrorCode, ProducerEpoch, ProducerId, Uuid};
use strandline_wire::messages::write_txn_markers_request::WritableTxnMarker;
use strandline_wire::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use strandline_wire::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};
use strandline_wire::records::{
    BatchBuilder, BatchOptions, InspectLimits, InspectedBatch, ProducerFields, inspect,
};

use crate::cx::Cx;
use crate::deadline::Deadline;
use crate::driver::partition::Ordered;
use crate::partitions::find;
use crate::session::Hangup;

/// From this level of `transaction.version` on a coordinator bumps the producer's epoch before it
/// sends markers (KIP-890).
const TRANSACTION_VERSION_WITH_BUMPS: i8 = 2;

pub(crate) async fn handle(
    cx: &Cx,
    request: WriteTxnMarkersRequest,
) -> Result<WriteTxnMarkersResponse, Hangup> {
    // All have their places in the logs before the first is waited for.
    let ordered: Vec<_> = request.markers.into_iter().map(|marker| order(cx, marker)).collect();
    let mut deadline = Deadline::after(cx, cx.handles.config.network.request_timeout_ms);
    let mut response = WriteTxnMarkersResponse::default();
    for OrderedMarker { producer_id, topics } in ordered {
        let mut result = WritableTxnMarkerResult { producer_id, ..Default::default() };
        for (name, partitions) in topics {
            let mut topic = WritableTxnMarkerTopicResult { name, ..Default::default() };
            for (partition_index, ordered) in partitions {
                let written = match ordered {
                    Ok(ordered) => match deadline.wait(ordered.answered()).await {
                        Ok(answer) => answer.map(drop).map_err(|refusal| refusal.code()),
                        Err(TimedOut) => Err(ErrorCode::REQUEST_TIMED_OUT),
                    },
                    Err(code) => Err(code),
                };
                topic.partitions.push(WritableTxnMarkerPartitionResult {
                    partition_index,
                    error_code: written.err().unwrap_or(ErrorCode::NONE),
                    ..Default::default()
                });
            }
            result.topics.push(topic);
        }
        response.markers.push(result);
    }
    Ok(response)
}

struct OrderedMarker {
    producer_id: i64,
    topics: Vec<(String, Vec<(i32, Result<Ordered, ErrorCode>)>)>,
}

fn order(cx: &Cx, marker: WritableTxnMarker) -> OrderedMarker {
    let batch = batch(cx, &marker);
    let bumps_epoch = marker.transaction_version >= TRANSACTION_VERSION_WITH_BUMPS;
    // One that is named twice would get two markers.
    let mut seen = BTreeSet::new();
    let topics = marker.topics.into_iter().map(|topic| {
        let order = |index: i32| {
            let batch = batch.clone().ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?;
            let held = find(cx, &topic.name, Uuid::ZERO, index).map_err(|it| it.code())?;
            let origin = Origin::Marker { bumps_epoch };
            Ok(held.partition.produce(cx.now, vec![batch], RequiredAcks::All, origin))
        };
        let indexes = topic.partition_indexes.iter().copied();
        let indexes = indexes.filter(|&index| seen.insert((topic.name.clone(), index)));
        let partitions = indexes.map(|index| (index, order(index))).collect();
        (topic.name, partitions)
    });
    OrderedMarker { producer_id: marker.producer_id, topics: topics.collect() }
}

/// `None` for an id or an epoch that no producer has.
fn batch(cx: &Cx, marker: &WritableTxnMarker) -> Option<InspectedBatch> {
    if marker.producer_id < 0 || marker.producer_epoch < 0 {
        return None;
    }
    let producer = ProducerFields {
        id: ProducerId(marker.producer_id),
        epoch: ProducerEpoch(marker.producer_epoch),
        base_sequence: -1,
    };
    let options = BatchOptions { producer, ..BatchOptions::default() };
    let (is_commit, coordinator_epoch) = (marker.transaction_result, marker.coordinator_epoch);
    let bytes =
        BatchBuilder::end_transaction(options, cx.now.timestamp, is_commit, coordinator_epoch);
    inspect(bytes, &InspectLimits::default()).ok()
}
