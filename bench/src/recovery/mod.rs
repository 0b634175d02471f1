//! How long a cluster of three takes to recover, Apache Kafka's and ours in one run: 2,000 records a
//! second flow, acknowledged by all replicas, while one thing after another befalls a node.

mod traffic;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use self::traffic::Traffic;
use crate::load;
use crate::nodes::{Kind, Nodes};
use crate::questions::{self, until};
use crate::rounded;

/// Below the ports that the system gives out by itself.
const FIRST_PORT: u16 = 27_100;
/// Made as soon as there are three brokers, some of which may not yet lead.
const FIRST_TOPIC: &str = "first";
const TOPIC: &str = "traffic";
/// Four for each node to lead.
const PARTITIONS: i32 = 12;
const RECORDS_PER_SECOND: u32 = 2000;

/// What a start leaves to be done, such as to compile and to collect, is over after this.
const STARTED: Duration = Duration::from_secs(3);
/// A node that has nothing to do is looked at for so long.
const IDLE: Duration = Duration::from_secs(8);
/// Traffic without disturbance: first unmeasured, because a virtual machine compiles what is hot.
const WARM_UP: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_secs(8);
/// Longer than any session.
const STOPPED: Duration = Duration::from_secs(12);

/// A row of the table: what it says, what is wanted, and how the two kinds fared.
struct Row {
    title: &'static str,
    target: &'static str,
    figure: fn(&Figures) -> f64,
}

/// Of one kind; times in seconds.
#[derive(Default)]
struct Figures {
    first_record: f64,
    idle_mib: f64,
    idle_cpu_percent: f64,
    quiet_p50_ms: f64,
    quiet_p99_ms: f64,
    killed_probe: f64,
    killed_produce: f64,
    killed_end_to_end: f64,
    back_in_sync: f64,
    stopped_produce: f64,
    paused_probe: f64,
    paused_leader_probe: f64,
    cpu_per_gib: f64,
    mib_per_second: f64,
    /// Records that were acknowledged and never received, or received twice, or given up.
    wrong: f64,
}

const ROWS: &[Row] = &[
    Row::new("three empty nodes to the first acknowledged record, s", "≤ 1.0", |it| {
        it.first_record
    }),
    Row::new(
        "kill −9 of the quorum's leader, which leads partitions: probe, s",
        "≤ 0.25",
        |it| it.killed_probe,
    ),
    Row::new("the same: longest wait of a produce, s", "≤ 0.5", |it| it.killed_produce),
    Row::new("the same: longest end to end of a record, s", "≤ 0.7", |it| it.killed_end_to_end),
    Row::new("restarted after that, until it is back in every ISR, s", "≤ 1", |it| {
        it.back_in_sync
    }),
    Row::new("SIGTERM: longest wait of a produce, s", "≤ 0.1", |it| it.stopped_produce),
    Row::new("SIGSTOP: probe, s", "≤ 3.5", |it| it.paused_probe),
    Row::new("SIGSTOP of the quorum's leader: probe, s", "≤ 5", |it| it.paused_leader_probe),
    Row::new("idle memory of the three, MiB", "≤ 45", |it| it.idle_mib),
    Row::new("idle CPU of the three, %", "≤ 2", |it| it.idle_cpu_percent),
    Row::new("produce 1 KiB, CPU s per GiB of the three", "≤ 0.5 ×", |it| it.cpu_per_gib),
    Row::new("the same, MiB/s", "", |it| it.mib_per_second),
    Row::new("end to end at 2,000/s, linger 0: p50, ms", "≤ 0.6 ×", |it| it.quiet_p50_ms),
    Row::new("the same: p99, ms", "≤ 0.2 ×", |it| it.quiet_p99_ms),
    Row::new("records lost, doubled or refused", "0", |it| it.wrong),
];

impl Row {
    const fn new(title: &'static str, target: &'static str, figure: fn(&Figures) -> f64) -> Self {
        Self { title, target, figure }
    }
}

/// Runs everything, Kafka first; the table is in Markdown.
pub(crate) fn table(home: &Path, binary: &Path, jars: Option<&Path>) -> Result<String> {
    std::fs::create_dir_all(home).with_context(|| format!("create {}", home.display()))?;
    let program = built_traffic(home)?;
    let strandline = Kind::Strandline(binary.to_owned());
    let kinds = jars.map(|jars| Kind::Kafka(jars.to_owned())).into_iter().chain([strandline]);
    let (mut names, mut figures) = (Vec::new(), Vec::new());
    for kind in kinds {
        names.push(kind.name());
        let folder = match &kind {
            Kind::Kafka(_) => "kafka",
            Kind::Strandline(_) => "strandline",
        };
        let nodes = Nodes::prepare(kind, &home.join(folder), FIRST_PORT, 3)?;
        figures.push(measure(nodes, &program)?);
    }
    Ok(in_markdown(&names, &figures))
}

fn in_markdown(names: &[&str], figures: &[Figures]) -> String {
    let mut text = format!("| | {} | ratio | target |\n|---|", names.join(" | "));
    text += &"---|".repeat(names.len() + 2);
    for Row { title, target, figure } in ROWS {
        let values: Vec<f64> = figures.iter().map(figure).collect();
        text += &format!("\n| {title} |");
        for value in &values {
            text += &format!(" {} |", rounded(*value));
        }
        let ratio = values[values.len() - 1] / values[0];
        let ratio = if ratio.is_finite() { rounded(ratio) } else { "–".into() };
        text += &format!(" {ratio} | {target} |");
    }
    text
}

/// Builds `bench/traffic` into `home`.
fn built_traffic(home: &Path) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("traffic");
    let program = std::path::absolute(home)?.join("traffic");
    let status = Command::new("go")
        .arg("build")
        .arg("-o")
        .args([&program, Path::new(".")])
        .current_dir(source)
        .status()
        .context("run go")?;
    ensure!(status.success(), "bench/traffic does not build");
    Ok(program)
}

/// One kind through everything.
fn measure(mut nodes: Nodes, program: &Path) -> Result<Figures> {
    let mut figures = Figures::default();
    let began = Instant::now();
    (1..=3).try_for_each(|id| nodes.start(id))?;
    let create = |topic, partitions| {
        until("create a topic", || questions::create_topic(nodes.address(1), topic, partitions, 3))
    };
    create(FIRST_TOPIC, 1)?;
    let all: Vec<&str> = (1..=3).map(|id| nodes.address(id)).collect();
    figures.first_record = questions::probe(&all, FIRST_TOPIC, 0, began)?.as_secs_f64();
    said(&nodes, "first record", figures.first_record);
    in_sync(&nodes, FIRST_TOPIC, 1)?;
    create(TOPIC, PARTITIONS)?;
    in_sync(&nodes, TOPIC, 1)?;

    thread::sleep(STARTED);
    let before = nodes.cpu_seconds()?;
    thread::sleep(IDLE);
    let busy = nodes.cpu_seconds()? - before;
    figures.idle_cpu_percent = busy / IDLE.as_secs_f64() * 100.0;
    figures.idle_mib = nodes.resident_mib()?;
    said(&nodes, "idle CPU in percent", figures.idle_cpu_percent);

    let bootstrap = nodes.bootstrap();
    let mut traffic = Traffic::start(program, &bootstrap, TOPIC, PARTITIONS, RECORDS_PER_SECOND)?;
    thread::sleep(WARM_UP);
    traffic.begin()?;
    thread::sleep(QUIET);
    let quiet = traffic.report()?;
    (figures.quiet_p50_ms, figures.quiet_p99_ms) = (quiet.p50_ms, quiet.p99_ms);
    said(&nodes, "p99 in ms", figures.quiet_p99_ms);

    killed(&mut nodes, &mut traffic, &mut figures)?;
    stopped(&mut nodes, &mut traffic, &mut figures)?;
    let leader = until("find the quorum's leader", || questions::quorum_leader(nodes.address(1)))?;
    figures.paused_probe = paused(&mut nodes, &mut traffic, another_than(leader))?;
    let leader = until("find the quorum's leader", || questions::quorum_leader(nodes.address(1)))?;
    figures.paused_leader_probe = paused(&mut nodes, &mut traffic, leader)?;
    let outcome = traffic.end()?;
    figures.wrong = outcome.failed + outcome.lost + outcome.twice;
    said(&nodes, "records sent", outcome.sent);
    replicated_produce(&nodes, &mut figures)?;
    Ok(figures)
}

/// What has been seen so far, for whoever waits for the table.
fn said(nodes: &Nodes, what: &str, value: f64) {
    eprintln!("{}: {what} {}", nodes.kind().name(), rounded(value));
}

/// The next in turn.
fn another_than(id: i32) -> i32 {
    id % 3 + 1
}

/// Waits until every replica of a topic is in sync, as `asked` sees it.
fn in_sync(nodes: &Nodes, topic: &str, asked: i32) -> Result<()> {
    until("wait for every replica to be in sync", || {
        let (in_sync, all) = questions::in_sync(nodes.address(asked), topic)?;
        ensure!(in_sync == all, "{in_sync} of {all} are in sync");
        Ok(())
    })
}

/// Every node leads its share again, and clients have caught up.
fn in_order(nodes: &Nodes, traffic: &mut Traffic, asked: i32) -> Result<()> {
    in_sync(nodes, TOPIC, asked)?;
    until("elect preferred leaders", || questions::elect_preferred(nodes.address(asked), TOPIC))?;
    traffic.settle()
}

/// Asks for a record in each way until the nodes that are left have taken one for a partition that
/// `victim` led.
fn probed(nodes: &Nodes, victim: i32, led: &[i32], began: Instant) -> Result<f64> {
    let left: Vec<&str> = nodes.others(victim).into_iter().map(|id| nodes.address(id)).collect();
    let partition = *led.first().context("a node that leads")?;
    Ok(questions::probe(&left, TOPIC, partition, began)?.as_secs_f64())
}

fn killed(nodes: &mut Nodes, traffic: &mut Traffic, figures: &mut Figures) -> Result<()> {
    let victim = until("find the quorum's leader", || questions::quorum_leader(nodes.address(1)))?;
    let led = questions::led_by(nodes.address(victim), TOPIC, victim)?;
    let witness = another_than(victim);
    traffic.begin()?;
    let began = Instant::now();
    nodes.signal(victim, Signal::KILL)?;
    figures.killed_probe = probed(nodes, victim, &led, began)?;
    nodes.ended(victim)?;
    said(nodes, "probe after kill -9", figures.killed_probe);
    // Whoever still waits gets the answer now.
    traffic.settle()?;
    let window = traffic.report()?;
    figures.killed_produce = window.longest_produce_ms / 1e3;
    figures.killed_end_to_end = window.longest_ms / 1e3;
    said(nodes, "longest produce after kill -9", figures.killed_produce);

    let began = Instant::now();
    nodes.start(victim)?;
    in_sync(nodes, TOPIC, witness)?;
    figures.back_in_sync = began.elapsed().as_secs_f64();
    said(nodes, "back in every ISR", figures.back_in_sync);
    in_order(nodes, traffic, witness)
}

/// A clean stop of the quorum's leader, which has the most to hand over.
fn stopped(nodes: &mut Nodes, traffic: &mut Traffic, figures: &mut Figures) -> Result<()> {
    let victim = until("find the quorum's leader", || questions::quorum_leader(nodes.address(1)))?;
    traffic.begin()?;
    nodes.signal(victim, Signal::TERM)?;
    nodes.ended(victim)?;
    traffic.settle()?;
    figures.stopped_produce = traffic.report()?.longest_produce_ms / 1e3;
    said(nodes, "longest produce after SIGTERM", figures.stopped_produce);
    nodes.start(victim)?;
    in_order(nodes, traffic, another_than(victim))
}

/// A node that is there and says nothing, as behind a cable that was pulled.
fn paused(nodes: &mut Nodes, traffic: &mut Traffic, victim: i32) -> Result<f64> {
    let led = questions::led_by(nodes.address(victim), TOPIC, victim)?;
    let began = Instant::now();
    nodes.signal(victim, Signal::STOP)?;
    let probed = probed(nodes, victim, &led, began);
    thread::sleep(STOPPED.saturating_sub(began.elapsed()));
    nodes.signal(victim, Signal::CONT)?;
    let took = probed?;
    said(nodes, "probe after SIGSTOP", took);
    in_order(nodes, traffic, another_than(victim))?;
    Ok(took)
}

/// As much as possible to all three, twice: the first time warms them.
fn replicated_produce(nodes: &Nodes, figures: &mut Figures) -> Result<()> {
    const MIB: usize = 512;
    let seen = questions::topic(nodes.address(1), TOPIC)?;
    let mut leaders = vec![String::new(); seen.partitions.len()];
    for partition in &seen.partitions {
        leaders[partition.partition_index as usize] = nodes.address(partition.leader_id).into();
    }
    for _ in 0..2 {
        let before = nodes.cpu_seconds()?;
        let produced = load::produce_to(&leaders, TOPIC, MIB, 1024)?;
        figures.cpu_per_gib = (nodes.cpu_seconds()? - before) / produced.gib();
        figures.mib_per_second = produced.mib_per_second();
    }
    Ok(())
}
