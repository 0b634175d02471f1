//! The demo's flights as a log of changes: the tables rebuilt from it, by commands as a person types
//! them, are those that the file itself gives (`docs/batch.md`).

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../src/demo/flights/mod.rs"]
mod flights;
mod local;
mod node;

use std::collections::BTreeMap;
use std::process::Command;

use flights::{Flight, Flights};
use node::{Node, Start};
use serde_json::Value;
use strandline_client::Admin;
use strandline_client::admin::NewTopic;
use strandline_client::producer::{Producer, ProducerConfig, ProducerRecord};
use strandline_types::Timestamp;

/// January and most of February.
const FLIGHTS: u64 = 50_000;

/// Midnight of a day in January or February 2013.
fn midnight(flight: &Flight<'_>) -> Timestamp {
    let days = i64::from(flight.month - 1) * 31 + i64::from(flight.day - 1);
    Timestamp(1_356_998_400_000 + days * 86_400_000)
}

/// On the board of departures stands each number's last flight, unless it was cancelled.
fn number(flight: &Flight<'_>) -> String {
    format!("{}{}-{}", flight.carrier, flight.flight, flight.dest)
}

/// What the file says of the board before a day.
fn board_of_file(month: u8, day: u8) -> BTreeMap<String, Value> {
    let mut board = BTreeMap::new();
    let mut flights = Flights::first(FLIGHTS);
    while let Some(flight) = flights.next() {
        if (flight.month, flight.day) >= (month, day) {
            break;
        }
        match flight.dep_delay {
            Some(_) => board.insert(number(&flight), serde_json::to_value(&flight).unwrap()),
            None => board.remove(&number(&flight)),
        };
    }
    board
}

fn run(node: &Node, line: &str) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strandline"));
    command.args(line.split(' ')).args(["--bootstrap", &node.kafka.to_string()]);
    let output = command.output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    assert!(output.status.success(), "{line}: {err}");
    (out, err)
}

/// Keys and values, in the order in which they come, and what was said beside.
fn table(node: &Node, line: &str) -> (Vec<(String, Value)>, String) {
    let (rows, said) = run(node, &format!("table {line} --json"));
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let value = serde_json::from_str(row["value"].as_str().unwrap()).unwrap();
        (row["key"].as_str().unwrap().to_owned(), value)
    };
    (rows.lines().map(row).collect(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_board_of_any_day_is_rebuilt_from_its_changes() {
    let dir = tempfile::tempdir().unwrap();
    let node = Start::anywhere(dir.path()).ready();
    let client = local::client(&node.kafka.to_string());
    let topic = NewTopic::new("board", 4, 1).config("retention.ms", "-1");
    Admin::new(client.clone()).create_topics(&[topic], false).await.unwrap();
    let producer = Producer::new(client, ProducerConfig::default());
    let mut flights = Flights::first(FLIGHTS);
    while let Some(flight) = flights.next() {
        let mut change =
            ProducerRecord::new("board").key(number(&flight)).timestamp(midnight(&flight));
        if flight.dep_delay.is_some() {
            change = change.value(serde_json::to_vec(&flight).unwrap());
        }
        drop(producer.send(change).await.unwrap());
    }
    producer.flush().await;

    for day in [1, 2, 15, 31] {
        let expected: Vec<_> = board_of_file(1, day).into_iter().collect();
        let (rows, said) = table(&node, &format!("board --at 2013-01-{day:02}"));
        assert_eq!((rows, said.as_str()), (expected, ""), "day {day}");
    }
    let expected: Vec<_> = board_of_file(2, 25).into_iter().collect();
    let (key, value) = &expected[expected.len() / 2];
    let (rows, _) = table(&node, &format!("board --at 2013-02-25 --key {key}"));
    assert_eq!(rows, [(key.clone(), value.clone())]);
}

#[test]
fn the_demo_leaves_the_last_flight_of_every_route() {
    let dir = tempfile::tempdir().unwrap();
    let node = Start::anywhere(dir.path()).ready();
    run(&node, &format!("demo --limit {FLIGHTS}"));
    let mut last = BTreeMap::new();
    let mut flights = Flights::first(FLIGHTS);
    while let Some(flight) = flights.next() {
        last.insert(flight.route(), serde_json::to_value(&flight).unwrap());
    }
    let (rows, said) = table(&node, "flights");
    assert_eq!((rows, said.as_str()), (last.into_iter().collect::<Vec<_>>(), ""));
    let (changes, _) = run(&node, "consume flights --until now");
    assert_eq!(changes.lines().count(), FLIGHTS as usize);
}
