//! The broker that the clients talk to: Apache Kafka, Strandline, or one that already runs.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::FETCH_TIMEOUT;
use super::place::Place;
use super::shell::tail;

const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// Every finalized feature is one that a broker must honestly support; these arrive later than
/// the log, groups and metadata that the clients here use.
const FEATURES_OFF: [&str; 4] =
    ["transaction.version=0", "group.version=0", "share.version=0", "streams.version=0"];

/// Whom to test.
#[derive(Clone, PartialEq)]
pub(super) enum Against {
    Kafka,
    Strandline,
    Address(String),
}

impl Against {
    pub(super) fn parse(text: &str) -> Result<Against> {
        Ok(match text {
            "kafka" => Against::Kafka,
            "strandline" => Against::Strandline,
            address if address.contains(':') => Against::Address(address.into()),
            other => bail!("--against takes kafka, strandline or HOST:PORT, not {other}"),
        })
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Against::Kafka => "Apache Kafka 4.3.1",
            Against::Strandline => "Strandline",
            Against::Address(_) => "a running broker",
        }
    }
}

/// A data directory with the settings file of the node that owns it.
///
/// The ports are part of it: a dynamic quorum writes its voter's address into the metadata log.
pub(super) struct Home {
    data: PathBuf,
    properties: PathBuf,
    bootstrap: String,
}

impl Home {
    /// An empty one at `folder`, replacing what an earlier run left there.
    pub(super) fn create(folder: &Path) -> Result<Home> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
        }
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let (broker, controller) = free_ports()?;
        let data = folder.join("data");
        let properties = folder.join("server.properties");
        let text = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
             log.dirs={}\n\
             offsets.topic.replication.factor=1\n\
             group.initial.rebalance.delay.ms=0\n\
             log.cleaner.backoff.ms=500\n",
            data.display()
        );
        fs::write(&properties, text).with_context(|| format!("write {}", properties.display()))?;
        Ok(Home { data, properties, bootstrap: format!("127.0.0.1:{broker}") })
    }

    pub(super) fn data(&self) -> &Path {
        &self.data
    }
}

/// Two ports that were free a moment ago.
fn free_ports() -> Result<(u16, u16)> {
    let first = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    let second = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok((first.local_addr()?.port(), second.local_addr()?.port()))
}

/// A broker; dropped without [`Peer::stop`], it is killed.
pub(super) struct Peer {
    against: Against,
    bootstrap: String,
    process: Option<Child>,
    log: PathBuf,
}

impl Peer {
    /// Starts a fresh broker for the clients.
    pub(super) fn start(place: &Place, against: &Against) -> Result<Peer> {
        match against {
            Against::Address(address) => Ok(Peer {
                against: against.clone(),
                bootstrap: address.clone(),
                process: None,
                log: PathBuf::new(),
            }),
            Against::Kafka => {
                let home = Home::create(&place.cache().join("peer-kafka"))?;
                Peer::start_at(place, against, &home)
            }
            Against::Strandline => Peer::start_fresh_strandline(place),
        }
    }

    /// Starts a broker on a data directory, which it formats first when it is empty.
    pub(super) fn start_at(place: &Place, against: &Against, home: &Home) -> Result<Peer> {
        let log = home.properties.with_extension("log");
        let mut command = match against {
            Against::Kafka => {
                let libs = place.fetch_kafka(FETCH_TIMEOUT)?;
                if !home.data.exists() {
                    format_by_kafka(&libs, home)?;
                }
                let mut command = java(&libs);
                command.args(["-Xms256m", "-Xmx768m", "kafka.Kafka"]).arg(&home.properties);
                command
            }
            Against::Strandline => {
                let mut command = Command::new(strandline(place)?);
                command.arg("start").arg("--config").arg(&home.properties);
                command
            }
            Against::Address(_) => bail!("a running broker cannot be started on a directory"),
        };
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .context("open the broker's log")?;
        let errors = output.try_clone().context("share the broker's log")?;
        let process = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let process = process.with_context(|| format!("start {}", against.name()))?;
        let mut peer = Peer {
            against: against.clone(),
            bootstrap: home.bootstrap.clone(),
            process: Some(process),
            log,
        };
        peer.wait_for_port()?;
        Ok(peer)
    }

    /// As a person's first `strandline start`, but on any free port, learned from the ready line.
    fn start_fresh_strandline(place: &Place) -> Result<Peer> {
        let folder = place.cache().join("peer-strandline");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let log = folder.join("server.log");
        let errors = File::create(&log).context("create the broker's log")?;
        let mut process = Command::new(strandline(place)?)
            .arg("start")
            .args(["--set", "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0"])
            .args(["--set", "group.initial.rebalance.delay.ms=0"])
            .arg("--set")
            .arg(format!("log.dirs={}", folder.join("data").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .context("start strandline")?;
        let stdout = process.stdout.take().context("stdout is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut said = Vec::new();
        let bootstrap = loop {
            let Some(line) = lines.next().transpose().context("read strandline's output")? else {
                let _ = process.kill();
                bail!("strandline ended before it was ready:\n{}\n{}", said.join("\n"), tail(&log));
            };
            match address_in(&line) {
                Some(address) => break address.to_string(),
                None => said.push(line),
            }
        };
        // Whatever else it prints must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        Ok(Peer { against: Against::Strandline, bootstrap, process: Some(process), log })
    }

    pub(super) fn name(&self) -> &'static str {
        self.against.name()
    }

    pub(super) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Of a broker that was started here.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    fn wait_for_port(&mut self) -> Result<()> {
        let address: SocketAddr = self.bootstrap.parse().context("the bootstrap address")?;
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            let ended = match &mut self.process {
                Some(process) => process.try_wait().context("look at the broker")?,
                None => None,
            };
            ensure!(ended.is_none(), "{} ended:\n{}", self.name(), tail(&self.log));
            ensure!(
                Instant::now() < deadline,
                "{} is not ready:\n{}",
                self.name(),
                tail(&self.log)
            );
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub(super) fn stop(mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let _ = Command::new("kill").arg(process.id().to_string()).status();
        let deadline = Instant::now() + STOP_TIMEOUT;
        let status = loop {
            if let Some(status) = process.try_wait().context("wait for the broker")? {
                break status;
            }
            if Instant::now() >= deadline {
                let _ = process.kill();
                let _ = process.wait();
                bail!(
                    "{} did not stop within {} s:\n{}",
                    self.name(),
                    STOP_TIMEOUT.as_secs(),
                    tail(&self.log)
                );
            }
            thread::sleep(Duration::from_millis(50));
        };
        // A JVM that ends by SIGTERM exits with 143 after its orderly shutdown.
        let clean =
            status.success() || (self.against == Against::Kafka && status.code() == Some(143));
        ensure!(clean, "{} stopped with {status}:\n{}", self.name(), tail(&self.log));
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn java(libs: &Path) -> Command {
    let mut command = Command::new("java");
    command.arg("-cp").arg(libs.join("*"));
    command
}

fn format_by_kafka(libs: &Path, home: &Home) -> Result<()> {
    let mut command = java(libs);
    command.args([
        "kafka.tools.StorageTool",
        "format",
        "--standalone",
        "-t",
        "mJ2nSfQfQ1y3h4v5w6x7yA",
        "-c",
    ]);
    command.arg(&home.properties);
    for feature in FEATURES_OFF {
        command.args(["--feature", feature]);
    }
    let output = command.output().context("format a directory by Kafka")?;
    ensure!(output.status.success(), "StorageTool: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The binary named by `STRANDLINE`, or the release build, brought up to date.
pub(super) fn strandline(place: &Place) -> Result<PathBuf> {
    if let Some(binary) = std::env::var_os("STRANDLINE") {
        return Ok(binary.into());
    }
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--package", "strandline-cli"])
        .current_dir(place.repository())
        .status()
        .context("run cargo")?;
    ensure!(status.success(), "strandline does not build");
    Ok(place.target().join("release").join("strandline"))
}

/// The first `a.b.c.d:port` of a line.
fn address_in(line: &str) -> Option<SocketAddr> {
    line.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'))
        .find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_names_the_address_first() {
        let line = "strandline is ready: kafka://127.0.0.1:40123 node 1 in 9 ms (controller 127.0.0.1:40124)";
        assert_eq!(address_in(line), Some("127.0.0.1:40123".parse().expect("an address")));
        assert_eq!(address_in("2026-11-23 13:09:28 opening 12 logs"), None);
    }
}
