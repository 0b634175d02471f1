//! `strandline demo` as a person runs it: a real broker, and figures that were counted in the table
//! of the source, by another program.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::{Command, Output};

use expect_test::expect;
use serde_json::{Value, json};

const FLIGHTS: usize = 20_000;

fn demo(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strandline"));
    command.arg("demo").args(args).output().unwrap()
}

/// Flights, cancelled flights and minutes of delay.
type Figures = (i64, i64, i64);

/// Of the first [`FLIGHTS`] in the source.
const CARRIERS: [(&str, Figures); 15] = [
    ("9E", (1157, 39, 14272)),
    ("AA", (2075, 36, 12726)),
    ("AS", (46, 0, 301)),
    ("B6", (3320, 1, 25190)),
    ("DL", (2734, 8, 5224)),
    ("EV", (3072, 44, 59683)),
    ("F9", (44, 0, 193)),
    ("FL", (243, 1, -350)),
    ("HA", (23, 0, 1688)),
    ("MQ", (1684, 17, 7263)),
    ("UA", (3445, 17, 25040)),
    ("US", (1149, 10, -1516)),
    ("VX", (239, 1, 332)),
    ("WN", (737, 2, 4027)),
    ("YV", (32, 2, 412)),
];
const ORIGINS: [(&str, Figures); 3] =
    [("EWR", (7324, 68, 87061)), ("JFK", (6827, 50, 48043)), ("LGA", (5849, 60, 19381))];

fn figures(counted: &[(&str, Figures)]) -> BTreeMap<String, Figures> {
    counted.iter().map(|(name, figures)| ((*name).to_owned(), *figures)).collect()
}

/// What a group has answered.
fn answers(group: &Value, column: &str) -> BTreeMap<String, Figures> {
    let answers = group["answers"].as_array().unwrap().iter().map(|answer| {
        let number = |name| answer[name].as_i64().unwrap();
        let figures = (number("flights"), number("cancelled"), number("delayMinutes"));
        (answer[column].as_str().unwrap().to_owned(), figures)
    });
    answers.collect()
}

fn partitions(group: &Value) -> Vec<Vec<u64>> {
    let members = group["members"].as_array().unwrap().iter();
    let of = |member: &Value| {
        let partitions = member["partitions"].as_array().unwrap();
        partitions.iter().map(|index| index.as_u64().unwrap()).collect()
    };
    members.map(of).collect()
}

#[test]
fn two_groups_read_what_the_file_says() {
    let output = demo(&["--json", "--limit", &FLIGHTS.to_string()]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert_eq!(told, "");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["agrees"], true);
    assert_eq!(report["published"]["records"], FLIGHTS);
    assert_eq!(report["consumed"]["records"], 2 * FLIGHTS);

    let [carriers, airports] = [&report["groups"][0], &report["groups"][1]];
    assert_eq!(answers(carriers, "carrier"), figures(&CARRIERS));
    assert_eq!(answers(airports, "origin"), figures(&ORIGINS));
    for group in [carriers, airports] {
        assert_eq!(group["flights"], FLIGHTS);
        assert_eq!(group["differences"], json!([]));
        assert_eq!(group["routesInOrder"], group["routes"]);
    }
    let shares = partitions(carriers);
    assert_eq!(shares.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2]);
    assert_eq!(partitions(airports), [[0, 1, 2, 3, 4, 5]]);
}

#[test]
fn data_is_kept_and_never_added_to() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("kept");
    let args = ["--data-dir", dir.to_str().unwrap(), "--limit", "500"];
    let first = demo(&args);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert!(dir.join("flights-0/00000000000000000000.log").exists());

    let again = demo(&args);
    assert_eq!(again.status.code(), Some(1));
    expect![[r#"
        error: cannot create topic flights
          TOPIC_ALREADY_EXISTS(36): there is a topic flights already
        next: the demo writes only to a topic that it has made: give another name with --topic
    "#]]
    .assert_eq(&String::from_utf8(again.stderr).unwrap());
}
