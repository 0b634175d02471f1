//! The golden vectors: what Apache Kafka's own classes say about every message in every version.
//! `interop/golden/Golden.java` wrote them and explains each kind of line.
//!
//! Each value in a vector is computed from the name and place of its field, so decoding proves
//! that every value lands in the right field, and encoding that byte for byte it goes back.

mod common;

use std::collections::BTreeMap;
use std::io::Read;

use bytes::Bytes;
use common::leaves::{Leaf, leaves};
use common::{decode, encode};
use strandline_types::ErrorCode;
use strandline_wire::messages::{
    ApiKey, ConsumerOffsetsRecord, ControlRecord, Message, MessageVisitor, MetadataRecord,
    ShareGroupStateRecord, TransactionStateRecord, VersionRange, visit_messages,
};
use strandline_wire::{DecodeError, EncodeError};

/// Everything a vector asks of one message type.
struct Codec {
    versions: VersionRange,
    default: fn(i16) -> Result<Bytes, EncodeError>,
    /// Decodes in the first version and encodes in the second.
    recode: fn(&Bytes, i16, i16) -> Result<Recoded, DecodeError>,
}

struct Recoded {
    encoded: Result<Bytes, EncodeError>,
    /// The `Debug` form of what was decoded.
    debug: String,
}

fn codecs() -> BTreeMap<&'static str, Codec> {
    struct Collect(BTreeMap<&'static str, Codec>);
    impl MessageVisitor for Collect {
        fn visit<M: Message>(&mut self) {
            let codec = Codec {
                versions: M::VERSIONS,
                default: |version| encode(&M::default(), version),
                recode: |bytes, from, to| {
                    let message: M = decode(bytes, from)?;
                    Ok(Recoded { encoded: encode(&message, to), debug: format!("{message:?}") })
                },
            };
            assert!(self.0.insert(M::NAME, codec).is_none());
        }
    }
    let mut collect = Collect(BTreeMap::new());
    visit_messages(&mut collect);
    collect.0
}

/// The lines of one kind, each split into its words.
fn lines(kind: &str) -> Vec<Vec<String>> {
    let packed = include_bytes!("../../../interop/golden/vectors.txt.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).expect("gzip of text");
    let lines: Vec<Vec<String>> = text
        .lines()
        .map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .filter(|words| words[0] == kind)
        .map(|words| words[1..].to_vec())
        .collect();
    assert!(!lines.is_empty(), "no vectors of kind {kind}");
    lines
}

fn unhex(text: &str) -> Bytes {
    if text == "empty" {
        return Bytes::new();
    }
    let digits: Vec<u8> =
        text.chars().map(|digit| digit.to_digit(16).expect("hex digit") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn every_message_in_every_version() {
    let codecs = codecs();
    let mut seen: BTreeMap<String, Vec<i16>> = BTreeMap::new();
    for line in lines("message") {
        let [name, version, variant, count, hex] = &line[..] else { panic!("{line:?}") };
        let context = format!("{name} version {version} {variant}");
        let codec = codecs.get(name.as_str()).unwrap_or_else(|| panic!("no message {name}"));
        let version: i16 = version.parse().unwrap();
        let bytes = unhex(hex);
        let Recoded { encoded, debug } =
            (codec.recode)(&bytes, version, version).unwrap_or_else(|e| panic!("{context}: {e}"));
        assert_eq!(encoded, Ok(bytes.clone()), "{context}: {debug}");
        if variant == "default" {
            seen.entry(name.clone()).or_default().push(version);
            assert_eq!((codec.default)(version), Ok(bytes), "{context}");
            continue;
        }
        let filling = variant.strip_prefix("filled").map_or(0, |number| number.parse().unwrap());
        let right = leaves(&debug).iter().filter(|leaf| leaf.is_expected(filling)).count();
        assert_eq!(right, count.parse::<usize>().unwrap(), "{context}: {debug}");
    }
    let ours: BTreeMap<String, Vec<i16>> = codecs
        .iter()
        .map(|(name, codec)| (name.to_string(), codec.versions.iter().collect()))
        .collect();
    assert_eq!(seen, ours, "the same messages and versions as Kafka");
}

/// A value given to a field that some versions lack is refused there or dropped, as Kafka does.
#[test]
fn values_that_a_version_cannot_carry() {
    let codecs = codecs();
    for line in lines("field") {
        let [name, path, version, hex, outcomes] = &line[..] else { panic!("{line:?}") };
        let codec = &codecs[name.as_str()];
        let ours: String = codec
            .versions
            .iter()
            .map(|to| (codec.recode)(&unhex(hex), version.parse().unwrap(), to).unwrap())
            .map(|recoded| if recoded.encoded.is_ok() { '+' } else { '-' })
            .collect();
        assert_eq!(&ours, outcomes, "{name} {path}");
    }
}

#[test]
fn every_error_code() {
    let ours: Vec<Vec<String>> = ErrorCode::ALL
        .iter()
        .map(|code| {
            let name = code.name().unwrap().to_owned();
            vec![code.0.to_string(), name, code.is_retriable().to_string()]
        })
        .collect();
    let mut kafkas = lines("error");
    kafkas.sort_by_key(|words| words[0].parse::<i16>().unwrap());
    assert_eq!(ours, kafkas);
}

#[test]
fn every_api() {
    let ours: Vec<Vec<String>> = ApiKey::ALL
        .iter()
        .map(|key| {
            let facts = key.facts();
            let headers = |version_of: fn(ApiKey, i16) -> i16| {
                facts.versions.iter().map(|v| version_of(*key, v).to_string()).collect::<String>()
            };
            let listeners = match (facts.listeners.broker, facts.listeners.controller) {
                (true, true) => "broker,controller",
                (true, false) => "broker",
                _ => "controller",
            };
            vec![
                key.code().to_string(),
                facts.name.to_owned(),
                facts.versions.min.to_string(),
                facts.versions.max.to_string(),
                facts.advertised.min.to_string(),
                facts.advertised.max.to_string(),
                listeners.to_owned(),
                headers(ApiKey::request_header_version),
                headers(ApiKey::response_header_version),
            ]
        })
        .collect();
    assert_eq!(ours, lines("api"));
}

#[test]
fn metadata_records_in_their_frame() {
    for line in lines("metadata") {
        let [name, version, hex] = &line[..] else { panic!("{line:?}") };
        let bytes = unhex(hex);
        let record = MetadataRecord::decode(&bytes).unwrap();
        assert!(format!("{record:?}").contains(&format!("({name} {{")), "{name}: {record:?}");
        assert_eq!(record.encode(version.parse().unwrap()), Ok(bytes), "{name}");
    }
}

/// Checks one coordinator's topic: its record type is `$family`.
macro_rules! check_coordinator_records {
    ($kind:literal, $family:ty) => {
        for line in lines($kind) {
            let [name, version, key, value] = &line[..] else { panic!("{line:?}") };
            let (key, value) = (unhex(key), unhex(value));
            let record = <$family>::decode(&key, Some(&value)).unwrap();
            assert!(format!("{record:?}").starts_with(&format!("{name}({name}Key")), "{record:?}");
            assert_eq!(record.encode_key(), Ok(key.clone()), "{name}");
            assert_eq!(record.encode_value(version.parse().unwrap()), Ok(Some(value)), "{name}");
            let tombstone = <$family>::decode(&key, None).unwrap();
            assert_eq!(tombstone.encode_key(), Ok(key), "{name}");
            assert_eq!(tombstone.encode_value(0), Ok(None), "{name}");
        }
    };
}

#[test]
fn coordinator_records_with_their_prefixes() {
    check_coordinator_records!("offsets", ConsumerOffsetsRecord);
    check_coordinator_records!("transactions", TransactionStateRecord);
    check_coordinator_records!("share", ShareGroupStateRecord);
}

#[test]
fn control_records() {
    for line in lines("control") {
        let [name, key, value] = &line[..] else { panic!("{line:?}") };
        let (key, value) = (unhex(key), unhex(value));
        let record = ControlRecord::decode(&key, &value).unwrap();
        let variant: String = format!("{record:?}").split('(').next().unwrap().to_uppercase();
        assert_eq!(variant, name.replace('_', ""));
        assert_eq!(record.encode(), Ok((key, value)), "{name}");
    }
}

/// What no version of ours knows comes back byte for byte.
#[test]
fn unknown_records_survive() {
    let metadata = Bytes::from_static(&[1, 200, 1, 0, 42]);
    let record = MetadataRecord::decode(&metadata).unwrap();
    assert_eq!(record, MetadataRecord::Unknown(metadata.clone()));
    assert_eq!(record.encode(0), Ok(metadata));

    let newer_topic = Bytes::from_static(&[1, 2, 9, 42]);
    assert_eq!(
        MetadataRecord::decode(&newer_topic),
        Ok(MetadataRecord::Unknown(newer_topic.clone()))
    );

    let (key, value) = (Bytes::from_static(&[0, 99, 42]), Bytes::from_static(&[0, 0, 7]));
    let record = ConsumerOffsetsRecord::decode(&key, Some(&value)).unwrap();
    assert_eq!(record.encode_key(), Ok(key));
    assert_eq!(record.encode_value(0), Ok(Some(value)));

    // The key of a group, the value of a version to come.
    let (key, value) = (Bytes::from_static(b"\0\x02\0\x01g"), Bytes::from_static(&[0, 99, 7]));
    let record = ConsumerOffsetsRecord::decode(&key, Some(&value)).unwrap();
    assert_eq!(record.encode_value(3), Ok(Some(value)));
}

#[test]
fn a_leaf_in_the_wrong_field_is_noticed() {
    let expected = Leaf { path: "topics[0].name".into(), value: "\"name-383\"".into() };
    let swapped = Leaf { path: "topics[0].host".into(), ..expected.clone() };
    assert_eq!((expected.is_expected(0), swapped.is_expected(0)), (true, false));
}
