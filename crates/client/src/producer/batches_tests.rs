//! Stories of one partition: what goes out under which sequence, whatever comes back.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use strandline_types::{Compression, PartitionId};
use strandline_wire::records::BatchHeader;

use super::*;

struct Story {
    batches: Batches,
    now: Instant,
    /// Tokens in the order of their first sends, named a, b, c…
    tokens: Vec<u64>,
    outcomes: Vec<Arc<Outcome>>,
    text: String,
}

fn partition() -> TopicPartition {
    TopicPartition { topic: "t".into(), partition: PartitionId(0) }
}

impl Story {
    fn new() -> Self {
        Self::of(false)
    }

    fn of(is_transactional: bool) -> Self {
        let mut batches = Batches::new(Settings {
            compression: Compression::None.into(),
            linger: Duration::ZERO,
            batch_bytes: 1 << 10,
            in_flight_max: 5,
            delivery_timeout: Duration::from_secs(60),
            retry_backoff: Duration::from_millis(100),
            is_idempotent: true,
            is_transactional,
        });
        batches.set_identity(Identity { id: ProducerId(7), epoch: ProducerEpoch(0) });
        let (tokens, outcomes) = Default::default();
        Self { batches, now: Instant::ZERO, tokens, outcomes, text: String::new() }
    }

    /// Appends a batch of `records` records and sends what may go.
    fn send(&mut self, records: usize) -> &mut Self {
        let record = NewRecord { value: Some(b"v"), ..NewRecord::default() };
        for _ in 0..records {
            let appended =
                self.batches.append(self.now, &partition(), &record, 10).expect("it fits");
            if appended.index == 0 {
                self.outcomes.push(appended.outcome);
            }
        }
        self.pump()
    }

    fn pump(&mut self) -> &mut Self {
        while !self.batches.due(self.now).is_empty() {
            let Some(out) = self.batches.take(&partition()) else { break };
            if !self.tokens.contains(&out.token) {
                self.tokens.push(out.token);
            }
            let index = self.tokens.iter().position(|token| *token == out.token);
            let name = char::from(b'a' + index.expect("it is named") as u8);
            let header = BatchHeader::parse(&out.bytes).expect("a batch");
            let (epoch, sequence) = (header.producer_epoch(), header.base_sequence());
            writeln!(self.text, "send {name}: epoch {epoch} sequence {sequence}").expect("fits");
        }
        self
    }

    fn reply(&mut self, name: u8, reply: Reply) -> &mut Self {
        let token = self.tokens[usize::from(name - b'a')];
        self.batches.complete(self.now, &partition(), token, reply);
        self.pump()
    }

    fn stored(&mut self, name: u8, offset: i64) -> &mut Self {
        let base_offset = Offset(offset);
        self.reply(name, Reply::Stored { base_offset, log_append_time: Timestamp::NONE })
    }

    fn refused(&mut self, name: u8, code: ErrorCode) -> &mut Self {
        self.reply(name, Reply::Refused(code.into()))
    }

    fn lost(&mut self, name: u8) -> &mut Self {
        self.reply(name, Reply::Lost("cut".into()))
    }

    fn wait(&mut self, wait: Duration) -> &mut Self {
        self.now = self.now + wait;
        self.batches.expire(self.now);
        writeln!(self.text, "at {:?}", self.now).expect("fits");
        self.pump()
    }

    /// The transaction ends, whatever its batches have come to, and the next has this epoch.
    fn next_transaction(&mut self, epoch: i16) -> &mut Self {
        let failure = self.batches.failure().map_or("well".into(), ToString::to_string);
        writeln!(self.text, "the transaction ends: {failure}").expect("fits");
        self.batches.fail_all(&ProduceError::GivenUp);
        self.batches.forget_failure();
        let epoch = ProducerEpoch(epoch);
        self.batches.set_identity(Identity { id: ProducerId(7), epoch });
        self
    }

    fn ends(&mut self, expected: &Expect) {
        for (index, outcome) in self.outcomes.iter().enumerate() {
            let name = char::from(b'a' + index as u8);
            let line = match outcome.result() {
                Some(Ok(stored)) => format!("{name} stored at {}", stored.base_offset),
                Some(Err(error)) => format!("{name} failed: {error}"),
                None => format!("{name} is open"),
            };
            writeln!(self.text, "{line}").expect("fits");
        }
        expected.assert_eq(&self.text);
    }
}

#[test]
fn a_cut_connection_repeats_all_in_order() {
    Story::new()
        .send(2)
        .send(1)
        .send(3)
        .lost(b'a')
        .lost(b'b')
        .lost(b'c')
        .send(1)
        .wait(Duration::from_millis(100))
        .stored(b'a', 0)
        .refused(b'b', ErrorCode::DUPLICATE_SEQUENCE_NUMBER)
        .stored(b'c', 3)
        .stored(b'd', 6)
        .ends(&expect![[r#"
            send a: epoch 0 sequence 0
            send b: epoch 0 sequence 2
            send c: epoch 0 sequence 3
            at 100ms
            send a: epoch 0 sequence 0
            send b: epoch 0 sequence 2
            send c: epoch 0 sequence 3
            send d: epoch 0 sequence 6
            a stored at 0
            b stored at -1
            c stored at 3
            d stored at 6
        "#]]);
}

#[test]
fn a_batch_that_overtook_a_lost_one_is_sent_again_behind_it() {
    Story::new()
        .send(1)
        .send(1)
        .refused(b'a', ErrorCode::NOT_LEADER_OR_FOLLOWER)
        .refused(b'b', ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
        .wait(Duration::from_millis(100))
        .stored(b'a', 0)
        .stored(b'b', 1)
        .ends(&expect![[r#"
            send a: epoch 0 sequence 0
            send b: epoch 0 sequence 1
            at 100ms
            send a: epoch 0 sequence 0
            send b: epoch 0 sequence 1
            a stored at 0
            b stored at 1
        "#]]);
}

#[test]
fn a_refused_batch_gives_its_sequences_back() {
    Story::new().send(4).refused(b'a', ErrorCode::MESSAGE_TOO_LARGE).send(1).stored(b'b', 0).ends(
        &expect![[r#"
            send a: epoch 0 sequence 0
            send b: epoch 0 sequence 0
            a failed: t-0 refused the record: MESSAGE_TOO_LARGE(10)
            b stored at 0
        "#]],
    );
}

#[test]
fn behind_a_refused_batch_the_next_epoch_begins() {
    Story::new()
        .send(4)
        .send(2)
        .send(1)
        .refused(b'a', ErrorCode::INVALID_TIMESTAMP)
        .refused(b'b', ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
        .refused(b'c', ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
        .wait(Duration::from_millis(100))
        .stored(b'b', 0)
        .stored(b'c', 2)
        .send(1)
        .stored(b'd', 3)
        .ends(&expect![[r#"
            send a: epoch 0 sequence 0
            send b: epoch 0 sequence 4
            send c: epoch 0 sequence 6
            at 100ms
            send b: epoch 1 sequence 0
            send c: epoch 1 sequence 2
            send d: epoch 1 sequence 3
            a failed: t-0 refused the record: INVALID_TIMESTAMP(32)
            b stored at 0
            c stored at 2
            d stored at 3
        "#]]);
}

#[test]
fn a_broker_that_forgot_us_gets_a_new_epoch() {
    Story::new()
        .send(1)
        .stored(b'a', 0)
        .send(2)
        .refused(b'b', ErrorCode::UNKNOWN_PRODUCER_ID)
        .wait(Duration::from_millis(100))
        .stored(b'b', 5)
        .ends(&expect![[r#"
            send a: epoch 0 sequence 0
            send b: epoch 0 sequence 1
            at 100ms
            send b: epoch 1 sequence 0
            a stored at 0
            b stored at 5
        "#]]);
}

#[test]
fn what_waits_too_long_is_given_up_and_the_rest_goes_on() {
    Story::new().send(1).lost(b'a').wait(Duration::from_secs(60)).send(1).stored(b'b', 0).ends(
        &expect![[r#"
            send a: epoch 0 sequence 0
            at 60s
            send b: epoch 1 sequence 0
            a failed: t-0 did not confirm the record within 60s; last: cut
            b stored at 0
        "#]],
    );
}

#[test]
fn a_transaction_waits_for_an_epoch_of_its_coordinator() {
    Story::of(true)
        .send(2)
        .send(1)
        .stored(b'a', 0)
        .refused(b'b', ErrorCode::UNKNOWN_PRODUCER_ID)
        .send(1)
        .next_transaction(1)
        .stored(b'c', 3)
        .send(1)
        .stored(b'd', 4)
        .next_transaction(1)
        .send(1)
        .ends(&expect![[r#"
            send a: epoch 0 sequence 0
            send b: epoch 0 sequence 2
            send c: epoch 0 sequence 2
            the transaction ends: t-0 refused the record: UNKNOWN_PRODUCER_ID(59)
            send d: epoch 1 sequence 0
            the transaction ends: well
            send e: epoch 1 sequence 1
            a stored at 0
            b failed: t-0 refused the record: UNKNOWN_PRODUCER_ID(59)
            c failed: the transaction was given up
            d stored at 4
            e is open
        "#]]);
}

#[test]
fn no_more_than_five_are_on_their_way() {
    let mut story = Story::new();
    for _ in 0..7 {
        story.send(1);
    }
    story.stored(b'a', 0).stored(b'b', 1).ends(&expect![[r#"
        send a: epoch 0 sequence 0
        send b: epoch 0 sequence 1
        send c: epoch 0 sequence 2
        send d: epoch 0 sequence 3
        send e: epoch 0 sequence 4
        send f: epoch 0 sequence 5
        a stored at 0
        b stored at 1
        c is open
        d is open
        e is open
        f is open
    "#]]);
}

#[test]
fn sequences_wrap() {
    assert_eq!(add_sequence(i32::MAX - 1, 1), i32::MAX);
    assert_eq!(add_sequence(i32::MAX, 1), 0);
    assert_eq!(add_sequence(i32::MAX - 1, 5), 3);
}
