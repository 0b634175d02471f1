//! Changes of settings: what is refused, with which code, and what the rest comes to.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use strandline_config::alter::{self, Change, Operation};
use strandline_config::{BrokerConfig, Overrides, Refusal, Scope};

fn overrides(text: &str) -> Overrides {
    let pairs =
        text.split(';').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// `key=value` sets, `key+=value` appends, `key-=value` subtracts, `!key` deletes, `?key` sets nothing.
fn changes(text: &str) -> Vec<Change<'_>> {
    text.split(';')
        .map(|one| {
            let (operation, rest) = match one {
                _ if one.starts_with('!') => (Operation::Delete, &one[1..]),
                _ if one.contains("+=") => (Operation::Append, one),
                _ if one.contains("-=") => (Operation::Subtract, one),
                _ => (Operation::Set, one),
            };
            let (key, value) =
                rest.split_once('=').map_or((rest, None), |(key, value)| (key, Some(value)));
            let key = key.trim_start_matches('?').trim_end_matches(['+', '-']);
            Change { key, operation, value }
        })
        .collect()
}

fn text_of(result: Result<String, Refusal>) -> String {
    result.unwrap_or_else(|refusal| format!("{} {refusal}", refusal.code().name().unwrap()))
}

fn check_incremental(scope: Scope, current: &str, asked: &str, expected: Expect) {
    let changed = alter::incremental(scope, &overrides(current), &changes(asked));
    let text = changed.map(|changes| {
        let texts: Vec<_> = changes
            .into_iter()
            .map(|(key, value)| {
                value.map_or(format!("{key} removed"), |value| format!("{key}={value}"))
            })
            .collect();
        texts.join("; ")
    });
    expected.assert_eq(&text_of(text));
}

#[test]
fn incremental_changes() {
    let topic =
        |current, asked, expected| check_incremental(Scope::Topic, current, asked, expected);
    topic(
        "retention.ms=5",
        "retention.ms=6;!segment.ms;!retention.bytes",
        expect!["retention.ms=6"],
    );
    topic("retention.ms=5", "retention.ms=5", expect![[""]]);
    topic("", "cleanup.policy+=compact", expect!["cleanup.policy=delete,compact"]);
    topic("cleanup.policy=compact", "cleanup.policy+=compact", expect![[""]]);
    topic(
        "cleanup.policy=delete,compact",
        "cleanup.policy-=delete",
        expect!["cleanup.policy=compact"],
    );
    topic("cleanup.policy=compact", "cleanup.policy-=compact", expect!["cleanup.policy="]);
    topic(
        "",
        "retention.ms+=1",
        expect!["INVALID_CONFIG cannot append to `retention.ms`: it is not a list"],
    );
    topic(
        "",
        "what.is.this+=1",
        expect!["INVALID_CONFIG cannot append to `what.is.this`: it is not a list"],
    );
    topic("", "?retention.ms", expect!["INVALID_REQUEST `retention.ms` comes without a value"]);
    topic(
        "",
        "retention.ms=1;retention.ms=2",
        expect!["INVALID_REQUEST `retention.ms` comes twice in one change"],
    );
    check_incremental(
        Scope::Broker,
        "num.io.threads=5",
        "num.io.threads=5",
        expect!["num.io.threads=5"],
    );
}

#[test]
fn a_value_fits_the_metadata_log() {
    let longest = "x".repeat(32_767);
    let longer = "x".repeat(32_768);
    let set = |value: &str| {
        let change =
            Change { key: "cleanup.policy", operation: Operation::Append, value: Some(value) };
        let changed = alter::incremental(Scope::Topic, &overrides(""), &[change]);
        changed.map(|_| "taken").unwrap_or_else(|refusal| refusal.code().name().unwrap())
    };
    assert_eq!(set(&longer), "INVALID_CONFIG");
    assert_eq!(set(&longest), "INVALID_CONFIG", "with what was there before");
    assert_eq!(set(&longest[.."delete,".len()]), "taken");
}

#[test]
fn the_legacy_change_replaces_everything() {
    let current = overrides("retention.ms=5;segment.ms=6");
    let changes =
        alter::replace_all(Scope::Topic, &current, &[("retention.ms", Some("7"))]).unwrap();
    assert_eq!(alter::after(&current, &changes), overrides("retention.ms=7"));
    assert_eq!(changes.get("segment.ms"), Some(&None));
}

fn check_all(
    cases: &[&str],
    validate: impl Fn(&Overrides) -> Result<(), Refusal>,
    expected: Expect,
) {
    let lines: Vec<_> = cases
        .iter()
        .map(|case| {
            format!("{case}: {}\n", text_of(validate(&overrides(case)).map(|()| "ok".to_owned())))
        })
        .collect();
    expected.assert_eq(&lines.concat());
}

fn broker() -> BrokerConfig {
    BrokerConfig::resolve(None, &[]).unwrap().config
}

#[test]
fn topics() {
    let layers = broker().layers;
    check_all(
        &[
            "",
            "retention.ms=-1;cleanup.policy=",
            "cleanup.policy=delete,delete",
            "retention.ms=abc",
            "retention.ms=-2",
            "retention.ms=",
            "retentionms=1",
            "foo=1",
            "min.compaction.lag.ms=10;max.compaction.lag.ms=5",
            "max.compaction.lag.ms=5",
            "remote.storage.enable=true",
            "remote.log.copy.disable=true",
            "leader.replication.throttled.replicas=x",
            "min.insync.replicas=0",
            "segment.bytes=1000",
            "compression.type=brotli",
            "internal.segment.bytes=100",
        ],
        |overrides| alter::validate_topic(&layers, overrides),
        expect![[r#"
            : ok
            retention.ms=-1;cleanup.policy=: ok
            cleanup.policy=delete,delete: ok
            retention.ms=abc: INVALID_CONFIG topic setting `retention.ms` is `abc`; it must be a whole number, at least -1
            retention.ms=-2: INVALID_CONFIG topic setting `retention.ms` is `-2`; it must be a whole number, at least -1
            retention.ms=: INVALID_CONFIG topic setting `retention.ms` is ``; it must be a whole number, at least -1
            retentionms=1: INVALID_CONFIG unknown topic setting `retentionms`; did you mean `retention.ms`?
            foo=1: INVALID_CONFIG unknown topic setting `foo`
            min.compaction.lag.ms=10;max.compaction.lag.ms=5: INVALID_CONFIG `min.compaction.lag.ms` (10) must not be above `max.compaction.lag.ms` (5)
            max.compaction.lag.ms=5: ok
            remote.storage.enable=true: INVALID_CONFIG `remote.storage.enable` cannot be true: this broker has no remote storage
            remote.log.copy.disable=true: ok
            leader.replication.throttled.replicas=x: INVALID_CONFIG topic setting `leader.replication.throttled.replicas` is `x`; it must be a list of partition:broker, or *
            min.insync.replicas=0: INVALID_CONFIG topic setting `min.insync.replicas` is `0`; it must be a whole number from 1 to 2147483647
            segment.bytes=1000: INVALID_CONFIG topic setting `segment.bytes` is `1000`; it must be a whole number from 1048576 to 2147483647
            compression.type=brotli: INVALID_CONFIG topic setting `compression.type` is `brotli`; it must be one of uncompressed, zstd, lz4, snappy, gzip, producer
            internal.segment.bytes=100: ok
        "#]],
    );
    let null = alter::topic_overrides(&layers, [("retention.ms", None)].into_iter());
    expect!["INVALID_CONFIG topic setting `retention.ms` comes without a value"]
        .assert_eq(&text_of(null.map(|_| "ok".to_owned())));
}

#[test]
fn brokers() {
    let config = broker();
    check_all(
        &[
            "message.max.bytes=100",
            "node.id=5",
            "log.retention.hours=5",
            "some.plugin.option=1",
            "listeners=PLAINTEXT://:1",
            "ssl.keystore.location=/x",
            "listener.name.plaintext.ssl.keystore.location=/x",
            "message.max.bytes=x",
            "message.max.bytes=-1",
            "num.io.threads=500",
            "num.io.threads=1",
            "num.io.threads=16",
            "log.retention.ms=0",
            "leader.replication.throttled.rate=1000",
            "leader.replication.throttled.rate=-5",
            "cordoned.log.dirs=/nope",
            "max.connections.per.ip=0",
            "authorizer.class.name=x",
            "config.providers=file",
        ],
        |settings| alter::validate_broker(&config, settings, true),
        expect![[r#"
            message.max.bytes=100: ok
            node.id=5: INVALID_REQUEST `node.id` cannot change at run time: set it in the configuration file and restart
            log.retention.hours=5: INVALID_REQUEST `log.retention.hours` cannot change at run time: set it in the configuration file and restart
            some.plugin.option=1: ok
            listeners=PLAINTEXT://:1: INVALID_REQUEST `listeners` can change at run time only for a single broker: name its id
            ssl.keystore.location=/x: INVALID_REQUEST `ssl.keystore.location` can change at run time only for one listener, as listener.name.NAME.ssl...
            listener.name.plaintext.ssl.keystore.location=/x: INVALID_REQUEST `listener.name.plaintext.ssl.keystore.location` can change at run time only for a single broker: name its id
            message.max.bytes=x: INVALID_REQUEST `message.max.bytes` is `x`; it must be a whole number from 0 to 2147483647
            message.max.bytes=-1: INVALID_REQUEST `message.max.bytes` is `-1`; it must be a whole number from 0 to 2147483647
            num.io.threads=500: INVALID_REQUEST `num.io.threads` can change from 8 to no more than twice and no less than half of it at once, not to 500
            num.io.threads=1: INVALID_REQUEST `num.io.threads` can change from 8 to no more than twice and no less than half of it at once, not to 1
            num.io.threads=16: ok
            log.retention.ms=0: INVALID_REQUEST `log.retention.ms` must be -1 for no limit, or at least 1
            leader.replication.throttled.rate=1000: ok
            leader.replication.throttled.rate=-5: INVALID_REQUEST `leader.replication.throttled.rate` is `-5`; it must be a whole number, at least 0
            cordoned.log.dirs=/nope: INVALID_REQUEST `cordoned.log.dirs` can change at run time only for a single broker: name its id
            max.connections.per.ip=0: INVALID_REQUEST `max.connections.per.ip` may be 0 only together with `max.connections.per.ip.overrides`
            authorizer.class.name=x: INVALID_REQUEST `authorizer.class.name` cannot change at run time: set it in the configuration file and restart
            config.providers=file: INVALID_REQUEST `config.providers` is refused: values cannot be read from providers, and ${...} would be taken literally
        "#]],
    );
    check_all(
        &[
            "listeners=PLAINTEXT://:1",
            "listener.name.plaintext.max.connections=7",
            "super.users=User:x",
        ],
        |settings| alter::validate_broker(&config, settings, false),
        expect![[r#"
            listeners=PLAINTEXT://:1: INVALID_REQUEST `listeners` cannot change at run time: listeners open at start, and stay
            listener.name.plaintext.max.connections=7: ok
            super.users=User:x: INVALID_REQUEST `super.users` cannot change at run time: set it in the configuration file and restart
        "#]],
    );
}

#[test]
fn only_a_broker_knows_its_directories() {
    let config =
        BrokerConfig::resolve(None, &[("log.dirs".into(), "/a,/b".into())]).unwrap().config;
    let cases = [
        "cordoned.log.dirs=/b",
        "cordoned.log.dirs=*",
        "cordoned.log.dirs=",
        "cordoned.log.dirs=/b,/c",
        "cordoned.log.dirs=*,/a",
    ];
    check_all(
        &cases,
        |settings| alter::validate_directories(&config, settings),
        expect![[r#"
            cordoned.log.dirs=/b: ok
            cordoned.log.dirs=*: ok
            cordoned.log.dirs=: ok
            cordoned.log.dirs=/b,/c: INVALID_REQUEST `cordoned.log.dirs` contains /c, which is not in `log.dirs`
            cordoned.log.dirs=*,/a: INVALID_REQUEST `cordoned.log.dirs` contains *, which must stand alone
        "#]],
    );
    // The controller judges for brokers whose directories it does not know.
    for case in cases {
        assert_eq!(alter::validate_broker(&config, &overrides(case), false), Ok(()), "{case}");
    }
    let cordoned = |case: &str| config.with_dynamic(Overrides::new(), overrides(case)).0;
    assert_eq!(cordoned("cordoned.log.dirs=/b").cordoned_log_dirs, ["/b"]);
    assert_eq!(cordoned("cordoned.log.dirs=*").cordoned_log_dirs, ["/a", "/b"]);
    assert!(cordoned("").cordoned_log_dirs.is_empty());
}

#[test]
fn groups_and_client_metrics() {
    let layers = broker().layers;
    check_all(
        &[
            "consumer.session.timeout.ms=50000",
            "consumer.session.timeout.ms=1",
            "consumer.heartbeat.interval.ms=45001",
            "streams.num.standby.replicas=3",
            "share.auto.offset.reset=by_duration:pt1h",
            "share.auto.offset.reset=LATEST",
            "foo=1",
        ],
        |overrides| alter::validate_group(&layers, overrides),
        expect![[r#"
            consumer.session.timeout.ms=50000: ok
            consumer.session.timeout.ms=1: INVALID_CONFIG `consumer.session.timeout.ms` (1) must lie between `group.consumer.min.session.timeout.ms` (45000) and `group.consumer.max.session.timeout.ms` (60000)
            consumer.heartbeat.interval.ms=45001: INVALID_CONFIG `consumer.heartbeat.interval.ms` (45001) must lie between `group.consumer.min.heartbeat.interval.ms` (5000) and `group.consumer.max.heartbeat.interval.ms` (15000)
            streams.num.standby.replicas=3: INVALID_CONFIG `streams.num.standby.replicas` (3) must not be above `group.streams.max.standby.replicas` (2)
            share.auto.offset.reset=by_duration:pt1h: ok
            share.auto.offset.reset=LATEST: INVALID_CONFIG group setting `share.auto.offset.reset` is `LATEST`; it must be latest, earliest, or by_duration: and an ISO 8601 duration such as PT1H
            foo=1: INVALID_CONFIG unknown group setting `foo`
        "#]],
    );
    check_all(
        &["interval.ms=1000;metrics=*;match=client_id=.*", "interval.ms=99", "foo=1", "match=bad"],
        alter::validate_client_metrics,
        expect![[r#"
            interval.ms=1000;metrics=*;match=client_id=.*: ok
            interval.ms=99: INVALID_REQUEST client metrics setting `interval.ms` is `99`; it must be a whole number from 100 to 3600000
            foo=1: INVALID_REQUEST unknown client metrics setting `foo`
            match=bad: INVALID_CONFIG `match` contains `bad`; it must be name=pattern, the name one of client_instance_id, client_id, client_software_name, client_software_version, client_source_address, client_source_port
        "#]],
    );
    assert_eq!(alter::after(&BTreeMap::new(), &BTreeMap::new()), BTreeMap::new());
}
