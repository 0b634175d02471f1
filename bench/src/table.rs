//! Brokers side by side: every load against each in turn, round after round, so that whatever else
//! the machine does falls on all of them; then one table of medians and their ratio.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::load::Figures;
use crate::{cpu_seconds, resident_mib, rounded, run_load};

/// Loads with their amounts, the figure that matters, and how it reads.
const ROWS: &[Row] = &[
    Row::new("produce-1k", 512, "produce 1 KiB, MiB/s", |it, _| it.mib_per_second()),
    Row::new("produce-1k", 512, "produce 1 KiB, CPU s per GiB", |it, cpu| cpu / it.gib()),
    Row::new("produce-100", 256, "produce 100 B, MiB/s", |it, _| it.mib_per_second()),
    Row::new("produce-100", 256, "produce 100 B, CPU µs per record", |it, cpu| {
        cpu * 1e6 / it.records as f64
    }),
    Row::new("consume", 1024, "consume 1 KiB, MiB/s", |it, _| it.mib_per_second()),
    Row::new("consume", 1024, "consume 1 KiB, CPU s per GiB", |it, cpu| cpu / it.gib()),
    Row::new("one", 4000, "one in flight, p50 ms", |it, _| it.quantile_ms(0.5)),
    Row::new("one", 4000, "one in flight, p99 ms", |it, _| it.quantile_ms(0.99)),
    Row::new("one", 4000, "one in flight, CPU µs per request", |it, cpu| {
        cpu * 1e6 / it.requests as f64
    }),
    Row::new("many", 40_000, "100 connections, CPU µs per record", |it, cpu| {
        cpu * 1e6 / it.records as f64
    }),
    Row::new("many", 40_000, "100 connections, p99 ms", |it, _| it.quantile_ms(0.99)),
    Row::new("end-to-end", 6000, "end to end at 2,000/s, p50 ms", |it, _| it.quantile_ms(0.5)),
    Row::new("end-to-end", 6000, "end to end at 2,000/s, p99 ms", |it, _| it.quantile_ms(0.99)),
];

struct Row {
    load: &'static str,
    amount: usize,
    title: &'static str,
    figure: fn(&Figures, f64) -> f64,
}

impl Row {
    const fn new(
        load: &'static str,
        amount: usize,
        title: &'static str,
        figure: fn(&Figures, f64) -> f64,
    ) -> Self {
        Self { load, amount, title, figure }
    }
}

/// A broker that runs.
pub(crate) struct Broker {
    name: String,
    pub(crate) address: String,
    pub(crate) pid: String,
    /// Its log directory, where it was told.
    pub(crate) dir: PathBuf,
}

impl Broker {
    pub(crate) fn all(texts: &[String]) -> Result<Vec<Self>> {
        ensure!(!texts.is_empty(), "at least one broker");
        let form = "NAME=HOST:PORT/PID[=DIR]";
        texts.iter().map(|text| Self::parse(text).context(form)).collect()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `NAME=HOST:PORT/PID[=DIR]`
    fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('=')?;
        let (address, rest) = rest.split_once('/')?;
        let (pid, dir) = rest.split_once('=').unwrap_or((rest, ""));
        Some(Self { name: name.into(), address: address.into(), pid: pid.into(), dir: dir.into() })
    }
}

/// Runs everything; the table is in Markdown. Ratios are the last broker's to the first's.
pub(crate) fn table(rounds: usize, brokers: &[String]) -> Result<String> {
    let brokers = Broker::all(brokers)?;
    ensure!(rounds > 0, "at least one round");
    let idle: Vec<f64> = brokers.iter().map(|it| resident_mib(&it.pid)).collect::<Result<_>>()?;
    // By row, broker, round.
    let mut figures = vec![vec![Vec::new(); brokers.len()]; ROWS.len()];
    // The first round warms them: a virtual machine compiles what is hot, and both write the
    // records that are consumed.
    for round in 0..=rounds {
        for rows in
            (0..ROWS.len()).collect::<Vec<_>>().chunk_by(|&a, &b| ROWS[a].load == ROWS[b].load)
        {
            for (index, broker) in brokers.iter().enumerate() {
                let (load, amount) = (ROWS[rows[0]].load, ROWS[rows[0]].amount);
                let before = cpu_seconds(&broker.pid)?;
                let measured = run_load(load, amount, &broker.address)?;
                let cpu = cpu_seconds(&broker.pid)? - before;
                for &row in rows {
                    if round > 0 {
                        figures[row][index].push((ROWS[row].figure)(&measured, cpu));
                    }
                }
            }
        }
    }
    let mut text = heading(&brokers);
    text += &line("resident MiB before the load", &idle);
    for (row, by_broker) in ROWS.iter().zip(figures) {
        let medians: Vec<f64> = by_broker.into_iter().map(median).collect();
        text += &line(row.title, &medians);
    }
    let loaded: Vec<f64> = brokers.iter().map(|it| resident_mib(&it.pid)).collect::<Result<_>>()?;
    Ok(text + &line("resident MiB afterwards", &loaded))
}

/// The head of a table of these brokers.
pub(crate) fn heading(brokers: &[Broker]) -> String {
    let names = brokers.iter().fold("load".to_owned(), |text, it| text + " | " + &it.name);
    format!("| {names} | ratio |\n|---|{}\n", "---|".repeat(brokers.len() + 1))
}

pub(crate) fn line(title: &str, values: &[f64]) -> String {
    let mut line = format!("| {title} |");
    for value in values {
        line += &format!(" {} |", rounded(*value));
    }
    let ratio = values[values.len() - 1] / values[0];
    line + &format!(" {ratio:.2} |\n")
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
