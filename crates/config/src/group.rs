//! The settings of a group, each with the broker's setting that it inherits from.

use crate::reason;
use crate::setting::{Check, Section, Setting, boolean, int, same, string};

/// Every setting of a group.
pub const GROUP: &[Section] = &[
    Section { title: "Consumer groups (KIP-848)", settings: CONSUMER_GROUPS },
    Section { title: "Share groups", settings: SHARE_GROUPS },
    Section { title: "Streams groups", settings: STREAMS_GROUPS },
];

#[rustfmt::skip]
const CONSUMER_GROUPS: &[Setting] = &[
    int("consumer.session.timeout.ms").default("45000").at_least(1).inherits(&[same("group.consumer.session.timeout.ms")]).no_effect(reason::KIP_848)
        .doc("Without heartbeats for this long, a member is removed."),
    int("consumer.heartbeat.interval.ms").default("5000").at_least(1).inherits(&[same("group.consumer.heartbeat.interval.ms")]).no_effect(reason::KIP_848)
        .doc("How often members send heartbeats."),
    int("consumer.assignment.interval.ms").default("1000").at_least(0).inherits(&[same("group.consumer.assignment.interval.ms")]).no_effect(reason::KIP_848)
        .doc("Shortest time between two assignments of the group."),
];

#[rustfmt::skip]
const SHARE_GROUPS: &[Setting] = &[
    int("share.session.timeout.ms").default("45000").at_least(1).inherits(&[same("group.share.session.timeout.ms")]).no_effect(reason::SHARE)
        .doc("Without heartbeats for this long, a member is removed."),
    int("share.heartbeat.interval.ms").default("5000").at_least(1).inherits(&[same("group.share.heartbeat.interval.ms")]).no_effect(reason::SHARE)
        .doc("How often members send heartbeats."),
    int("share.assignment.interval.ms").default("1000").at_least(0).inherits(&[same("group.share.assignment.interval.ms")]).no_effect(reason::SHARE)
        .doc("Shortest time between two assignments of the group."),
    int("share.record.lock.duration.ms").default("30000").at_least(1000).inherits(&[same("group.share.record.lock.duration.ms")]).no_effect(reason::SHARE)
        .doc("How long a delivered record stays locked for its consumer."),
    int("share.delivery.count.limit").default("5").at_least(2).inherits(&[same("group.share.delivery.count.limit")]).no_effect(reason::SHARE)
        .doc("How often a record is delivered at most."),
    int("share.partition.max.record.locks").default("2000").at_least(100).inherits(&[same("group.share.partition.max.record.locks")]).no_effect(reason::SHARE)
        .doc("Most locked records per partition."),
    string("share.auto.offset.reset").default("latest").check(Check::OffsetReset).no_effect(reason::SHARE)
        .doc("Where the group begins: latest, earliest, or by_duration: and an ISO 8601 duration back from now."),
    string("share.isolation.level").default("read_uncommitted").one_of(&["read_committed", "read_uncommitted"]).no_effect(reason::SHARE)
        .doc("Whether records of aborted transactions are left out."),
    boolean("share.renew.acknowledge.enable").default("true").no_effect(reason::SHARE)
        .doc("Whether a consumer may renew the lock of a record."),
];

#[rustfmt::skip]
const STREAMS_GROUPS: &[Setting] = &[
    int("streams.session.timeout.ms").default("45000").at_least(1).inherits(&[same("group.streams.session.timeout.ms")]).no_effect(reason::STREAMS)
        .doc("Without heartbeats for this long, a member is removed."),
    int("streams.heartbeat.interval.ms").default("5000").at_least(1).inherits(&[same("group.streams.heartbeat.interval.ms")]).no_effect(reason::STREAMS)
        .doc("How often members send heartbeats."),
    int("streams.assignment.interval.ms").default("1000").at_least(0).inherits(&[same("group.streams.assignment.interval.ms")]).no_effect(reason::STREAMS)
        .doc("Shortest time between two assignments of the group."),
    int("streams.initial.rebalance.delay.ms").default("3000").at_least(0).inherits(&[same("group.streams.initial.rebalance.delay.ms")]).no_effect(reason::STREAMS)
        .doc("How long a new group waits for more members before its first assignment."),
    int("streams.num.standby.replicas").default("0").at_least(0).inherits(&[same("group.streams.num.standby.replicas")]).no_effect(reason::STREAMS)
        .doc("Standby copies of each stateful task."),
];
