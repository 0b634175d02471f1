//! Asks Apache Kafka's own classes for the golden vectors of `crates/wire/tests/golden.rs`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    Check,
}

pub(crate) fn run(root: &Path, mode: Mode) -> Result<()> {
    let folder = root.join("interop/golden");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), Into::into);
    let jars = target.join("golden/jars");
    let classes = target.join("golden/classes");
    let jar_path = jars.join("*");
    call(
        Command::new("mvn")
            .args(["-q", "-B", "dependency:copy-dependencies", "-f"])
            .arg(folder.join("pom.xml"))
            .arg(format!("-DoutputDirectory={}", jars.display())),
    )?;
    call(
        Command::new("javac")
            .arg("-cp")
            .arg(&jar_path)
            .arg("-d")
            .arg(&classes)
            .args([folder.join("Golden.java"), folder.join("Filler.java")]),
    )?;
    let mut class_path = classes.into_os_string();
    class_path.push(if cfg!(windows) { ";" } else { ":" });
    class_path.push(&jar_path);
    let mut java = Command::new("java");
    java.arg("-cp").arg(class_path).arg("Golden");
    if mode == Mode::Check {
        java.arg("--check");
    }
    call(java.arg(folder.join("vectors.txt.gz")))
}

fn call(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("start {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
