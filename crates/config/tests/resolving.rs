//! From a file and a command line to a configuration, or to everything that is wrong with it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use expect_test::{Expect, expect};
use strandline_config::{BrokerConfig, Listener, Scope, Status, TopicConfig, parse_properties};
use strandline_types::Compression;

const MINIMAL: &str = "process.roles=broker,controller\nnode.id=3\ncontroller.listener.names=CONTROLLER\n\
    listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ncontroller.quorum.voters=3@localhost:9093\n";

fn sets(set: &[&str]) -> Vec<(String, String)> {
    set.iter()
        .map(|text| text.split_once('=').unwrap())
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

fn resolved(file: Option<&str>, set: &[&str]) -> BrokerConfig {
    let file = file.map(|text| parse_properties(text).unwrap());
    BrokerConfig::resolve(file.as_deref(), &sets(set)).unwrap().config
}

/// Listeners, quorum and warnings, or the errors.
fn check(file: Option<&str>, set: &[&str], expected: Expect) {
    let file = file.map(|text| parse_properties(text).unwrap());
    let mut told = String::new();
    match BrokerConfig::resolve(file.as_deref(), &sets(set)) {
        Ok(resolved) => {
            let config = resolved.config;
            let list = |listeners: &[Listener]| {
                let texts: Vec<_> =
                    listeners.iter().map(|l| format!("{l} ({})", l.protocol.name())).collect();
                texts.join(" ")
            };
            writeln!(
                told,
                "node {} in {:?}, metadata in {}",
                config.node_id, config.log_dirs, config.metadata_log_dir
            )
            .unwrap();
            writeln!(told, "listens on {}", list(&config.listeners)).unwrap();
            writeln!(told, "advertises {}", list(&config.advertised_listeners)).unwrap();
            writeln!(told, "controllers {}", list(&config.advertised_controller_listeners))
                .unwrap();
            let quorum = &config.quorum;
            let voters: Vec<_> = quorum.voters.iter().map(ToString::to_string).collect();
            let servers: Vec<_> =
                quorum.bootstrap_servers.iter().map(ToString::to_string).collect();
            writeln!(told, "quorum voters {voters:?} servers {servers:?}").unwrap();
            for warning in resolved.warnings {
                writeln!(told, "warning: {warning}").unwrap();
            }
        }
        Err(errors) => writeln!(told, "{errors}").unwrap(),
    }
    expected.assert_eq(&told);
}

#[test]
fn a_bare_start_is_a_whole_node_on_loopback() {
    check(
        None,
        &[],
        expect![[r#"
        node 1 in ["./strandline-data"], metadata in ./strandline-data
        listens on PLAINTEXT://127.0.0.1:9092 (PLAINTEXT) CONTROLLER://127.0.0.1:9093 (PLAINTEXT)
        advertises PLAINTEXT://127.0.0.1:9092 (PLAINTEXT)
        controllers CONTROLLER://127.0.0.1:9093 (PLAINTEXT)
        quorum voters [] servers ["127.0.0.1:9093"]
    "#]],
    );
    let config = resolved(None, &[]);
    // It begins with as many as there are brokers.
    assert_eq!(config.offsets.replication_factor, 3);
}

#[test]
fn a_bare_start_finds_its_controller_where_it_was_put() {
    let listeners = "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0";
    check(
        None,
        &[listeners, "log.dirs=/tmp/a", "broker.id=7"],
        expect![[r#"
        node 7 in ["/tmp/a"], metadata in /tmp/a
        listens on PLAINTEXT://127.0.0.1:0 (PLAINTEXT) CONTROLLER://127.0.0.1:0 (PLAINTEXT)
        advertises PLAINTEXT://127.0.0.1:0 (PLAINTEXT)
        controllers CONTROLLER://127.0.0.1:0 (PLAINTEXT)
        quorum voters [] servers ["127.0.0.1:0"]
    "#]],
    );
}

#[test]
fn a_file_of_kafka_works_as_it_is() {
    let file = "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=localhost:9093\n\
        listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ninter.broker.listener.name=PLAINTEXT\n\
        advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
        controller.listener.names=CONTROLLER\n\
        listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n\
        num.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\nsocket.receive.buffer.bytes=102400\n\
        socket.request.max.bytes=104857600\nlog.dirs=/tmp/kraft-combined-logs,/tmp/b\nnum.partitions=1\n\
        num.recovery.threads.per.data.dir=1\noffsets.topic.replication.factor=1\n\
        share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n\
        transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\nlog.retention.hours=168\n\
        log.segment.bytes=1073741824\nlog.retention.check.interval.ms=300000\n";
    check(
        Some(file),
        &[],
        expect![[r#"
            node 1 in ["/tmp/kraft-combined-logs", "/tmp/b"], metadata in /tmp/kraft-combined-logs
            listens on PLAINTEXT://:9092 (PLAINTEXT) CONTROLLER://:9093 (PLAINTEXT)
            advertises PLAINTEXT://localhost:9092 (PLAINTEXT)
            controllers CONTROLLER://localhost:9093 (PLAINTEXT)
            quorum voters [] servers ["localhost:9093"]
            warning: line 16: `num.recovery.threads.per.data.dir` has no effect: the runtime sizes its own threads and queues
            warning: line 18: `share.coordinator.state.topic.replication.factor` has no effect: share groups are not served
            warning: line 19: `share.coordinator.state.topic.min.isr` has no effect: share groups are not served
        "#]],
    );
}

#[test]
fn addresses_of_every_shape() {
    let file = "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CTRL\n\
        listeners=INSIDE://0.0.0.0:9092,OUTSIDE://[::]:9094,CTRL://0.0.0.0:9093\n\
        advertised.listeners=INSIDE://broker-1.internal:9092,OUTSIDE://[2001:db8::1]:19094\n\
        listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT,CTRL:PLAINTEXT\n\
        inter.broker.listener.name=INSIDE\ncontroller.quorum.bootstrap.servers=[::1]:9093\nlog.dir=/d\n";
    check(
        Some(file),
        &[],
        expect![[r#"
        node 1 in ["/d"], metadata in /d
        listens on INSIDE://0.0.0.0:9092 (PLAINTEXT) OUTSIDE://[::]:9094 (PLAINTEXT) CTRL://0.0.0.0:9093 (PLAINTEXT)
        advertises INSIDE://broker-1.internal:9092 (PLAINTEXT) OUTSIDE://[2001:db8::1]:19094 (PLAINTEXT)
        controllers CTRL://:9093 (PLAINTEXT)
        quorum voters [] servers ["[::1]:9093"]
    "#]],
    );
}

#[test]
fn every_error_is_told_at_once() {
    check(
        Some(
            "num.partitions=0\nlog.retention.ms=ten\nnode.id=1\nlog.cleanup.policy=shrink\nssl.keystore.password=secret\nmessage.timestamp.type=x\n",
        ),
        &["socket.request.max.bytes=1GB", "auto.create.topics.enable=yes"],
        expect![[r#"
            line 1: `num.partitions` is `0`; it must be a whole number from 1 to 2147483647
            line 2: `log.retention.ms` is `ten`; it must be a whole number
            line 4: `log.cleanup.policy` is `shrink`; it must be a list, separated by commas, of compact, delete
            line 5: `ssl.keystore.password` is set, but TLS, SASL and access control are not available, and starting without them would leave the broker open. Remove it to start anyway
            --set: `auto.create.topics.enable` is `yes`; it must be true or false
            --set: `socket.request.max.bytes` is `1GB`; it must be a whole number from 1 to 2147483647
            `process.roles` must be set; for a single node: process.roles=broker,controller
            `controller.listener.names` must be set; name the listener of the controllers, for example controller.listener.names=CONTROLLER
        "#]],
    );
}

#[test]
fn what_would_secure_a_broker_is_fatal() {
    let file = format!(
        "{MINIMAL}authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\nsuper.users=User:admin\n\
         listener.name.plaintext.sasl.jaas.config=password=hunter2\nssl.client.auth=none\nsasl.enabled.mechanisms=PLAIN\nssl.keystore.location=\n"
    );
    check(
        Some(&file),
        &[],
        expect![[r#"
            line 6: `authorizer.class.name` is set, but TLS, SASL and access control are not available, and starting without them would leave the broker open. Remove it to start anyway
            line 7: `super.users` is set, but TLS, SASL and access control are not available, and starting without them would leave the broker open. Remove it to start anyway
            line 8: `listener.name.plaintext.sasl.jaas.config` is set, but TLS, SASL and access control are not available, and starting without them would leave the broker open. Remove it to start anyway
            line 10: `sasl.enabled.mechanisms` is set, but TLS, SASL and access control are not available, and starting without them would leave the broker open. Remove it to start anyway
        "#]],
    );
    check(
        Some(&MINIMAL.replace("PLAINTEXT://", "SSL://")),
        &[
            "listener.security.protocol.map=SSL:SSL,CONTROLLER:SASL_PLAINTEXT",
            "security.inter.broker.protocol=SSL",
        ],
        expect![[r#"
            --set: `security.inter.broker.protocol` is set, but TLS, SASL and access control are not available, and starting without them would leave the broker open. Remove it to start anyway
            listener CONTROLLER speaks SASL_PLAINTEXT, but TLS, SASL and access control are not available, and starting without them would leave the broker open
            listener SSL speaks SSL, but TLS, SASL and access control are not available, and starting without them would leave the broker open
        "#]],
    );
}

#[test]
fn slips_are_warned_about() {
    check(
        Some(MINIMAL),
        &[
            "num.partition=3",
            "my.plugin.option=1",
            "num.io.threads=16",
            "listener.name.plaintext.max.connections=5",
            "strandline.log.fromat=json",
        ],
        expect![[r#"
            node 3 in ["/tmp/kafka-logs"], metadata in /tmp/kafka-logs
            listens on PLAINTEXT://:9092 (PLAINTEXT) CONTROLLER://:9093 (PLAINTEXT)
            advertises PLAINTEXT://:9092 (PLAINTEXT)
            controllers CONTROLLER://localhost:9093 (PLAINTEXT)
            quorum voters ["3@localhost:9093"] servers []
            warning: --set: `listener.name.plaintext.max.connections` has no effect: it holds for all listeners or none
            warning: --set: unknown setting `my.plugin.option` is ignored
            warning: --set: `num.io.threads` has no effect: the runtime sizes its own threads and queues
            warning: --set: unknown setting `num.partition` is ignored; did you mean `num.partitions`?
            warning: --set: unknown setting `strandline.log.fromat` is ignored; did you mean `strandline.log.format`?
        "#]],
    );
}

#[test]
fn settings_that_do_not_fit_together() {
    check(
        Some(MINIMAL),
        &[
            "listeners=PLAINTEXT://:9092,OTHER://:9092,CONTROLLER://:9093",
            "advertised.listeners=PLAINTEXT//:9092",
        ],
        expect![[r#"
            `listeners`: listener OTHER has no entry in `listener.security.protocol.map`; add OTHER:PLAINTEXT
            `advertised.listeners`: `PLAINTEXT//:9092` is not NAME://host:port
        "#]],
    );
    check(
        Some(MINIMAL),
        &[
            "listeners=PLAINTEXT://:9092",
            "advertised.listeners=PLAINTEXT://0.0.0.0:9092",
            "controller.quorum.voters=1@a:1,1@b:2",
            "inter.broker.listener.name=INSIDE",
            "log.retention.ms=0",
            "queued.max.request.bytes=1000",
            "group.min.session.timeout.ms=10",
            "group.max.session.timeout.ms=5",
            "group.consumer.session.timeout.ms=1000",
            "max.connections.per.ip=0",
            "strandline.metrics.listener=9100",
        ],
        expect![[r#"
            `process.roles` contains controller, but `controller.quorum.voters` ([1, 1]) does not contain `node.id` 3
            `controller.quorum.voters` names a node twice
            `controller.listener.names` contains CONTROLLER, which is not in `listeners` (PLAINTEXT)
            `inter.broker.listener.name` is INSIDE, which is none of the advertised listeners (PLAINTEXT)
            clients cannot connect to 0.0.0.0: set `advertised.listeners` to an address they can reach
            `log.retention.ms` must be -1 for no limit, or at least 1
            the budget for requests in flight (`queued.max.request.bytes`, else `strandline.request.memory.max.bytes`) must be at least `socket.request.max.bytes`
            `max.connections.per.ip` may be 0 only together with `max.connections.per.ip.overrides`
            `strandline.metrics.listener` must be host:port
            `group.consumer.session.timeout.ms` (1000) must lie between `group.consumer.min.session.timeout.ms` (45000) and `group.consumer.max.session.timeout.ms` (60000)
            `group.max.session.timeout.ms` must not be below `group.min.session.timeout.ms`
            `group.consumer.heartbeat.interval.ms` must be below `group.consumer.session.timeout.ms`
        "#]],
    );
    check(
        Some(
            "process.roles=broker\nnode.id=1\nbroker.id=2\ncontroller.listener.names=CONTROLLER\n",
        ),
        &[],
        expect![[r#"
            `node.id` is 1 and `broker.id` is 2; they are two names of one number, set only `node.id`
        "#]],
    );
    check(
        Some(
            "process.roles=broker\nnode.id=1\ncontroller.listener.names=CONTROLLER,B\nlisteners=CONTROLLER://:9092\ncontroller.quorum.voters=1@a:1\n",
        ),
        &[],
        expect![[r#"
            `process.roles` is only broker, but `controller.quorum.voters` contains `node.id` 1
            `process.roles` is only broker, so `listeners` must not contain CONTROLLER of `controller.listener.names`
            no listener is left for clients: every one of `listeners` or `advertised.listeners` is in `controller.listener.names`
        "#]],
    );
    check(
        Some(
            "process.roles=controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\nlisteners=CONTROLLER://:9093,PLAINTEXT://:9092\ncontroller.quorum.voters=1@a:1\n",
        ),
        &[],
        expect![[r#"
            `process.roles` is only controller, so every one of `listeners` (CONTROLLER, PLAINTEXT) must be in `controller.listener.names`
        "#]],
    );
    check(
        Some(
            "process.roles=controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\nlisteners=CONTROLLER://:9093\nadvertised.listeners=CONTROLLER://0.0.0.0:9093\ncontroller.quorum.voters=2@a:1\n",
        ),
        &[],
        expect![[r#"
            `process.roles` contains controller, but `controller.quorum.voters` ([2]) does not contain `node.id` 1
            other nodes cannot connect to 0.0.0.0: give CONTROLLER in `advertised.listeners` an address they can reach
        "#]],
    );
}

/// As Kafka's own configuration class says.
#[test]
fn a_controller_that_listens_everywhere_is_where_the_voters_know_it() {
    let advertised = |settings: &[&str]| {
        let file = "process.roles=controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n\
            listeners=CONTROLLER://:9093\n";
        let config = resolved(Some(file), settings);
        let told = config.advertised_controller_listeners.iter();
        told.map(|listener| listener.address.to_string()).collect::<Vec<_>>()
    };
    let voters = "controller.quorum.voters=1@one:9999,2@two:1";
    assert_eq!(advertised(&[voters]), ["one:9999"]);
    assert_eq!(advertised(&[voters, "listeners=CONTROLLER://0.0.0.0:9093"]), ["one:9999"]);
    assert_eq!(advertised(&[voters, "listeners=CONTROLLER://10.0.0.1:9093"]), ["10.0.0.1:9093"]);
    let elsewhere = "advertised.listeners=CONTROLLER://elsewhere:1";
    assert_eq!(advertised(&[voters, elsewhere]), ["elsewhere:1"]);
    assert_eq!(advertised(&["controller.quorum.bootstrap.servers=one:9093"]), [":9093"]);
}

#[test]
fn the_finest_unit_speaks_and_the_strongest_layer() {
    let hour = 3_600_000;
    let retention = |set: &[&str]| resolved(Some(MINIMAL), set).topic_defaults.retention_ms;
    assert_eq!(retention(&[]), Some(168 * hour));
    assert_eq!(retention(&["log.retention.hours=2"]), Some(2 * hour));
    assert_eq!(retention(&["log.retention.hours=2", "log.retention.minutes=3"]), Some(180_000));
    assert_eq!(retention(&["log.retention.minutes=3", "log.retention.ms=4"]), Some(4));
    assert_eq!(retention(&["log.retention.hours=-1"]), None);

    let config = resolved(Some(MINIMAL), &["log.retention.hours=2", "message.max.bytes=1000"]);
    let layer = |pairs: &[&str]| sets(pairs).into_iter().collect::<BTreeMap<_, _>>();
    let cluster = layer(&["log.retention.ms=5", "message.max.bytes=2000", "num.partitions=9"]);
    let (config, warnings) =
        config.with_dynamic(cluster, layer(&["message.max.bytes=3000", "log.segment.bytes=3"]));
    assert_eq!(config.topics.num_partitions, 1, "only a start reads it");
    assert_eq!(config.topic_defaults.retention_ms, Some(5));
    assert_eq!(config.topic_defaults.max_message_bytes, 3000);
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    expect![[r#"
        `num.partitions` was set at run time and is ignored: it cannot change at run time: set it in the configuration file and restart
        `log.segment.bytes` was set to `3` at run time and is ignored; it must be a whole number from 1048576 to 2147483647"#]]
    .assert_eq(&warnings.join("\n"));

    let topic = TopicConfig::resolve(&layer(&["max.message.bytes=4000"]), &config.topic_defaults);
    assert_eq!((topic.max_message_bytes, topic.retention_ms), (4000, Some(5)));
}

#[test]
fn topics_without_overrides_share_the_defaults() {
    let defaults = Arc::new(TopicConfig::default());
    assert!(Arc::ptr_eq(&TopicConfig::resolve(&BTreeMap::new(), &defaults), &defaults));
    assert_eq!(*defaults, *resolved(Some(MINIMAL), &[]).topic_defaults);
}

/// Each topic setting of the table that has an effect reaches its field.
#[test]
fn every_honoured_topic_setting_changes_the_config() {
    let defaults = Arc::new(TopicConfig::default());
    for setting in Scope::Topic.settings() {
        let is_read = matches!(setting.status, Status::Honoured | Status::Partly(_));
        let other = match setting.name {
            "cleanup.policy" => "compact",
            "compression.type" => "zstd",
            "min.cleanable.dirty.ratio" => "0.7",
            "message.timestamp.type" => "LogAppendTime",
            "segment.bytes" => "2097152",
            "unclean.leader.election.enable" => "true",
            "leader.replication.throttled.replicas" | "follower.replication.throttled.replicas" => {
                "0:1"
            }
            _ => "7",
        };
        let overrides = BTreeMap::from([(setting.name.to_owned(), other.to_owned())]);
        if is_read {
            assert_ne!(*TopicConfig::resolve(&overrides, &defaults), *defaults, "{}", setting.name);
        }
    }
}

#[test]
fn a_topic_chooses_the_codec_and_its_effort() {
    let defaults = Arc::new(TopicConfig::default());
    let overrides = BTreeMap::from(
        [("compression.type", "zstd"), ("compression.zstd.level", "9")]
            .map(|(k, v)| (k.to_owned(), v.to_owned())),
    );
    let topic = TopicConfig::resolve(&overrides, &defaults);
    assert_eq!(topic.stored_compression(Compression::Gzip), Compression::Zstd);
    assert_eq!(topic.compression_level(Compression::Zstd), 9);
    assert_eq!(defaults.stored_compression(Compression::Gzip), Compression::Gzip);
}
