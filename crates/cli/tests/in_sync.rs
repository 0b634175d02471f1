//! Fewer replicas in sync than `min.insync.replicas` asks for: what is refused, what waits, and who may
//! lead again when all are gone.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod local;
mod node;
mod trio;

use std::collections::BTreeSet;

use bytes::Bytes;
use node::frames::{FETCH, PRODUCE, batch, batch_of, fetch, produce};
use node::{Client, Node, eventually};
use rustix::process::Signal;
use strandline_types::ErrorCode;
use strandline_wire::messages::ProduceRequest;
use trio::Cluster;

const TOPIC: &str = "events";

/// Error and offset.
fn send(client: &mut Client, request: &ProduceRequest) -> (ErrorCode, i64) {
    let mut answer = client.ask(request, PRODUCE);
    let answer = answer.responses.remove(0).partition_responses.remove(0);
    (answer.error_code, answer.base_offset)
}

fn append(client: &mut Client, value: &[u8]) -> (ErrorCode, i64) {
    send(client, &produce(TOPIC, 0, batch(&[value])))
}

/// An append that nobody waits for as long as a client does.
fn hasty(batch: Bytes) -> ProduceRequest {
    ProduceRequest { timeout_ms: 300, ..produce(TOPIC, 0, batch) }
}

fn in_sync(client: &mut Client) -> BTreeSet<i32> {
    client.describe(TOPIC, 0).isr_nodes.into_iter().collect()
}

fn until_in_sync(client: &mut Client, nodes: &[i32]) {
    eventually("the ISR is as wanted", || in_sync(client).iter().eq(nodes));
}

fn high_watermark(client: &mut Client) -> i64 {
    let answer = client.ask(&fetch(TOPIC, 0, 0, 1 << 20), FETCH);
    answer.responses[0].partitions[0].high_watermark
}

fn holds(client: &mut Client, expected: &[&str]) {
    let read = client.read_all(TOPIC, 0, 0);
    let values = read.iter().map(|(_, value)| std::str::from_utf8(value).unwrap());
    assert_eq!(values.collect::<Vec<_>>(), expected);
    assert!(read.iter().map(|(offset, _)| *offset).eq(0..expected.len() as i64));
}

#[test]
fn what_too_few_hold_is_refused_or_waits() {
    let home = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(home.path());
    let mut leader = cluster.node(0).client();
    leader.create_topic_on(TOPIC, &[&[1, 2]], &[]);
    let producer = leader.producer_id();
    let repeated = batch_of(producer, 0, &[b"both have it"]);
    assert_eq!(send(&mut leader, &produce(TOPIC, 0, repeated.clone())), (ErrorCode::NONE, 0));

    cluster.node(1).signal(Signal::STOP);
    let late = hasty(batch(&[b"in time for nobody"]));
    assert_eq!(send(&mut leader, &late), (ErrorCode::REQUEST_TIMED_OUT, -1));
    until_in_sync(&mut leader, &[1]);
    let refused = append(&mut leader, b"never there");
    assert_eq!(refused, (ErrorCode::NOT_ENOUGH_REPLICAS, -1));
    let for_one = |batch| ProduceRequest { acks: 1, ..produce(TOPIC, 0, batch) };
    assert_eq!(send(&mut leader, &for_one(batch(&[b"one has it"]))), (ErrorCode::NONE, 2));
    // Sent again it is there, whoever else has it; who wants to know of both is not told so.
    assert_eq!(send(&mut leader, &for_one(repeated.clone())), (ErrorCode::NONE, 0));
    let refused = send(&mut leader, &produce(TOPIC, 0, repeated.clone()));
    assert_eq!(refused, (ErrorCode::NOT_ENOUGH_REPLICAS, -1));
    assert_eq!(high_watermark(&mut leader), 1, "one of two commits nothing");

    cluster.node(1).signal(Signal::CONT);
    until_in_sync(&mut leader, &[1, 2]);
    assert_eq!(send(&mut leader, &produce(TOPIC, 0, repeated)), (ErrorCode::NONE, 0));
    assert_eq!(append(&mut leader, b"both again"), (ErrorCode::NONE, 3));
    holds(&mut leader, &["both have it", "in time for nobody", "one has it", "both again"]);
}

/// With two of three also the quorum is gone, so nobody can take them out of the ISR.
#[test]
fn two_of_three_that_die_keep_appends_waiting() {
    let home = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(home.path());
    let mut leader = cluster.node(0).client();
    leader.create_topic_on(TOPIC, &[&[1, 2, 3]], &[]);
    let producer = leader.producer_id();
    assert_eq!(append(&mut leader, b"first"), (ErrorCode::NONE, 0));
    // The other one can take it out of the ISR still, and the rest is enough.
    cluster.take(2).kill();
    until_in_sync(&mut leader, &[1, 2]);
    assert_eq!(append(&mut leader, b"second"), (ErrorCode::NONE, 1));
    cluster.take(1).kill();
    let third = batch_of(producer, 0, &[b"third"]);
    for _ in 0..2 {
        let timed_out = send(&mut leader, &hasty(third.clone()));
        assert_eq!(timed_out, (ErrorCode::REQUEST_TIMED_OUT, -1));
    }
    assert_eq!(high_watermark(&mut leader), 2);
    cluster.restart_all(&[1, 2]);
    until_in_sync(&mut leader, &[1, 2, 3]);
    assert_eq!(send(&mut leader, &produce(TOPIC, 0, third)), (ErrorCode::NONE, 2));
    holds(&mut leader, &["first", "second", "third"]);
}

/// Who left the ISR below the minimum lacks nothing that was acknowledged (KIP-966).
#[test]
fn who_stopped_cleanly_leads_again_without_the_last_leader() {
    let home = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(home.path());
    let mut leader = cluster.node(0).client();
    leader.create_topic_on(TOPIC, &[&[1, 2, 3]], &[]);
    assert_eq!(append(&mut leader, b"first"), (ErrorCode::NONE, 0));
    let stopped = |node: Node| assert!(node.stop().status.success());
    stopped(cluster.take(1));
    until_in_sync(&mut leader, &[1, 3]);
    assert_eq!(append(&mut leader, b"second"), (ErrorCode::NONE, 1));
    stopped(cluster.take(2));
    until_in_sync(&mut leader, &[1]);
    let described = leader.describe(TOPIC, 0);
    assert_eq!(described.eligible_leader_replicas, Some(vec![3]), "the second lacks a record");
    assert_eq!(append(&mut leader, b"third"), (ErrorCode::NOT_ENOUGH_REPLICAS, -1));
    let before = described.leader_epoch;
    cluster.take(0).kill();

    cluster.restart_all(&[1, 2]);
    let mut client = cluster.node(2).client();
    eventually("the third leads", || client.describe(TOPIC, 0).leader_id == 3);
    assert!(client.describe(TOPIC, 0).leader_epoch > before);
    until_in_sync(&mut client, &[2, 3]);
    holds(&mut client, &["first", "second"]);
    assert_eq!(append(&mut client, b"third"), (ErrorCode::NONE, 2));
    cluster.restart(0);
    until_in_sync(&mut client, &[1, 2, 3]);
    let eligible = client.describe(TOPIC, 0).eligible_leader_replicas;
    assert!(eligible.is_none_or(|it| it.is_empty()));
    holds(&mut client, &["first", "second", "third"]);
}

/// Producers fill the room for requests and wait for a follower that stands still. What the other
/// follower has it says by a request, which must be read all the same: else it would seem to stand
/// still, too.
#[test]
fn what_replicas_say_is_read_however_much_producers_wait() {
    const ROOM_BYTES: usize = 2 << 20;
    let home = tempfile::tempdir().unwrap();
    let cluster = Cluster::start_with(home.path(), |_, start| {
        let room = ROOM_BYTES.to_string();
        start.set("queued.max.request.bytes", &room).set("socket.request.max.bytes", &room)
    });
    let leader = cluster.node(0);
    leader.client().create_topic_on(TOPIC, &[&[1, 2, 3]], &[]);
    until_in_sync(&mut leader.client(), &[1, 2, 3]);
    cluster.node(1).signal(Signal::STOP);
    let value = vec![b'x'; ROOM_BYTES / 8];
    let request = ProduceRequest { timeout_ms: 20_000, ..produce(TOPIC, 0, batch(&[&value])) };
    let answers: Vec<ErrorCode> = std::thread::scope(|scope| {
        let send = || send(&mut leader.client(), &request).0;
        let sending: Vec<_> = (0..24).map(|_| scope.spawn(send)).collect();
        sending.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|code| code.is_none()), "{answers:?}");
    until_in_sync(&mut leader.client(), &[1, 3]);
    cluster.node(1).signal(Signal::CONT);
}
