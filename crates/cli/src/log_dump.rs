//! `strandline log dump`: what a segment or a snapshot of the metadata log holds, batch by batch.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::json;
use strandline_types::{BatchFacts, Compression};
use strandline_wire::messages::{ControlRecord, MetadataRecord};
use strandline_wire::records::{
    BatchHeader, InspectLimits, RecordRef, Records, SIZE_PREFIX_BYTES, inspect_header,
    next_batch_size,
};

use crate::failure::Failure;
use crate::output::Output;

#[derive(Subcommand, Debug)]
pub(crate) enum LogVerb {
    /// Print the batches of segments (.log) and metadata snapshots (.checkpoint)
    ///
    /// Exit code 1 if a file holds something else, or ends within a batch.
    #[command(
        after_help = "Example:\n  strandline log dump --records data/orders-0/00000000000000000000.log"
    )]
    Dump(DumpArgs),
}

#[derive(Args, Debug)]
pub(crate) struct DumpArgs {
    /// Files to read
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Print each batch's records too
    #[arg(long)]
    records: bool,
}

pub(crate) fn run(LogVerb::Dump(args): LogVerb, output: &Output) -> Result<ExitCode, Failure> {
    let mut is_whole = true;
    for path in &args.files {
        is_whole &= dump(path, args.records, output)?;
    }
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How a file ended.
enum End {
    /// With its last batch.
    Whole,
    /// With the zeros that a segment in use is filled up with.
    Zeros,
    Bad(String),
}

/// Whether the file was whole.
fn dump(path: &Path, with_records: bool, output: &Output) -> Result<bool, Failure> {
    let unreadable =
        |error: io::Error| Failure::new(format!("cannot read {}", path.display())).because(&error);
    let file = File::open(path).map_err(unreadable)?;
    let len = file.metadata().map_err(unreadable)?.len();
    let mut reader = BufReader::new(file);
    let head = format!(
        "{}, {len} bytes\n{:>12} {:>12} {:>12} {:>8} {:>10} {:<7} {:>6} {:>14}  KIND\n",
        path.display(),
        "POSITION",
        "FIRST",
        "LAST",
        "RECORDS",
        "BYTES",
        "CODEC",
        "EPOCH",
        "MAX TIMESTAMP",
    );
    output.line(&head, &json!({ "file": path, "bytes": len }))?;
    let is_metadata = is_metadata(path);
    let mut position = 0;
    let end = loop {
        let batch = match next_batch(&mut reader, len - position).map_err(unreadable)? {
            Ok(batch) => batch,
            Err(end) => break end,
        };
        let size = batch.len() as u64;
        let facts = match inspect_header(batch.clone()) {
            Ok(inspected) => inspected.facts,
            Err(refusal) => break End::Bad(refusal.to_string()),
        };
        print_batch(position, &batch, &facts, output)?;
        if with_records {
            match Records::open(&batch, &InspectLimits::default()) {
                Ok(records) => {
                    print_records(&records, facts.control.is_some(), is_metadata, output)?
                }
                Err(refusal) => break End::Bad(refusal.to_string()),
            }
        }
        position += size;
    };
    match end {
        End::Whole => Ok(true),
        End::Zeros => {
            let text = format!("{position:>12} zeros to the end\n");
            output.line(&text, &json!({ "position": position, "zeros": len - position }))?;
            Ok(true)
        }
        End::Bad(why) => {
            let text = format!("{position:>12} cannot be read on: {why}\n");
            output.line(&text, &json!({ "position": position, "error": why }))?;
            Ok(false)
        }
    }
}

/// Values of the metadata log and its snapshots are records of a known kind.
fn is_metadata(path: &Path) -> bool {
    let in_its_log = path.to_string_lossy().contains("__cluster_metadata");
    in_its_log || path.extension().is_some_and(|extension| extension == "checkpoint")
}

fn next_batch(reader: &mut impl Read, left: u64) -> io::Result<Result<Bytes, End>> {
    if left == 0 {
        return Ok(Err(End::Whole));
    }
    if left < SIZE_PREFIX_BYTES as u64 {
        return Ok(Err(End::Bad(format!("{left} bytes are too few"))));
    }
    let mut prefix = [0; SIZE_PREFIX_BYTES];
    reader.read_exact(&mut prefix)?;
    let size = match next_batch_size(&prefix) {
        _ if prefix == [0; SIZE_PREFIX_BYTES] => return zeros_to_the_end(reader).map(Err),
        Ok(Some(size)) => size,
        Ok(None) => return Ok(Err(End::Bad("its size is not there".to_owned()))),
        Err(refusal) => return Ok(Err(End::Bad(refusal.to_string()))),
    };
    if size as u64 > left {
        return Ok(Err(End::Bad(format!("{size} bytes are announced, {left} are there"))));
    }
    let mut batch = vec![0; size];
    batch[..SIZE_PREFIX_BYTES].copy_from_slice(&prefix);
    reader.read_exact(&mut batch[SIZE_PREFIX_BYTES..])?;
    Ok(Ok(batch.into()))
}

fn zeros_to_the_end(reader: &mut impl Read) -> io::Result<End> {
    let mut buffer = [0; 16 * 1024];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(End::Zeros),
            count if buffer[..count].iter().all(|byte| *byte == 0) => {}
            _ => return Ok(End::Bad("zeros, and then something else".to_owned())),
        }
    }
}

fn print_batch(
    position: u64,
    batch: &Bytes,
    facts: &BatchFacts,
    output: &Output,
) -> Result<(), Failure> {
    let Some(header) = BatchHeader::parse(batch) else { return Ok(()) };
    let (first, last) = (header.base_offset(), header.last_offset());
    let codec = header.compression().map_or("?", Compression::name);
    let (records, bytes) = (header.record_count(), batch.len());
    let (epoch, timestamp) = (header.leader_epoch(), header.max_timestamp().0);
    let (producer, producer_epoch) = (header.producer_id().get(), header.producer_epoch().get());
    let sequence = header.base_sequence();
    let control = facts.control.map(|control| format!("{control:?}"));
    let mut kind = control.clone().unwrap_or_else(|| "data".to_owned());
    if header.is_transactional() {
        kind += " in a transaction";
    }
    if producer >= 0 {
        kind += &format!(", producer {producer} epoch {producer_epoch} sequence {sequence}");
    }
    output.line(
        &format!(
            "{position:>12} {first:>12} {last:>12} {records:>8} {bytes:>10} {codec:<7} {epoch:>6} {timestamp:>14}  {kind}\n"
        ),
        &json!({
            "position": position,
            "firstOffset": first.get(),
            "lastOffset": last.get(),
            "records": records,
            "bytes": bytes,
            "codec": codec,
            "leaderEpoch": epoch.get(),
            "maxTimestamp": timestamp,
            "timestampType": format!("{:?}", header.timestamp_type()),
            "transactional": header.is_transactional(),
            "control": control,
            "producerId": producer,
            "producerEpoch": producer_epoch,
            "baseSequence": sequence,
        }),
    )
}

fn print_records(
    records: &Records,
    is_control: bool,
    is_metadata: bool,
    output: &Output,
) -> Result<(), Failure> {
    for record in records.iter() {
        let record = match record {
            Ok(record) => record,
            Err(refusal) => {
                let why = refusal.to_string();
                output.line(&format!("{:>12} {why}\n", "|"), &json!({ "error": why }))?;
                return Ok(());
            }
        };
        let (key, value) =
            (record.key.map(readable), readable_value(&record, is_control, is_metadata));
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|header| (readable(header.key), header.value.map(readable)))
            .collect();
        let (offset, timestamp) = (record.offset, record.timestamp.0);
        let null = || "null".to_owned();
        let mut text = format!("{:>12} {offset:>12} {timestamp:>14}", "|");
        text += &format!(
            "  {} = {}",
            key.clone().unwrap_or_else(null),
            value.clone().unwrap_or_else(null)
        );
        for (name, value) in &headers {
            text += &format!("  [{name}: {}]", value.clone().unwrap_or_else(null));
        }
        text.push('\n');
        let json = json!({
            "offset": offset.get(), "timestamp": timestamp, "key": key, "value": value, "headers": headers,
        });
        output.line(&text, &json)?;
    }
    Ok(())
}

fn readable_value(record: &RecordRef<'_>, is_control: bool, is_metadata: bool) -> Option<String> {
    let value = record.value?;
    let owned = Bytes::copy_from_slice(value);
    let decoded = if is_control {
        let key = Bytes::copy_from_slice(record.key.unwrap_or_default());
        ControlRecord::decode(&key, &owned).ok().map(|control| format!("{control:?}"))
    } else if is_metadata {
        MetadataRecord::decode(&owned).ok().map(|record| format!("{record:?}"))
    } else {
        None
    };
    Some(decoded.unwrap_or_else(|| readable(value)))
}

/// Text as it is if it can be printed on one line, else hexadecimal.
fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
