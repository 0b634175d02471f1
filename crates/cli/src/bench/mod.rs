//! `strandline bench`: how fast a Kafka is, whoever's it is, on a topic of its own.

mod histogram;
mod load;
mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};
use indicatif::ProgressBar;
use serde_json::json;
use strandline_client::admin::{NewTopic, OffsetSpec};
use strandline_client::producer::{Acks, ProducerConfig};
use strandline_client::{Admin, Client};
use strandline_ports::{Clock, watch};
use strandline_types::Instant;

use crate::connect::{ConnectArgs, failed, refused};
use crate::failure::Failure;
use crate::output::{Output, grouped};
use crate::produce::{AcksArg, Codec};
use crate::signals::{Signals, Stop};
use crate::tasks::task;
use load::{Load, Run, STAMP_BYTES, Side, consume, partitions, produce};
use report::Figures;

const TELL_EVERY: Duration = Duration::from_secs(1);
/// A topic that has not grown for so long holds all that was not lost.
const SETTLED_AFTER: Duration = Duration::from_secs(1);
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// Of a round trip whose rate nobody gave: few enough that nothing queues and no batch need wait,
/// which shows what the broker itself takes.
const ROUND_TRIPS_PER_SECOND: f64 = 1_000.0;

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// What to measure
    #[arg(value_enum, default_value_t = Kind::Roundtrip)]
    kind: Kind,

    /// Records a second, of all producers together; latencies count from when a record is due by
    /// this. Not given: 1000 for a round trip, else as many as the broker takes
    #[arg(long, short, value_name = "RECORDS", value_parser = rate)]
    rate: Option<f64>,

    /// How long to produce, in seconds
    #[arg(long, short, value_name = "SECONDS", default_value_t = 5,
          value_parser = value_parser!(u64).range(1..))]
    duration: u64,

    /// Produce so many records instead
    #[arg(long, short = 'n', value_name = "COUNT", conflicts_with = "duration",
          value_parser = value_parser!(u64).range(1..))]
    records: Option<u64>,

    /// Of each record's value
    #[arg(long, short, value_name = "BYTES", default_value_t = 1_000,
          value_parser = value_parser!(u64).range(STAMP_BYTES as u64..=900_000))]
    size: u64,

    /// Producers, each with connections of its own
    #[arg(long, value_name = "COUNT", default_value_t = 1,
          value_parser = value_parser!(u64).range(1..=1_000))]
    producers: u64,

    /// Of the topic
    #[arg(long, short, value_name = "COUNT", default_value_t = 4,
          value_parser = value_parser!(i32).range(1..=10_000))]
    partitions: i32,

    /// Copies of each partition; the broker's default if not given
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,

    #[arg(long, short = 'z', value_enum, default_value_t = Codec::None)]
    compression: Codec,

    /// Who must have a record before it counts
    #[arg(long, value_enum, default_value_t = AcksArg::All)]
    acks: AcksArg,

    /// How long a batch waits for more records, in milliseconds. Not given: 0 for a round trip,
    /// else 5, as Kafka has it
    #[arg(long, value_name = "MS")]
    linger: Option<u64>,

    /// Bytes of a batch, before compression
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 10)]
    batch: u32,

    /// Produce in transactions and commit every so many milliseconds; the consumer reads what is
    /// committed
    #[arg(long, value_name = "MS", conflicts_with = "acks",
          value_parser = value_parser!(u64).range(1..))]
    commit_every: Option<u64>,

    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// From when a record is due until the broker confirms it
    Produce,
    /// How fast records that lie there are read
    Consume,
    /// From when a record is due until a consumer has it
    Roundtrip,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    match rate.is_finite() && rate > 0.0 {
        true => Ok(rate),
        false => Err("expected more than 0".to_owned()),
    }
}

pub(crate) fn run(args: BenchArgs, output: &Output) -> Result<ExitCode, Failure> {
    args.connect.run(|client| bench(client, &args, output))
}

async fn bench(client: Client, args: &BenchArgs, output: &Output) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen()
        .map_err(|error| Failure::new("cannot listen for signals").because(&error))?;
    let bench = Bench::new(client, args, output.is_json());
    bench.create_topic(args).await?;
    let run = Arc::clone(&bench.run);
    let measured = tokio::select! {
        biased;
        stop = signals.next() => Err(stop),
        measured = bench.measure() => Ok(measured),
    };
    // Whatever is still being sent goes nowhere.
    run.is_over.store(true, Ordering::Relaxed);
    bench.say_nothing_more();
    let removed = signals.unless_signalled(bench.delete_topic()).await;
    match (measured, removed) {
        (Err(stop), _) | (_, Err(stop)) => Ok(Stop::exit_code(stop)),
        (Ok(measured), Ok(removed)) => {
            let sides = measured?;
            removed?;
            output.done(&report::text(&sides), &bench.json(args, &sides))
        }
    }
}

struct Bench {
    client: Client,
    bootstrap: String,
    kind: Kind,
    load: Load,
    run: Arc<Run>,
    view: View,
}

/// Where the figures of every second go.
enum View {
    Silent,
    Lines,
    InPlace(ProgressBar),
}

impl Bench {
    fn new(client: Client, args: &BenchArgs, is_silent: bool) -> Self {
        let topic = format!("strandline-bench-{:016x}", client.world().entropy.next_u64());
        let bar = ProgressBar::new_spinner();
        let view = match (is_silent, bar.is_hidden()) {
            (true, _) => View::Silent,
            (false, true) => View::Lines,
            (false, false) => View::InPlace(bar),
        };
        let load = Load {
            topic,
            partitions: args.partitions,
            producers: args.producers as usize,
            value_bytes: args.size as usize,
            rate: match args.kind {
                Kind::Roundtrip => args.rate.or(Some(ROUND_TRIPS_PER_SECOND)),
                Kind::Produce | Kind::Consume => args.rate,
            },
            records: args.records,
            duration: Duration::from_secs(args.duration),
            producer: ProducerConfig {
                acks: args.acks.into(),
                compression: args.compression.choice(),
                linger: Duration::from_millis(args.linger.unwrap_or(match args.kind {
                    Kind::Roundtrip => 0,
                    Kind::Produce | Kind::Consume => 5,
                })),
                batch_bytes: args.batch as usize,
                may_create_topics: false,
                ..ProducerConfig::default()
            },
            commit_every: args.commit_every.map(Duration::from_millis),
        };
        let bootstrap = client.config().bootstrap.join(",");
        Self { client, bootstrap, kind: args.kind, load, run: Arc::default(), view }
    }

    async fn create_topic(&self, args: &BenchArgs) -> Result<(), Failure> {
        let topic = NewTopic::new(
            &*self.load.topic,
            args.partitions,
            args.replication_factor.unwrap_or(-1),
        );
        let created = Admin::new(self.client.clone()).create_topics(&[topic], false).await;
        let created = created.map_err(|error| failed("create a topic", &error))?;
        let refusals = created.iter().filter_map(|(name, created)| {
            created.as_ref().err().map(|refusal| (name.clone(), refusal))
        });
        let refusals: Vec<_> = refusals.collect();
        if refusals.is_empty() { Ok(()) } else { Err(refused("create a topic", refusals)) }
    }

    async fn delete_topic(&self) -> Result<(), Failure> {
        let name = std::slice::from_ref(&self.load.topic);
        let deleted = Admin::new(self.client.clone()).delete_topics(name).await;
        let deleted = deleted.map_err(|error| failed("delete the topic of this bench", &error))?;
        let refusals: Vec<_> = deleted
            .iter()
            .filter_map(|(name, deleted)| {
                deleted.as_ref().err().map(|refusal| (name.clone(), refusal))
            })
            .collect();
        match refusals.is_empty() {
            true => Ok(()),
            false => Err(refused("delete the topic of this bench", refusals)),
        }
    }

    async fn measure(&self) -> Result<Vec<Figures>, Failure> {
        let clock = Arc::clone(self.client.clock());
        tokio::select! {
            biased;
            sides = self.sides() => sides,
            never = self.tell(&*clock) => match never {},
        }
    }

    async fn sides(&self) -> Result<Vec<Figures>, Failure> {
        let (ends_in, ends) = watch::channel(None);
        let (load, run) = (&self.load, &self.run);
        let world = self.client.world();
        let read = || {
            let client = Client::new(world.clone(), self.client.config().clone());
            task(world, consume(client, load.clone(), Arc::clone(run), ends.clone()))
        };
        let reading = (self.kind == Kind::Roundtrip).then(&read);
        let produced = produce(world, &self.bootstrap, load, run).await?;
        let mut sides = vec![self.figures("produced", &run.produced, produced, true)];
        if load.commit_every.is_some() {
            let commits = self.figures("committed", &run.committed, produced, true);
            sides.push(Figures { value_bytes: 0, ..commits });
        }
        if self.kind == Kind::Produce {
            return Ok(sides);
        }
        ends_in.send_replace(Some(self.settled_ends().await?));
        let has_latency = reading.is_some();
        let consumed = match reading {
            // It has waited for the first record, too.
            Some(reading) => reading.await.map(|(_, ended)| (produced.0, ended)),
            None => read().await,
        };
        let consumed = consumed
            .map_err(|error| Failure::new("cannot read what was produced").because(&error))?;
        sides.push(self.figures("consumed", &run.consumed, consumed, has_latency));
        Ok(sides)
    }

    /// With acks=0 nobody says that a record has arrived: the ends are known when all have, or no
    /// more come.
    async fn settled_ends(&self) -> Result<load::Ends, Failure> {
        let clock = self.client.clock();
        let sent = self.run.produced.records.load(Ordering::Relaxed);
        let mut last_grown = (0, clock.now().instant);
        loop {
            let ends = self.ends().await?;
            let held = ends.values().map(|end| end.get() as u64).sum();
            let now = clock.now().instant;
            if held != last_grown.0 {
                last_grown = (held, now);
            }
            let is_awaited = self.load.producer.acks == Acks::None && held < sent;
            if !is_awaited || now.since(last_grown.1) >= SETTLED_AFTER {
                return Ok(ends);
            }
            clock.sleep(ASK_AGAIN).await;
        }
    }

    async fn ends(&self) -> Result<load::Ends, Failure> {
        let specs = partitions(&self.load).map(|partition| (partition, OffsetSpec::Latest));
        let listed = Admin::new(self.client.clone()).list_offsets(&specs.collect(), false).await;
        let listed = listed.map_err(|error| failed("find the ends of the topic", &error))?;
        let mut ends = load::Ends::new();
        for (partition, listed) in listed {
            match listed {
                Ok(listed) => drop(ends.insert(partition, listed.offset)),
                Err(refusal) => {
                    let item = [(partition.to_string(), &refusal)];
                    return Err(refused("find the ends of the topic", item));
                }
            }
        }
        Ok(ends)
    }

    fn figures(
        &self,
        name: &'static str,
        side: &Side,
        (began, ended): (Instant, Instant),
        has_latency: bool,
    ) -> Figures {
        let (value_bytes, took) = (self.load.value_bytes, ended.since(began));
        Figures { name, value_bytes, took, latencies: side.snapshot(), has_latency }
    }

    /// Says every second how it goes.
    async fn tell(&self, clock: &dyn Clock) -> std::convert::Infallible {
        let counts = || {
            let Run { produced, consumed, .. } = &*self.run;
            [produced, consumed].map(|side| side.records.load(Ordering::Relaxed))
        };
        let (mut before, mut seconds) = (counts(), 0);
        loop {
            clock.sleep(TELL_EVERY).await;
            seconds += 1;
            let now = counts();
            let mut line = format!("{seconds:>3} s");
            for (name, (now, before)) in
                ["produced", "consumed"].into_iter().zip(now.into_iter().zip(before))
            {
                if now > 0 {
                    line += &format!("  {name} {:>9} records/s", grouped(now - before));
                }
            }
            let last = if now[1] > 0 { &self.run.consumed } else { &self.run.produced };
            if let Some(p99) = last.snapshot().quantile(0.99).filter(|_| self.has_latency(now[1])) {
                line += &format!("  p99 so far {:.2} ms", p99.as_secs_f64() * 1e3);
            }
            before = now;
            match &self.view {
                View::Silent => {}
                // A closed standard error leaves nobody to tell.
                View::Lines => drop(std::io::Write::write_fmt(
                    &mut std::io::stderr(),
                    format_args!("{line}\n"),
                )),
                View::InPlace(bar) => bar.set_message(line),
            }
        }
    }

    fn has_latency(&self, consumed: u64) -> bool {
        self.kind != Kind::Consume || consumed == 0
    }

    /// Takes the line away; the table says the same.
    fn say_nothing_more(&self) {
        if let View::InPlace(bar) = &self.view {
            bar.finish_and_clear();
        }
    }

    fn json(&self, args: &BenchArgs, sides: &[Figures]) -> serde_json::Value {
        let mut document = json!({
            "bootstrap": self.bootstrap,
            "valueBytes": self.load.value_bytes,
            "partitions": self.load.partitions,
            "producers": self.load.producers,
            "rate": self.load.rate,
            "acks": format!("{:?}", args.acks).to_lowercase(),
            "compression": format!("{:?}", args.compression).to_lowercase(),
            "commitEveryMs": self.load.commit_every.map(|every| every.as_millis() as u64),
            "lingerMs": self.load.producer.linger.as_millis() as u64,
        });
        if let (Some(document), serde_json::Value::Object(sides)) =
            (document.as_object_mut(), report::json(sides))
        {
            document.extend(sides);
        }
        document
    }
}
