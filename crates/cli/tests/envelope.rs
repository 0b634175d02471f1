//! Envelope as Kafka's brokers send it to a controller: what is inside is served, and what is wrong
//! has the code that tells the relaying broker whose fault it is.

#![allow(clippy::unwrap_used)]

mod node;

use bytes::Bytes;
use node::{Client, Start};
use strandline_types::ErrorCode;
use strandline_wire::frame::{self, SIZE_BYTES};
use strandline_wire::messages::create_topics_request::CreatableTopic;
use strandline_wire::messages::{
    CreateTopicsRequest, DefaultPrincipalData, EnvelopeRequest, MetadataRequest, Request,
    encode_prefixed,
};

const CORRELATION_ID: i32 = 77;

/// What a broker relays, without its size.
fn inside<R: Request>(request: &R, version: i16) -> Bytes {
    let framed = frame::request(request, version, CORRELATION_ID, Some("who asks")).unwrap();
    framed.contiguous().unwrap().slice(SIZE_BYTES..)
}

fn creates(name: &str) -> CreateTopicsRequest {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() }
}

fn envelope(request_data: Bytes) -> EnvelopeRequest {
    let principal =
        DefaultPrincipalData { r#type: "User".into(), name: "anna".into(), ..Default::default() };
    EnvelopeRequest {
        request_data,
        request_principal: Some(encode_prefixed(&principal, 0).unwrap()),
        client_host_address: Bytes::from_static(&[127, 0, 0, 1]),
        ..Default::default()
    }
}

#[test]
fn a_relayed_request_is_served_under_its_own_header() {
    let home = tempfile::tempdir().unwrap();
    let node = Start::anywhere(home.path()).ready();
    let mut controller = Client::connect(node.controller);
    for (version, name) in [(4, "old-header"), (7, "new-header")] {
        let answer = controller.ask(&envelope(inside(&creates(name), version)), 0);
        assert_eq!(answer.error_code, ErrorCode::NONE);
        let inside = answer.response_data.unwrap();
        assert_eq!(frame::correlation_id(&inside), Ok(CORRELATION_ID));
        let created = frame::decode_response::<CreateTopicsRequest>(&inside, version).unwrap();
        assert_eq!(created.topics[0].name, name);
        assert_eq!(created.topics[0].error_code, ErrorCode::NONE);
    }
    // What the controller refuses is an answer like any other.
    let again = controller.ask(&envelope(inside(&creates("new-header"), 7)), 0);
    assert_eq!(again.error_code, ErrorCode::NONE);
    let inside = again.response_data.unwrap();
    let refused = frame::decode_response::<CreateTopicsRequest>(&inside, 7).unwrap();
    assert_eq!(refused.topics[0].error_code, ErrorCode::TOPIC_ALREADY_EXISTS);
}

#[test]
fn what_is_wrong_with_an_envelope_has_kafkas_code() {
    let home = tempfile::tempdir().unwrap();
    let node = Start::anywhere(home.path()).ready();
    let mut controller = Client::connect(node.controller);
    let good = envelope(inside(&creates("never"), 7));
    let cut = good.request_data.slice(..good.request_data.len() - 1);
    let cases = [
        (
            "nobody asks",
            EnvelopeRequest { request_principal: None, ..good.clone() },
            ErrorCode::PRINCIPAL_DESERIALIZATION_FAILURE,
        ),
        (
            "no principal of a known version",
            EnvelopeRequest {
                request_principal: Some(Bytes::from_static(&[0, 9, 1, 1, 0, 0])),
                ..good.clone()
            },
            ErrorCode::PRINCIPAL_DESERIALIZATION_FAILURE,
        ),
        (
            "an address of three bytes",
            EnvelopeRequest {
                client_host_address: Bytes::from_static(&[127, 0, 1]),
                ..good.clone()
            },
            ErrorCode::INVALID_REQUEST,
        ),
        ("nothing", envelope(Bytes::new()), ErrorCode::UNSUPPORTED_VERSION),
        ("no API", envelope(Bytes::from_static(&[1; 16])), ErrorCode::UNSUPPORTED_VERSION),
        ("a body that ends early", envelope(cut), ErrorCode::UNSUPPORTED_VERSION),
        (
            "what a broker answers itself",
            envelope(inside(&MetadataRequest::default(), 12)),
            ErrorCode::INVALID_REQUEST,
        ),
        ("an envelope", envelope(inside(&good, 0)), ErrorCode::INVALID_REQUEST),
    ];
    for (what, request, code) in cases {
        let answer = controller.ask(&request, 0);
        assert_eq!((answer.error_code, answer.response_data), (code, None), "{what}");
    }
    let mut broker = node.client();
    assert!(broker.try_ask(&good, 0).is_err(), "clients do not speak for others");
}
