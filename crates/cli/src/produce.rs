//! `strandline produce`: standard input, one record per line.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use serde_json::json;
use strandline_client::Client;
use strandline_client::producer::{
    Acks, Delivery, ProduceError, Producer, ProducerConfig, ProducerRecord,
};
use strandline_types::{Compression, PartitionId};
use strandline_wire::compression::CompressionChoice;
use tokio::sync::mpsc;

use crate::connect::{ConnectArgs, failed, key_value};
use crate::failure::Failure;
use crate::output::Output;

/// Lines that may wait to be sent.
const LINES_MAX: usize = 1_000;
/// Records whose delivery is still awaited.
const UNCONFIRMED_MAX: usize = 50_000;

#[derive(Args, Debug)]
pub(crate) struct ProduceArgs {
    topic: String,

    /// Each line holds a key, this separator, and the value; \t stands for a tab
    #[arg(long, short = 'K', value_name = "SEPARATOR")]
    key_separator: Option<String>,

    /// The key of every record
    #[arg(long, short, conflicts_with = "key_separator")]
    key: Option<String>,

    /// A header of every record; may be repeated
    #[arg(long, short = 'H', value_name = "KEY=VALUE", value_parser = key_value)]
    header: Vec<(String, String)>,

    /// The partition of every record; the key decides if not given
    #[arg(long, short)]
    partition: Option<i32>,

    /// An empty value deletes the key in a compacted topic
    #[arg(long)]
    empty_is_null: bool,

    #[arg(long, short = 'z', value_enum, default_value_t = Codec::None)]
    compression: Codec,

    /// Who must have a record before it counts
    #[arg(long, value_enum, default_value_t = AcksArg::All)]
    acks: AcksArg,

    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
pub(crate) enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
pub(crate) enum AcksArg {
    /// Nobody
    #[value(name = "0")]
    None,
    /// The leader
    #[value(name = "1")]
    Leader,
    /// All replicas in sync
    All,
}

impl Codec {
    pub(crate) fn choice(self) -> CompressionChoice {
        let codec = match self {
            Self::None => Compression::None,
            Self::Gzip => Compression::Gzip,
            Self::Snappy => Compression::Snappy,
            Self::Lz4 => Compression::Lz4,
            Self::Zstd => Compression::Zstd,
        };
        codec.into()
    }
}

impl From<AcksArg> for Acks {
    fn from(acks: AcksArg) -> Self {
        match acks {
            AcksArg::None => Self::None,
            AcksArg::Leader => Self::Leader,
            AcksArg::All => Self::All,
        }
    }
}

impl ProduceArgs {
    fn producer_config(&self) -> ProducerConfig {
        ProducerConfig {
            acks: self.acks.into(),
            compression: self.compression.choice(),
            ..ProducerConfig::default()
        }
    }

    /// The record of the line with this number, counted from 1.
    fn record(&self, number: usize, line: Bytes) -> Result<ProducerRecord, Failure> {
        let mut record = ProducerRecord::new(&self.topic);
        record.partition = self.partition.map(PartitionId);
        record.key = self.key.clone().map(Bytes::from);
        let mut value = line;
        if let Some(separator) = &self.key_separator {
            let separator = separator.replace("\\t", "\t");
            let at = find(&value, separator.as_bytes()).ok_or_else(|| {
                Failure::new(format!("line {number} holds no {separator:?} behind a key"))
                    .next("the lines before it are sent; -K names the separator")
            })?;
            record.key = Some(value.split_to(at));
            drop(value.split_to(separator.len()));
        }
        record.value = if value.is_empty() && self.empty_is_null { None } else { Some(value) };
        for (key, value) in &self.header {
            record = record.header(key.clone(), value.clone());
        }
        Ok(record)
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    match part.is_empty() {
        true => None,
        false => text.windows(part.len()).position(|window| window == part),
    }
}

pub(crate) fn run(args: ProduceArgs, output: &Output) -> Result<ExitCode, Failure> {
    args.connect.run(|client| produce(client, &args, output))
}

async fn produce(client: Client, args: &ProduceArgs, output: &Output) -> Result<ExitCode, Failure> {
    if io::stdin().is_terminal() {
        // A closed standard error leaves nobody to tell.
        let _ = writeln!(io::stderr(), "one record per line, Ctrl-D ends");
    }
    let producer = Producer::new(client, args.producer_config());
    let mut lines = lines();
    let mut unconfirmed: Vec<Delivery> = Vec::new();
    let (mut sent, mut stopped) = (0_usize, None);
    while let Some(line) = lines.recv().await {
        let line = line.map_err(|e| Failure::new("cannot read the input").because(&e));
        let record = match line.and_then(|line| args.record(sent + 1, line)) {
            Ok(record) => record,
            Err(failure) => {
                stopped = Some(failure);
                break;
            }
        };
        match producer.send(record).await {
            Ok(delivery) => unconfirmed.push(delivery),
            Err(error) => {
                stopped = Some(not_sent(args, sent + 1, &error));
                break;
            }
        }
        sent += 1;
        if unconfirmed.len() == UNCONFIRMED_MAX {
            confirm(args, &mut unconfirmed).await?;
        }
    }
    producer.flush().await;
    confirm(args, &mut unconfirmed).await?;
    let text = format!("{sent} {} to {}\n", plural(sent), args.topic);
    output.print(&text, &json!({ "topic": args.topic, "records": sent }))?;
    stopped.map_or(Ok(ExitCode::SUCCESS), Err)
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "record" } else { "records" }
}

async fn confirm(args: &ProduceArgs, unconfirmed: &mut Vec<Delivery>) -> Result<(), Failure> {
    for delivery in unconfirmed.drain(..) {
        if let Err(error) = delivery.await {
            return Err(Failure::new(format!("a record to {} was not stored", args.topic))
                .because(&error)
                .next("records before it are stored; those after it may be, too"));
        }
    }
    Ok(())
}

fn not_sent(args: &ProduceArgs, line: usize, error: &ProduceError) -> Failure {
    match error {
        ProduceError::Client(error) => failed(&format!("produce to {}", args.topic), error),
        error => Failure::new(format!("cannot send line {line} to {}", args.topic)).because(error),
    }
}

/// Lines of standard input without their ends, read on a thread of their own: reading waits for
/// whoever types.
fn lines() -> mpsc::Receiver<io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(LINES_MAX);
    #[expect(clippy::disallowed_methods, reason = "a person's typing is no task's business")]
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = match input.read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => {
                    if line.ends_with(b"\n") {
                        line.pop();
                    }
                    if line.ends_with(b"\r") {
                        line.pop();
                    }
                    Ok(Bytes::from(line))
                }
                Err(error) => Err(error),
            };
            let is_last = read.is_err();
            if sender.blocking_send(read).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}
