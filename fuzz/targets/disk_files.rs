//! Every file of a data directory besides the log. The first byte chooses the file. What is read
//! is written again, and must be read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strandline_store::format::{
    clean_shutdown, leader_epochs, meta_properties::MetaProperties, names, offset_checkpoint,
    offset_index, partition_metadata, producer_snapshot, quorum_state::QuorumState, time_index,
    transaction_index,
};

fuzz_target!(|input: &[u8]| {
    let Some((kind, file)) = input.split_first() else { return };
    match kind % 10 {
        0 => {
            clean_shutdown::decode(file);
        }
        1 => round_trip(leader_epochs::decode(file), |value| {
            leader_epochs::decode(&leader_epochs::encode(value))
        }),
        2 => round_trip(MetaProperties::decode(file), |value| {
            MetaProperties::decode(&value.encode())
        }),
        3 => round_trip(offset_checkpoint::decode(file), |value| {
            offset_checkpoint::decode(&offset_checkpoint::encode(value))
        }),
        4 => round_trip(partition_metadata::decode(file), |value| {
            partition_metadata::decode(&partition_metadata::encode(*value))
        }),
        5 => {
            round_trip(producer_snapshot::decode(&sealed(file)), |value| {
                producer_snapshot::decode(&producer_snapshot::encode(value))
            });
            let _ = producer_snapshot::decode(file);
        }
        6 => round_trip(QuorumState::decode(file), |value| QuorumState::decode(&value.encode())),
        7 => round_trip(transaction_index::decode(file), |value| {
            transaction_index::decode(&transaction_index::encode(value))
        }),
        8 => {
            file.as_chunks().0.iter().for_each(|entry| {
                offset_index::decode_entry(entry);
            });
            file.as_chunks().0.iter().for_each(|entry| {
                time_index::decode_entry(entry);
            });
        }
        _ => {
            let Ok(name) = std::str::from_utf8(file) else { return };
            let _ = names::PartitionDir::parse(name);
            if let Some(file) = names::OffsetFile::parse(name) {
                assert_eq!(file.name(), name);
            }
            if let Some(id) = names::SnapshotId::parse(name) {
                assert_eq!(names::SnapshotId::parse(&id.name()), Some(id));
            }
        }
    }
});

fn round_trip<T: PartialEq + std::fmt::Debug, E: std::fmt::Debug>(
    decoded: Result<T, E>,
    again: impl Fn(&T) -> Result<T, E>,
) {
    if let Ok(value) = decoded {
        assert_eq!(again(&value).expect("what we write can be read"), value);
    }
}

/// The checksum of a producer snapshot made right, so that the fuzzer reaches its entries.
fn sealed(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    if file.len() >= 6 {
        let checksum = crc_fast::crc32_iscsi(&file[6..]);
        file[2..6].copy_from_slice(&checksum.to_be_bytes());
    }
    file
}
