//! Writes `crates/wire/src/messages/generated/` from `crates/wire/tables/`.

mod emit;
mod family;
mod index;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use table::Table;

const BANNER: &str = "// Written by `cargo xtask codegen` from crates/wire/tables. Change those.\n";

pub(crate) fn write() -> Result<()> {
    let folder = generated_folder();
    let wanted = generate()?;
    fs::create_dir_all(&folder)?;
    for name in current(&folder)?.keys().filter(|name| !wanted.contains_key(*name)) {
        fs::remove_file(folder.join(name))?;
    }
    let current = current(&folder)?;
    for (name, text) in &wanted {
        if current.get(name) != Some(text) {
            fs::write(folder.join(name), text)?;
        }
    }
    Ok(())
}

/// Fails when what is checked in is not what the tables say.
pub(crate) fn check() -> Result<()> {
    let wanted = generate()?;
    let current = current(&generated_folder())?;
    let stale: Vec<&String> = wanted
        .keys()
        .chain(current.keys())
        .filter(|name| wanted.get(*name) != current.get(*name))
        .collect();
    ensure!(stale.is_empty(), "run `cargo xtask codegen`: {stale:?} differ from the tables");
    Ok(())
}

fn wire_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../wire")
}

fn generated_folder() -> PathBuf {
    wire_folder().join("src/messages/generated")
}

/// File name → text, of what is there now.
fn current(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).context("odd file name")?;
        files.insert(name.to_owned(), fs::read_to_string(&path)?);
    }
    Ok(files)
}

/// File name → text, of what should be there.
fn generate() -> Result<BTreeMap<String, String>> {
    let tables = read_tables()?;
    let mut files = BTreeMap::new();
    for table in &tables {
        for message in &table.messages {
            let text = emit::message(table, message)
                .with_context(|| format!("message {}", message.name))?;
            let name = format!("{}.rs", emit::snake(&message.name));
            ensure!(files.insert(name, text).is_none(), "two messages {}", message.name);
        }
    }
    for family in tables.iter().filter_map(|table| table.family.as_ref()) {
        files.insert(format!("{}.rs", emit::snake(&family.name)), family::records(family)?);
    }
    files.insert("api_key.rs".into(), index::api_key(&tables)?);
    files.insert("mod.rs".into(), index::modules(&tables));
    for text in files.values_mut() {
        *text = rustfmt(&format!("{BANNER}{text}"))?;
    }
    Ok(files)
}

fn read_tables() -> Result<Vec<Table>> {
    let mut paths = Vec::new();
    for folder in ["tables", "tables/internal"] {
        let folder = wire_folder().join(folder);
        for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "txt") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths
        .iter()
        .map(|path| {
            Table::parse(&fs::read_to_string(path)?).with_context(|| path.display().to_string())
        })
        .collect()
}

fn rustfmt(text: &str) -> Result<String> {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start rustfmt")?;
    child.stdin.take().context("no stdin")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("rustfmt refused:\n{text}");
    }
    Ok(String::from_utf8(output.stdout)?)
}
