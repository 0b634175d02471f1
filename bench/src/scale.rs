//! What many partitions cost: a broker alone that holds thousands, and its starts; a cluster of
//! three that makes thousands, and loses one of its brokers.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::conn::Conn;
use crate::nodes::{Kind, Nodes};
use crate::questions::{self, until};
use crate::requests::{check_produced, produce};
use crate::rounded;

/// Below the ports that the system gives out by itself.
const FIRST_PORT: u16 = 28_100;
const TOPIC: &str = "many";
const ALONE: i32 = 10_000;
const REPLICATED: i32 = 3_000;
/// What a start leaves to be done is over after this, and a checkpoint of every kind is written.
const SETTLED: Duration = Duration::from_secs(6);
/// To tell of all partitions costs a node some milliseconds, which it has better use for.
const BETWEEN_LONG_ANSWERS: Duration = Duration::from_millis(100);
const IDLE: Duration = Duration::from_secs(10);

/// What has been measured, in the order of the table.
struct Figures(Vec<(&'static str, f64, &'static str)>);

impl Figures {
    fn add(&mut self, title: &'static str, value: f64, target: &'static str) {
        eprintln!("{title}: {}", rounded(value));
        self.0.push((title, value, target));
    }
}

/// In Markdown.
pub(crate) fn table(home: &Path, binary: &Path) -> Result<String> {
    let mut figures = Figures(Vec::new());
    let kind = || Kind::Strandline(binary.to_owned());
    alone(Nodes::prepare(kind(), &home.join("alone"), FIRST_PORT, 1)?, &mut figures)?;
    together(Nodes::prepare(kind(), &home.join("three"), FIRST_PORT, 3)?, &mut figures)?;
    let rows = figures
        .0
        .iter()
        .map(|(title, value, target)| format!("\n| {title} | {} | {target} |", rounded(*value)));
    Ok(format!("| | measured | target |\n|---|---|---|{}", rows.collect::<String>()))
}

/// The starts are to the first record that the last of all partitions takes.
fn alone(mut node: Nodes, figures: &mut Figures) -> Result<()> {
    node.start(1)?;
    made(&node, ALONE, 1)?;
    thread::sleep(SETTLED);
    figures.add(
        "one broker, 10,000 partitions without records: idle memory, MiB",
        node.resident_mib()?,
        "≤ 100",
    );
    let before = node.cpu_seconds()?;
    thread::sleep(IDLE);
    let busy = (node.cpu_seconds()? - before) / IDLE.as_secs_f64();
    figures.add("idle CPU, %", busy * 100.0, "");
    figures.add("start after kill −9, s", restarted(&mut node, Signal::KILL)?, "≤ 2");
    figures.add("CPU of that start, s", node.cpu_seconds()?, "");
    a_record_each(node.address(1))?;
    figures.add(
        "a record in each; start after kill −9, s",
        restarted(&mut node, Signal::KILL)?,
        "≤ 2",
    );
    figures.add("CPU of that start, s", node.cpu_seconds()?, "");
    figures.add("and after another, s", restarted(&mut node, Signal::KILL)?, "≤ 2");
    figures.add("start after a clean stop, s", restarted(&mut node, Signal::TERM)?, "≤ 0.5");
    figures.add("CPU of that start, s", node.cpu_seconds()?, "");
    thread::sleep(SETTLED);
    figures.add("idle memory after that, MiB", node.resident_mib()?, "≤ 100");
    figures.add("start after kill −9 again, s", restarted(&mut node, Signal::KILL)?, "≤ 2");
    Ok(())
}

/// Until the answer, and until all nodes know all leaders and every replica is in sync.
fn made(nodes: &Nodes, partitions: i32, replicas: i16) -> Result<(Duration, Duration)> {
    until("wait for the brokers", || {
        questions::create_topic(nodes.address(1), "first", 1, replicas)
    })?;
    let began = Instant::now();
    questions::create_topic(nodes.address(1), TOPIC, partitions, replicas)?;
    let answered = began.elapsed();
    for address in nodes.bootstrap().split(',') {
        until("wait for every replica to be in sync", || {
            thread::sleep(BETWEEN_LONG_ANSWERS);
            let (in_sync, all) = questions::in_sync(address, TOPIC)?;
            let wanted = partitions as usize * replicas as usize;
            ensure!(in_sync == wanted && all == wanted, "{in_sync} of {all} are in sync");
            Ok(())
        })?;
    }
    Ok((answered, began.elapsed()))
}

fn restarted(node: &mut Nodes, signal: Signal) -> Result<f64> {
    node.signal(1, signal)?;
    node.ended(1)?;
    let began = Instant::now();
    node.start(1)?;
    Ok(questions::probe(&[node.address(1)], TOPIC, ALONE - 1, began)?.as_secs_f64())
}

fn a_record_each(address: &str) -> Result<()> {
    const IN_FLIGHT: usize = 100;
    let mut conn = Conn::open(address)?;
    let partitions: Vec<i32> = (0..ALONE).collect();
    for some in partitions.chunks(IN_FLIGHT) {
        for &partition in some {
            conn.send(&produce(TOPIC, partition, 1, 100)?)?;
        }
        for _ in some {
            check_produced(&conn.receive()?)?;
        }
    }
    Ok(())
}

fn together(mut nodes: Nodes, figures: &mut Figures) -> Result<()> {
    (1..=3).try_for_each(|id| nodes.start(id))?;
    let before = nodes.cpu_seconds()?;
    let (answered, known) = made(&nodes, REPLICATED, 3)?;
    figures.add(
        "three brokers, 3,000 partitions with three replicas: made, s",
        answered.as_secs_f64(),
        "≤ 3",
    );
    figures.add("all in sync, as all three know, s", known.as_secs_f64(), "");
    figures.add("CPU of the three, s", nodes.cpu_seconds()? - before, "");
    thread::sleep(SETTLED);
    figures.add("idle memory of the three, MiB", nodes.resident_mib()?, "");
    let before = nodes.cpu_seconds()?;
    thread::sleep(IDLE);
    let busy = (nodes.cpu_seconds()? - before) / IDLE.as_secs_f64();
    figures.add("idle CPU of the three, %", busy * 100.0, "");
    // The worst of them to lose.
    let victim = until("find the quorum's leader", || questions::quorum_leader(nodes.address(1)))?;
    let led = questions::led_by(nodes.address(victim), TOPIC, victim)?;
    ensure!(!led.is_empty(), "the quorum's leader leads no partition");
    let witness = *nodes.others(victim).first().context("another node")?;
    let began = Instant::now();
    nodes.signal(victim, Signal::KILL)?;
    until("wait for other leaders", || {
        let seen = questions::topic(nodes.address(witness), TOPIC)?.partitions;
        let left = seen.iter().filter(|it| it.leader_id == victim || it.leader_id < 0).count();
        ensure!(left == 0, "{left} have no other leader");
        Ok(())
    })?;
    figures.add(
        "kill −9 of the quorum's leader: all its partitions led by others, s",
        began.elapsed().as_secs_f64(),
        "≤ 1",
    );
    nodes.ended(victim)?;
    Ok(())
}
