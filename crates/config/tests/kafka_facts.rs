//! The tables against Kafka itself: `interop/config` holds what its programs printed.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use expect_test::expect;
use strandline_config::{
    BrokerConfig, BrokerLayers, Check, Default, Mode, Overrides, Scope, Setting, Source, Status,
    Type, Unit, describe, parse_properties,
};

const FACTS: &str = include_str!("../../../interop/config/facts.tsv");
const DESCRIBED: &str = include_str!("../../../interop/config/described.tsv");
const DESCRIBED_PROPERTIES: &str = include_str!("../../../interop/config/described.properties");

fn scope(name: &str) -> Scope {
    match name {
        "broker" => Scope::Broker,
        "topic" => Scope::Topic,
        "group" => Scope::Group,
        "client-metrics" => Scope::ClientMetrics,
        other => panic!("{other}"),
    }
}

/// A row in the notation of `Facts.java`.
fn as_fact(scope_name: &str, setting: &Setting) -> String {
    let default = match setting.default {
        Default::Required => "required",
        Default::Null => "null",
        Default::Is(text) => text,
    };
    let change = match (scope_name, setting.mode) {
        ("broker", Mode::Static) => "read-only",
        ("broker", Mode::PerBroker) => "per-broker",
        ("broker", Mode::ClusterWide) => "cluster-wide",
        _ => "",
    };
    let internal = if setting.internal { "internal" } else { "" };
    [
        scope_name,
        setting.name,
        &setting.ty.name().to_uppercase(),
        default,
        &limits(setting),
        change,
        internal,
        &inherits(scope_name, setting),
    ]
    .join("\t")
}

fn limits(setting: &Setting) -> String {
    let open_end = match setting.ty {
        Type::Short => i64::from(i16::MAX),
        Type::Int => i64::from(i32::MAX),
        _ => i64::MAX,
    };
    let range = |min: i64, max: i64| match max {
        max if max == open_end => format!("[{min},...]"),
        max => format!("[{min},...,{max}]"),
    };
    match setting.check {
        Check::Any => String::new(),
        Check::Range { min, max } => range(min, max),
        Check::RangeOr { min, max, or } => format!("{} or {or}", range(min, max)),
        Check::Fraction { min, max } => format!("[{min},...,{max}]"),
        Check::OneOf(of) => format!("[{}]", of.join(", ")),
        Check::OneOfIgnoringCase(of) => format!("(case insensitive) [{}]", of.join(", ")),
        Check::NonEmpty => "non-empty string".to_owned(),
        Check::List { of, may_be_empty } => {
            let of = if of.is_empty() { String::new() } else { format!("[{}]", of.join(", ")) };
            format!("{of}{}", if may_be_empty { "" } else { " not empty" })
        }
        Check::ThrottledReplicas => {
            "[partitionId]:[brokerId],[partitionId]:[brokerId],...".to_owned()
        }
        Check::OffsetReset => "[latest, earliest, by_duration:PnDTnHnMn.nS]".to_owned(),
        Check::Voters | Check::Servers => "non-empty list".to_owned(),
    }
}

/// Broker settings behind a topic's or group's, with the factor that turns one into the other.
fn inherits(scope_name: &str, setting: &Setting) -> String {
    let Some(first) = setting.synonyms.first().filter(|_| scope_name != "broker") else {
        return String::new();
    };
    let further = Scope::Broker.find(first.name).unwrap().synonyms.iter();
    let all = std::iter::once(first).chain(further);
    all.map(|synonym| format!("{}*{}", synonym.name, synonym.unit.factor()))
        .collect::<Vec<_>>()
        .join(",")
}

#[test]
fn every_setting_of_kafka_is_declared_as_kafka_declares_it() {
    let kafka: BTreeSet<&str> = FACTS.lines().collect();
    let ours: BTreeSet<String> = ["broker", "topic", "group", "client-metrics"]
        .into_iter()
        .flat_map(|name| scope(name).settings().map(move |setting| as_fact(name, setting)))
        .collect();
    let ours: BTreeSet<&str> = ours.iter().map(String::as_str).collect();
    let mut difference = String::new();
    for line in kafka.difference(&ours) {
        writeln!(difference, "Kafka {line}").unwrap();
    }
    for line in ours.difference(&kafka).filter(|line| !line.contains("\tstrandline.")) {
        writeln!(difference, "ours  {line}").unwrap();
    }
    // Kafka checks an authorizer's class and an interval's range elsewhere, and its throttles and
    // the authorizer's own settings are not in its table. Sessions of brokers are shorter here:
    // docs/protocol-notes.md.
    expect![[r#"
        Kafka broker authorizer.class.name STRING  non-null string read-only  
        Kafka broker broker.heartbeat.interval.ms INT 2000  read-only  
        Kafka broker broker.session.timeout.ms INT 9000  read-only  
        Kafka broker request.timeout.ms INT 30000  read-only  
        Kafka client-metrics interval.ms INT 300000    
        ours  broker allow.everyone.if.no.acl.found BOOLEAN false  read-only  
        ours  broker authorizer.class.name STRING   read-only  
        ours  broker broker.heartbeat.interval.ms INT 500  read-only  
        ours  broker broker.session.timeout.ms INT 2500  read-only  
        ours  broker follower.replication.throttled.rate LONG 9223372036854775807 [0,...] cluster-wide  
        ours  broker leader.replication.throttled.rate LONG 9223372036854775807 [0,...] cluster-wide  
        ours  broker replica.alter.log.dirs.io.max.bytes.per.second LONG 9223372036854775807 [0,...] cluster-wide  
        ours  broker request.timeout.ms INT 30000 [0,...] read-only  
        ours  broker super.users STRING null  read-only  
        ours  client-metrics interval.ms INT 300000 [100,...,3600000]   
    "#]].assert_eq(&difference.replace('\t', " "));
}

#[test]
fn tables_are_sound() {
    for name in ["broker", "topic", "group", "client-metrics"] {
        let mut seen = BTreeSet::new();
        for setting in scope(name).settings() {
            let key = setting.name;
            assert!(seen.insert(key), "{key} is declared twice");
            assert!(setting.doc.ends_with('.') && setting.doc.len() > 10, "{key} has no sentence");
            for synonym in setting.synonyms {
                let behind = Scope::Broker.find(synonym.name);
                assert!(behind.is_some(), "{key} names {}", synonym.name);
                assert!(
                    synonym.unit == Unit::Same || setting.ty == Type::Long,
                    "{key} converts units"
                );
            }
            if let Status::Partly(reason) | Status::NoEffect(reason) | Status::FatalIfSet(reason) =
                setting.status
            {
                assert!(!reason.is_empty(), "{key} gives no reason");
            }
        }
    }
}

/// What `Described.java` had set when it asked.
fn described_layers() -> BrokerLayers {
    let overrides = |pairs: &[(&str, &str)]| -> Overrides {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let file = parse_properties(DESCRIBED_PROPERTIES).unwrap();
    let resolved = BrokerConfig::resolve(Some(&file), &[]).unwrap();
    let broker = overrides(&[
        ("log.segment.bytes", "2097152"),
        ("log.roll.ms", "7654321"),
        ("listener.name.plaintext.max.connections", "77"),
    ]);
    let cluster = overrides(&[
        ("log.segment.bytes", "3145728"),
        ("message.max.bytes", "2000000"),
        ("log.cleanup.policy", "delete,compact"),
        ("log.flush.interval.ms", "60000"),
        ("other.plugin.option", "x"),
        // Kafka writes this one itself when it formats a cluster with ELR.
        ("min.insync.replicas", "1"),
    ]);
    resolved.config.with_dynamic(cluster, broker).0.layers
}

fn source_name(source: Source) -> &'static str {
    match source {
        Source::Topic => "DYNAMIC_TOPIC_CONFIG",
        Source::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
        Source::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        Source::StaticBroker => "STATIC_BROKER_CONFIG",
        Source::Default => "DEFAULT_CONFIG",
        Source::ClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
        Source::Group => "DYNAMIC_GROUP_CONFIG",
    }
}

#[test]
fn settings_are_described_as_kafka_describes_them() {
    let layers = described_layers();
    let changed = [
        ("retention.ms", "5000"),
        ("cleanup.policy", " compact , delete"),
        ("min.cleanable.dirty.ratio", "0.00001"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let group = [("consumer.session.timeout.ms".to_owned(), "50000".to_owned())];
    let answers = [
        ("TOPIC:plain", describe::topic(&layers, &BTreeMap::new())),
        ("TOPIC:changed", describe::topic(&layers, &changed.into())),
        ("BROKER:1", describe::broker(&layers)),
        ("BROKER:", describe::all_brokers(&layers)),
        ("GROUP:g", describe::group(&layers, &group.into())),
        ("CLIENT_METRICS:m", describe::client_metrics(&BTreeMap::new())),
    ];
    let null = || "null".to_owned();
    let ours: BTreeSet<String> = answers
        .into_iter()
        .flat_map(|(resource, settings)| {
            settings.into_iter().map(move |setting| (resource, setting))
        })
        .filter(|(_, setting)| !setting.name.starts_with("strandline."))
        .map(|(resource, setting)| {
            let synonyms: Vec<String> = setting
                .synonyms
                .into_iter()
                .map(|s| {
                    format!("{}={}@{}", s.name, s.value.unwrap_or_else(null), source_name(s.source))
                })
                .collect();
            [
                resource,
                &setting.name,
                &setting.value.unwrap_or_else(null),
                source_name(setting.source),
                &setting.is_read_only.to_string(),
                &setting.is_sensitive.to_string(),
                &setting.ty.map_or("UNKNOWN", Type::name).to_uppercase(),
                &synonyms.join(" | "),
            ]
            .join("\t")
        })
        .collect();
    let ours: BTreeSet<&str> = ours.iter().map(String::as_str).collect();
    let kafka: BTreeSet<&str> = DESCRIBED.lines().collect();
    let mut difference = String::new();
    for line in kafka.difference(&ours) {
        writeln!(difference, "Kafka {line}").unwrap();
    }
    for line in ours.difference(&kafka) {
        writeln!(difference, "ours  {line}").unwrap();
    }
    expect![[r#"
        Kafka BROKER:1 broker.heartbeat.interval.ms 2000 DEFAULT_CONFIG true false INT broker.heartbeat.interval.ms=2000@DEFAULT_CONFIG
        Kafka BROKER:1 broker.session.timeout.ms 9000 DEFAULT_CONFIG true false INT broker.session.timeout.ms=9000@DEFAULT_CONFIG
        ours  BROKER:1 broker.heartbeat.interval.ms 500 DEFAULT_CONFIG true false INT broker.heartbeat.interval.ms=500@DEFAULT_CONFIG
        ours  BROKER:1 broker.session.timeout.ms 2500 DEFAULT_CONFIG true false INT broker.session.timeout.ms=2500@DEFAULT_CONFIG
    "#]].assert_eq(&difference.replace('\t', " "));
}
