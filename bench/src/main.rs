//! A load generator that speaks frames and costs next to nothing, and brokers side by side.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]
#![expect(clippy::disallowed_methods, reason = "it measures the wall clock, on threads")]

mod cleaner;
mod conn;
mod controller;
mod load;
mod nodes;
mod questions;
mod recovery;
mod requests;
mod scale;
mod table;
mod transactions;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use load::Figures;

const USAGE: &str = "\
usage: strandline-bench LOAD AMOUNT HOST:PORT
       strandline-bench table ROUNDS NAME=HOST:PORT/PID...
       strandline-bench transactions ROUNDS BINARY NAME=HOST:PORT/PID...
       strandline-bench cleaner ROUNDS BINARY NAME=HOST:PORT/PID=DIR...
       strandline-bench recovery HOME BINARY [JARS]
       strandline-bench scale HOME BINARY
       strandline-bench controller PARTITIONS

One load against one broker, its figures on one line; or all loads against several brokers that run
on this machine, in turn, and one table; or transactions by BINARY's bench against several brokers,
the same way, or the compaction of what is in their log directories, alone and beside that bench;
or three nodes of Apache Kafka and three of Strandline, one
after the other, what befalls them, and a table of how long it took; or one broker with 10,000
partitions and three with 3,000, what they cost and how long it takes to start, to make them and to
lose a broker; or a controller's core alone, with so many partitions, and what each of its tasks
costs.

  produce-1k MIB      MIB MiB of 1 KiB records in batches of 64 KiB, over 4 connections with five
                      requests in flight each
  produce-100 MIB     the same of 100 B records
  consume MIB         reads MIB MiB from one partition, which the first such run fills
  one N               N requests of one 1 KiB record, one in flight
  end-to-end N        N records at 2,000 a second, from when each is due to its receipt
  many N              N requests of one 1 KiB record over 100 connections, one in flight on each

  HOME                a folder that is replaced: data, settings and logs of the nodes, and the
                      program of bench/traffic, which needs Go
  BINARY              strandline
  JARS                the folder of Apache Kafka's jars; without it, Strandline alone";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<String> {
    match arguments {
        [verb, rounds, brokers @ ..] if verb == "table" => {
            table::table(rounds.parse().context(USAGE)?, brokers)
        }
        [verb, rounds, binary, brokers @ ..] if verb == "transactions" => {
            transactions::table(rounds.parse().context(USAGE)?, binary, brokers)
        }
        [verb, rounds, binary, brokers @ ..] if verb == "cleaner" => {
            cleaner::table(rounds.parse().context(USAGE)?, binary, brokers)
        }
        [verb, partitions] if verb == "controller" => {
            controller::line(partitions.parse().context(USAGE)?)
        }
        [verb, home, binary, jars @ ..] if verb == "recovery" && jars.len() <= 1 => {
            recovery::table(home.as_ref(), binary.as_ref(), jars.first().map(AsRef::as_ref))
        }
        [verb, home, binary] if verb == "scale" => scale::table(home.as_ref(), binary.as_ref()),
        [load, amount, address] => {
            Ok(run_load(load, amount.parse().context(USAGE)?, address)?.line())
        }
        _ => bail!("{USAGE}"),
    }
}

fn run_load(load: &str, amount: usize, address: &str) -> Result<Figures> {
    match load {
        "produce-1k" => load::produce(address, amount, 1024),
        "produce-100" => load::produce(address, amount, 100),
        "consume" => load::consume(address, amount),
        "one" => load::one(address, amount),
        "end-to-end" => load::end_to_end(address, amount),
        "many" => load::many(address, amount),
        _ => bail!("{USAGE}"),
    }
}

/// User and system time of a process so far.
fn cpu_seconds(pid: &str) -> Result<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("look at process {pid}"))?;
    // The name, in parentheses, may hold spaces.
    let (_, fields) = stat.rsplit_once(')').context("the form of stat")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || fields.next().and_then(|it| it.parse::<f64>().ok()).context("stat's times");
    Ok((next()? + next()?) / TICKS_PER_SECOND)
}

fn resident_mib(pid: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
    Ok(kib.context("a process has its size in its status")? / 1024.0)
}

/// As a table shows it.
fn rounded(value: f64) -> String {
    match value {
        ..1.0 => format!("{value:.3}"),
        1.0..100.0 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    }
}
