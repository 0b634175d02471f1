//! `strandline consume`: records to standard output.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use strandline_client::admin::OffsetSpec;
use strandline_client::consumer::{
    ConsumeError, Consumer, ConsumerConfig, ConsumerRecord, GroupConfig, Reset,
};
use strandline_client::{Client, ClientError};
use strandline_types::{Offset, PartitionId, Timestamp, TopicPartition};

use crate::connect::{ConnectArgs, failed};
use crate::failure::Failure;
use crate::output::Output;
use crate::signals::Signals;
use crate::when;

/// How long one poll may wait; signals and ends are looked at in between.
const POLL: Duration = Duration::from_millis(200);
/// Records that are printed at once.
const POLL_RECORDS_MAX: usize = 5_000;

#[derive(Args, Debug)]
pub(crate) struct ConsumeArgs {
    topic: String,

    /// Where to start: beginning, end, an offset, a time (2026-01-31T12:30, UTC) or how long ago
    /// (15m, 2h, 7d). With a group it counts only where the group has committed nothing, and is
    /// beginning or end
    #[arg(long, short, value_name = "WHERE", default_value = "end")]
    from: String,

    /// Only this partition; may be repeated
    #[arg(long, short, conflicts_with = "group")]
    partition: Vec<i32>,

    /// Share the partitions with the other members of this group, and commit
    #[arg(long, short)]
    group: Option<String>,

    /// Stop after so many records
    #[arg(short = 'n', long = "count", value_name = "COUNT")]
    count: Option<usize>,

    /// Stop where the topic ended when this began
    #[arg(long, short, conflicts_with = "group")]
    exit: bool,

    /// Print keys, a tab before the value
    #[arg(long, short)]
    key: bool,

    /// Print partition, offset and time, too
    #[arg(long, short = 'o')]
    offsets: bool,

    /// Print headers, too
    #[arg(long, short = 'H')]
    headers: bool,

    /// Leave out records of transactions that are open or aborted
    #[arg(long)]
    read_committed: bool,

    /// Where this consumer stands: brokers may then send it to a replica in the same rack
    #[arg(long, value_name = "RACK", default_value = "", hide_default_value = true)]
    rack: String,

    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Clone, Copy)]
enum From {
    Spec(OffsetSpec),
    Offset(Offset),
}

impl ConsumeArgs {
    fn from(&self, now: Timestamp) -> Result<From, Failure> {
        Ok(match self.from.as_str() {
            "beginning" | "earliest" | "start" => From::Spec(OffsetSpec::Earliest),
            "end" | "latest" => From::Spec(OffsetSpec::Latest),
            text => match text.parse() {
                Ok(offset) if offset >= 0 => From::Offset(Offset(offset)),
                _ => when::parse(text, now).map(|at| From::Spec(OffsetSpec::At(at))).ok_or_else(
                    || {
                        Failure::misuse(format!("--from {text} is no place to start")).next(
                            "say beginning, end, an offset, a time such as 2026-01-31T12:30, or 2h",
                        )
                    },
                )?,
            },
        })
    }

    fn consumer_config(&self, from: From) -> Result<ConsumerConfig, Failure> {
        let reset = match from {
            From::Spec(OffsetSpec::Latest) => Reset::Latest,
            From::Spec(OffsetSpec::Earliest) => Reset::Earliest,
            _ if self.group.is_some() => {
                return Err(Failure::misuse("with a group, --from is beginning or end")
                    .next("`strandline group reset` moves a group to an offset or a time"));
            }
            _ => Reset::Earliest,
        };
        Ok(ConsumerConfig {
            group: self.group.as_ref().map(GroupConfig::new),
            reset,
            is_read_committed: self.read_committed,
            poll_records_max: POLL_RECORDS_MAX,
            rack: self.rack.clone(),
            ..ConsumerConfig::default()
        })
    }
}

pub(crate) fn run(args: ConsumeArgs, output: &Output) -> Result<ExitCode, Failure> {
    args.connect.run(|client| consume(client, &args, output))
}

async fn consume(client: Client, args: &ConsumeArgs, output: &Output) -> Result<ExitCode, Failure> {
    let from = args.from(client.clock().now().timestamp)?;
    let mut consumer = Consumer::new(client.clone(), args.consumer_config(from)?);
    let mut ends = Vec::new();
    if args.group.is_some() {
        consumer.subscribe([&args.topic]);
    } else {
        let partitions = partitions(&client, args).await?;
        consumer.assign(partitions.clone());
        seek(&mut consumer, args, &partitions, from).await?;
        if args.exit {
            let found = consumer.offsets(&partitions, OffsetSpec::Latest).await;
            let found = found.map_err(|error| broken(args, &error))?;
            ends.extend(found.into_iter().filter_map(|(partition, end)| Some((partition, end?))));
        }
    }
    let mut signals = Signals::listen()
        .map_err(|error| Failure::new("cannot listen for signals").because(&error))?;
    let is_raw = !io::stdout().is_terminal();
    if let From::Spec(OffsetSpec::Latest) = from
        && !is_raw
        && !output.is_json()
    {
        // A closed standard error leaves nobody to tell.
        let _ = writeln!(
            io::stderr(),
            "waiting for new records, Ctrl-C ends; --from beginning shows those that are there"
        );
    }
    let mut is_told = false;
    let mut left = args.count.unwrap_or(usize::MAX);
    while left > 0 && !(args.exit && has_reached(&consumer, &ends)) {
        let records = tokio::select! {
            biased;
            _ = signals.next() => break,
            records = consumer.poll(POLL) => records.map_err(|error| broken(args, &error))?,
        };
        let shown = left.min(records.len());
        left -= shown;
        output.each(&records[..shown], |record| text_of(record, args, is_raw), json_of)?;
        put_back(&mut consumer, args, &records[shown..])?;
        is_told = tell(consumer.trouble().as_ref(), is_told);
    }
    if args.group.is_some() {
        // While no broker answers that takes as long as any answer may.
        match signals.unless_signalled(consumer.close()).await {
            Ok(closed) => closed.map_err(|error| broken(args, &error))?,
            Err(stop) => return Ok(stop.exit_code()),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says once, to people and machines alike, why nothing comes. Whether it is said.
fn tell(trouble: Option<&ClientError>, is_told: bool) -> bool {
    if let Some(error) = trouble.filter(|_| !is_told) {
        // A closed standard error leaves nobody to tell.
        let _ = writeln!(io::stderr(), "no broker answers, trying again: {error}");
    }
    trouble.is_some()
}

fn broken(args: &ConsumeArgs, error: &ConsumeError) -> Failure {
    match error {
        ConsumeError::Client(error) => failed(&format!("consume {}", args.topic), error),
        error => Failure::new(format!("cannot consume {}", args.topic)).because(error),
    }
}

async fn partitions(client: &Client, args: &ConsumeArgs) -> Result<Vec<TopicPartition>, Failure> {
    let topic = client.existing_topic(&args.topic, false).await;
    let topic = topic.map_err(|error| failed(&format!("consume {}", args.topic), &error))?;
    let partition =
        |partition: PartitionId| TopicPartition { topic: args.topic.clone(), partition };
    if args.partition.is_empty() {
        return Ok(topic.partitions.iter().map(|known| partition(known.index)).collect());
    }
    let known = |index: &i32| match topic.partition(PartitionId(*index)) {
        Some(_) => Ok(partition(PartitionId(*index))),
        None => {
            let count = topic.partitions.len();
            Err(Failure::misuse(format!("{} has no partition {index}", args.topic))
                .next(format!("it has {count}, numbered from 0")))
        }
    };
    args.partition.iter().map(known).collect()
}

async fn seek(
    consumer: &mut Consumer,
    args: &ConsumeArgs,
    partitions: &[TopicPartition],
    from: From,
) -> Result<(), Failure> {
    let done = match from {
        From::Spec(spec) => consumer.seek_to(partitions, spec).await,
        From::Offset(offset) => partitions.iter().try_for_each(|p| consumer.seek(p, offset)),
    };
    done.map_err(|error| broken(args, &error))
}

fn has_reached(consumer: &Consumer, ends: &[(TopicPartition, Offset)]) -> bool {
    ends.iter().all(|(partition, end)| {
        consumer.position(partition).ok().flatten().is_some_and(|position| position >= *end)
    })
}

/// What was read but not printed must not be committed.
fn put_back(
    consumer: &mut Consumer,
    args: &ConsumeArgs,
    records: &[ConsumerRecord],
) -> Result<(), Failure> {
    for record in records.iter().rev() {
        let partition = TopicPartition { topic: args.topic.clone(), partition: record.partition };
        consumer.seek(&partition, record.offset).map_err(|error| broken(args, &error))?;
    }
    Ok(())
}

/// Bytes as they are for a program that reads along. A terminal gets what is text and no controls,
/// which it would obey.
fn text(bytes: Option<&Bytes>, is_raw: bool) -> Cow<'_, [u8]> {
    match bytes {
        None => Cow::Borrowed(b"null"),
        Some(bytes) if is_raw => Cow::Borrowed(bytes),
        Some(bytes) => {
            let is_obeyed = |c: char| c.is_control() && !"\t\n".contains(c);
            Cow::Owned(String::from_utf8_lossy(bytes).replace(is_obeyed, "\u{fffd}").into_bytes())
        }
    }
}

fn text_of(record: &ConsumerRecord, args: &ConsumeArgs, is_raw: bool) -> Vec<u8> {
    let mut line = Vec::new();
    if args.offsets {
        let time = when::show(record.timestamp);
        line.extend(format!("{}\t{}\t{time}\t", record.partition, record.offset).into_bytes());
    }
    if args.headers {
        for (index, (key, value)) in record.headers.iter().enumerate() {
            line.extend_from_slice(if index > 0 { b"," } else { b"" });
            line.extend_from_slice(&text(Some(key), is_raw));
            line.push(b'=');
            line.extend_from_slice(&text(value.as_ref(), is_raw));
        }
        line.push(b'\t');
    }
    if args.key {
        line.extend_from_slice(&text(record.key.as_ref(), is_raw));
        line.push(b'\t');
    }
    line.extend_from_slice(&text(record.value.as_ref(), is_raw));
    line.push(b'\n');
    line
}

/// Text where it is text, else `{"hex": …}`: nothing is lost.
fn json_bytes(bytes: Option<&Bytes>) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => {
            json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() })
        }
    }
}

fn json_of(record: &ConsumerRecord) -> Value {
    let headers = record.headers.iter();
    let headers: Vec<_> = headers
        .map(|(key, value)| json!([json_bytes(Some(key)), json_bytes(value.as_ref())]))
        .collect();
    json!({
        "topic": &*record.topic,
        "partition": record.partition.get(),
        "offset": record.offset.get(),
        "timestamp": record.timestamp.as_millis(),
        "key": json_bytes(record.key.as_ref()),
        "value": json_bytes(record.value.as_ref()),
        "headers": headers,
    })
}
