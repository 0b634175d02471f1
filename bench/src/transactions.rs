//! Transactions on brokers side by side: how long commits take, and committed records to their
//! readers. The load is `strandline bench`, the same program for all of them.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cpu_seconds;
use crate::table::{Broker, heading, line, median};

/// Arguments of a load, the figure that matters, and how it reads.
const ROWS: &[Row] = &[
    Row::new(STEADY, "commits of 100 ms at 2,000/s, p50 ms", |it, _| of(it, "committed", "p50")),
    Row::new(STEADY, "commits of 100 ms at 2,000/s, p99 ms", |it, _| of(it, "committed", "p99")),
    Row::new(STEADY, "until a reader of committed records has it, p50 ms", |it, _| {
        of(it, "consumed", "p50")
    }),
    Row::new(STEADY, "until a reader of committed records has it, p99 ms", |it, _| {
        of(it, "consumed", "p99")
    }),
    Row::new(STEADY, "the same, CPU µs per record", per_record),
    Row::new(SHORT, "commits of 5 ms at 2,000/s, p50 ms", |it, _| of(it, "committed", "p50")),
    Row::new(SHORT, "commits of 5 ms at 2,000/s, p99 ms", |it, _| of(it, "committed", "p99")),
    Row::new(SHORT, "the same, CPU ms per transaction", |it, cpu| {
        Some(cpu * 1e3 / it["committed"]["records"].as_f64()?)
    }),
    Row::new(FULL, "as many as it takes, commits of 100 ms, records/s", |it, _| {
        it["produced"]["recordsPerSecond"].as_f64()
    }),
    Row::new(FULL, "the same, CPU µs per record", per_record),
];

const STEADY: &str = "roundtrip --rate 2000 --size 1024 --duration 10 --commit-every 100";
const SHORT: &str = "roundtrip --rate 2000 --size 1024 --duration 10 --commit-every 5";
const FULL: &str = "produce --size 1024 --duration 5 --producers 2 --commit-every 100";

struct Row {
    load: &'static str,
    title: &'static str,
    figure: fn(&Value, f64) -> Option<f64>,
}

impl Row {
    const fn new(
        load: &'static str,
        title: &'static str,
        figure: fn(&Value, f64) -> Option<f64>,
    ) -> Self {
        Self { load, title, figure }
    }
}

pub(crate) fn of(report: &Value, side: &str, quantile: &str) -> Option<f64> {
    report[side]["latencyMs"][quantile].as_f64()
}

fn per_record(report: &Value, cpu: f64) -> Option<f64> {
    Some(cpu * 1e6 / report["produced"]["records"].as_f64()?)
}

/// Runs every load against each broker in turn, round after round; the table is in Markdown.
pub(crate) fn table(rounds: usize, binary: &str, brokers: &[String]) -> Result<String> {
    let brokers = Broker::all(brokers)?;
    ensure!(rounds > 0, "at least one round");
    let mut figures = vec![vec![Vec::new(); brokers.len()]; ROWS.len()];
    // The first round warms them.
    for round in 0..=rounds {
        for rows in ROWS.chunk_by(|a, b| a.load == b.load) {
            for (index, broker) in brokers.iter().enumerate() {
                let before = cpu_seconds(&broker.pid)?;
                let report = run(binary, rows[0].load, &broker.address)?;
                let cpu = cpu_seconds(&broker.pid)? - before;
                for (number, row) in
                    ROWS.iter().enumerate().filter(|(_, it)| it.load == rows[0].load)
                {
                    let figure = (row.figure)(&report, cpu);
                    let figure = figure.with_context(|| format!("{} in {report}", row.title))?;
                    if round > 0 {
                        figures[number][index].push(figure);
                    }
                }
            }
        }
    }
    let mut text = heading(&brokers);
    for (row, by_broker) in ROWS.iter().zip(figures) {
        let medians: Vec<f64> = by_broker.into_iter().map(median).collect();
        text += &line(row.title, &medians);
    }
    Ok(text)
}

/// What the program says of a load.
pub(crate) fn run(binary: &str, load: &str, address: &str) -> Result<Value> {
    let mut command = Command::new(binary);
    command.arg("bench").args(load.split_whitespace()).args(["--json", "--bootstrap", address]);
    let output = command.output().with_context(|| format!("run {binary} bench"))?;
    ensure!(output.status.success(), "{load}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("what strandline bench prints")
}
