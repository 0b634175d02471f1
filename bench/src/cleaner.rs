//! Compaction on brokers side by side: how fast a log is cleaned, what that costs, and what producers
//! notice of it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::conn::Conn;
use crate::cpu_seconds;
use crate::load::fresh_topic;
use crate::requests::{Noise, check_produced, create_topic_with, produce_all, set_config};
use crate::table::{Broker, heading, line, median};
use crate::transactions::{of, run};

const PARTITIONS: i32 = 4;
/// Of all partitions, before they are cleaned.
const MIB: usize = 3072;
const VALUE_BYTES: usize = 1024;
const BATCH_RECORDS: usize = 60;
/// In each partition: of five records one stays.
const KEYS: u64 = (MIB << 20) as u64 / VALUE_BYTES as u64 / PARTITIONS as u64 / 5;
/// Runs while the log is cleaned, and has to end before that does.
const PROBE: &str = "produce --rate 2000 --size 1024 --duration 3";
const LAG: &str = "min.compaction.lag.ms";
const PATIENCE: Duration = Duration::from_secs(300);

const TITLES: [&str; 5] = [
    "a log is cleaned, MiB/s",
    "the same, CPU s per GiB",
    "produce at 2,000/s, p99 ms",
    "the same while logs are cleaned, p99 ms",
    "how much slower",
];

/// Cleans a log alone and another one beside producers, on each broker in turn; the table is in
/// Markdown.
pub(crate) fn table(rounds: usize, binary: &str, brokers: &[String]) -> Result<String> {
    let brokers = Broker::all(brokers)?;
    ensure!(rounds > 0, "at least one round");
    for broker in &brokers {
        set_config(&broker.address, None, ("log.cleaner.backoff.ms", "50"))?;
    }
    let mut figures = vec![vec![Vec::new(); brokers.len()]; TITLES.len()];
    let mut memory = Memory::new(&brokers.first().context("a broker")?.dir)?;
    // The first round warms them.
    for round in 0..=rounds {
        for (index, broker) in brokers.iter().enumerate() {
            let [speed, cost] = alone(broker, &mut memory)?;
            let [quiet, loaded] = beside_producers(broker, binary, &mut memory)?;
            let measured = [speed, cost, quiet, loaded, loaded / quiet];
            eprintln!("round {round}, {}: {measured:.2?}", broker.name());
            if round > 0 {
                for (row, figure) in figures.iter_mut().zip(measured) {
                    row[index].push(figure);
                }
            }
        }
    }
    let mut text = heading(&brokers);
    for (title, by_broker) in TITLES.iter().zip(figures) {
        let medians: Vec<f64> = by_broker.into_iter().map(median).collect();
        text += &line(title, &medians);
    }
    Ok(text)
}

/// MiB per second, and seconds of CPU per GiB.
fn alone(broker: &Broker, memory: &mut Memory) -> Result<[f64; 2]> {
    let log = Log::fill(broker)?;
    let mib = log.cleanable_mib()?;
    memory.fill()?;
    let (began, before) = (Instant::now(), cpu_seconds(&broker.pid)?);
    log.release()?;
    log.await_cleaned()?;
    let (took, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds(&broker.pid)? - before);
    Ok([mib / took, cpu * 1024.0 / mib])
}

/// p99 in milliseconds, without a cleaner and with one.
fn beside_producers(broker: &Broker, binary: &str, memory: &mut Memory) -> Result<[f64; 2]> {
    let p99 = || -> Result<f64> {
        let report = run(binary, PROBE, &broker.address)?;
        of(&report, "produced", "p99").with_context(|| format!("no p99 in {report}"))
    };
    let log = Log::fill(broker)?;
    memory.fill()?;
    let quiet = p99()?;
    log.release()?;
    let loaded = p99()?;
    ensure!(!log.is_cleaned()?, "{} was done before its producers were", broker.name());
    log.await_cleaned()?;
    Ok([quiet, loaded])
}

/// The machine's. Where a broker has run for a while none is free: all is page cache, and its new pages
/// were others before. In a virtual machine the first use of a page that *is* free can cost ten times
/// what is done with it, and which broker pays would be chance.
struct Memory {
    /// A hole, whose pages are taken in one by one.
    file: File,
    position: u64,
}

impl Memory {
    /// Where the brokers have theirs: a file in memory has no pages where it has holes.
    fn new(dir: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(dir)?;
        file.set_len(1 << 43)?;
        Ok(Self { file, position: 0 })
    }

    /// Reads as much of the hole as there is free memory.
    fn fill(&mut self) -> Result<()> {
        let info = fs::read_to_string("/proc/meminfo")?;
        let free = info.lines().find_map(|line| line.strip_prefix("MemFree:")?.strip_suffix("kB"));
        let end = self.position + free.context("MemFree")?.trim().parse::<u64>()? * 1024;
        let mut bytes = vec![0; 1 << 20];
        while self.position < end {
            let read = self.file.read_at(&mut bytes, self.position)? as u64;
            ensure!(read > 0, "more memory than a file can be large");
            self.position += read;
        }
        Ok(())
    }
}

/// A topic whose records are not cleaned until they are released.
struct Log<'a> {
    broker: &'a Broker,
    topic: String,
}

impl<'a> Log<'a> {
    fn fill(broker: &'a Broker) -> Result<Self> {
        let topic = fresh_topic()?;
        let configs = [
            ("cleanup.policy", "compact"),
            ("segment.bytes", "67108864"),
            ("min.cleanable.dirty.ratio", "0.01"),
            (LAG, "3600000"),
        ];
        create_topic_with(&broker.address, &topic, PARTITIONS, &configs)?;
        let mut noise = Noise::new();
        let mut conn = Conn::open(&broker.address)?;
        let batches = (MIB << 20) / (BATCH_RECORDS * VALUE_BYTES);
        for number in 0..batches {
            let index = number as i32 % PARTITIONS;
            let record = |_| (Some(noise.next() % KEYS), noise.bytes(VALUE_BYTES));
            conn.send(&produce_all(&topic, index, (0..BATCH_RECORDS).map(record))?)?;
            check_produced(&conn.receive()?)?;
        }
        // What is still on its way to the disk would cost the one that brings it there itself.
        ensure!(Command::new("sync").status()?.success(), "sync");
        Ok(Self { broker, topic })
    }

    fn release(&self) -> Result<()> {
        set_config(&self.broker.address, Some(&self.topic), (LAG, "0"))
    }

    /// Of all segments but the last of each partition.
    fn cleanable_mib(&self) -> Result<f64> {
        let mut bytes = 0;
        for index in 0..PARTITIONS {
            let mut segments = Vec::new();
            let folder = self.broker.dir.join(format!("{}-{index}", self.topic));
            for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
                let entry = entry?;
                if entry.path().extension().is_some_and(|it| it == "log") {
                    segments.push((entry.file_name(), entry.metadata()?.len()));
                }
            }
            segments.sort_unstable();
            segments.pop();
            bytes += segments.iter().map(|(_, size)| size).sum::<u64>();
        }
        Ok(bytes as f64 / f64::from(1 << 20))
    }

    /// Each partition is cleaned at one go, and noted when that is over.
    fn is_cleaned(&self) -> Result<bool> {
        let path = self.broker.dir.join("cleaner-offset-checkpoint");
        let text = if Path::exists(&path) { fs::read_to_string(&path)? } else { String::new() };
        let is_noted = |index| {
            let start = format!("{} {index} ", self.topic);
            let mut lines = text.lines().filter_map(|line| line.strip_prefix(&start));
            lines.any(|offset| offset != "0")
        };
        Ok((0..PARTITIONS).all(is_noted))
    }

    fn await_cleaned(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_cleaned()? {
            ensure!(Instant::now() < deadline, "{} does not clean", self.broker.name());
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}
