//! `strandline bench` as a person runs it, against a node of our own.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod node;

use std::io::{BufRead, BufReader, Lines, Read};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::Duration;

use node::{Node, Start};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn command(node: &Node, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strandline"));
    command.args(line.split_whitespace()).args(["--bootstrap", &node.kafka.to_string()]);
    command
}

fn succeed(node: &Node, line: &str) -> Output {
    let output = command(node, line).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn json(node: &Node, line: &str) -> Value {
    serde_json::from_slice(&succeed(node, &format!("{line} --json")).stdout).unwrap()
}

/// A bench that runs, and the lines that it tells meanwhile.
fn spawn(node: &Node, line: &str) -> (Child, Lines<BufReader<ChildStderr>>) {
    let mut command = command(node, line);
    let mut bench = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let told = BufReader::new(bench.stderr.take().unwrap()).lines();
    (bench, told)
}

/// A bench leaves nothing behind.
fn no_topic_is_left(node: &Node) {
    assert_eq!(json(node, "topic list"), serde_json::json!([]));
}

/// p50, p99, p99.9 and the maximum, of which none is smaller than the one before.
fn latencies(side: &Value) -> [f64; 4] {
    let all = ["p50", "p99", "p99.9", "max"].map(|name| side["latencyMs"][name].as_f64().unwrap());
    assert!(all.is_sorted() && all[0] > 0.0, "{all:?}");
    all
}

#[test]
fn every_record_of_a_round_trip_is_timed() {
    let dir = tempfile::tempdir().unwrap();
    let node = Start::anywhere(dir.path()).ready();
    let line = "bench -n 400 --rate 2000 --size 100 --producers 3 --partitions 2 --linger 0";
    let report = json(&node, line);
    for side in ["produced", "consumed"] {
        assert_eq!(report[side]["records"], 400);
        latencies(&report[side]);
    }
    // The last is due 199.5 ms after the first, however fast the broker is.
    assert!(report["produced"]["seconds"].as_f64().unwrap() >= 0.199);
    assert_eq!(report["rate"], 2000.0);
    no_topic_is_left(&node);
}

#[test]
fn transactions_are_committed_on_time_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let node = Start::anywhere(dir.path()).ready();
    let line = "bench -n 400 --rate 2000 --size 100 --producers 2 --partitions 2 --commit-every 20";
    let report = json(&node, line);
    for side in ["produced", "committed", "consumed"] {
        latencies(&report[side]);
    }
    assert_eq!(
        (&report["produced"]["records"], &report["consumed"]["records"]),
        (&400.into(), &400.into())
    );
    let committed = report["committed"]["records"].as_u64().unwrap();
    // Two producers, of which each has one in 20 ms, unless it waits for the broker.
    assert!((6..=22).contains(&committed), "{committed} in 200 ms");
    assert_eq!(report["commitEveryMs"], 20);
    no_topic_is_left(&node);
}

#[test]
fn every_load_runs_and_tells() {
    let dir = tempfile::tempdir().unwrap();
    let node = Start::anywhere(dir.path()).ready();
    let report = json(&node, "bench produce -n 3000 --size 200 --acks 1 --compression zstd");
    assert_eq!(report["produced"]["records"], 3000);
    latencies(&report["produced"]);
    assert_eq!(report["consumed"], Value::Null);

    let report = json(&node, "bench consume -n 3000 --size 200 --acks 0");
    assert_eq!(report["consumed"]["records"], 3000);
    assert_eq!(report["consumed"]["latencyMs"]["p50"], Value::Null, "it lay there before");

    let output = succeed(&node, "bench --duration 1 --rate 100");
    let lines: Vec<_> = str::from_utf8(&output.stdout).unwrap().lines().collect();
    let names: Vec<_> = lines[0].split_whitespace().collect();
    assert_eq!(names, ["RECORDS", "RECORDS/S", "MB/S", "P50", "P99", "P99.9", "MAX"]);
    let rows: Vec<Vec<_>> =
        lines[1..].iter().map(|line| line.split_whitespace().collect()).collect();
    let [produced, consumed] = &rows[..] else { panic!("{lines:?}") };
    assert_eq!(
        (produced[..2].to_vec(), consumed[..2].to_vec()),
        (vec!["produced", "100"], vec!["consumed", "100"])
    );
    no_topic_is_left(&node);
}

/// A broker that stands still delays whatever is due meanwhile: were only the record counted that
/// waited for an answer, one in a thousand would be slow.
#[test]
fn a_pause_is_not_hidden() {
    let dir = tempfile::tempdir().unwrap();
    let node = Start::anywhere(dir.path()).ready();
    let (mut bench, mut told) = spawn(&node, "bench -n 3000 --rate 1000 --size 100");
    // It has begun.
    told.next().unwrap().unwrap();
    node.signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(1));
    node.signal(Signal::CONT);
    let mut out = String::new();
    bench.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert!(bench.wait().unwrap().success(), "{:?}", told.collect::<Vec<_>>());
    let consumed: Vec<_> = out.lines().nth(2).unwrap().split_whitespace().collect();
    let [name, records, _, _, _, _, p99, "ms", _, "ms", max, "ms"] = consumed[..] else {
        panic!("{out}")
    };
    assert_eq!((name, records), ("consumed", "3,000"));
    let [p99, max] = [p99, max].map(|text| text.parse::<f64>().unwrap());
    assert!(max >= 900.0 && p99 >= 500.0, "{out}");
}

#[test]
fn an_interrupted_bench_cleans_up() {
    let dir = tempfile::tempdir().unwrap();
    let node = Start::anywhere(dir.path()).ready();
    let (mut bench, mut told) = spawn(&node, "bench --duration 600 --size 100");
    let line = told.next().unwrap().unwrap();
    assert!(line.starts_with("  1 s  produced"), "{line}");
    kill_process(Pid::from_child(&bench), Signal::INT).unwrap();
    assert_eq!(bench.wait().unwrap().code(), Some(128 + 2));
    no_topic_is_left(&node);
}
