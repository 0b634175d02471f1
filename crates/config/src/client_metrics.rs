//! The settings of a subscription to clients' metrics (KIP-714).

use crate::reason;
use crate::setting::{Section, Setting, int, list};

/// Every setting of a client metrics subscription.
pub const CLIENT_METRICS: &[Section] = &[Section { title: "Client metrics", settings: SETTINGS }];

#[rustfmt::skip]
const SETTINGS: &[Setting] = &[
    list("metrics").default("").no_effect(reason::TELEMETRY)
        .doc("Prefixes of the metrics that clients push; * stands for all."),
    int("interval.ms").default("300000").between(100, 3_600_000).no_effect(reason::TELEMETRY)
        .doc("How often clients push."),
    list("match").default("").no_effect(reason::TELEMETRY)
        .doc("Which clients are meant, as name=pattern."),
];
