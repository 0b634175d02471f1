//! Running a command line: its output goes to a file, its tail into the error when it fails.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

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

    fn spawn(&self, stdin: Stdio, stdout: impl FnOnce(&File) -> Result<Stdio>) -> Result<Child> {
        if let Some(parent) = self.log.parent() {
            fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        }
        let log =
            File::create(&self.log).with_context(|| format!("create {}", self.log.display()))?;
        Command::new("sh")
            .args(["-c", &self.line])
            .current_dir(&self.folder)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(stdin)
            .stdout(stdout(&log)?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("run `{}` in {}", self.line, self.folder.display()))
    }

    /// Starts it, to be spoken with. Its log has what it says on standard error.
    pub(super) fn converse(self) -> Result<Conversation> {
        let mut child = self.spawn(Stdio::piped(), |_| Ok(Stdio::piped()))?;
        let input = child.stdin.take().context("standard input is piped")?;
        let output = child.stdout.take().context("standard output is piped")?;
        let (said, lines) = mpsc::channel();
        // Ends with the output, or with whoever listens.
        thread::spawn(move || {
            BufReader::new(output)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| said.send(line))
        });
        Ok(Conversation { child, input, lines, log: self.log })
    }

    /// Starts it, to run for as long as it is wanted.
    pub(super) fn start(self) -> Result<Running> {
        let child = self.spawn(Stdio::null(), to_log)?;
        Ok(Running { child, log: self.log })
    }

    /// Runs it to its end, or to `timeout`: then it and all its children are killed.
    pub(super) fn run(self, timeout: Duration) -> Result<()> {
        let mut child = self.spawn(Stdio::null(), to_log)?;
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

/// Standard output beside standard error.
fn to_log(log: &File) -> Result<Stdio> {
    Ok(log.try_clone().context("share the log file")?.into())
}

/// A program that does not end by itself. Dropped, it is killed.
pub(super) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Fails if it has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.child.try_wait().context("look at a program")? {
            None => Ok(()),
            Some(status) => {
                bail!("{status} (all output: {})\n{}", self.log.display(), tail(&self.log))
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        kill_group(&mut self.child);
    }
}

/// A program that is told by lines what to do, and answers with lines. Dropped, it is killed.
pub(super) struct Conversation {
    child: Child,
    input: ChildStdin,
    lines: mpsc::Receiver<String>,
    log: PathBuf,
}

impl Conversation {
    /// The next line that it says.
    pub(super) fn hear(&self, timeout: Duration) -> Result<String> {
        self.lines.recv_timeout(timeout).map_err(|error| {
            let what = match error {
                mpsc::RecvTimeoutError::Timeout => {
                    format!("no answer within {} s", timeout.as_secs())
                }
                mpsc::RecvTimeoutError::Disconnected => "it ended".into(),
            };
            anyhow!("{what} (all output: {})\n{}", self.log.display(), tail(&self.log))
        })
    }

    /// Says a line, and waits for the answer.
    pub(super) fn ask(&mut self, line: &str, timeout: Duration) -> Result<String> {
        // One that has ended says why in its log, and does not answer.
        let _ = writeln!(self.input, "{line}");
        self.hear(timeout).with_context(|| format!("asked for `{line}`"))
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        kill_group(&mut self.child);
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
