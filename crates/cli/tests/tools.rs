//! The verbs that talk to a broker, as a person types them, against a node of our own.

#![allow(clippy::unwrap_used)]

mod node;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use expect_test::{Expect, expect};
use node::{Node, Start, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

struct Tools {
    node: Node,
    _dir: tempfile::TempDir,
}

impl Tools {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { node: Start::anywhere(dir.path()).ready(), _dir: dir }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strandline"));
        command.args(line.split_whitespace());
        command.args(["--bootstrap", &self.node.kafka.to_string()]);
        command
    }

    fn run(&self, line: &str, input: &str) -> (i32, String, String) {
        let mut child = self
            .command(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
        (output.status.code().unwrap(), out, err)
    }

    /// Exit code, standard output and standard error.
    fn check(&self, line: &str, input: &str, expected: Expect) {
        let (code, out, err) = self.run(line, input);
        expected.assert_eq(&format!("exit {code}\n{out}{err}"));
    }

    fn json(&self, line: &str) -> Value {
        let (code, out, err) = self.run(&format!("{line} --json"), "");
        assert_eq!(code, 0, "{err}");
        serde_json::from_str(&out).unwrap()
    }
}

#[test]
fn a_topic_from_creation_to_deletion() {
    let tools = Tools::start();
    let create = "topic create orders --partitions 2 --config retention.ms=86400000";
    tools.check(
        create,
        "",
        expect![[r#"
        exit 0
        created orders: partitions 2, replicas 1
    "#]],
    );
    tools.check(
        create,
        "",
        expect![[r#"
            exit 1
            error: cannot create the topics
              orders: TOPIC_ALREADY_EXISTS(36): there is a topic orders already
            next: `strandline topic describe` shows it, `strandline topic alter` changes it
        "#]],
    );
    tools.check(
        "topic create orders --if-not-exists",
        "",
        expect![[r#"
        exit 0
        orders exists
    "#]],
    );
    tools.check("topic create no/slash", "", expect![[r#"
        exit 1
        error: cannot create the topics
          no/slash: INVALID_TOPIC_EXCEPTION(17): a topic name has only the characters a-z, A-Z, 0-9, `.`, `_` and `-`; `no/slash` has others
        next: a name has up to 249 letters, digits, dots, underscores and dashes
    "#]]);
    let described = tools.json("topic describe orders");
    assert_eq!(described[0]["partitions"].as_array().unwrap().len(), 2);
    assert_eq!(described[0]["configs"]["retention.ms"], "86400000");
    tools.check(
        "topic alter orders --partitions 3 --config retention.ms=1000",
        "",
        expect![[r#"
        exit 0
        altered orders
    "#]],
    );
    tools.check(
        "topic alter orders --partitions 1",
        "",
        expect![[r#"
        exit 1
        error: cannot alter the topic
          orders: INVALID_PARTITIONS(37): topic orders has 3 partitions, which cannot shrink to 1
        next: a topic has at least one partition, and can only grow
    "#]],
    );
    tools.check(
        "topic alter orders",
        "",
        expect![[r#"
        exit 2
        error: nothing to alter
        next: say --partitions, --config KEY=VALUE or --delete-config KEY
    "#]],
    );
    tools.check(
        "config describe topic orders",
        "",
        expect![[r#"
        exit 0
        KEY           VALUE  SOURCE
        retention.ms  1000   DYNAMIC_TOPIC_CONFIG
    "#]],
    );
    tools.check("config set topic orders retention.ms=soon", "", expect![[r#"
        exit 1
        error: cannot change the settings of topic orders
          topic orders: INVALID_CONFIG(40): topic setting `retention.ms` is `soon`; it must be a whole number, at least -1
        next: `strandline config describe --all` shows the keys and their values
    "#]]);
    tools.check(
        "config unset topic orders retention.ms",
        "",
        expect![[r#"
        exit 0
        changed topic orders
    "#]],
    );
    tools.check(
        "config describe topic orders",
        "",
        expect![[r#"
        exit 0
        nothing is set for topic orders; --all shows the defaults
    "#]],
    );
    tools.check(
        "topic delete orders never",
        "",
        expect![[r#"
        exit 1
        deleted orders
        error: cannot delete the topics
          never: UNKNOWN_TOPIC_OR_PARTITION(3)
        next: `strandline topic list` shows what there is
    "#]],
    );
    tools.check(
        "topic list",
        "",
        expect![[r#"
        exit 0
        no topics yet; `strandline topic create NAME` makes one
    "#]],
    );
}

#[test]
fn lines_in_and_lines_out() {
    let tools = Tools::start();
    tools.run("topic create lines --partitions 1", "");
    tools.check(
        "produce lines -K : -H from=test",
        "a:1\nb:2\n",
        expect![[r#"
        exit 0
        2 records to lines
    "#]],
    );
    tools.check(
        "produce lines -z zstd",
        "plain\n\n",
        expect![[r#"
        exit 0
        2 records to lines
    "#]],
    );
    tools.check(
        "produce lines -K :",
        "c:3\nno key\n",
        expect![[r#"
        exit 1
        1 record to lines
        error: line 2 holds no ":" behind a key
        next: the lines before it are sent; -K names the separator
    "#]],
    );
    tools.check(
        "consume lines --from beginning --exit --key --headers",
        "",
        expect![[r#"
        exit 0
        from=test	a	1
        from=test	b	2
        	null	plain
        	null	
        	c	3
    "#]],
    );
    tools.check(
        "consume lines --from 2 -n 1",
        "",
        expect![[r#"
        exit 0
        plain
    "#]],
    );
    tools.check(
        "consume lines --from 1h --partition 0 -n 2",
        "",
        expect![[r#"
        exit 0
        1
        2
    "#]],
    );
    tools.check(
        "consume lines --from nowhere",
        "",
        expect![[r#"
        exit 2
        error: --from nowhere is no place to start
        next: say beginning, end, an offset, a time such as 2026-01-31T12:30, or 2h
    "#]],
    );
    tools.check(
        "consume lines --partition 7",
        "",
        expect![[r#"
        exit 2
        error: lines has no partition 7
        next: it has 1, numbered from 0
    "#]],
    );
    tools.check(
        "consume nothing",
        "",
        expect![[r#"
        exit 1
        error: cannot consume nothing
          topic nothing: UNKNOWN_TOPIC_OR_PARTITION(3)
        next: `strandline topic list` shows what there is
    "#]],
    );
    let record = tools.json("consume lines --from beginning -n 1");
    assert_eq!((&record["key"], &record["value"]), (&"a".into(), &"1".into()));
    assert_eq!(record["headers"][0][1], "test");
}

#[test]
fn a_group_reads_lags_and_is_moved() {
    let tools = Tools::start();
    tools.run("topic create board --partitions 1", "");
    tools.run("produce board", "1\n2\n3\n4\n5\n");
    tools.check(
        "consume board --group readers --from beginning -n 2",
        "",
        expect![[r#"
        exit 0
        1
        2
    "#]],
    );
    tools.check(
        "group describe readers",
        "",
        expect![[r#"
        exit 0
        readers  Empty  members 0  lag 3
        TOPIC  PARTITION  COMMITTED  END  LAG  MEMBER  HOST
        board  0          2          5    3    -       -
    "#]],
    );
    tools.check(
        "consume board --group readers -n 1",
        "",
        expect![[r#"
        exit 0
        3
    "#]],
    );
    tools.check(
        "group reset readers --to -2",
        "",
        expect![[r#"
        exit 0
        TOPIC  PARTITION  FROM  TO
        board  0          3     1
        nothing is changed yet; add --execute to do it
    "#]],
    );
    tools.check(
        "group reset readers --to beginning --execute",
        "",
        expect![[r#"
        exit 0
        TOPIC  PARTITION  FROM  TO
        board  0          3     0
    "#]],
    );
    tools.check(
        "consume board --group readers -n 1",
        "",
        expect![[r#"
        exit 0
        1
    "#]],
    );
    tools.check(
        "group list",
        "",
        expect![[r#"
        exit 0
        GROUP    STATE  TYPE     COORDINATOR
        readers  Empty  classic  1
    "#]],
    );
    tools.check(
        "group delete readers",
        "",
        expect![[r#"
        exit 0
        deleted readers
    "#]],
    );
    tools.check(
        "group describe readers",
        "",
        expect![[r#"
        exit 1
        error: cannot describe the groups
          readers: GROUP_ID_NOT_FOUND(69): Group readers not found.
        next: `strandline group list` shows what there is
    "#]],
    );
}

#[test]
fn the_cluster_is_shown() {
    let tools = Tools::start();
    let cluster = tools.json("cluster");
    let broker = &cluster["brokers"][0];
    assert_eq!(
        (&broker["port"], &broker["state"]),
        (&tools.node.kafka.port().into(), &"alive".into())
    );
    assert_eq!(cluster["next"], serde_json::json!([]), "nothing is wrong");
    tools.json("cluster cordon 1");
    assert_eq!(tools.json("cluster status")["brokers"][0]["state"], "cordoned");
    tools.json("cluster uncordon 1");
    assert_eq!(tools.json("cluster rebalance")["moved"], 0);
    tools.check(
        "cluster drain 7",
        "",
        expect![[r#"
        exit 1
        error: no broker is registered as 7
        next: `strandline cluster` shows who is
    "#]],
    );
    tools.check(
        "cluster unregister 1",
        "",
        expect![[r#"
        exit 1
        error: broker 1 is running
        next: stop it first, or it is back when it next starts
    "#]],
    );
    tools.check(
        "cluster controllers remove 7",
        "",
        expect![[r#"
        exit 1
        error: node 7 does not vote
        next: `strandline cluster quorum` shows who does
    "#]],
    );
    assert_eq!(tools.json("cluster quorum")["replicas"][0]["role"], "voter");
    assert_eq!(tools.json("cluster log-dirs")[0]["broker"], 1);
    let features = tools.json("cluster features");
    assert!(features.as_array().unwrap().iter().any(|it| it["feature"] == "metadata.version"));
}

#[test]
fn nobody_there_is_said_with_what_to_do() {
    let run = Command::new(env!("CARGO_BIN_EXE_strandline"))
        .args(["topic", "list", "--bootstrap", "127.0.0.1:1"])
        .output()
        .unwrap();
    expect![[r#"
        error: no broker answers
          cannot connect to 127.0.0.1:1: nobody listens there
        next: `strandline start` starts one; --bootstrap HOST:PORT names another
    "#]]
    .assert_eq(&String::from_utf8(run.stderr).unwrap());
    assert_eq!(run.status.code(), Some(1));
}

#[test]
fn bytes_that_are_no_text_come_out_as_they_went_in() {
    let tools = Tools::start();
    let bytes = b"\xff\x00\x1b[31m\xc3";
    let mut produce = tools.command("produce bytes");
    let mut produce = produce.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    produce.stdin.take().unwrap().write_all(bytes).unwrap();
    assert!(produce.wait().unwrap().success());
    let output = tools.command("consume bytes --from beginning -n 1").output().unwrap();
    assert_eq!(output.stdout, [&bytes[..], b"\n"].concat());
    let record = tools.json("consume bytes --from beginning -n 1");
    assert_eq!(record["value"]["hex"], "ff001b5b33316dc3");
}

/// Who asks for no answer has no proof that a record was stored, but a healthy broker gets it.
#[test]
fn what_is_produced_without_acks_arrives() {
    let tools = Tools::start();
    assert_eq!(tools.run("topic create lines", "").0, 0);
    // Each is over in a moment, and used to be over before the record was sent.
    for _ in 0..40 {
        assert_eq!(tools.run("produce lines --acks 0", "one\n").0, 0);
    }
    eventually("all records are there", || {
        tools.run("consume lines --from beginning --exit", "").1.lines().count() == 40
    });
}

/// A `consume` that goes on, and has printed its first line.
fn consuming(tools: &Tools, line: &str) -> (Child, impl BufRead + use<>, impl BufRead + use<>) {
    assert_eq!(tools.run("topic create lines", "").0, 0);
    assert_eq!(tools.run("produce lines", "first\n").0, 0);
    let mut command = tools.command(line);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let err = BufReader::new(child.stderr.take().unwrap());
    assert_eq!(next_line(&mut out), "first\n");
    (child, out, err)
}

fn next_line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

#[test]
fn a_reader_says_once_that_no_broker_answers() {
    let mut tools = Tools::start();
    let (mut child, mut out, mut err) = consuming(&tools, "consume lines --from beginning");
    let address = tools.node.kafka;
    let started_again = Start::anywhere(tools._dir.path())
        .set("listeners", &format!("PLAINTEXT://{address},CONTROLLER://127.0.0.1:0"));
    tools.node.signal(Signal::KILL);
    let said = next_line(&mut err);
    assert!(said.starts_with("no broker answers, trying again: "), "{said}");
    tools.node = started_again.ready();
    assert_eq!(tools.run("produce lines", "second\n").0, 0);
    assert_eq!(next_line(&mut out), "second\n");
    interrupt(&child);
    let mut rest = String::new();
    err.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "it was said already");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_second_interrupt_waits_for_no_broker() {
    let tools = Tools::start();
    let line = "consume lines --group readers --from beginning --timeout 3600";
    let (mut child, _out, mut err) = consuming(&tools, line);
    tools.node.signal(Signal::KILL);
    let said = next_line(&mut err);
    assert!(said.starts_with("no broker answers, trying again: "), "{said}");
    let mut status = None;
    eventually("it ends", || {
        status = child.try_wait().unwrap();
        if status.is_none() {
            interrupt(&child);
        }
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(130));
}
