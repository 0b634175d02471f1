//! `soak`: many seeds of each of the simulator's worlds, optimised, for as long as it takes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

pub(crate) fn run(root: &Path, seeds: u64, from: u64) -> Result<()> {
    let status = Command::new("cargo")
        .current_dir(root)
        .args(["test", "--release", "--package", "strandline-sim", "--test", "seeds"])
        .args(["--test", "cluster", "--test", "quorum", "--test", "core_world"])
        .args(["--", "--nocapture", "seeds_keep_every_invariant"])
        .arg("no_life_takes_what_was_promised")
        .env("SEEDS", seeds.to_string())
        .env("FROM", from.to_string())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("a seed breaks an invariant, see above");
    }
    Ok(())
}
