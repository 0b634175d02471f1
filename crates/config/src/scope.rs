//! The kinds of resource that have settings.

use crate::setting::{Section, Setting};
use crate::{broker, client_metrics, group, topic};

/// Whose settings are meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scope {
    Broker,
    Topic,
    Group,
    ClientMetrics,
}

impl Scope {
    /// The table, by subject.
    pub const fn sections(self) -> &'static [Section] {
        match self {
            Self::Broker => broker::BROKER,
            Self::Topic => topic::TOPIC,
            Self::Group => group::GROUP,
            Self::ClientMetrics => client_metrics::CLIENT_METRICS,
        }
    }

    /// The table's rows, in its order.
    pub fn settings(self) -> impl Iterator<Item = &'static Setting> {
        self.sections().iter().flat_map(|section| section.settings)
    }

    /// The row of that name.
    pub fn find(self, name: &str) -> Option<&'static Setting> {
        self.settings().find(|setting| setting.name == name)
    }

    /// The resource as error texts name it.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Topic => "topic",
            Self::Group => "group",
            Self::ClientMetrics => "client metrics",
        }
    }

    /// The resource type that requests and metadata records carry.
    pub const fn resource_type(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Broker => 4,
            Self::ClientMetrics => 16,
            Self::Group => 32,
        }
    }

    pub const fn from_resource_type(resource_type: i8) -> Option<Self> {
        match resource_type {
            2 => Some(Self::Topic),
            4 => Some(Self::Broker),
            16 => Some(Self::ClientMetrics),
            32 => Some(Self::Group),
            _ => None,
        }
    }
}

/// A broker setting's name without `listener.name.NAME.`, if it has that prefix.
pub(crate) fn without_listener(name: &str) -> Option<&str> {
    let (_listener, base) = name.strip_prefix("listener.name.")?.split_once('.')?;
    Some(base)
}

/// The row a broker setting obeys, also when it is written for one listener
/// (`listener.name.NAME.key`) or one of its SASL mechanisms (`listener.name.NAME.MECHANISM.key`).
pub(crate) fn find_broker(name: &str) -> Option<&'static Setting> {
    const PER_MECHANISM: [&str; 5] = [
        "sasl.jaas.config",
        "sasl.login.callback.handler.class",
        "sasl.login.class",
        "sasl.server.callback.handler.class",
        "connections.max.reauth.ms",
    ];
    Scope::Broker.find(name).or_else(|| {
        let base = without_listener(name)?;
        let base = PER_MECHANISM.into_iter().find(|key| base.ends_with(key)).unwrap_or(base);
        Scope::Broker.find(base)
    })
}
