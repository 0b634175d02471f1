//! The command line: one tree of verbs, output for people by default and JSON for machines, errors
//! that say what happened, why, and what to do next.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

mod args;
mod bench;
mod cluster;
mod config;
pub mod configuration;
mod connect;
mod consume;
mod demo;
pub mod failure;
mod group;
mod log_dump;
pub mod logging;
mod meter;
pub mod output;
mod place;
mod produce;
pub mod signals;
mod start;
mod storage;
mod table;
mod tasks;
mod topic;
mod txn;
mod when;
pub mod world;

use args::{Arguments, Verb};
use output::Output;

/// Runs the verb that the process was called with.
pub fn run() -> ExitCode {
    let Arguments { json, verb } = Arguments::parse();
    let output = Output::new(json);
    let done = match verb {
        Verb::Bench(args) => bench::run(args, &output),
        Verb::Cluster(args) => cluster::run(args, &output),
        Verb::Config(verb) => config::run(verb, &output),
        Verb::Consume(args) => consume::run(args, &output),
        Verb::Demo(args) => demo::run(args, &output),
        Verb::Group(verb) => group::run(verb, &output),
        Verb::Log(verb) => log_dump::run(verb, &output),
        Verb::Produce(args) => produce::run(args, &output),
        Verb::Start(args) => start::run(args, &output),
        Verb::Storage(verb) => storage::run(verb, &output),
        Verb::Table(args) => table::run(args, &output),
        Verb::Topic(verb) => topic::run(verb, &output),
        Verb::Txn(verb) => txn::run(verb, &output),
    };
    match done {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
