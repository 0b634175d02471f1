//! House tasks. `cargo xtask` lists them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};

mod codegen;
mod config_docs;
mod fuzz;
mod golden;
mod interop;
mod retell;
mod soak;
mod test;
mod tidy;

const USAGE: &str = "\
Usage: cargo xtask TASK

  codegen [--check]       write the message structures from crates/wire/tables, or check that they are current
  config-docs [--check]   write docs/settings.md from the settings' tables, or check that it is current
  fuzz [--seconds N]      build every fuzz target and run each for N seconds (20)
  golden [--check]        ask Apache Kafka for the golden vectors, or check ours (needs mvn and java)
  test [NAME...]          everything that must hold, or the steps with these names
  soak [--seeds N] [--from SEED]
                          play N (1000) seeds of every simulation, of the cores and of whole brokers, from SEED (0) on
  tidy                    layers, purity of the cores, file sizes
  bench [--rounds N]      Apache Kafka and Strandline side by side, N (3) times each load (needs mvn and java)
  bench transactions      the same of transactions: commits, and committed records to their readers
  bench cleaner           the same of compaction, alone and beside producers
  bench recovery          three nodes of each, killed, stopped and restarted under load (needs mvn, java and go)
  bench scale             10,000 partitions on one node, and 3,000 on three: memory, starts, the loss of a node
  interop [--help]        run the clients of interop/ against a broker
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<()> {
    match args {
        ["codegen"] => codegen::write(),
        ["codegen", "--check"] => codegen::check(),
        ["config-docs"] => config_docs::write(&root()),
        ["config-docs", "--check"] => config_docs::check(&root()),
        ["fuzz"] => fuzz::run(&root(), 20),
        ["fuzz", "--seconds", seconds] => fuzz::run(&root(), seconds.parse()?),
        ["test", names @ ..] => test::run(&root(), names),
        ["soak"] => soak::run(&root(), 1_000, 0),
        ["soak", "--seeds", seeds] => soak::run(&root(), seeds.parse()?, 0),
        ["soak", "--from", from] => soak::run(&root(), 1_000, from.parse()?),
        ["soak", "--seeds", seeds, "--from", from] => {
            soak::run(&root(), seeds.parse()?, from.parse()?)
        }
        ["tidy"] => tidy::run(&root()),
        ["bench"] => interop::bench::run(3),
        ["bench", "transactions"] => interop::bench::transactions(3),
        ["bench", "cleaner"] => interop::bench::cleaner(3),
        ["bench", "recovery"] => interop::bench::recovery(),
        ["bench", "scale"] => interop::bench::scale(),
        ["bench", "--rounds", rounds] => interop::bench::run(rounds.parse()?),
        ["interop", rest @ ..] => interop::run(rest.iter().map(ToString::to_string)),
        ["golden"] => golden::run(&root(), golden::Mode::Write),
        ["golden", "--check"] => golden::run(&root(), golden::Mode::Check),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => bail!("no such task: {}\n\n{USAGE}", args.join(" ")),
    }
}

/// The repository's root: this crate stands two folders below it.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").components().collect()
}
