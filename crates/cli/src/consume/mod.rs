//! `strandline consume`: records to standard output.

mod bounded;

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use strandline_client::admin::OffsetSpec;
use strandline_client::consumer::{
    ConsumeError, Consumer, ConsumerConfig, ConsumerRecord, GroupConfig, Place, Reset,
};
use strandline_client::{Client, ClientError};
use strandline_types::{PartitionId, Timestamp, TopicPartition};

use crate::connect::{ConnectArgs, failed};
use crate::failure::Failure;
use crate::output::Output;
use crate::signals::Signals;
use crate::{place, when};

/// How long one poll may wait; signals and ends are looked at in between.
const POLL: Duration = Duration::from_millis(200);
/// Records that are printed at once.
const POLL_RECORDS_MAX: usize = 5_000;

#[derive(Args, Debug)]
pub(crate) struct ConsumeArgs {
    topic: String,

    /// Where to start: beginning, end, an offset, a time (2026-01-31T12:30, UTC) or how long ago
    /// (15m, 2h, 7d). Without it: at the end, or at the beginning with --until. With a group it
    /// counts only where the group has committed nothing, and without --until is beginning or end
    #[arg(long, short, value_name = "WHERE")]
    from: Option<String>,

    /// Stop there, in every partition: now (where each ends at this moment), before an offset, or
    /// before the first record of a time or later (now, if there is none). With a group this reads
    /// all partitions from what it has committed, without joining it, and commits where it stopped
    #[arg(long, short, value_name = "WHERE")]
    until: Option<String>,

    /// Wait for records before the end that are not there yet, instead of saying so
    #[arg(long, requires = "until")]
    wait: bool,

    /// Only this partition; may be repeated
    #[arg(long, short, conflicts_with = "group")]
    partition: Vec<i32>,

    /// Share the partitions with the other members of this group, and commit
    #[arg(long, short)]
    group: Option<String>,

    /// Stop after so many records
    #[arg(short = 'n', long = "count", value_name = "COUNT")]
    count: Option<usize>,

    /// Short for --until now
    #[arg(long, short, conflicts_with = "until")]
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

impl ConsumeArgs {
    fn until(&self, now: Timestamp) -> Result<Option<Place>, Failure> {
        let Some(text) = self.until.as_deref().or(self.exit.then_some("now")) else {
            return Ok(None);
        };
        let until = place::parse(text, now).ok_or_else(|| {
            Failure::misuse(format!("--until {text} is no place to stop"))
                .next("say now, an offset, a time such as 2026-01-31T12:30, or 2h")
        });
        until.map(Some)
    }

    fn from(&self, now: Timestamp, otherwise: Place) -> Result<Place, Failure> {
        let Some(text) = &self.from else { return Ok(otherwise) };
        place::parse(text, now).ok_or_else(|| {
            Failure::misuse(format!("--from {text} is no place to start"))
                .next("say beginning, end, an offset, a time such as 2026-01-31T12:30, or 2h")
        })
    }

    fn consumer_config(&self) -> ConsumerConfig {
        ConsumerConfig {
            reset: Reset::Earliest,
            is_read_committed: self.read_committed,
            poll_records_max: POLL_RECORDS_MAX,
            rack: self.rack.clone(),
            ..ConsumerConfig::default()
        }
    }

    /// Of a consumer that goes on until it is stopped, perhaps as a member of a group.
    fn endless_config(&self, from: Place) -> Result<ConsumerConfig, Failure> {
        let reset = match from {
            Place::End => Reset::Latest,
            Place::Beginning => Reset::Earliest,
            _ if self.group.is_some() => {
                return Err(Failure::misuse("with a group, --from is beginning or end")
                    .next("`strandline group reset` moves a group to an offset or a time"));
            }
            _ => Reset::Earliest,
        };
        let group = self.group.as_ref().map(GroupConfig::new);
        Ok(ConsumerConfig { group, reset, ..self.consumer_config() })
    }
}

pub(crate) fn run(args: ConsumeArgs, output: &Output) -> Result<ExitCode, Failure> {
    args.connect.run(|client| consume(client, &args, output))
}

async fn consume(client: Client, args: &ConsumeArgs, output: &Output) -> Result<ExitCode, Failure> {
    let now = client.clock().now().timestamp;
    if let Some(until) = args.until(now)? {
        let from = args.from(now, Place::Beginning)?;
        return bounded::consume(client, args, from, until, output).await;
    }
    let from = args.from(now, Place::End)?;
    let mut consumer = Consumer::new(client.clone(), args.endless_config(from)?);
    if args.group.is_some() {
        consumer.subscribe([&args.topic]);
    } else {
        let partitions = partitions(&client, args).await?;
        consumer.assign(partitions.clone());
        seek(&mut consumer, args, &partitions, from).await?;
    }
    let mut signals = listen()?;
    let is_raw = !io::stdout().is_terminal();
    if from == Place::End && !is_raw && !output.is_json() {
        // A closed standard error leaves nobody to tell.
        let _ = writeln!(
            io::stderr(),
            "waiting for new records, Ctrl-C ends; --from beginning shows those that are there"
        );
    }
    let mut is_told = false;
    let mut left = args.count.unwrap_or(usize::MAX);
    while left > 0 {
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

fn listen() -> Result<Signals, Failure> {
    Signals::listen().map_err(|error| Failure::new("cannot listen for signals").because(&error))
}

/// Says once, to people and machines alike, why nothing comes. Whether it is said.
pub(crate) fn tell(trouble: Option<&ClientError>, is_told: bool) -> bool {
    if let Some(error) = trouble.filter(|_| !is_told) {
        // A closed standard error leaves nobody to tell.
        let _ = writeln!(io::stderr(), "no broker answers, trying again: {error}");
    }
    trouble.is_some()
}

fn broken(args: &ConsumeArgs, error: &ConsumeError) -> Failure {
    match error {
        ConsumeError::Client(error) => failed(&format!("consume {}", args.topic), error),
        ConsumeError::BeyondEnd { .. } => {
            Failure::new(format!("cannot consume {} so far", args.topic))
                .because(error)
                .next("--wait waits for it, --until now ends at what there is")
        }
        ConsumeError::Truncated { .. } => {
            Failure::new(format!("{} is no longer what was read", args.topic))
                .because(error)
                .next("read it again: a leader was lost before others had all its records")
        }
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
    from: Place,
) -> Result<(), Failure> {
    let done = match from {
        Place::Beginning => consumer.seek_to(partitions, OffsetSpec::Earliest).await,
        Place::End => consumer.seek_to(partitions, OffsetSpec::Latest).await,
        Place::Time(at) => consumer.seek_to(partitions, OffsetSpec::At(at)).await,
        Place::Offset(offset) => partitions.iter().try_for_each(|p| consumer.seek(p, offset)),
    };
    done.map_err(|error| broken(args, &error))
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
pub(crate) fn text(bytes: Option<&Bytes>, is_raw: bool) -> Cow<'_, [u8]> {
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
pub(crate) fn json_bytes(bytes: Option<&Bytes>) -> Value {
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
