//! `strandline start` as a real process, for tests that treat it as its users do: by its command
//! line, its signals, its output and its sockets.

// Each test program uses a part of this.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, unreachable_pub)]

pub mod frames;
pub mod small_disk;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub use frames::Client;

const PATIENCE: Duration = Duration::from_secs(60);

/// Where a node does not listen.
pub const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// How to start a node.
#[derive(Clone)]
pub struct Start {
    dir: PathBuf,
    arguments: Vec<String>,
    wrapper: Vec<String>,
}

impl Start {
    /// In `dir`, on free ports, its data in `dir/strandline-data`.
    pub fn anywhere(dir: &Path) -> Self {
        Self::bare(dir).set("listeners", "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0")
    }

    /// In `dir`, without any argument.
    pub fn bare(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), arguments: Vec::new(), wrapper: Vec::new() }
    }

    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.arguments.extend(["--set".to_owned(), format!("{key}={value}")]);
        self
    }

    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Runs it under another program, `ulimit` in a shell for example.
    #[must_use]
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// `strandline storage …` with the same settings.
    pub fn storage(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strandline"));
        command.arg("storage").args(words).args(&self.arguments).current_dir(&self.dir);
        command.output().unwrap()
    }

    fn command(&self) -> Command {
        let binary = env!("CARGO_BIN_EXE_strandline");
        let mut words = self.wrapper.iter().map(String::as_str).chain([binary]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(["--json", "start"]).args(&self.arguments);
        command.current_dir(&self.dir).stdin(Stdio::null());
        command
    }

    /// Starts it and waits until it is ready.
    pub fn ready(&self) -> Node {
        self.spawn().unwrap_or_else(|ended| panic!("not ready: {ended:?}"))
    }

    /// Starts it where it cannot start, and tells how it ended.
    pub fn refused(&self) -> Ended {
        match self.spawn() {
            Ok(node) => panic!("it started: {:?}", node.ready),
            Err(ended) => ended,
        }
    }

    fn spawn(&self) -> Result<Node, Ended> {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = self.command();
        command.stdout(Stdio::piped()).stderr(log.reopen().unwrap());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        if line.is_empty() {
            let status = child.wait().unwrap();
            return Err(Ended { status, log: fs::read_to_string(log.path()).unwrap() });
        }
        let ready: Value = serde_json::from_str(&line).unwrap();
        let address = |of: &str| ready[of][0].as_str().map_or(NOWHERE, |it| it.parse().unwrap());
        let (kafka, controller) = (address("kafka"), address("controller"));
        Ok(Node { child, stdout, log, ready, kafka, controller })
    }
}

/// How a process ended, and all that it logged.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub log: String,
}

/// A process that serves; dropped, it is killed.
pub struct Node {
    child: Child,
    stdout: BufReader<ChildStdout>,
    log: tempfile::NamedTempFile,
    pub ready: Value,
    /// [`NOWHERE`] on a controller alone.
    pub kafka: SocketAddr,
    /// [`NOWHERE`] on a broker alone.
    pub controller: SocketAddr,
}

impl Node {
    pub fn client(&self) -> Client {
        Client::connect(self.kafka)
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Whether all its threads are stopped.
    fn stands_still(&self) -> bool {
        let tasks = format!("/proc/{}/task", self.pid().as_raw_nonzero());
        fs::read_dir(tasks).unwrap().flatten().all(|task| {
            // A thread that has gone, or a process that has ended, does nothing any more.
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 'Z', 'X']))
        })
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
        // On a busy machine its threads go on for a moment.
        while signal == Signal::STOP && !self.stands_still() {
            std::thread::yield_now();
        }
    }

    /// All that it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    /// SIGTERM, and how it ended.
    pub fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.end()
    }

    /// kill −9.
    pub fn kill(self) -> Ended {
        self.signal(Signal::KILL);
        self.end()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        // Its standard output closes when it ends, without a look at the clock.
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "the ready line is all that it prints");
        let status = self.child.wait().unwrap();
        Ended { status, log: self.log() }
    }

    /// A line such as `VmRSS` of `/proc/PID/status`, in KiB.
    pub fn status_kib(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.pid().as_raw_nonzero());
        let status = fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid().as_raw_nonzero())).unwrap().count()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // One that has ended is no longer there to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for what the process does in its own time, such as a log line or a closed file.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
