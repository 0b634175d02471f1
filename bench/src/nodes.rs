//! Nodes of one kind on this machine, broker and controller each, and what can befall them.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::{cpu_seconds, resident_mib};

/// A JVM that is asked to stop may wait for others.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

pub(crate) enum Kind {
    /// The folder of Apache Kafka's jars.
    Kafka(PathBuf),
    /// The binary.
    Strandline(PathBuf),
}

impl Kind {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Kafka(_) => "Kafka 4.3.1",
            Self::Strandline(_) => "Strandline",
        }
    }
}

struct Node {
    properties: PathBuf,
    address: String,
    process: Option<Child>,
}

/// The nodes, numbered from 1 on. Those that run are killed when it is dropped, and the data removed.
pub(crate) struct Nodes {
    kind: Kind,
    home: PathBuf,
    nodes: Vec<Node>,
}

impl Nodes {
    /// Settings and ports; nothing runs yet. Kafka's directories are formatted here, because it
    /// cannot do without.
    pub(crate) fn prepare(kind: Kind, home: &Path, first_port: u16, count: usize) -> Result<Self> {
        if home.exists() {
            fs::remove_dir_all(home).with_context(|| format!("remove {}", home.display()))?;
        }
        fs::create_dir_all(home).with_context(|| format!("create {}", home.display()))?;
        let ports = free_ports(first_port, 2 * count)?;
        let voters: Vec<String> =
            (1..=count).map(|id| format!("{id}@127.0.0.1:{}", ports[2 * id - 1])).collect();
        let mut nodes = Vec::new();
        for id in 1..=count {
            let (broker, controller) = (ports[2 * id - 2], ports[2 * id - 1]);
            let properties = home.join(format!("{id}.properties"));
            let text = format!(
                "process.roles=broker,controller\n\
                 node.id={id}\n\
                 listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}\n\
                 controller.listener.names=CONTROLLER\n\
                 listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
                 controller.quorum.voters={}\n\
                 log.dirs={}\n\
                 default.replication.factor={count}\n\
                 min.insync.replicas={}\n\
                 auto.create.topics.enable=false\n",
                voters.join(","),
                home.join(id.to_string()).display(),
                count.div_ceil(2),
            );
            fs::write(&properties, text)?;
            nodes.push(Node { properties, address: format!("127.0.0.1:{broker}"), process: None });
        }
        let nodes = Self { kind, home: home.to_owned(), nodes };
        if let Kind::Kafka(libs) = &nodes.kind {
            for node in &nodes.nodes {
                let mut command = java(libs);
                command.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]);
                let output = command.arg(&node.properties).output().context("run java")?;
                let errors = String::from_utf8_lossy(&output.stderr);
                ensure!(output.status.success(), "StorageTool: {errors}");
            }
        }
        Ok(nodes)
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    pub(crate) fn address(&self, id: i32) -> &str {
        &self.nodes[id as usize - 1].address
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.nodes.iter().map(|it| it.address.as_str()).collect::<Vec<_>>().join(",")
    }

    /// All but one.
    pub(crate) fn others(&self, id: i32) -> Vec<i32> {
        (1..=self.nodes.len() as i32).filter(|other| *other != id).collect()
    }

    pub(crate) fn start(&mut self, id: i32) -> Result<()> {
        let node = &mut self.nodes[id as usize - 1];
        let mut command = match &self.kind {
            Kind::Kafka(libs) => {
                let mut command = java(libs);
                command.args(JVM_FLAGS).arg("kafka.Kafka");
                command
            }
            Kind::Strandline(binary) => {
                let mut command = Command::new(binary);
                command.args(["start", "--config"]);
                command
            }
        };
        let log = self.home.join(format!("{id}.log"));
        let output = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let process = command.arg(&node.properties).spawn();
        node.process = Some(process.with_context(|| format!("start {}", self.kind.name()))?);
        Ok(())
    }

    pub(crate) fn signal(&mut self, id: i32, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(self.process(id)?), signal)?)
    }

    /// Waits for the end of a process that has been told to.
    pub(crate) fn ended(&mut self, id: i32) -> Result<ExitStatus> {
        let deadline = Instant::now() + STOP_PATIENCE;
        loop {
            if let Some(status) = self.process(id)?.try_wait()? {
                self.nodes[id as usize - 1].process = None;
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "node {id} does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Of all that run.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        self.pids().map(|pid| cpu_seconds(&pid)).sum()
    }

    pub(crate) fn resident_mib(&self) -> Result<f64> {
        self.pids().map(|pid| resident_mib(&pid)).sum()
    }

    fn pids(&self) -> impl Iterator<Item = String> {
        self.nodes.iter().filter_map(|it| it.process.as_ref()).map(|it| it.id().to_string())
    }

    fn process(&mut self, id: i32) -> Result<&mut Child> {
        self.nodes[id as usize - 1].process.as_mut().context("a node that runs")
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for process in self.nodes.iter_mut().filter_map(|it| it.process.as_mut()) {
            // One that has ended already is what is wanted.
            let _ = process.kill();
            let _ = process.wait();
        }
        // The logs of a run that failed are worth a look, the records are not.
        for id in 1..=self.nodes.len() {
            let _ = fs::remove_dir_all(self.home.join(id.to_string()));
        }
    }
}

const CLUSTER_ID: &str = "mJ2nSfQfQ1y3h4v5w6x7yA";

/// As Kafka's own start script has them; the heap fits three on one machine.
const JVM_FLAGS: [&str; 8] = [
    "-Xms256m",
    "-Xmx768m",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];

fn java(libs: &Path) -> Command {
    let mut command = Command::new("java");
    command.arg("-cp").arg(libs.join("*"));
    command
}

/// Ports below those that the system gives to outgoing connections: a client that tries the port of
/// a dead node again and again would at last be given it, and be connected to itself.
fn free_ports(first: u16, count: usize) -> Result<Vec<u16>> {
    let free = (first..first.saturating_add(1000))
        .filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let ports: Vec<u16> = free.take(count).collect();
    if ports.len() < count {
        bail!("no {count} ports are free from {first} on");
    }
    Ok(ports)
}
