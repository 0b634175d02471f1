//! `strandline table`: the table that changes stand for, whatever its size.

#![allow(clippy::unwrap_used)]

mod board;
mod local;
mod node;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use board::{Board, TOPIC, dated};
use expect_test::{Expect, expect};
use strandline_client::producer::{ProducerRecord, partition_of_key};
use strandline_types::PartitionId;

const PARTITIONS: i32 = 3;

/// Says what a key is from a second on, where the key belongs or elsewhere.
async fn say(board: &Board, second: i64, key: &str, value: Option<&str>, partition: Option<i32>) {
    let mut record = dated(second).key(key.to_owned());
    record.value = value.map(|value| value.to_owned().into());
    record.partition = partition.map(PartitionId);
    board.producer.send(record).await.unwrap().await.unwrap();
}

/// Exit code, standard output and standard error.
fn check(board: &Board, line: &str, expected: Expect) {
    let output = board.command("table", line).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    expected.assert_eq(&format!("exit {}\n{out}{err}", output.status.code().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_value_of_each_key() {
    let board = Board::start(PARTITIONS).await;
    check(&board, "", expect![["exit 0\n"]]);
    // All in one partition, so that two are empty.
    for (second, key, value) in [
        (0, "UA1", Some("at the gate")),
        (1, "DL7", Some("boarding")),
        (2, "UA1", Some("departed")),
        (3, "DL7", None),
        (4, "AA3", Some("late")),
    ] {
        say(&board, second, key, value, Some(1)).await;
    }
    check(
        &board,
        "",
        expect![[r#"
        exit 0
        AA3	late
        UA1	departed
    "#]],
    );
    check(
        &board,
        "--at 2001-01-01T00:00:02 -o",
        expect![[r#"
        exit 0
        1	1	2001-01-01T00:00:01.000Z	DL7	boarding
        1	0	2001-01-01T00:00:00.000Z	UA1	at the gate
    "#]],
    );
    check(
        &board,
        "--json --key AA3 --anywhere",
        expect![[r#"
        exit 0
        {"key":"AA3","offset":4,"partition":1,"timestamp":978307204000,"value":"late"}
    "#]],
    );
    check(
        &board,
        "--at 3",
        expect![[r#"
        exit 1
        error: cannot read board
          board-0 ends at offset 0, before 3
        next: --at now shows what there is
    "#]],
    );
    check(
        &board,
        "--at noon",
        expect![[r#"
        exit 2
        error: --at noon is no moment
        next: say now, an offset, a time such as 2026-01-31T12:30, or 2h
    "#]],
    );
    check(
        &board,
        "--key DL7 --anywhere",
        expect![[r#"
        exit 1
        error: board has no row for DL7
          it is deleted
    "#]],
    );
    // What the log does not hold any more, no table can show.
    board.delete_before(1, 4).await;
    check(
        &board,
        "",
        expect![[r#"
        exit 0
        AA3	late
    "#]],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_several_partitions_and_records_without_one() {
    let board = Board::start(PARTITIONS).await;
    let home = partition_of_key(b"UA1", PARTITIONS as usize).get();
    let [one, other] = [(home + 1) % PARTITIONS, (home + 2) % PARTITIONS];
    say(&board, 5, "UA1", Some("departed"), Some(one)).await;
    say(&board, 3, "UA1", Some("boarding"), Some(other)).await;
    let keyless = ProducerRecord::new(TOPIC).value("nobody's");
    board.producer.send(keyless).await.unwrap().await.unwrap();
    check(
        &board,
        "",
        expect![[r#"
        exit 0
        UA1	departed
        1 record has no key, and so no row
        1 key is in several partitions: the latest by time is shown
    "#]],
    );
    check(
        &board,
        "--key UA1",
        expect![[r#"
        exit 1
        error: board has no row for UA1
        next: --anywhere looks in all partitions, not only where the key belongs
    "#]],
    );
    say(&board, 1, "UA1", Some("at the gate"), None).await;
    let found = board.command("table", "--key UA1").output().unwrap();
    assert_eq!(String::from_utf8(found.stdout).unwrap(), "UA1\tat the gate\n");
    say(&board, 9, "UA1", None, Some(home)).await;
    let found = board.command("table", "--key UA1 --anywhere").output().unwrap();
    assert_eq!(found.status.code(), Some(1), "a deletion counts as any change does");
}

/// The most memory that a process has had so far, in bytes, without what is mapped from its binary.
fn resident_bytes_max(child: &Child) -> Option<usize> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let of = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        Some(line.trim().trim_end_matches(" kB").parse::<usize>().ok()? << 10)
    };
    Some(of("VmHWM:")?.saturating_sub(of("RssFile:")?))
}

const ROWS: usize = 60_000;
const VALUE_BYTES: usize = 1_500;

/// Takes all rows, and tells the most memory that took.
fn resident_bytes_of(board: &Board, line: &str, spill_dir: &Path) -> usize {
    let mut command = board.command("table", line);
    command.arg("--spill-dir").arg(spill_dir);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let rows = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut count, mut bytes_max) = (0, None);
    for row in rows {
        let row = row.unwrap();
        assert!(row.starts_with(&format!("{count:08}\t")), "sorted, and each once: {row}");
        count += 1;
        // It has not ended while it has more to say than a pipe holds.
        if count % 1_000 == 0 {
            bytes_max = bytes_max.max(resident_bytes_max(&child));
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(count, ROWS);
    assert_eq!(fs::read_dir(spill_dir).unwrap().count(), 0, "nothing is left behind");
    bytes_max.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_larger_than_its_memory() {
    let board = Board::start(PARTITIONS).await;
    // The second round replaces all of the first.
    for round in ["old", "new"] {
        let value = round.repeat(VALUE_BYTES / 3);
        for key in 0..ROWS {
            // A prime apart, so that no run holds a range of keys.
            let key = format!("{:08}", key * 7_919 % ROWS);
            let record = ProducerRecord::new(TOPIC).key(key).value(value.clone());
            drop(board.producer.send(record).await.unwrap());
        }
        board.producer.flush().await;
    }
    let spill = tempfile::tempdir().unwrap();
    let small = resident_bytes_of(&board, "--memory 2", spill.path());
    let large = resident_bytes_of(&board, "--memory 256", spill.path());
    let table = ROWS * VALUE_BYTES;
    assert!(large > table, "{large} bytes for a table of {table}: it was in memory");
    assert!(small < table / 2, "{small} bytes for a table of {table}");
}
