//! WriteTxnMarkers (KIP-98): a transaction coordinator has decided, and the leaders of the partitions
//! write down how the transaction ended. Answered once every replica in sync has the markers.

use std::collections::BTreeSet;
use std::future::{Future, ready};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use strandline_coordinator::groups::Marker;
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
    BatchBuilder, BatchOptions, InspectLimits, ProducerFields, inspect,
};

use crate::cx::Cx;
use crate::deadline::Deadline;
use crate::driver::partition::Partition;
use crate::internal_topics::CONSUMER_OFFSETS;
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
    let begun: Vec<_> = request.markers.into_iter().map(|marker| begin(cx, marker)).collect();
    let mut deadline = Deadline::after(cx, cx.handles.config.network.request_timeout_ms);
    let mut response = WriteTxnMarkersResponse::default();
    for Begun { producer_id, topics } in begun {
        let mut result = WritableTxnMarkerResult { producer_id, ..Default::default() };
        for (name, partitions) in topics {
            let mut topic = WritableTxnMarkerTopicResult { name, ..Default::default() };
            for (partition_index, writing) in partitions {
                let written = match writing {
                    Ok(writing) => deadline.wait(writing).await,
                    Err(code) => Ok(Err(code)),
                };
                let error_code = match written {
                    Ok(written) => written.err().unwrap_or(ErrorCode::NONE),
                    Err(TimedOut) => ErrorCode::REQUEST_TIMED_OUT,
                };
                topic.partitions.push(WritableTxnMarkerPartitionResult {
                    partition_index,
                    error_code,
                    ..Default::default()
                });
            }
            result.topics.push(topic);
        }
        response.markers.push(result);
    }
    Ok(response)
}

/// A marker that has its place in a log, and will be there for good.
type Writing = Pin<Box<dyn Future<Output = Result<(), ErrorCode>> + Send>>;

type Partitions = Vec<(i32, Result<Writing, ErrorCode>)>;

struct Begun {
    producer_id: i64,
    topics: Vec<(String, Partitions)>,
}

fn begin(cx: &Cx, marker: WritableTxnMarker) -> Begun {
    let ending = Ending::of(&marker);
    // One that is named twice would get two markers.
    let mut seen = BTreeSet::new();
    let topics = marker.topics.into_iter().map(|topic| {
        let begin = |index| {
            let ending = ending.ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?;
            let held = find(cx, &topic.name, Uuid::ZERO, index).map_err(|it| it.code())?;
            match topic.name == CONSUMER_OFFSETS {
                true => ending.tell_groups(cx, &held.partition),
                false => ending.write(cx, &held.partition),
            }
        };
        let indexes = topic.partition_indexes.iter().copied();
        let indexes = indexes.filter(|&index| seen.insert((topic.name.clone(), index)));
        let partitions = indexes.map(|index| (index, begin(index))).collect();
        (topic.name, partitions)
    });
    Begun { producer_id: marker.producer_id, topics: topics.collect() }
}

/// How a transaction ends, and which epochs its marker may have.
#[derive(Clone, Copy)]
struct Ending(Marker);

impl Ending {
    /// `None` for an id or an epoch that no producer has.
    fn of(marker: &WritableTxnMarker) -> Option<Self> {
        let is_possible = marker.producer_id >= 0 && marker.producer_epoch >= 0;
        let marker = Marker {
            producer_id: ProducerId(marker.producer_id),
            producer_epoch: ProducerEpoch(marker.producer_epoch),
            coordinator_epoch: marker.coordinator_epoch,
            is_commit: marker.transaction_result,
            bumps_epoch: marker.transaction_version >= TRANSACTION_VERSION_WITH_BUMPS,
        };
        is_possible.then_some(Self(marker))
    }

    fn write(self, cx: &Cx, partition: &Partition) -> Result<Writing, ErrorCode> {
        let Self(marker) = self;
        let producer = ProducerFields {
            id: marker.producer_id,
            epoch: marker.producer_epoch,
            base_sequence: -1,
        };
        let options = BatchOptions { producer, ..BatchOptions::default() };
        let bytes = BatchBuilder::end_transaction(
            options,
            cx.now.timestamp,
            marker.is_commit,
            marker.coordinator_epoch,
        );
        let batch = inspect(bytes, &InspectLimits::default())
            .map_err(|_| ErrorCode::UNKNOWN_SERVER_ERROR)?;
        let origin = Origin::Marker { bumps_epoch: marker.bumps_epoch };
        let ordered = partition.produce(cx.now, vec![batch], RequiredAcks::All, origin);
        Ok(Box::pin(async move {
            ordered.answered().await.map(drop).map_err(|refusal| refusal.code())
        }))
    }

    /// Offsets that the transaction has committed count from here on, or never.
    fn tell_groups(self, cx: &Cx, partition: &Partition) -> Result<Writing, ErrorCode> {
        let Self(marker) = self;
        let (groups, id, caller) = (cx.handles.groups.clone(), partition.id(), cx.caller());
        let mut told = Box::pin(async move { groups.end_transaction(id, caller, marker).await });
        // It is decided with the first poll, see the handler.
        let mut nobody = Context::from_waker(Waker::noop());
        match told.as_mut().poll(&mut nobody) {
            Poll::Ready(ended) => ended.map(|()| Box::pin(ready(Ok(()))) as Writing),
            Poll::Pending => Ok(told),
        }
    }
}
