//! Feeds noise to every decoder for a fixed time, from the seeds in `fuzz/seeds`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Builds all targets, then runs each for `seconds`. What a run finds new stays in `fuzz/corpus`
/// for the next one; an input that breaks a target is kept in `fuzz/artifacts`.
pub(crate) fn run(root: &Path, seconds: u32) -> Result<()> {
    let targets = targets(root)?;
    cargo_fuzz(root, &["build"])?;
    for target in &targets {
        let corpus = root.join("fuzz/corpus").join(target);
        std::fs::create_dir_all(&corpus)?;
        let seeds = root.join("fuzz/seeds").join(target);
        let (corpus, seeds) = (corpus.display().to_string(), seeds.display().to_string());
        let time = format!("-max_total_time={seconds}");
        let bounds = ["-max_len=16384", "-rss_limit_mb=1024", "-timeout=10"];
        // What it finds on its way fills thousands of lines; what breaks a target is told all the same.
        let mut args = vec!["run", target, &corpus, &seeds, "--", "-verbosity=0", &time];
        args.extend(bounds);
        cargo_fuzz(root, &args)?;
    }
    Ok(())
}

/// Every file in `fuzz/targets`, in name order.
fn targets(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root.join("fuzz/targets"))? {
        let path = entry?.path();
        if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Without a sanitizer, so that the stable toolchain suffices: panics, overflows, hangs and
/// memory are what safe code can still get wrong.
fn cargo_fuzz(root: &Path, args: &[&str]) -> Result<()> {
    let (command, rest) = args.split_first().expect("a cargo-fuzz command");
    let status = Command::new("cargo")
        .args(["fuzz", command, "--sanitizer", "none"])
        .args(rest)
        .current_dir(root)
        .status()
        .context("cargo does not start")?;
    if !status.success() {
        bail!("cargo fuzz {command} failed (it needs `cargo install cargo-fuzz`)");
    }
    Ok(())
}
