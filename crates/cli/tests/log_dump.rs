//! `strandline log dump` on files as brokers write them, whole, torn and damaged.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use bytes::Bytes;
use expect_test::{Expect, expect};
use strandline_types::{Compression, LeaderEpoch, Offset, Timestamp};
use strandline_wire::compression::CompressionChoice;
use strandline_wire::records::{BatchBuilder, BatchOptions, Header, NewRecord};

fn strandline(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_strandline")).args(args).current_dir(dir).output().unwrap()
}

fn check(dir: &Path, args: &[&str], expected: Expect) {
    let output = strandline(dir, args);
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    expected.assert_eq(&format!("exit {}\n{out}{err}", output.status.code().unwrap()));
}

fn batch(base_offset: i64, codec: Compression, values: &[&str]) -> Bytes {
    let mut batch = BatchBuilder::new(BatchOptions {
        base_offset: Offset(base_offset),
        leader_epoch: LeaderEpoch(3),
        compression: CompressionChoice { codec, ..CompressionChoice::default() },
        ..BatchOptions::default()
    });
    let headers = [Header { key: b"trace", value: Some(b"\x01\x02") }];
    for (at, value) in values.iter().enumerate() {
        let timestamp = Timestamp(1_700_000_000_000 + base_offset + at as i64);
        let value = Some(value.as_bytes());
        let headers = if at == 0 { &headers[..] } else { &[] };
        batch.append(&NewRecord { timestamp, key: None, value, headers }).unwrap();
    }
    batch.build()
}

#[test]
fn batches_and_records_until_the_file_ends() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let first = batch(0, Compression::None, &["a", "two words"]);
    let second = batch(2, Compression::Gzip, &["line\nbreak"]);
    let whole = [&first[..], &second[..]].concat();
    fs::write(dir.join("whole.log"), &whole).unwrap();
    check(
        dir,
        &["log", "dump", "--records", "whole.log"],
        expect![[r#"
        exit 0
        whole.log, 201 bytes
            POSITION        FIRST         LAST  RECORDS      BYTES CODEC    EPOCH  MAX TIMESTAMP  KIND
                   0            0            1        2         94 none         3  1700000000001  data
                   |            0  1700000000000  null = a  [trace: 0102]
                   |            1  1700000000001  null = two words
                  94            2            2        1        107 gzip         3  1700000000002  data
                   |            2  1700000000002  null = 6c696e650a627265616b  [trace: 0102]
    "#]],
    );
    check(
        dir,
        &["log", "dump", "--records", "--json", "whole.log"],
        expect![[r#"
        exit 0
        {"bytes":201,"file":"whole.log"}
        {"baseSequence":-1,"bytes":94,"codec":"none","control":null,"firstOffset":0,"lastOffset":1,"leaderEpoch":3,"maxTimestamp":1700000000001,"position":0,"producerEpoch":-1,"producerId":-1,"records":2,"timestampType":"CreateTime","transactional":false}
        {"headers":[["trace","0102"]],"key":null,"offset":0,"timestamp":1700000000000,"value":"a"}
        {"headers":[],"key":null,"offset":1,"timestamp":1700000000001,"value":"two words"}
        {"baseSequence":-1,"bytes":107,"codec":"gzip","control":null,"firstOffset":2,"lastOffset":2,"leaderEpoch":3,"maxTimestamp":1700000000002,"position":94,"producerEpoch":-1,"producerId":-1,"records":1,"timestampType":"CreateTime","transactional":false}
        {"headers":[["trace","0102"]],"key":null,"offset":2,"timestamp":1700000000002,"value":"6c696e650a627265616b"}
    "#]],
    );

    fs::write(dir.join("preallocated.log"), [&first[..], &[0; 100]].concat()).unwrap();
    check(
        dir,
        &["log", "dump", "preallocated.log"],
        expect![[r#"
        exit 0
        preallocated.log, 194 bytes
            POSITION        FIRST         LAST  RECORDS      BYTES CODEC    EPOCH  MAX TIMESTAMP  KIND
                   0            0            1        2         94 none         3  1700000000001  data
                  94 zeros to the end
    "#]],
    );

    fs::write(dir.join("hole.log"), [&first[..], &[0; 100], &second[..]].concat()).unwrap();
    check(
        dir,
        &["log", "dump", "hole.log"],
        expect![[r#"
        exit 1
        hole.log, 301 bytes
            POSITION        FIRST         LAST  RECORDS      BYTES CODEC    EPOCH  MAX TIMESTAMP  KIND
                   0            0            1        2         94 none         3  1700000000001  data
                  94 cannot be read on: zeros, and then something else
    "#]],
    );

    fs::write(dir.join("torn.log"), &whole[..whole.len() - 1]).unwrap();
    check(
        dir,
        &["log", "dump", "torn.log"],
        expect![[r#"
            exit 1
            torn.log, 200 bytes
                POSITION        FIRST         LAST  RECORDS      BYTES CODEC    EPOCH  MAX TIMESTAMP  KIND
                       0            0            1        2         94 none         3  1700000000001  data
                      94 cannot be read on: 107 bytes are announced, 106 are there
        "#]],
    );

    let mut damaged = whole;
    damaged[70] ^= 1;
    fs::write(dir.join("damaged.log"), damaged).unwrap();
    check(
        dir,
        &["log", "dump", "damaged.log"],
        expect![[r#"
            exit 1
            damaged.log, 201 bytes
                POSITION        FIRST         LAST  RECORDS      BYTES CODEC    EPOCH  MAX TIMESTAMP  KIND
                       0 cannot be read on: record batch checksum is 8449cd2c, its header says 3e060fa2
        "#]],
    );

    fs::write(dir.join("notes.log"), "this is no segment of any log").unwrap();
    check(
        dir,
        &["log", "dump", "notes.log"],
        expect![[r#"
            exit 1
            notes.log, 29 bytes
                POSITION        FIRST         LAST  RECORDS      BYTES CODEC    EPOCH  MAX TIMESTAMP  KIND
                       0 cannot be read on: record batch of unknown message format 110
        "#]],
    );
    check(
        dir,
        &["log", "dump", "absent.log"],
        expect![[r#"
        exit 1
        error: cannot read absent.log
          No such file or directory (os error 2)
    "#]],
    );
}

#[test]
fn what_format_writes_can_be_read() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    assert!(strandline(dir, &["storage", "format", "--set", "log.dirs=a"]).status.success());
    let snapshot = "a/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";
    let files = ["log", "dump", "--records", snapshot, "a/bootstrap.checkpoint"];
    let output = strandline(dir, &files);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for part in
        ["KraftVoters", "127.0.0.1", "SnapshotFooter", "metadata.version", "feature_level: 30"]
    {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}
