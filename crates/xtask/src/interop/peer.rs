//! The broker that the clients talk to: Apache Kafka, Strandline, or one that already runs.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::FETCH_TIMEOUT;
use super::home::Home;
use super::place::Place;
use super::shell::tail;

const START_TIMEOUT: Duration = Duration::from_secs(180);
const STOP_TIMEOUT: Duration = Duration::from_secs(120);
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

/// A broker; dropped without [`Peer::stop`], it is killed.
pub(super) struct Peer {
    against: Against,
    bootstrap: String,
    process: Option<Child>,
    log: PathBuf,
    data: PathBuf,
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
                data: PathBuf::new(),
            }),
            Against::Kafka => {
                let home = Home::alone(&place.cache().join("peer-kafka"))?;
                Peer::start_at(place, against, &home)
            }
            Against::Strandline => Peer::start_fresh_strandline(place),
        }
    }

    /// Starts a broker on a data directory, which Kafka formats first when it is not there.
    pub(super) fn start_at(place: &Place, against: &Against, home: &Home) -> Result<Peer> {
        let log = home.properties().with_extension("log");
        let mut command = match against {
            Against::Kafka => {
                if !home.data().exists() {
                    home.format(place, against)?;
                }
                let mut command = java(&place.fetch_kafka(FETCH_TIMEOUT)?);
                if !home.is_alone() {
                    // Several start together, and none lives until the better compiler pays.
                    command.arg("-XX:TieredStopAtLevel=1");
                }
                command.args(["-Xms256m", "-Xmx768m", "kafka.Kafka"]).arg(home.properties());
                command
            }
            Against::Strandline => {
                let mut command = Command::new(place.strandline()?);
                command.arg("start").arg("--config").arg(home.properties());
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
            bootstrap: home.bootstrap().into(),
            process: Some(process),
            log,
            data: home.data().to_owned(),
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
        let (log, data) = (folder.join("server.log"), folder.join("data"));
        let errors = File::create(&log).context("create the broker's log")?;
        let mut process = Command::new(place.strandline()?)
            .arg("start")
            .args(["--set", "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0"])
            .args(["--set", "group.initial.rebalance.delay.ms=0"])
            .arg("--set")
            .arg(format!("log.dirs={}", data.display()))
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
        Ok(Peer { against: Against::Strandline, bootstrap, process: Some(process), log, data })
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

    /// The log directory of a broker that was started here.
    pub(super) fn data(&self) -> &Path {
        &self.data
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

    /// Ends it as a crash would (SIGKILL).
    pub(super) fn kill(mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.kill().context("kill a broker")?;
        process.wait().context("wait for the end of a broker")?;
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

pub(super) fn java(libs: &Path) -> Command {
    let mut command = Command::new("java");
    command.arg("-cp").arg(libs.join("*"));
    command
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
