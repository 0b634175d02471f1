//! `soak`: many seeds of every simulation, one after the other, for as long as it takes, with all
//! assertions on.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A package, its test files that play seeds, and what is in the names of the tests that do.
const SIMULATIONS: &[(&str, &[&str], &str)] = &[
    ("strandline-quorum", &["simulation"], "in_a_storm"),
    ("strandline-replica", &["simulation"], "what_is_acknowledged_stays"),
    ("strandline-sim", &["core_world", "quorum", "seeds", "cluster"], "keep_every_invariant"),
];

/// All of them are played, whichever fails.
pub(crate) fn run(root: &Path, seeds: u64, from: u64) -> Result<()> {
    let mut failed = Vec::new();
    for (package, files, tests) in SIMULATIONS {
        for file in *files {
            let status = Command::new("cargo")
                .current_dir(root)
                .args(["test", "--profile", "sim", "--package", package, "--test", file])
                .args(["--", "--nocapture", tests])
                .env("SEEDS", seeds.to_string())
                .env("FROM", from.to_string())
                .env_remove("SEED")
                .status()
                .context("cannot run cargo")?;
            if !status.success() {
                failed.push(format!("{package} {file}"));
            }
        }
    }
    if !failed.is_empty() {
        bail!("seeds break invariants, see above: {}", failed.join(", "));
    }
    Ok(())
}
