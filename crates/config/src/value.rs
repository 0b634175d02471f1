//! Values: from the text a person writes to the type a setting has, and back to the text clients see.
//!
//! Kafka's notation, which is Java's: surrounding blanks do not count, booleans ignore case, list
//! entries are separated by commas.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use crate::setting::{Check, Setting, Type};

/// A value of a setting's type that has passed the setting's check.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Null,
    Boolean(bool),
    Short(i16),
    Int(i32),
    Long(i64),
    Double(f64),
    /// A string, class name or password.
    Text(String),
    List(Vec<String>),
}

impl Value {
    /// Reads `text` as a value of `setting`. `None` means that the setting does not allow it;
    /// [`allowed`] says what it does.
    pub fn parse(setting: &Setting, text: &str) -> Option<Self> {
        let trimmed = text.trim();
        let value = match setting.ty {
            Type::Boolean if trimmed.eq_ignore_ascii_case("true") => Self::Boolean(true),
            Type::Boolean if trimmed.eq_ignore_ascii_case("false") => Self::Boolean(false),
            Type::Boolean => return None,
            Type::Short => Self::Short(trimmed.parse().ok()?),
            Type::Int => Self::Int(trimmed.parse().ok()?),
            Type::Long => Self::Long(trimmed.parse().ok()?),
            Type::Double => Self::Double(trimmed.parse().ok()?),
            Type::String | Type::Class | Type::Password => Self::Text(trimmed.to_owned()),
            Type::List if trimmed.is_empty() => Self::List(Vec::new()),
            Type::List => {
                Self::List(trimmed.split(',').map(|entry| entry.trim().to_owned()).collect())
            }
        };
        let value = match (value, setting.check) {
            (Self::List(entries), Check::List { .. }) => Self::List(once_each(entries)),
            (value, _) => value,
        };
        value.passes(setting.check).then_some(value)
    }

    fn passes(&self, check: Check) -> bool {
        match (check, self) {
            (Check::Any, _) => true,
            (Check::Range { min, max }, _) => {
                self.whole().is_some_and(|n| (min..=max).contains(&n))
            }
            (Check::RangeOr { min, max, or }, _) => {
                self.whole().is_some_and(|n| n == or || (min..=max).contains(&n))
            }
            (Check::Fraction { min, max }, Self::Double(n)) => (min..=max).contains(n),
            (Check::OneOf(of), Self::Text(text)) => of.contains(&text.as_str()),
            (Check::OneOfIgnoringCase(of), Self::Text(text)) => {
                of.iter().any(|known| known.eq_ignore_ascii_case(text))
            }
            (Check::NonEmpty, Self::Text(text)) => !text.is_empty(),
            (Check::List { of, may_be_empty }, Self::List(entries)) => {
                (may_be_empty || !entries.is_empty())
                    && entries.iter().all(|entry| !entry.is_empty())
                    && entries.iter().all(|entry| of.is_empty() || of.contains(&entry.as_str()))
            }
            (Check::ThrottledReplicas, Self::List(entries)) => are_throttled_replicas(entries),
            (Check::OffsetReset, Self::Text(text)) => is_offset_reset(text),
            (Check::Voters, Self::List(entries)) => entries.iter().all(|entry| is_voter(entry)),
            (Check::Servers, Self::List(entries)) => {
                entries.iter().all(|entry| crate::listener::HostPort::parse(entry).is_some())
            }
            _ => false,
        }
    }

    /// The number of a short, int or long.
    pub(crate) fn whole(&self) -> Option<i64> {
        match self {
            Self::Short(n) => Some(i64::from(*n)),
            Self::Int(n) => Some(i64::from(*n)),
            Self::Long(n) => Some(*n),
            _ => None,
        }
    }

    /// Kafka's notation; `None` for no value.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Boolean(flag) => Some(flag.to_string()),
            Self::Short(n) => Some(n.to_string()),
            Self::Int(n) => Some(n.to_string()),
            Self::Long(n) => Some(n.to_string()),
            Self::Double(n) => Some(double_text(*n)),
            Self::Text(text) => Some(text.clone()),
            Self::List(entries) => Some(entries.join(",")),
        }
    }
}

/// What the setting allows, as the end of the sentence "it must be …".
pub fn allowed(setting: &Setting) -> String {
    match (setting.check, setting.ty) {
        (Check::Any, Type::Boolean) => "true or false".to_owned(),
        (Check::Any, Type::Short) => range_text(i16::MIN.into(), i16::MAX.into()),
        (Check::Any, Type::Int) => range_text(i32::MIN.into(), i32::MAX.into()),
        (Check::Any, Type::Long) => range_text(i64::MIN, i64::MAX),
        (Check::Any, Type::Double) => "a number".to_owned(),
        (Check::Any, Type::String | Type::Class | Type::Password) => "text".to_owned(),
        (Check::Any, Type::List) => "a list, separated by commas".to_owned(),
        (Check::Range { min, max }, _) => range_text(min, max),
        (Check::RangeOr { min, max, or }, _) => format!("{or}, or {}", range_text(min, max)),
        (Check::Fraction { min, max }, _) => format!("a number from {min} to {max}"),
        (Check::OneOf(of), _) => format!("one of {}", of.join(", ")),
        (Check::OneOfIgnoringCase(of), _) => format!("one of {}", of.join(", ").to_lowercase()),
        (Check::NonEmpty, _) => "at least one character".to_owned(),
        (Check::List { of, may_be_empty }, _) => {
            let mut text = "a list, separated by commas".to_owned();
            if !of.is_empty() {
                let _ = write!(text, ", of {}", of.join(", "));
            }
            text + if may_be_empty { "" } else { ", at least one" }
        }
        (Check::ThrottledReplicas, _) => "a list of partition:broker, or *".to_owned(),
        (Check::OffsetReset, _) => {
            "latest, earliest, or by_duration: and an ISO 8601 duration such as PT1H".to_owned()
        }
        (Check::Voters, _) => "a list of id@host:port".to_owned(),
        (Check::Servers, _) => "a list of host:port".to_owned(),
    }
}

fn range_text(min: i64, max: i64) -> String {
    match (min, max) {
        (i64::MIN, i64::MAX) => "a whole number".to_owned(),
        (_, i64::MAX) => format!("a whole number, at least {min}"),
        _ => format!("a whole number from {min} to {max}"),
    }
}

/// What stands in a list twice counts once, where it stands first (KIP-1161).
fn once_each(entries: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(entries.len());
    for entry in entries {
        if !kept.contains(&entry) {
            kept.push(entry);
        }
    }
    kept
}

fn are_throttled_replicas(entries: &[String]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    matches!(entries, [star] if star == "*")
        || entries.iter().all(|entry| {
            entry
                .split_once(':')
                .is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
        })
}

fn is_voter(entry: &str) -> bool {
    entry.split_once('@').is_some_and(|(id, address)| {
        id.parse::<i32>().is_ok_and(|id| id >= 0)
            && crate::listener::HostPort::parse(address).is_some()
    })
}

fn is_offset_reset(text: &str) -> bool {
    match text.strip_prefix("by_duration:") {
        Some(duration) => is_iso_duration(duration),
        None => matches!(text, "latest" | "earliest"),
    }
}

/// `PnDTnHnMn.nS` with at least one part, each optional, none negative.
fn is_iso_duration(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    let Some(rest) = text.strip_prefix('P') else { return false };
    let (days, time) = match rest.split_once('T') {
        Some((days, time)) => (days, Some(time)),
        None => (rest, None),
    };
    are_parts(days, &['D'], days.is_empty() && time.is_some())
        && time.is_none_or(|time| are_parts(time, &['H', 'M', 'S'], false))
}

/// A run of `number unit` whose units appear in the order of `units`.
fn are_parts(mut text: &str, units: &[char], may_be_empty: bool) -> bool {
    if text.is_empty() {
        return may_be_empty;
    }
    let mut left = units;
    while !text.is_empty() {
        let Some(end) = text.find(|c: char| c.is_ascii_alphabetic()) else { return false };
        let (number, unit) = (&text[..end], text[end..].chars().next().unwrap_or_default());
        let Some(at) = left.iter().position(|&known| known == unit) else { return false };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || (number.contains('.') && unit != 'S') {
            return false;
        }
        left = &left[at + 1..];
        text = &text[end + 1..];
    }
    true
}

/// Java's notation of a double: plain between 10⁻³ and 10⁷, else with an exponent, and always
/// with a digit after the point.
fn double_text(n: f64) -> String {
    if !n.is_finite() {
        return if n.is_nan() {
            "NaN".to_owned()
        } else {
            format!("{}Infinity", if n < 0.0 { "-" } else { "" })
        };
    }
    if n == 0.0 || (1e-3..1e7).contains(&n.abs()) {
        return format!("{n:?}");
    }
    let scientific = format!("{n:E}");
    match scientific.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => scientific,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting;

    #[test]
    fn doubles_read_as_java_writes_them() {
        let texts = [0.5, 0.9, 1.0, f64::MAX, 1e7, 1e-4, 12345.678, -0.05].map(double_text);
        assert_eq!(
            texts,
            [
                "0.5",
                "0.9",
                "1.0",
                "1.7976931348623157E308",
                "1.0E7",
                "1.0E-4",
                "12345.678",
                "-0.05"
            ]
        );
    }

    #[test]
    fn text_becomes_a_value_or_nothing() {
        const INT: Setting = setting::int("n").between(1, 9).or(-1);
        const LIST: Setting = setting::list("l").one_of(&["a", "b"]);
        const CODEC: Setting = setting::string("c").one_of(&["zstd"]);
        const RESET: Setting = setting::string("r").check(Check::OffsetReset);
        const THROTTLED: Setting = setting::list("t").check(Check::ThrottledReplicas);
        let cases: [(&Setting, &str, Option<Value>); 23] = [
            (&CODEC, "zstd ", Some(Value::Text("zstd".to_owned()))),
            (&INT, " 7 ", Some(Value::Int(7))),
            (&INT, "-1", Some(Value::Int(-1))),
            (&INT, "0", None),
            (&INT, "7.0", None),
            (&INT, "99999999999", None),
            (&LIST, "", Some(Value::List(Vec::new()))),
            (&LIST, "a , b", Some(Value::List(["a", "b"].map(str::to_owned).to_vec()))),
            (&LIST, "a,a", Some(Value::List(["a"].map(str::to_owned).to_vec()))),
            (&LIST, "a,", None),
            (&LIST, "c", None),
            (&setting::boolean("b"), "TRUE", Some(Value::Boolean(true))),
            (&setting::boolean("b"), "yes", None),
            (&RESET, "by_duration:PT1H30M", Some(Value::Text("by_duration:PT1H30M".to_owned()))),
            (&RESET, "by_duration:P2DT0.5S", Some(Value::Text("by_duration:P2DT0.5S".to_owned()))),
            (&RESET, "by_duration:PT", None),
            (&RESET, "by_duration:P", None),
            (&RESET, "by_duration:-PT1H", None),
            (&RESET, "none", None),
            (&THROTTLED, "0:1,1:2", Some(Value::List(["0:1", "1:2"].map(str::to_owned).to_vec()))),
            (&THROTTLED, "*", Some(Value::List(["*"].map(str::to_owned).to_vec()))),
            (&THROTTLED, "*,0:1", None),
            (&THROTTLED, "0", None),
        ];
        for (setting, text, expected) in cases {
            assert_eq!(Value::parse(setting, text), expected, "{} = {text:?}", setting.name);
        }
    }
}
