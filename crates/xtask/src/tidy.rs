//! House rules that no compiler checks: layers, file sizes, words that have no place here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Every crate, lowest first. A crate may use only crates that stand before it.
const LAYERS: &[&[&str]] = &[
    // Facts.
    &["types"],
    &["wire", "config", "ports"],
    // Decide.
    &["log", "quorum", "metadata", "coordinator"],
    &["replica"],
    // Obey.
    &["store", "client"],
    &["broker"],
    &["cli"],
    // Torment.
    &["sim"],
];

/// Crates that must not be able to name a file, a socket, a clock or a random seed.
const PURE: &[&str] = &["types", "config", "log", "replica", "quorum", "metadata", "coordinator"];

/// Crates that speak domain types only: bytes and versions are not their business.
const NO_WIRE: &[&str] = &["types", "config", "log", "replica", "quorum", "ports"];

/// The longest a hand-written source file may be.
const FILE_LINES_MAX: usize = 800;

/// Text that a finished file does not hold.
const UNWANTED: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];

pub(crate) fn run(root: &Path) -> Result<()> {
    let mut complaints = Vec::new();
    check_layers(root, &mut complaints)?;
    check_purity(root, &mut complaints)?;
    for file in rust_files(&root.join("crates"))? {
        check_file(root, &file, &mut complaints)?;
    }
    if complaints.is_empty() {
        return Ok(());
    }
    bail!("{} complaints:\n  {}", complaints.len(), complaints.join("\n  "))
}

fn level(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

fn check_layers(root: &Path, complaints: &mut Vec<String>) -> Result<()> {
    for name in LAYERS.iter().copied().flatten() {
        let manifest = read(&root.join("crates").join(name).join("Cargo.toml"))?;
        let normal = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for line in normal.lines() {
            let Some(used) = line.strip_prefix("strandline-") else { continue };
            let used = used.split(['.', ' ', '=']).next().unwrap_or_default();
            if level(used).is_none_or(|used| Some(used) >= level(name)) {
                complaints.push(format!("{name} uses {used}, which does not stand below it"));
            }
            if used == "wire" && NO_WIRE.contains(name) {
                complaints.push(format!("{name} speaks domain types only and may not use wire"));
            }
            if used == "ports" && PURE.contains(name) {
                complaints.push(format!("{name} is pure and may not use ports"));
            }
        }
    }
    Ok(())
}

fn check_purity(root: &Path, complaints: &mut Vec<String>) -> Result<()> {
    for name in PURE {
        let head = read(&root.join("crates").join(name).join("src/lib.rs"))?;
        if !head.contains("#![no_std]") {
            complaints.push(format!("{name} is pure and must be #![no_std]"));
        }
        if head.contains("extern crate std") {
            complaints.push(format!("{name} is pure and may not link std"));
        }
    }
    Ok(())
}

fn check_file(root: &Path, file: &Path, complaints: &mut Vec<String>) -> Result<()> {
    let shown = file.strip_prefix(root).unwrap_or(file).display().to_string();
    if shown.contains("/generated/") || shown.ends_with("xtask/src/tidy.rs") {
        return Ok(());
    }
    let text = read(file)?;
    let lines = text.lines().count();
    let is_table = text.starts_with("//! Table:");
    if lines > FILE_LINES_MAX && !is_table {
        complaints.push(format!("{shown}: {lines} lines, more than {FILE_LINES_MAX}"));
    }
    for word in UNWANTED {
        if text.contains(word) {
            complaints.push(format!("{shown}: says {word}"));
        }
    }
    let selects = text.matches("select! {").count();
    if selects > text.matches("biased;").count() {
        complaints.push(format!("{shown}: select! without biased is not deterministic"));
    }
    Ok(())
}

fn rust_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}
