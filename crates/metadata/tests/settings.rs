//! Settings and features change while the cluster runs.
#![allow(clippy::unwrap_used, reason = "what a test relies on must hold")]

mod story;

use expect_test::{Expect, expect};
use story::{Story, registration};
use strandline_metadata::controller::Timer;
use strandline_metadata::describe::{self, Own};
use strandline_metadata::feature;
use strandline_types::NodeId;
use strandline_wire::messages::create_topics_request::CreatableTopic;
use strandline_wire::messages::describe_configs_request::DescribeConfigsResource;
use strandline_wire::messages::update_features_request::FeatureUpdateKey;
use strandline_wire::messages::{
    AlterConfigsRequest, BrokerRegistrationRequest, ControllerRegistrationRequest,
    CreateTopicsRequest, IncrementalAlterConfigsRequest, UpdateFeaturesRequest,
    alter_configs_request, incremental_alter_configs_request,
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn check(actual: String, expected: Expect) {
    expected.assert_eq(&actual);
}

fn with_topic() -> Story {
    let mut story = Story::with_brokers(1);
    story.ask(CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: "t".into(),
            num_partitions: 1,
            replication_factor: 1,
            ..Default::default()
        }],
        ..Default::default()
    });
    story
}

fn resource(
    resource_type: i8,
    name: &str,
    changes: &[(&str, i8, Option<&str>)],
) -> incremental_alter_configs_request::AlterConfigsResource {
    incremental_alter_configs_request::AlterConfigsResource {
        resource_type,
        resource_name: name.into(),
        configs: changes
            .iter()
            .map(|(name, config_operation, value)| {
                incremental_alter_configs_request::AlterableConfig {
                    name: (*name).into(),
                    config_operation: *config_operation,
                    value: value.map(Into::into),
                    ..Default::default()
                }
            })
            .collect(),
        ..Default::default()
    }
}

fn alter(
    resources: Vec<incremental_alter_configs_request::AlterConfigsResource>,
) -> IncrementalAlterConfigsRequest {
    IncrementalAlterConfigsRequest { resources, ..Default::default() }
}

/// Records, and for each resource its answer.
fn lines(text: String) -> String {
    let text = text.replace("→ IncrementalAlterConfigsResponse { responses: [", "");
    let text = text.replace("AlterConfigsResourceResponse { ", "\n→ ").replace(" }] }", " }");
    text.lines().filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}

#[test]
fn settings_are_set_edited_and_deleted() {
    let mut story = with_topic();
    let mut one = |resource_type, name: &str, key: &str, operation, value| {
        lines(story.ask(alter(vec![resource(resource_type, name, &[(key, operation, value)])])))
    };
    check(
        one(TOPIC, "t", "retention.ms", SET, Some("5000")),
        expect![[r#"
        ConfigRecord { resource_type: 2, resource_name: "t", name: "retention.ms", value: Some("5000") }
        → resource_type: 2, resource_name: "t" }
    "#]],
    );
    check(
        one(TOPIC, "t", "retention.ms", SET, Some("5000")),
        expect![[r#"
        → resource_type: 2, resource_name: "t" }
    "#]],
    );
    check(
        one(TOPIC, "t", "cleanup.policy", APPEND, Some("compact")),
        expect![[r#"
        ConfigRecord { resource_type: 2, resource_name: "t", name: "cleanup.policy", value: Some("delete,compact") }
        → resource_type: 2, resource_name: "t" }
    "#]],
    );
    check(
        one(TOPIC, "t", "cleanup.policy", SUBTRACT, Some("delete")),
        expect![[r#"
        ConfigRecord { resource_type: 2, resource_name: "t", name: "cleanup.policy", value: Some("compact") }
        → resource_type: 2, resource_name: "t" }
    "#]],
    );
    check(
        one(TOPIC, "t", "retention.ms", DELETE, None),
        expect![[r#"
        ConfigRecord { resource_type: 2, resource_name: "t", name: "retention.ms", value: None }
        → resource_type: 2, resource_name: "t" }
    "#]],
    );
    check(
        one(TOPIC, "t", "retention.ms", DELETE, None),
        expect![[r#"
        → resource_type: 2, resource_name: "t" }
    "#]],
    );
    check(
        one(TOPIC, "t", "min.insync.replicas", SET, Some("2")),
        expect![[r#"
        ConfigRecord { resource_type: 2, resource_name: "t", name: "min.insync.replicas", value: Some("2") }
        ClearElrRecord { topic_name: "t" }
        → resource_type: 2, resource_name: "t" }
    "#]],
    );
    check(
        one(BROKER, "", "min.insync.replicas", SET, Some("2")),
        expect![[r#"
        ConfigRecord { resource_type: 4, resource_name: "", name: "min.insync.replicas", value: Some("2") }
        ClearElrRecord { topic_name: "" }
        → resource_type: 4, resource_name: "" }
    "#]],
    );
    check(
        one(BROKER, "1", "log.cleaner.threads", SET, Some("2")),
        expect![[r#"
        ConfigRecord { resource_type: 4, resource_name: "1", name: "log.cleaner.threads", value: Some("2") }
        → resource_type: 4, resource_name: "1" }
    "#]],
    );
    check(
        one(BROKER, "", "a.plugins.key", SET, Some("x")),
        expect![[r#"
        ConfigRecord { resource_type: 4, resource_name: "", name: "a.plugins.key", value: Some("x") }
        → resource_type: 4, resource_name: "" }
    "#]],
    );
    check(
        one(GROUP, "g", "consumer.session.timeout.ms", SET, Some("46000")),
        expect![[r#"
        ConfigRecord { resource_type: 32, resource_name: "g", name: "consumer.session.timeout.ms", value: Some("46000") }
        → resource_type: 32, resource_name: "g" }
    "#]],
    );
    check(
        one(CLIENT_METRICS, "m", "interval.ms", SET, Some("1000")),
        expect![[r#"
        ConfigRecord { resource_type: 16, resource_name: "m", name: "interval.ms", value: Some("1000") }
        → resource_type: 16, resource_name: "m" }
    "#]],
    );
}

#[test]
fn what_cannot_be_set_says_why() {
    let mut story = with_topic();
    let before = story.log.len();
    let text = story.ask(alter(vec![
        resource(TOPIC, "t", &[("retention.ms", SET, Some("x"))]),
        resource(TOPIC, "none", &[("retention.ms", SET, Some("1"))]),
        resource(TOPIC, "", &[("retention.ms", SET, Some("1"))]),
        resource(BROKER, "", &[("num.partitions", SET, Some("2"))]),
        resource(BROKER, "1", &[("min.insync.replicas", SET, Some("2"))]),
        resource(BROKER, "9", &[("log.cleaner.threads", SET, Some("2"))]),
        resource(BROKER, "one", &[("log.cleaner.threads", SET, Some("2"))]),
        resource(GROUP, "", &[("consumer.session.timeout.ms", SET, Some("46000"))]),
        resource(GROUP, "g", &[("consumer.session.timeout.ms", SET, Some("1"))]),
        resource(CLIENT_METRICS, "", &[("interval.ms", SET, Some("1000"))]),
        resource(CLIENT_METRICS, "m", &[("interval.ms", SET, Some("1"))]),
        resource(LOGGER, "1", &[("root", SET, Some("INFO"))]),
        resource(TOPIC, "twice", &[]),
        resource(TOPIC, "twice", &[]),
    ]));
    check(
        lines(text),
        expect![[r#"
            → error_code: INVALID_CONFIG(40), error_message: Some("topic setting `retention.ms` is `x`; it must be a whole number, at least -1"), resource_type: 2, resource_name: "t" }, 
            → error_code: UNKNOWN_TOPIC_OR_PARTITION(3), error_message: Some("there is no topic none"), resource_type: 2, resource_name: "none" }, 
            → error_code: INVALID_REQUEST(42), error_message: Some("name a topic: there are no settings of all topics"), resource_type: 2, resource_name: "" }, 
            → error_code: INVALID_REQUEST(42), error_message: Some("`num.partitions` cannot change at run time: set it in the configuration file and restart"), resource_type: 4, resource_name: "" }, 
            → error_code: INVALID_CONFIG(40), error_message: Some("min.insync.replicas cannot differ between brokers while eligible leader replicas are on"), resource_type: 4, resource_name: "1" }, 
            → error_code: BROKER_ID_NOT_REGISTERED(102), error_message: Some("no broker or controller is registered as 9"), resource_type: 4, resource_name: "9" }, 
            → error_code: INVALID_REQUEST(42), error_message: Some("broker `one` is not a number"), resource_type: 4, resource_name: "one" }, 
            → error_code: INVALID_REQUEST(42), error_message: Some("name a group: there are no settings of all groups"), resource_type: 32, resource_name: "" }, 
            → error_code: INVALID_CONFIG(40), error_message: Some("`consumer.session.timeout.ms` (1) must lie between `group.consumer.min.session.timeout.ms` (45000) and `group.consumer.max.session.timeout.ms` (60000)"), resource_type: 32, resource_name: "g" }, 
            → error_code: INVALID_REQUEST(42), error_message: Some("name a client metrics subscription"), resource_type: 16, resource_name: "" }, 
            → error_code: INVALID_REQUEST(42), error_message: Some("client metrics setting `interval.ms` is `1`; it must be a whole number from 100 to 3600000"), resource_type: 16, resource_name: "m" }, 
            → error_code: INVALID_REQUEST(42), error_message: Some("resource type 8 has no settings"), resource_type: 8, resource_name: "1" }, 
            → error_code: INVALID_REQUEST(42), error_message: Some("this resource is named twice in one request"), resource_type: 2, resource_name: "twice" }, 
            → error_code: INVALID_REQUEST(42), error_message: Some("this resource is named twice in one request"), resource_type: 2, resource_name: "twice" }
        "#]],
    );
    let mut one = |key: &str, operation, value| {
        lines(story.ask(alter(vec![resource(TOPIC, "t", &[(key, operation, value)])])))
    };
    check(
        one("no.such.key", SET, Some("1")),
        expect![[r#"
        → error_code: INVALID_CONFIG(40), error_message: Some("unknown topic setting `no.such.key`"), resource_type: 2, resource_name: "t" }
    "#]],
    );
    check(
        one("retention.ms", APPEND, Some("1")),
        expect![[r#"
        → error_code: INVALID_CONFIG(40), error_message: Some("cannot append to `retention.ms`: it is not a list"), resource_type: 2, resource_name: "t" }
    "#]],
    );
    check(
        one("retention.ms", SET, None),
        expect![[r#"
        → error_code: INVALID_REQUEST(42), error_message: Some("`retention.ms` comes without a value"), resource_type: 2, resource_name: "t" }
    "#]],
    );
    check(
        one("retention.ms", 9, Some("1")),
        expect![[r#"
            → error_code: INVALID_REQUEST(42), error_message: Some("operation 9 is none of 0 to 3"), resource_type: 2, resource_name: "t" }
        "#]],
    );
    let both = [("retention.ms", SET, Some("1")), ("retention.ms", SET, Some("2"))];
    check(
        lines(story.ask(alter(vec![resource(TOPIC, "t", &both)]))),
        expect![[r#"
        → error_code: INVALID_REQUEST(42), error_message: Some("`retention.ms` comes twice in one change"), resource_type: 2, resource_name: "t" }
    "#]],
    );
    assert_eq!(story.log.len(), before);
}

#[test]
fn the_legacy_call_replaces_everything() {
    let mut story = with_topic();
    let replace = |configs: &[(&str, &str)], validate_only| AlterConfigsRequest {
        resources: vec![alter_configs_request::AlterConfigsResource {
            resource_type: TOPIC,
            resource_name: "t".into(),
            configs: configs
                .iter()
                .map(|(name, value)| alter_configs_request::AlterableConfig {
                    name: (*name).into(),
                    value: Some((*value).into()),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }],
        validate_only,
        ..Default::default()
    };
    story.ask(replace(&[("retention.ms", "1"), ("segment.ms", "2")], false));
    check(
        story.ask(replace(&[("retention.ms", "3")], true)),
        expect![[r#"
        → AlterConfigsResponse { responses: [AlterConfigsResourceResponse { resource_type: 2, resource_name: "t" }] }
    "#]],
    );
    check(
        story.ask(replace(&[("retention.ms", "3")], false)),
        expect![[r#"
        ConfigRecord { resource_type: 2, resource_name: "t", name: "retention.ms", value: Some("3") }
        ConfigRecord { resource_type: 2, resource_name: "t", name: "segment.ms", value: None }
        → AlterConfigsResponse { responses: [AlterConfigsResourceResponse { resource_type: 2, resource_name: "t" }] }
    "#]],
    );
}

#[test]
fn settings_are_described_with_their_source() {
    let mut story = with_topic();
    story.ask(alter(vec![
        resource(TOPIC, "t", &[("retention.ms", SET, Some("5000"))]),
        resource(GROUP, "g", &[("consumer.session.timeout.ms", SET, Some("46000"))]),
    ]));
    let fixed = strandline_config::Overrides::new();
    let own = Own { node_id: NodeId(1), fixed: &fixed };
    let describe = |resource_type, name: &str, keys: &[&str]| {
        let asked = DescribeConfigsResource {
            resource_type,
            resource_name: name.into(),
            configuration_keys: Some(keys.iter().map(|key| (*key).into()).collect()),
            ..Default::default()
        };
        story::brief(&describe::configs(story.image(), own, &asked, true, false))
    };
    check(
        describe(TOPIC, "t", &["retention.ms", "min.insync.replicas"]),
        expect![[
            r#"DescribeConfigsResult { resource_type: 2, resource_name: "t", configs: [DescribeConfigsResourceResult { name: "min.insync.replicas", value: Some("1"), read_only: false, config_source: 3, is_sensitive: false, synonyms: [DescribeConfigsSynonym { name: "min.insync.replicas", value: Some("1"), source: 3 }, DescribeConfigsSynonym { name: "min.insync.replicas", value: Some("1"), source: 5 }], config_type: 3, documentation: None }, DescribeConfigsResourceResult { name: "retention.ms", value: Some("5000"), read_only: false, config_source: 1, is_sensitive: false, synonyms: [DescribeConfigsSynonym { name: "retention.ms", value: Some("5000"), source: 1 }], config_type: 5, documentation: None }] }"#
        ]],
    );
    check(
        describe(TOPIC, "none", &[]),
        expect![[
            r#"DescribeConfigsResult { error_code: UNKNOWN_TOPIC_OR_PARTITION(3), error_message: Some(""), resource_type: 2, resource_name: "none", configs: [] }"#
        ]],
    );
    check(
        describe(BROKER, "2", &[]),
        expect![[
            r#"DescribeConfigsResult { error_code: INVALID_REQUEST(42), error_message: Some("this is broker 1; ask broker 2 for its own settings"), resource_type: 4, resource_name: "2", configs: [] }"#
        ]],
    );
    check(
        describe(99, "t", &[]),
        expect![[
            r#"DescribeConfigsResult { error_code: INVALID_REQUEST(42), error_message: Some("resource type 99 has no settings"), resource_type: 99, resource_name: "t", configs: [] }"#
        ]],
    );
    check(
        describe(BROKER, "", &[]),
        expect![[
            r#"DescribeConfigsResult { resource_type: 4, resource_name: "", configs: [DescribeConfigsResourceResult { name: "min.insync.replicas", value: Some("1"), read_only: false, config_source: 3, is_sensitive: false, synonyms: [DescribeConfigsSynonym { name: "min.insync.replicas", value: Some("1"), source: 3 }], config_type: 3, documentation: None }] }"#
        ]],
    );
    let all = describe::config_resources(story.image(), &[]).unwrap();
    let names: Vec<_> = all.iter().map(|r| (r.resource_type, r.resource_name.as_str())).collect();
    assert_eq!(names, [(32, "g"), (8, "1"), (4, "1"), (2, "t")]);
    assert_eq!(describe::config_resources(story.image(), &[77]), None);
}

fn features(updates: &[(&str, i16, i8)], validate_only: bool) -> UpdateFeaturesRequest {
    UpdateFeaturesRequest {
        feature_updates: updates
            .iter()
            .map(|(feature, max_version_level, upgrade_type)| FeatureUpdateKey {
                feature: (*feature).into(),
                max_version_level: *max_version_level,
                upgrade_type: *upgrade_type,
                ..Default::default()
            })
            .collect(),
        validate_only,
        ..Default::default()
    }
}

#[test]
fn what_old_metadata_have_no_place_for_is_not_cordoned() {
    let (mut story, _) = Story::begin(&[(feature::METADATA_VERSION, 29)]);
    story.ask(registration(1, 1));
    let cordon = |story: &mut Story, value| {
        let change = ("cordoned.log.dirs", SET, Some(value));
        lines(story.ask(alter(vec![resource(BROKER, "1", &[change])])))
    };
    check(
        cordon(&mut story, "*"),
        expect![[r#"
            → error_code: INVALID_CONFIG(40), error_message: Some("`cordoned.log.dirs` needs metadata.version 4.3-IV0 or later"), resource_type: 4, resource_name: "1" }
        "#]],
    );
    story.ask(features(&[("metadata.version", 30, 1)], false));
    check(
        cordon(&mut story, "*"),
        expect![[r#"
            ConfigRecord { resource_type: 4, resource_name: "1", name: "cordoned.log.dirs", value: Some("*") }
            → resource_type: 4, resource_name: "1" }
        "#]],
    );
}

#[test]
fn features_change_together_or_not_at_all() {
    let levels = [(feature::METADATA_VERSION, 29), (feature::ELR_VERSION, 0)];
    let (mut story, _) = Story::begin(&levels);
    story.ask(registration(1, 1));
    story.beat(1);
    story.controller.set_kraft_version(1);
    let mut update = |updates: &[(&str, i16, i8)]| story.ask(features(updates, false));
    check(
        update(&[("group.version", 1, 1), ("metadata.version", 30, 1)]),
        expect![[r#"
            FeatureLevelRecord { name: "group.version", feature_level: 1 }
            FeatureLevelRecord { name: "metadata.version", feature_level: 30 }
            → UpdateFeaturesResponse { results: [UpdatableFeatureResult { feature: "group.version" }, UpdatableFeatureResult { feature: "metadata.version" }] }
        "#]],
    );
    check(
        update(&[("eligible.leader.replicas.version", 1, 1)]),
        expect![[r#"
            FeatureLevelRecord { name: "eligible.leader.replicas.version", feature_level: 1 }
            ConfigRecord { resource_type: 4, resource_name: "", name: "min.insync.replicas", value: Some("1") }
            → UpdateFeaturesResponse { results: [UpdatableFeatureResult { feature: "eligible.leader.replicas.version" }] }
        "#]],
    );
    check(
        update(&[("group.version", 0, 1)]),
        expect![[r#"
            → UpdateFeaturesResponse { error_code: INVALID_UPDATE_VERSION(95), error_message: Some("no feature was changed: group.version cannot go to level 0: it is at level 1, and no downgrade was asked for"), results: [] }
        "#]],
    );
    check(
        update(&[("group.version", 0, 2)]),
        expect![[r#"
            FeatureLevelRecord { name: "group.version", feature_level: 0 }
            → UpdateFeaturesResponse { results: [UpdatableFeatureResult { feature: "group.version" }] }
        "#]],
    );
    check(
        update(&[("group.version", 1, 2)]),
        expect![[r#"
            → UpdateFeaturesResponse { error_code: INVALID_UPDATE_VERSION(95), error_message: Some("no feature was changed: group.version cannot go to level 1: it is at level 0, and a downgrade was asked for"), results: [] }
        "#]],
    );
    check(
        update(&[("group.version", 1, 1), ("group.version", 1, 1)]),
        expect![[r#"
        → UpdateFeaturesResponse { error_code: INVALID_REQUEST(42), error_message: Some("feature group.version is named twice"), results: [] }
    "#]],
    );
    check(
        update(&[("group.version", 1, 1), ("share.version", 1, 1)]),
        expect![[r#"
            → UpdateFeaturesResponse { error_code: INVALID_UPDATE_VERSION(95), error_message: Some("no feature was changed: share.version cannot go to level 1: this controller (1) does not know it"), results: [] }
        "#]],
    );
    check(
        update(&[("group.version", 1, 9)]),
        expect![[r#"
            → UpdateFeaturesResponse { error_code: INVALID_UPDATE_VERSION(95), error_message: Some("no feature was changed: group.version cannot go to level 1: the upgrade type is none of 1 to 3"), results: [] }
        "#]],
    );
    check(
        update(&[("metadata.version", 29, 2)]),
        expect![[r#"
            → UpdateFeaturesResponse { error_code: INVALID_UPDATE_VERSION(95), error_message: Some("no feature was changed: metadata.version cannot go from 30 to 29: there may be records that only the later level knows"), results: [] }
        "#]],
    );
    check(
        update(&[("metadata.version", 29, 3)]),
        expect![[r#"
            → UpdateFeaturesResponse { error_code: INVALID_UPDATE_VERSION(95), error_message: Some("no feature was changed: metadata.version cannot go from 30 to 29: records cannot be dropped to allow it"), results: [] }
        "#]],
    );
    check(
        update(&[("metadata.version", 6, 3)]),
        expect![[r#"
            → UpdateFeaturesResponse { error_code: INVALID_UPDATE_VERSION(95), error_message: Some("no feature was changed: metadata.version cannot go to level 6: this controller (1) knows levels 7 to 30"), results: [] }
        "#]],
    );
    check(
        update(&[("kraft.version", 0, 2)]),
        expect![[r#"
            → UpdateFeaturesResponse { error_code: INVALID_UPDATE_VERSION(95), error_message: Some("no feature was changed: kraft.version cannot go to level 0: it never goes back from level 1"), results: [] }
        "#]],
    );
    check(
        update(&[("kraft.version", 1, 1)]),
        expect![[r#"
            → UpdateFeaturesResponse { results: [UpdatableFeatureResult { feature: "kraft.version" }] }
        "#]],
    );
    check(
        story.ask(features(&[("group.version", 1, 1)], true)),
        expect![[r#"
            → UpdateFeaturesResponse { results: [UpdatableFeatureResult { feature: "group.version" }] }
        "#]],
    );
}

#[test]
fn a_feature_needs_every_node() {
    let (mut story, _) = Story::begin(&[(feature::METADATA_VERSION, 29)]);
    let mut old = registration(2, 1);
    old.features.retain(|feature| feature.name != feature::GROUP_VERSION);
    old.features.iter_mut().for_each(|f| f.max_supported_version = f.max_supported_version.min(29));
    story.ask(BrokerRegistrationRequest { ..old });
    check(
        story.ask(features(&[("group.version", 1, 1)], false)),
        expect![[r#"
            → UpdateFeaturesResponse { error_code: INVALID_UPDATE_VERSION(95), error_message: Some("no feature was changed: group.version cannot go to level 1: broker 2 does not know it"), results: [] }
        "#]],
    );
    check(
        story.ask(features(&[("metadata.version", 30, 1)], false)),
        expect![[r#"
            → UpdateFeaturesResponse { error_code: INVALID_UPDATE_VERSION(95), error_message: Some("no feature was changed: metadata.version cannot go to level 30: broker 2 knows levels 7 to 29"), results: [] }
        "#]],
    );
    check(
        story.ask(ControllerRegistrationRequest { controller_id: 3, ..Default::default() }),
        expect![[r#"
            RegisterControllerRecord { controller_id: 3, incarnation_id: AAAAAAAAAAAAAAAAAAAAAA, zk_migration_ready: false, end_points: [], features: [] }
            → ControllerRegistrationResponse { error_code: NONE(0) }
        "#]],
    );
}

#[test]
fn leaderships_return_to_the_preferred_replicas() {
    let mut story = Story::with_brokers(2);
    check(
        story.tick(Timer::Balance),
        expect![[r#"
        Arm(Balance, 300s)
    "#]],
    );
}
