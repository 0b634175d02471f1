//! Running a command line: its output goes to a file, its tail into the error when it fails.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const TAIL_LINES: usize = 60;

/// True when `command` runs here and succeeds.
pub(super) fn succeeds(command: &str) -> bool {
    Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// One line for `sh`, with its folder, environment and log file.
pub(super) struct Script {
    line: String,
    folder: PathBuf,
    log: PathBuf,
    env: Vec<(OsString, OsString)>,
}

impl Script {
    pub(super) fn new(line: &str, folder: &Path, log: &Path) -> Script {
        Script { line: line.into(), folder: folder.into(), log: log.into(), env: Vec::new() }
    }

    pub(super) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Script {
        self.env.push((key.into(), value.as_ref().into()));
        self
    }

    /// Runs it to its end, or to `timeout`: then it and all its children are killed.
    pub(super) fn run(self, timeout: Duration) -> Result<()> {
        if let Some(parent) = self.log.parent() {
            fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        }
        let log =
            File::create(&self.log).with_context(|| format!("create {}", self.log.display()))?;
        let errors = log.try_clone().context("share the log file")?;
        let mut child = Command::new("sh")
            .args(["-c", &self.line])
            .current_dir(&self.folder)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .with_context(|| format!("run `{}` in {}", self.line, self.folder.display()))?;
        let deadline = Instant::now() + timeout;
        let status = loop {
            match child.try_wait().context("wait for a command")? {
                Some(status) => break status.to_string(),
                None if Instant::now() >= deadline => {
                    kill_group(&mut child);
                    break format!("no end after {} s", timeout.as_secs());
                }
                None => thread::sleep(Duration::from_millis(20)),
            }
        };
        if status == "exit status: 0" {
            return Ok(());
        }
        bail!(
            "{status}: `{}` (all output: {})\n{}",
            self.line,
            self.log.display(),
            tail(&self.log)
        );
    }
}

/// Kills a child that was made the leader of its own process group, with the group.
fn kill_group(child: &mut Child) {
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
    let _ = child.wait();
}

/// The last lines of a log, indented to stand below a message.
pub(super) fn tail(log: &Path) -> String {
    let text =
        fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let skipped = lines.len().saturating_sub(TAIL_LINES);
    lines[skipped..].iter().map(|line| format!("    {line}\n")).collect()
}
