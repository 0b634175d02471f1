//! `strandline consume --until`: a read that ends by itself, at a point fixed when it begins.

#![allow(clippy::unwrap_used)]

mod board;
mod local;
mod node;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use board::{Board, TOPIC, dated};
use expect_test::{Expect, expect};
use strandline_client::producer::{
    Producer, ProducerConfig, ProducerRecord, TransactionalConfig, TransactionalProducer,
};
use strandline_types::PartitionId;

const PARTITIONS: i32 = 2;

/// Puts the numbers from 0 into a partition, dated a second apart.
async fn fill(board: &Board, partition: i32, count: i64) {
    for number in 0..count {
        let record = dated(number).partition(PartitionId(partition)).value(number.to_string());
        drop(board.producer.send(record).await.unwrap());
    }
    board.producer.flush().await;
}

/// Exit code, standard output on one line, and standard error.
fn check(board: &Board, line: &str, expected: Expect) {
    let output = board.command("consume", line).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
    let code = output.status.code().unwrap();
    expected.assert_eq(&format!("exit {code}: {out}\n{err}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_are_offsets_times_and_now() {
    let board = Board::start(PARTITIONS).await;
    check(&board, "--until now", expect![["exit 0: \n"]]);
    fill(&board, 1, 6).await;
    // The other partition is empty.
    check(&board, "--until now", expect![["exit 0: 0 1 2 3 4 5\n"]]);
    check(&board, "--from end --until now", expect![["exit 0: \n"]]);
    check(&board, "--exit --from 4", expect![["exit 0: 4 5\n"]]);
    check(&board, "--partition 1 --from 1 --until 3", expect![["exit 0: 1 2\n"]]);
    check(&board, "--until now -n 2", expect![["exit 0: 0 1\n"]]);
    check(
        &board,
        "--from 2001-01-01T00:00:02 --until 2001-01-01T00:00:04",
        expect![["exit 0: 2 3\n"]],
    );
    // Nothing is as young as that.
    check(&board, "--until 2031-01-01", expect![["exit 0: 0 1 2 3 4 5\n"]]);
    check(
        &board,
        "--until tomorrow",
        expect![[r#"
            exit 2: 
            error: --until tomorrow is no place to stop
            next: say now, an offset, a time such as 2026-01-31T12:30, or 2h
        "#]],
    );
    check(
        &board,
        "--partition 1 --until 7",
        expect![[r#"
            exit 1: 
            error: cannot consume board so far
              board-1 ends at offset 6, before 7
            next: --wait waits for it, --until now ends at what there is
        "#]],
    );
    // What has no record any more is passed over.
    board.delete_before(1, 4).await;
    check(&board, "--from 1 --until 5 --partition 1", expect![["exit 0: 4\n"]]);
    check(&board, "--until 2 --partition 1", expect![["exit 0: \n"]]);
    board.delete_before(1, 6).await;
    check(&board, "--from 1 --until now", expect![["exit 0: \n"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_takes_batch_after_batch() {
    let board = Board::start(PARTITIONS).await;
    fill(&board, 0, 3).await;
    check(&board, "--group nightly --until now", expect![["exit 0: 0 1 2\n"]]);
    check(&board, "--group nightly --until 0", expect![["exit 0: \n"]]);
    check(&board, "--group nightly --until now", expect![["exit 0: \n"]]);
    fill(&board, 0, 4).await;
    check(&board, "--group nightly --until now -n 1", expect![["exit 0: 0\n"]]);
    check(
        &board,
        "--group nightly --until 6 --partition 0",
        expect![[r#"
        exit 2: 
        error: the argument '--group <GROUP>' cannot be used with '--partition <PARTITION>'

        Usage: strandline consume --group <GROUP> --until <WHERE> --bootstrap <HOST:PORT> <TOPIC>

        For more information, try '--help'.
    "#]],
    );
    check(&board, "--group nightly --until now", expect![["exit 0: 1 2 3\n"]]);
    let mut member = board.command("consume", "--group nightly --from beginning");
    let mut member = member.stdout(Stdio::piped()).spawn().unwrap();
    fill(&board, 0, 1).await;
    let mut line = String::new();
    BufReader::new(member.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "0\n");
    check(
        &board,
        "--group nightly --until now",
        expect![[r#"
            exit 1: 
            error: group nightly has members, who share the topic
            next: a batch reads all of it: use another group, or stop them
        "#]],
    );
    member.kill().unwrap();
    member.wait().unwrap();
}

/// Whoever writes all the time keeps nobody from an end.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_grows_is_read_to_where_it_ended() {
    let board = Board::start(PARTITIONS).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let (client, over) = (board.client.clone(), Arc::clone(&is_over));
    #[expect(clippy::disallowed_methods, reason = "a test runs on the real world")]
    let writer = tokio::spawn(async move {
        let producer = Producer::new(client, ProducerConfig::default());
        let mut written = 0;
        while !over.load(Ordering::Relaxed) {
            let record = ProducerRecord::new(TOPIC).partition(PartitionId(0));
            producer.send(record.value(written.to_string())).await.unwrap().await.unwrap();
            written += 1;
        }
        written
    });
    let mut counts = Vec::new();
    while counts.len() < 3 {
        let output = board.command("consume", "--until now").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let lines: Vec<_> = output.stdout.lines().map(|line| line.unwrap()).collect();
        let expected: Vec<_> = (0..lines.len()).map(|number| number.to_string()).collect();
        assert_eq!(lines, expected);
        counts.push(lines.len());
    }
    is_over.store(true, Ordering::Relaxed);
    let written: usize = writer.await.unwrap();
    assert!(counts.is_sorted() && counts[2] > 0 && counts[2] <= written, "{counts:?} of {written}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_wait_gets_what_is_not_there_yet() {
    let board = Board::start(PARTITIONS).await;
    fill(&board, 0, 2).await;
    let mut waiting = board.command("consume", "--partition 0 --until 4 --wait");
    let mut waiting = waiting.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(waiting.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!([lines.next(), lines.next()], [Some("0".into()), Some("1".into())]);
    fill(&board, 0, 3).await;
    assert_eq!(lines.collect::<Vec<_>>(), ["0", "1"]);
    assert!(waiting.wait().unwrap().success());
}

/// What is aborted is never read, and what is open by now is not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn committed_records_are_read_up_to_what_is_open() {
    let board = Board::start(PARTITIONS).await;
    let record = |partition, value: &str| {
        ProducerRecord::new(TOPIC).partition(PartitionId(partition)).value(value.to_owned())
    };
    let config = TransactionalConfig::new("writer");
    let mut writer = TransactionalProducer::open(board.client.clone(), config).await.unwrap();
    for value in ["one", "never", "two"] {
        let transaction = writer.begin().await.unwrap();
        for partition in 0..PARTITIONS {
            // The other partition has what is aborted alone.
            if partition == 1 || value == "never" {
                transaction.send(record(partition, value)).await.unwrap().await.unwrap();
            }
        }
        match value {
            "never" => transaction.abort().await.unwrap(),
            _ => transaction.commit().await.unwrap(),
        }
    }
    board.producer.send(record(1, "three")).await.unwrap().await.unwrap();
    // It begins when those before it are complete.
    let open = writer.begin().await.unwrap();
    open.send(record(1, "four")).await.unwrap().await.unwrap();
    board.producer.send(record(1, "five")).await.unwrap().await.unwrap();

    check(&board, "--read-committed --until now", expect![["exit 0: one two three\n"]]);
    check(
        &board,
        "--partition 1 --until now",
        expect![["exit 0: one never two three four five\n"]],
    );
    check(
        &board,
        "--group nightly --read-committed --until now",
        expect![["exit 0: one two three\n"]],
    );
    open.commit().await.unwrap();
    // A read without an end sees when the commit is complete.
    check(
        &board,
        "--read-committed --from beginning -n 5",
        expect![["exit 0: one two three four five\n"]],
    );
    check(&board, "--group nightly --read-committed --until now", expect![["exit 0: four five\n"]]);
}
