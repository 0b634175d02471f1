//! The command line: one tree of verbs, output for people by default and JSON for machines, errors
//! that say what happened, why, and what to do next.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

mod args;
pub mod configuration;
pub mod failure;
mod log_dump;
pub mod logging;
pub mod output;
pub mod signals;
mod start;
mod storage;
pub mod world;

use args::{Arguments, Verb};
use output::Output;

/// Runs the verb that the process was called with.
pub fn run() -> ExitCode {
    let Arguments { json, verb } = Arguments::parse();
    let output = Output::new(json);
    let done = match verb {
        Verb::Log(verb) => log_dump::run(verb, &output),
        Verb::Start(args) => start::run(args, &output),
        Verb::Storage(verb) => storage::run(verb, &output),
    };
    match done {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
