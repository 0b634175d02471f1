//! The records of internal topics and of the metadata log. The first byte chooses the family, the
//! second the length of the key. What is read is written again, and must be read as the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use strandline_wire::Reader;
use strandline_wire::messages::{
    ConsumerOffsetsRecord, ConsumerProtocolAssignment, ConsumerProtocolSubscription, ControlRecord,
    MetadataRecord, RemoteLogMetadataRecord, ShareGroupStateRecord, TransactionStateRecord,
    decode_forward,
};

fuzz_target!(|input: &[u8]| {
    let [kind, key_len, rest @ ..] = input else { return };
    let (key, value) = rest.split_at(usize::from(*key_len).min(rest.len()));
    let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
    let has_value = kind & 0x80 == 0;
    let optional = has_value.then_some(&value);
    // A record is written again in its own version: in another one, a tag unknown to its own may
    // be a field. Frames are 01, type, version; values of keyed records begin with two bytes of it.
    macro_rules! single {
        ($family:ty) => {
            let Ok(record) = <$family>::decode(&value) else { return };
            let mut frame = Reader::new(&value);
            let mut number = || frame.unsigned_varint().expect("the frame was read");
            let [_, _, version] = [number(), number(), number()];
            let version = version as i16;
            let bytes = record.encode(version).expect("what was read can be written");
            let again = <$family>::decode(&bytes).expect("and read again");
            assert_eq!(again.encode(version), Ok(bytes));
        };
    }
    macro_rules! keyed {
        ($family:ty) => {
            let Ok(record) = <$family>::decode(&key, optional) else { return };
            let version = value.first_chunk().map_or(0, |bytes| i16::from_be_bytes(*bytes));
            let key = record.encode_key().expect("what was read can be written");
            let bytes = record.encode_value(version).expect("what was read can be written");
            let again = <$family>::decode(&key, bytes.as_ref()).expect("and read again");
            assert_eq!(again.encode_key(), Ok(key));
            assert_eq!(again.encode_value(version), Ok(bytes));
        };
    }
    match kind & 0x7f {
        0 => {
            single!(MetadataRecord);
        }
        1 => {
            let Ok(record) = ControlRecord::decode(&key, &value) else { return };
            let (key, value) = record.encode().expect("what was read can be written");
            assert_eq!(ControlRecord::decode(&key, &value), Ok(record));
        }
        2 => {
            keyed!(ConsumerOffsetsRecord);
        }
        3 => {
            keyed!(TransactionStateRecord);
        }
        4 => {
            keyed!(ShareGroupStateRecord);
        }
        5 => {
            single!(RemoteLogMetadataRecord);
        }
        6 => {
            let _ = decode_forward::<ConsumerProtocolSubscription>(&value);
        }
        _ => {
            let _ = decode_forward::<ConsumerProtocolAssignment>(&value);
        }
    }
});
