//! Where a broker's value comes from: the layers, and which one speaks.
//!
//! For itself first, then for all brokers, then from the start's configuration, then the default.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::scope::Scope;
use crate::setting::Unit;

/// Settings of one resource as text, by name.
pub type Overrides = BTreeMap<String, String>;

/// Who set a value, as DescribeConfigs reports it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    Topic,
    /// Set at run time for one broker.
    DynamicBroker,
    /// Set at run time for all brokers.
    DynamicDefaultBroker,
    /// Given at start, by file or command line.
    StaticBroker,
    Default,
    ClientMetrics,
    Group,
}

impl Source {
    /// The number DescribeConfigs carries.
    pub const fn wire_id(self) -> i8 {
        match self {
            Self::Topic => 1,
            Self::DynamicBroker => 2,
            Self::DynamicDefaultBroker => 3,
            Self::StaticBroker => 4,
            Self::Default => 5,
            Self::ClientMetrics => 7,
            Self::Group => 8,
        }
    }
}

/// Everything that was ever set for this broker, as text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BrokerLayers {
    /// Given at start. Never changes while the process lives.
    pub fixed: Overrides,
    /// Set at run time for all brokers (resource name "").
    pub cluster: Overrides,
    /// Set at run time for this broker.
    pub broker: Overrides,
}

impl BrokerLayers {
    /// The layers from the strongest to the weakest; the defaults come after them.
    pub(crate) fn strongest_first(&self) -> [(&Overrides, Source); 3] {
        [
            (&self.broker, Source::DynamicBroker),
            (&self.cluster, Source::DynamicDefaultBroker),
            (&self.fixed, Source::StaticBroker),
        ]
    }

    /// What holds, before defaults. A layer that sets one form of a value (`log.retention.hours`)
    /// silences every other form (`log.retention.ms`) in the layers below it.
    pub(crate) fn merged(&self) -> Overrides {
        let mut merged = self.fixed.clone();
        for layer in [&self.cluster, &self.broker] {
            for (name, value) in layer {
                for other in family(name) {
                    merged.remove(other);
                }
                merged.insert(name.to_owned(), value.to_owned());
            }
        }
        merged
    }
}

/// All names of one broker value, the one that is looked at first coming first.
///
/// A plain fallback is one-way, as in Kafka: describing `log.flush.interval.ms` names
/// `log.flush.scheduler.interval.ms` too, but not the other way round.
pub(crate) fn family(name: &str) -> Vec<&str> {
    let head = Scope::Broker.settings().find(|setting| {
        !setting.synonyms.is_empty()
            && (setting.name == name
                || setting
                    .synonyms
                    .iter()
                    .any(|other| other.name == name && other.unit != Unit::Same))
    });
    match head {
        Some(head) => {
            let mut names = vec![head.name];
            names.extend(head.synonyms.iter().map(|synonym| synonym.name));
            names
        }
        None => vec![name],
    }
}
