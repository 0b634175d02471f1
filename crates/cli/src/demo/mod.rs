//! `strandline demo`: Kafka's main job on real data, with every answer checked.
//!
//! Three sources publish the flights that left New York in 2013, one source per airport, keyed by
//! route. Two groups read the topic independently; what each computes must be what the file says.

mod answers;
mod flights;
mod host;
mod progress;
mod readers;
mod report;
mod sources;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use clap::Args;
use strandline_client::admin::{NewTopic, OffsetSpec};
use strandline_client::{Admin, Client, ClientConfig, ClientError};
use strandline_ports::watch;
use strandline_ports::{World, blocking};
use strandline_types::{ErrorCode, Offset, PartitionId, TopicPartition};

use crate::failure::Failure;
use crate::output::Output;
use crate::signals::{Signals, Stop};
use crate::world::{self, world};
use answers::{Answers, Subject};
use host::Host;
use progress::{Progress, resident_bytes_max};
use readers::Readers;
use report::{GroupReport, Next, Rate, Report};
use sources::{Published, publish};

/// Of the topic.
const PARTITIONS: usize = 6;

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Run against this Kafka instead of a broker of its own
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "data_dir")]
    bootstrap: Option<String>,

    /// Keep the broker's data in this directory; without it, everything is removed at the end
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// The topic to create
    #[arg(long, value_name = "NAME", default_value = "flights")]
    topic: String,

    /// Publish only the first N flights
    #[arg(long, value_name = "N", default_value_t = flights::FLIGHTS,
          value_parser = clap::value_parser!(u64).range(1..=flights::FLIGHTS))]
    limit: u64,
}

pub(crate) fn run(args: DemoArgs, output: &Output) -> Result<ExitCode, Failure> {
    world::run(Box::pin(demo(args, output)))
}

async fn demo(args: DemoArgs, output: &Output) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen()
        .map_err(|error| Failure::new("cannot listen for signals").because(&error))?;
    let world = world(None)?;
    let mut host = match &args.bootstrap {
        Some(bootstrap) => Host::foreign(bootstrap),
        None => Host::start(&world, args.data_dir.as_deref()).await?,
    };
    let play = Play::new(&world, &args, &host, output.is_json());
    let report = tokio::select! {
        biased;
        stop = signals.next() => Err(stop),
        failure = host.failed() => return Err(failure),
        report = play.run() => Ok(report),
    };
    drop(play);
    let stopped = signals.unless_signalled(host.stop()).await;
    match (report, stopped) {
        (Err(stop), _) | (_, Err(stop)) => Ok(Stop::exit_code(stop)),
        (Ok(report), Ok(stopped)) => {
            let report = report?;
            stopped?;
            output.print(&report.text(), &report.json())?;
            Ok(if report.agrees() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// One performance.
struct Play {
    world: World,
    bootstrap: String,
    is_own_broker: bool,
    topic: String,
    count: u64,
    next: Next,
    admin: Admin,
    groups: [Arc<Readers>; 2],
    published: Arc<Published>,
    progress: Progress,
}

/// When things happened.
struct Times {
    published: Rate,
    read: Rate,
    ends: [Offset; PARTITIONS],
}

impl Play {
    fn new(world: &World, args: &DemoArgs, host: &Host, is_silent: bool) -> Self {
        let topic = &args.topic;
        let groups = [
            Readers::new(topic, &format!("{topic}-by-carrier"), 3, Subject::Carrier),
            Readers::new(topic, &format!("{topic}-by-airport"), 1, Subject::Origin),
        ];
        let published = Arc::default();
        let client = Client::new(world.clone(), ClientConfig::new(&host.bootstrap));
        Self {
            world: world.clone(),
            bootstrap: host.bootstrap.clone(),
            is_own_broker: host.own.is_some(),
            topic: topic.clone(),
            count: args.limit,
            next: match (&args.bootstrap, &args.data_dir) {
                (Some(bootstrap), _) => Next::Cluster(bootstrap.clone()),
                (None, Some(dir)) => Next::Kept(dir.clone()),
                (None, None) => Next::Again,
            },
            admin: Admin::new(client),
            progress: Progress::new(args.limit, &published, &groups, is_silent),
            groups,
            published,
        }
    }

    async fn run(&self) -> Result<Report, Failure> {
        self.prepare().await?;
        let [carriers, airports] = &self.groups;
        let times = tokio::select! {
            biased;
            failure = carriers.failed() => Err(failure),
            failure = airports.failed() => Err(failure),
            times = self.stream() => times,
            failure = self.progress.watch(&*self.world.clock) => Err(failure),
        };
        self.progress.finish();
        self.report(times?).await
    }

    /// Makes the topic. One that is there already is somebody's: it is left alone.
    async fn prepare(&self) -> Result<(), Failure> {
        self.create_topic(true).await?;
        for group in &self.groups {
            let committed = self.committed(&group.group).await?;
            if committed.keys().any(|partition| partition.topic == self.topic) {
                let (group, topic) = (&group.group, &self.topic);
                return Err(Failure::new(format!("group {group} has read a topic {topic} before"))
                    .next("give another name with --topic, or delete the group"));
            }
        }
        self.create_topic(false).await
    }

    async fn create_topic(&self, validate_only: bool) -> Result<(), Failure> {
        let topic = NewTopic::new(&*self.topic, PARTITIONS as i32, -1);
        let created = self.admin.create_topics(&[topic], validate_only).await;
        let created = created.map_err(|error| self.unreachable(&error))?;
        let Some((_, Err(refusal))) = created.into_iter().next() else { return Ok(()) };
        let failure = Failure::new(format!("cannot create topic {}", self.topic)).because(&refusal);
        Err(match refusal.code {
            ErrorCode::TOPIC_ALREADY_EXISTS => failure.next(
                "the demo writes only to a topic that it has made: give another name with --topic",
            ),
            _ => failure,
        })
    }

    fn unreachable(&self, error: &ClientError) -> Failure {
        Failure::new(format!("cannot work with {}", self.bootstrap)).because(error)
    }

    async fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, Offset>, Failure> {
        let offsets = self.admin.group_offsets(group, None).await;
        let offsets = offsets.map_err(|error| self.unreachable(&error))?;
        Ok(offsets
            .into_iter()
            .filter_map(|(partition, committed)| Some((partition, committed.ok()?.offset)))
            .collect())
    }

    /// Publishes and reads at the same time.
    async fn stream(&self) -> Result<Times, Failure> {
        let clock = &self.world.clock;
        let (ends_in, ends) = watch::channel(None);
        let readers =
            self.groups.each_ref().map(|group| group.start(&self.world, &self.bootstrap, &ends));
        for group in &self.groups {
            group.shared_out().await;
            self.progress.say(&group.ownership());
        }
        let began = clock.now().instant;
        publish(&self.world, &self.bootstrap, &self.topic, self.count, &self.published).await?;
        let published_at = clock.now().instant;
        let ends = self.ends().await?;
        ends_in.send_replace(Some(ends));
        let mut read_at = published_at;
        for reader in readers {
            read_at = read_at.max(reader.await);
        }
        let bytes = self.published.bytes.load(Ordering::Relaxed);
        Ok(Times {
            published: Rate { records: self.count, bytes, took: published_at.since(began) },
            read: Rate { records: 2 * self.count, bytes: 2 * bytes, took: read_at.since(began) },
            ends,
        })
    }

    async fn ends(&self) -> Result<[Offset; PARTITIONS], Failure> {
        let specs = partitions(&self.topic).map(|partition| (partition, OffsetSpec::Latest));
        let listed = self.admin.list_offsets(&specs.collect(), false).await;
        let listed = listed.map_err(|error| self.unreachable(&error))?;
        let mut ends = [Offset::ZERO; PARTITIONS];
        for ((partition, listed), end) in listed.into_iter().zip(&mut ends) {
            *end = listed
                .map_err(|refusal| {
                    Failure::new(format!("{partition} has no end")).because(&refusal)
                })?
                .offset;
        }
        Ok(ends)
    }

    async fn report(&self, times: Times) -> Result<Report, Failure> {
        let memory_bytes_max = resident_bytes_max().filter(|_| self.is_own_broker);
        let mut groups = Vec::new();
        for group in &self.groups {
            let (subject, count) = (group.subject, self.count);
            let file = blocking(&self.world.spawn, move || Answers::of_file(subject, count)).await;
            let mut read = group.result();
            read.problems.extend(read.answers.differences(&file));
            let committed = self.committed(&group.group).await?;
            for (partition, end) in partitions(&self.topic).zip(times.ends) {
                if committed.get(&partition) != Some(&end) {
                    let committed = committed.get(&partition).map_or(-1, |offset| offset.get());
                    read.problems
                        .push(format!("{partition}: {committed} is committed, its end is {end}"));
                }
            }
            groups.push(GroupReport { read, file });
        }
        Ok(Report {
            bootstrap: self.bootstrap.clone(),
            topic: self.topic.clone(),
            flights: self.count,
            published: times.published,
            consumed: times.read,
            memory_bytes_max,
            groups,
            next: self.next.clone(),
        })
    }
}

fn partitions(topic: &str) -> impl Iterator<Item = TopicPartition> {
    (0..PARTITIONS as i32)
        .map(|index| TopicPartition { topic: topic.to_owned(), partition: PartitionId(index) })
}
