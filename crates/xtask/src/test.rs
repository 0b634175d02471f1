//! `cargo xtask test`: everything that must hold, from formatting to real clients, step by step.
//!
//! A step whose toolchain is missing is skipped loudly on a person's machine; with `CI=true` it
//! fails, since CI installs everything (`.ci/install`).
#![expect(clippy::disallowed_methods, reason = "a house task runs on the wall clock")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{interop, retell};

struct Step {
    name: &'static str,
    /// Programs that must answer `--version`, `cargo SUBCOMMAND` written with a space.
    needs: &'static [&'static str],
    command: &'static [&'static str],
}

const fn step(
    name: &'static str,
    needs: &'static [&'static str],
    command: &'static [&'static str],
) -> Step {
    Step { name, needs, command }
}

/// In order: what is quick to fail comes first.
const STEPS: &[Step] = &[
    step("tidy", &[], &["cargo", "xtask", "tidy"]),
    step("generated code", &["rustfmt"], &["cargo", "xtask", "codegen", "--check"]),
    step("settings page", &[], &["cargo", "xtask", "config-docs", "--check"]),
    step("format", &["cargo fmt"], &["cargo", "fmt", "--all", "--check"]),
    step(
        "lints",
        &["cargo clippy"],
        &["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
    ),
    step(
        "tests",
        &[],
        &["cargo", "test", "--workspace", "--exclude", "strandline-sim", "--no-fail-fast"],
    ),
    // Each world as it is, and then with every planted bug, in one build.
    step(
        "simulator",
        &[],
        &[
            "cargo",
            "test",
            "--profile",
            "sim",
            "-p",
            "strandline-sim",
            "--features",
            "planted-bugs",
            "--no-fail-fast",
        ],
    ),
    step("golden vectors", &["mvn", "javac"], &["cargo", "xtask", "golden", "--check"]),
    step("record batches in Java", &["mvn", "javac"], &["bash", "interop/records/run.sh"]),
    step("real clients", &[], &["cargo", "xtask", "interop"]),
    step("fuzz", &["cargo fuzz"], &["cargo", "xtask", "fuzz", "--seconds", "6"]),
];

enum Outcome {
    Passed,
    Failed,
    Skipped,
}

/// Runs all steps, or those whose names hold one of `chosen`.
pub(crate) fn run(root: &Path, chosen: &[&str]) -> Result<()> {
    let is_chosen =
        |step: &&Step| chosen.is_empty() || chosen.iter().any(|word| step.name.contains(word));
    let must_not_skip = std::env::var_os("CI").is_some_and(|value| value == "true");
    let (mut passed, mut failures, mut skipped) = (0, Vec::new(), 0);
    let began = Instant::now();
    for step in STEPS.iter().filter(is_chosen) {
        println!("\n== {} ==", step.name);
        let step_began = Instant::now();
        let outcome = run_step(root, step, must_not_skip)?;
        let word = match outcome {
            Outcome::Passed => {
                passed += 1;
                "passed"
            }
            Outcome::Failed => {
                failures.push(step);
                "FAILED"
            }
            Outcome::Skipped => {
                skipped += 1;
                "SKIPPED"
            }
        };
        println!("== {}: {word} in {} ==", step.name, seconds(step_began.elapsed()));
    }
    println!("\nall steps took {}", seconds(began.elapsed()));
    for step in &failures {
        println!("\n== {} FAILED: {} ==", step.name, log_of(root, step).display());
        println!("{}", retell::failure(&log_of(root, step)).unwrap_or_default());
    }
    let failed = failures.len();
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if passed + failed + skipped == 0 {
        bail!("no step has such a name; there are: {}", names());
    }
    if failed > 0 { bail!("{failed} steps failed") } else { Ok(()) }
}

/// What a step printed the last time.
fn log_of(root: &Path, step: &Step) -> PathBuf {
    root.join("target/test-logs").join(step.name.replace(' ', "-")).with_extension("log")
}

fn run_step(root: &Path, step: &Step, must_not_skip: bool) -> Result<Outcome> {
    if let Some(missing) = step.needs.iter().find(|need| !answers(need)) {
        println!("`{missing}` is missing here: .ci/install installs it on Debian");
        return Ok(if must_not_skip { Outcome::Failed } else { Outcome::Skipped });
    }
    let (program, arguments) = step.command.split_first().context("a step has a command")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root).stdin(Stdio::null());
    if step.name == "tests" && answers("mvn") && answers("java") {
        // The client's tests start Apache Kafka from these; without them they are skipped.
        command.env("STRANDLINE_TEST_KAFKA_LIBS", interop::kafka_libs()?);
    }
    let status = retell::run(&mut command, &log_of(root, step))?;
    Ok(if status.success() { Outcome::Passed } else { Outcome::Failed })
}

fn answers(need: &str) -> bool {
    let mut words = need.split(' ');
    let program = words.next().unwrap_or_default();
    let asked = Command::new(program)
        .args(words)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

fn names() -> String {
    STEPS.iter().map(|step| step.name).collect::<Vec<_>>().join(", ")
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
