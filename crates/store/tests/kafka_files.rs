//! Files that Apache Kafka 4.3.1 wrote, read and written again byte for byte; and what the readers
//! say of files that are not what they should be.

use proptest::prelude::*;
use strandline_log::AbortedTransaction;
use strandline_log::{EpochStart, IndexEntry, ProducerSnapshot, TimeIndexEntry};
use strandline_store::format::names::{
    FileKind, FileState, OffsetFile, PartitionDir, SnapshotId, deleted_dir_name,
};
use strandline_store::format::quorum_state::{QuorumState, QuorumStateFormat};
use strandline_store::format::{
    FormatError, clean_shutdown, leader_epochs, meta_properties::MetaProperties, offset_checkpoint,
    offset_index, partition_metadata, producer_snapshot, time_index, transaction_index,
};
use strandline_types::{
    BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionId, ProducerEpoch, ProducerId, Timestamp,
    TopicPartition, Uuid,
};

fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition: PartitionId(partition) }
}

#[test]
fn offset_checkpoints() {
    let bytes = include_bytes!("vectors/recovery-point-offset-checkpoint");
    let offsets = offset_checkpoint::decode(bytes).unwrap();
    assert_eq!(offsets.len(), 13);
    assert_eq!(offsets[&partition("__transaction_state", 1)], Offset(13));
    assert_eq!(offsets[&partition("c-none", 0)], Offset(4000));
    // Kafka writes in no order: only the lines can be compared.
    let sorted = |bytes: &[u8]| {
        let mut lines: Vec<_> = bytes.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&offset_checkpoint::encode(&offsets)), sorted(bytes));
    let empty = include_bytes!("vectors/log-start-offset-checkpoint");
    assert_eq!(offset_checkpoint::encode(&offset_checkpoint::decode(empty).unwrap()), empty);
    assert!(offset_checkpoint::decode(b"").unwrap().is_empty());
}

#[test]
fn malformed_checkpoints_say_why() {
    let fails = |text: &str| offset_checkpoint::decode(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(fails("1\n0\n"), "version 1 is unknown, expected 0");
    assert_eq!(fails("0\n"), "line 2: expected a number");
    assert_eq!(fails("0\n1\n"), "1 entries announced, 0 found");
    assert_eq!(fails("0\n-1\n"), "-1 entries announced, 0 found");
    assert_eq!(fails("0\n1\na 0 1\nb 0 1\n"), "1 entries announced, 2 found");
    assert_eq!(fails("0\n1\na 0\n"), "line 3: malformed entry");
    assert_eq!(fails("0\n1\na 0 9223372036854775808\n"), "line 3: malformed entry");
}

#[test]
fn leader_epochs_checkpoint() {
    let bytes = include_bytes!("vectors/leader-epoch-checkpoint");
    let epochs = leader_epochs::decode(bytes).unwrap();
    assert_eq!(epochs, [EpochStart { epoch: LeaderEpoch(0), start: Offset(4000) }]);
    assert_eq!(leader_epochs::encode(&epochs), bytes);
}

#[test]
fn partition_metadata_file() {
    let bytes = include_bytes!("vectors/partition.metadata");
    let id = partition_metadata::decode(bytes).unwrap();
    assert_eq!(id.to_string(), "4gtR-kylTHeZ997fKWzRzg");
    assert_eq!(partition_metadata::encode(id), bytes);
    assert_eq!(
        partition_metadata::decode(b"version: 1\ntopic_id: x"),
        Err(FormatError::UnknownVersion { found: 1, expected: "0" })
    );
    assert!(partition_metadata::decode(b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA").is_err());
}

#[test]
fn meta_properties() {
    let bytes = include_bytes!("vectors/meta.properties");
    let meta = MetaProperties::decode(bytes).unwrap();
    assert_eq!(
        meta,
        MetaProperties {
            cluster_id: "AqnZ6PbsTD-96uBlBXr8Nw".into(),
            node_id: NodeId(1),
            directory_id: Some("AcF3b_qbRD20xgwcPQF7wQ".parse().unwrap()),
        }
    );
    // All but the date.
    let undated: Vec<u8> = std::str::from_utf8(bytes)
        .unwrap()
        .lines()
        .filter(|line| line.len() < 2 || !line.starts_with('#'))
        .flat_map(|line| [line, "\n"].concat().into_bytes())
        .collect();
    assert_eq!(meta.encode(), undated);
    let odd = MetaProperties { cluster_id: r"a=b:c\d#".into(), ..meta };
    assert_eq!(MetaProperties::decode(&odd.encode()).unwrap(), odd);
    let fails = |text: &str| MetaProperties::decode(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(fails("version=0\nbroker.id=1\n"), "version 0 is unknown, expected 1");
    assert_eq!(fails("version=1\nnode.id=1\n"), "'cluster.id' is missing");
    assert_eq!(fails("version=1\ncluster.id=x\nnode.id=-1\n"), "'node.id' is out of range");
}

#[test]
fn clean_shutdown_file() {
    let bytes = include_bytes!("vectors/kafka_cleanshutdown");
    assert_eq!(clean_shutdown::decode(bytes), BrokerEpoch(15));
    assert_eq!(clean_shutdown::encode(BrokerEpoch(15)), bytes);
    assert_eq!(clean_shutdown::decode(b""), BrokerEpoch::NONE);
}

#[test]
fn quorum_state() {
    let dynamic = include_bytes!("vectors/quorum-state-v1");
    let state = QuorumState::decode(dynamic).unwrap();
    assert_eq!(
        state,
        QuorumState {
            leader_id: NodeId(1),
            leader_epoch: LeaderEpoch(1),
            voted_id: NodeId::NONE,
            format: QuorumStateFormat::DynamicVoters { voted_directory_id: Uuid::ZERO },
        }
    );
    assert_eq!(state.encode(), dynamic);
    let fixed = include_bytes!("vectors/quorum-state-v0");
    let state = QuorumState::decode(fixed).unwrap();
    assert_eq!(
        state.format,
        QuorumStateFormat::StaticVoters { current_voters: vec![NodeId(1), NodeId(2)] }
    );
    assert_eq!(state.encode(), fixed);
    assert!(QuorumState::decode(b"{\"data_version\":2}").is_err());
    assert!(QuorumState::decode(b"[]").is_err());
}

#[test]
fn producer_snapshots() {
    for bytes in [
        &include_bytes!("vectors/open-transaction.snapshot")[..],
        include_bytes!("vectors/aborted.snapshot"),
        include_bytes!("vectors/idempotent.snapshot"),
        include_bytes!("vectors/empty.snapshot"),
    ] {
        assert_eq!(producer_snapshot::encode(&producer_snapshot::decode(bytes).unwrap()), bytes);
        for at in 0..bytes.len() {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 1;
            assert!(producer_snapshot::decode(&flipped).is_err(), "byte {at}");
            assert!(producer_snapshot::decode(&bytes[..at]).is_err(), "length {at}");
        }
    }
    let bytes = include_bytes!("vectors/idempotent.snapshot");
    assert_eq!(
        producer_snapshot::decode(bytes).unwrap(),
        [ProducerSnapshot {
            producer_id: ProducerId(6),
            epoch: ProducerEpoch(0),
            last_sequence: 3999,
            last_offset: Offset(3999),
            offset_delta: 8,
            timestamp: Timestamp(1_700_000_003_999),
            coordinator_epoch: -1,
            transaction_first_offset: Offset(-1),
        }]
    );
}

#[test]
fn index_entries() {
    let bytes = include_bytes!("vectors/eight.index");
    let (entries, rest) = bytes.as_chunks();
    assert_eq!((entries.len(), rest.len()), (8, 0));
    let decoded: Vec<_> = entries.iter().map(offset_index::decode_entry).collect();
    assert_eq!(decoded[0], IndexEntry { relative_offset: 19, position: 3201 });
    assert_eq!(decoded.into_iter().flat_map(offset_index::encode_entry).collect::<Vec<_>>(), bytes);
    let bytes = include_bytes!("vectors/eight.timeindex");
    let (entries, _) = bytes.as_chunks();
    let decoded: Vec<_> = entries.iter().map(time_index::decode_entry).collect();
    let first = TimeIndexEntry { timestamp: Timestamp(1_700_000_003_290), relative_offset: 19 };
    assert_eq!(decoded[0], first);
    assert_eq!(decoded.into_iter().flat_map(time_index::encode_entry).collect::<Vec<_>>(), bytes);
}

#[test]
fn aborted_transactions() {
    let bytes = include_bytes!("vectors/two.txnindex");
    let aborted = transaction_index::decode(bytes).unwrap();
    assert_eq!(
        aborted[1],
        AbortedTransaction {
            producer_id: ProducerId(11),
            first_offset: Offset(4),
            last_offset: Offset(5),
            last_stable_offset: Offset(6),
        }
    );
    assert_eq!(transaction_index::encode(&aborted), bytes);
    assert!(transaction_index::decode(&bytes[1..]).is_err());
}

#[test]
fn file_names() {
    let file = |offset, kind, state| OffsetFile { offset: Offset(offset), kind, state };
    for (name, parsed) in [
        ("00000000000000000042.log", Some(file(42, FileKind::Log, FileState::Live))),
        (
            "00000000000000000042.timeindex.deleted",
            Some(file(42, FileKind::TimeIndex, FileState::Deleted)),
        ),
        ("00000000000000000042.index.swap", Some(file(42, FileKind::OffsetIndex, FileState::Swap))),
        ("0000000000000000042.log", None),
        ("00000000000000000042.logs", None),
        ("-0000000000000000042.log", None),
        ("99999999999999999999.log", None),
        ("0000000000000000004é.log", None),
        ("leader-epoch-checkpoint", None),
    ] {
        assert_eq!(OffsetFile::parse(name), parsed, "{name}");
        if let Some(file) = parsed {
            assert_eq!(file.name(), name);
        }
    }
    let snapshot = SnapshotId { end: Offset(7), epoch: LeaderEpoch(2) };
    assert_eq!(snapshot.name(), "00000000000000000007-0000000002.checkpoint");
    assert_eq!(SnapshotId::parse(&snapshot.name()), Some(snapshot));
    assert_eq!(SnapshotId::parse("00000000000000000007-0000000002.checkpoint.part"), None);
    assert_eq!(SnapshotId::parse("bootstrap.checkpoint"), None);
}

#[test]
fn directory_names() {
    for (name, parsed) in [
        ("a-b-0", Some(PartitionDir::Live(partition("a-b", 0)))),
        ("a-b-12", Some(PartitionDir::Live(partition("a-b", 12)))),
        ("a-b-012", None),
        ("a-b", None),
        ("a-99999999999", None),
        ("-0", None),
        ("lost+found", None),
        ("t-lz4-0.31e87d5bcfb946bb9fdabeff7076cddb-delete", Some(PartitionDir::Deleted)),
        ("t-0.31e87d5bcfb946bb9fdabeff7076cddb-stray", Some(PartitionDir::Stray)),
        (
            "t-0.31e87d5bcfb946bb9fdabeff7076cddb-future",
            Some(PartitionDir::Future(partition("t", 0))),
        ),
    ] {
        assert_eq!(PartitionDir::parse(name), parsed, "{name}");
    }
    let long = partition(&"x".repeat(249), 1_000_000);
    let name = deleted_dir_name(&long, Uuid::ONE);
    assert_eq!(name.len(), 255);
    assert_eq!(PartitionDir::parse(&name), Some(PartitionDir::Deleted));
}

proptest! {
    #[test]
    fn no_reader_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = offset_checkpoint::decode(&bytes);
        let _ = leader_epochs::decode(&bytes);
        let _ = partition_metadata::decode(&bytes);
        let _ = MetaProperties::decode(&bytes);
        let _ = QuorumState::decode(&bytes);
        let _ = producer_snapshot::decode(&bytes);
        let _ = transaction_index::decode(&bytes);
        let _ = clean_shutdown::decode(&bytes);
    }

    #[test]
    fn no_name_panics(name in "\\PC{0,60}") {
        let _ = OffsetFile::parse(&name);
        let _ = PartitionDir::parse(&name);
        let _ = SnapshotId::parse(&name);
    }

    #[test]
    fn offsets_survive_their_file(
        entries in proptest::collection::btree_map("[a-zA-Z0-9._-]{1,20}", any::<i64>(), 0..20)
    ) {
        let offsets: offset_checkpoint::Offsets =
            entries.into_iter().map(|(topic, at)| (partition(&topic, 3), Offset(at))).collect();
        prop_assert_eq!(offset_checkpoint::decode(&offset_checkpoint::encode(&offsets)), Ok(offsets));
    }
}
