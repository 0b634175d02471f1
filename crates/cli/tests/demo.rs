//! `strandline demo` as a person runs it: a real broker, and figures that this file computes from
//! the data by itself.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use expect_test::expect;
use serde_json::{Value, json};

const FLIGHTS: usize = 20_000;

fn demo(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strandline"));
    command.arg("demo").args(args).output().unwrap()
}

/// Flights, cancelled flights and minutes of delay, by one column.
fn figures(column: &str) -> BTreeMap<String, (i64, i64, i64)> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/flights-2013.csv.zst");
    let csv = zstd::decode_all(std::fs::File::open(data).unwrap()).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    let mut lines = csv.lines();
    let names: Vec<_> = lines.next().unwrap().split(',').collect();
    let at = |name| names.iter().position(|it| *it == name).unwrap();
    let (column, delay) = (at(column), at("dep_delay"));
    let mut figures = BTreeMap::<_, (i64, i64, i64)>::new();
    for line in lines.take(FLIGHTS) {
        let fields: Vec<_> = line.split(',').collect();
        let (flights, cancelled, minutes) = figures.entry(fields[column].to_owned()).or_default();
        *flights += 1;
        match fields[delay].parse::<i64>() {
            Ok(late) => *minutes += late,
            Err(_) => *cancelled += 1,
        }
    }
    figures
}

/// What a group has answered, in the shape of [`figures`].
fn answers(group: &Value, column: &str) -> BTreeMap<String, (i64, i64, i64)> {
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
    assert_eq!(answers(carriers, "carrier"), figures("carrier"));
    assert_eq!(answers(airports, "origin"), figures("origin"));
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
