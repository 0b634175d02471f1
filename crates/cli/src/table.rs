//! `strandline table`: the table that a topic's changes stand for.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use strandline_client::Client;
use strandline_client::consumer::{ConsumeError, Place};
use strandline_client::table::{Row, Rows, Summary, Table, TableConfig, TableError, TableReader};
use strandline_types::Timestamp;

use crate::connect::{ConnectArgs, failed};
use crate::consume::{json_bytes, tell, text};
use crate::failure::Failure;
use crate::meter::Meter;
use crate::output::{Output, bytes, grouped};
use crate::signals::Signals;
use crate::{place, when};

/// How long one poll may wait; progress and trouble are told in between.
const POLL: Duration = Duration::from_millis(200);
/// Rows that are printed at once.
const ROWS_MAX: usize = 500;

#[derive(Args, Debug)]
pub(crate) struct TableArgs {
    topic: String,

    /// The moment: now, before an offset of every partition, or before the first record of a time
    /// (2026-01-31T12:30, UTC) or so long ago (15m, 2h, 7d) or later
    #[arg(long, short, value_name = "WHEN", default_value = "now")]
    at: String,

    /// Only the row of this key, looked for where Kafka's default partitioner puts it
    #[arg(long, short, value_name = "KEY")]
    key: Option<String>,

    /// Look for the key in all partitions
    #[arg(long, requires = "key")]
    anywhere: bool,

    /// Print partition, offset and time of each value, too
    #[arg(long, short = 'o')]
    offsets: bool,

    /// Leave out changes of transactions that are open or aborted
    #[arg(long)]
    read_committed: bool,

    /// What rows may take in memory, in MiB; what does not fit goes to a temporary file
    #[arg(long, value_name = "MIB", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    memory: u32,

    /// Where the temporary file goes; the system's directory for such files if not given
    #[arg(long, value_name = "DIR")]
    spill_dir: Option<PathBuf>,

    #[command(flatten)]
    connect: ConnectArgs,
}

impl TableArgs {
    fn at(&self, now: Timestamp) -> Result<Place, Failure> {
        place::parse(&self.at, now).ok_or_else(|| {
            Failure::misuse(format!("--at {} is no moment", self.at))
                .next("say now, an offset, a time such as 2026-01-31T12:30, or 2h")
        })
    }

    fn config(&self, now: Timestamp) -> Result<TableConfig, Failure> {
        let spill_dir = self.spill_dir.clone().unwrap_or_else(std::env::temp_dir);
        let key = self.key.clone().map(Bytes::from);
        Ok(TableConfig {
            rows: match key {
                None => Rows::All,
                Some(key) if self.anywhere => Rows::OfAnywhere(key),
                Some(key) => Rows::Of(key),
            },
            at: self.at(now)?,
            is_read_committed: self.read_committed,
            memory_bytes: (self.memory as usize) << 20,
            ..TableConfig::new(spill_dir)
        })
    }
}

pub(crate) fn run(args: TableArgs, output: &Output) -> Result<ExitCode, Failure> {
    args.connect.run(|client| show(client, &args, output))
}

async fn show(client: Client, args: &TableArgs, output: &Output) -> Result<ExitCode, Failure> {
    let config = args.config(client.clock().now().timestamp)?;
    let mut signals = Signals::listen()
        .map_err(|error| Failure::new("cannot listen for signals").because(&error))?;
    let work = async {
        let table = read(client, args, config).await?;
        print(table, args, output).await
    };
    match signals.unless_signalled(work).await {
        Ok(done) => done,
        Err(stop) => Ok(stop.exit_code()),
    }
}

async fn read(client: Client, args: &TableArgs, config: TableConfig) -> Result<Table, Failure> {
    let reader = TableReader::open(client, &args.topic, config).await;
    let mut reader = reader.map_err(|error| broken(args, &error))?;
    let meter = Meter::new("read", false);
    let mut is_told = false;
    while !reader.is_done() {
        reader.poll(POLL).await.map_err(|error| broken(args, &error))?;
        meter.show(reader.progress());
        is_told = tell(reader.trouble().as_ref(), is_told);
    }
    reader.finish().await.map_err(|error| broken(args, &error))
}

async fn print(mut table: Table, args: &TableArgs, output: &Output) -> Result<ExitCode, Failure> {
    let is_raw = !io::stdout().is_terminal();
    let mut rows = Vec::new();
    loop {
        let row = table.next().await.map_err(|error| broken(args, &error))?;
        let is_last = row.is_none();
        rows.extend(row);
        if is_last || rows.len() == ROWS_MAX {
            output.each(&rows, |row| text_of(row, args, is_raw), json_of)?;
            rows.clear();
        }
        if is_last {
            break;
        }
    }
    let summary = table.summary();
    for note in notes(args, &summary) {
        // A closed standard error leaves nobody to tell.
        let _ = writeln!(io::stderr(), "{note}");
    }
    match &args.key {
        Some(key) if summary.rows == 0 => Err(no_row(key, args, &summary)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// What people and machines alike must know of the rows.
fn notes(args: &TableArgs, summary: &Summary) -> Vec<String> {
    let mut notes = Vec::new();
    let records = |count| if count == 1 { "record has" } else { "records have" };
    let keys = |count| if count == 1 { "key is" } else { "keys are" };
    if summary.keyless > 0 && args.key.is_none() {
        let (count, records) = (grouped(summary.keyless), records(summary.keyless));
        notes.push(format!("{count} {records} no key, and so no row"));
    }
    if summary.in_several_partitions > 0 {
        let count = summary.in_several_partitions;
        let (count, keys) = (grouped(count), keys(count));
        notes.push(format!("{count} {keys} in several partitions: the latest by time is shown"));
    }
    if summary.spilled_bytes > 0 {
        let spilled = bytes(summary.spilled_bytes);
        notes.push(format!("{spilled} did not fit into --memory, and went to a temporary file"));
    }
    notes
}

fn no_row(key: &str, args: &TableArgs, summary: &Summary) -> Failure {
    let failure = Failure::new(format!("{} has no row for {key}", args.topic));
    if summary.deleted > 0 {
        failure.reason("it is deleted")
    } else if args.anywhere {
        failure
    } else {
        failure.next("--anywhere looks in all partitions, not only where the key belongs")
    }
}

fn broken(args: &TableArgs, error: &TableError) -> Failure {
    match error {
        TableError::Consume(ConsumeError::Client(error)) => {
            failed(&format!("read {}", args.topic), error)
        }
        error => {
            let failure = Failure::new(format!("cannot read {}", args.topic)).because(error);
            match error {
                TableError::Consume(ConsumeError::BeyondEnd { .. }) => {
                    failure.next("--at now shows what there is")
                }
                TableError::Consume(_) => failure,
                TableError::Spill { .. } => {
                    failure.next("--spill-dir names another directory, --memory needs less of it")
                }
            }
        }
    }
}

fn text_of(row: &Row, args: &TableArgs, is_raw: bool) -> Vec<u8> {
    let mut line = Vec::new();
    if args.offsets {
        let time = when::show(row.timestamp);
        line.extend(format!("{}\t{}\t{time}\t", row.partition, row.offset).into_bytes());
    }
    line.extend_from_slice(&text(Some(&row.key), is_raw));
    line.push(b'\t');
    line.extend_from_slice(&text(Some(&row.value), is_raw));
    line.push(b'\n');
    line
}

fn json_of(row: &Row) -> Value {
    json!({
        "key": json_bytes(Some(&row.key)),
        "value": json_bytes(Some(&row.value)),
        "partition": row.partition.get(),
        "offset": row.offset.get(),
        "timestamp": row.timestamp.as_millis(),
    })
}
