//! The broker's values after all layers and defaults, typed, by name.
//!
//! An intermediate: [`crate::BrokerConfig`] reads each once into a field.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::layers::Overrides;
use crate::scope::Scope;
use crate::setting::{Setting, Unit};
use crate::value::Value;

const DECLARED: &str = "a test reads every field, so each name here is in the table with this type";

#[derive(Debug)]
pub(crate) struct Values(BTreeMap<&'static str, Value>);

impl Values {
    /// Text that does not fit its setting is reported to `bad` and replaced by the default.
    pub(crate) fn read(merged: &Overrides, mut bad: impl FnMut(&'static Setting, &str)) -> Self {
        let default = |setting: &'static Setting| {
            setting
                .default_text()
                .and_then(|text| Value::parse(setting, text))
                .unwrap_or(Value::Null)
        };
        let read = |setting: &'static Setting| {
            let Some(text) = merged.get(setting.name) else {
                return (setting.name, default(setting));
            };
            let value = Value::parse(setting, text).unwrap_or_else(|| {
                bad(setting, text);
                default(setting)
            });
            (setting.name, value)
        };
        Self(Scope::Broker.settings().map(read).collect())
    }

    /// The value itself, without its fallbacks.
    pub(crate) fn of(&self, name: &'static str) -> &Value {
        self.0.get(name).expect(DECLARED)
    }

    /// The value, or that of the first fallback that has one, in the setting's own unit.
    pub(crate) fn get(&self, name: &'static str) -> Value {
        let own = self.of(name);
        if *own != Value::Null {
            return own.clone();
        }
        let setting = Scope::Broker.find(name).expect(DECLARED);
        setting.synonyms.iter().fold(Value::Null, |found, synonym| match (found, synonym.unit) {
            (Value::Null, Unit::Same) => self.get(synonym.name),
            (Value::Null, unit) => self.get(synonym.name).whole().map_or(Value::Null, |n| {
                Value::Long(if n < 0 { -1 } else { n.saturating_mul(unit.factor()) })
            }),
            (found, _) => found,
        })
    }

    pub(crate) fn boolean(&self, name: &'static str) -> bool {
        match self.get(name) {
            Value::Boolean(flag) => flag,
            _ => unreachable!("{name}: {DECLARED}"),
        }
    }

    pub(crate) fn short(&self, name: &'static str) -> i16 {
        match self.get(name) {
            Value::Short(n) => n,
            _ => unreachable!("{name}: {DECLARED}"),
        }
    }

    pub(crate) fn int(&self, name: &'static str) -> i32 {
        match self.get(name) {
            Value::Int(n) => n,
            _ => unreachable!("{name}: {DECLARED}"),
        }
    }

    pub(crate) fn double(&self, name: &'static str) -> f64 {
        match self.get(name) {
            Value::Double(n) => n,
            _ => unreachable!("{name}: {DECLARED}"),
        }
    }

    pub(crate) fn long(&self, name: &'static str) -> i64 {
        match self.get(name) {
            Value::Long(n) => n,
            _ => unreachable!("{name}: {DECLARED}"),
        }
    }

    /// Text, or `None` where nothing is set.
    pub(crate) fn text(&self, name: &'static str) -> Option<String> {
        self.get(name).text()
    }

    /// A list; empty where nothing is set.
    pub(crate) fn list(&self, name: &'static str) -> Vec<String> {
        match self.get(name) {
            Value::List(entries) => entries,
            _ => Vec::new(),
        }
    }
}
