//! What one setting is: its name, type, default, limits, and what Strandline does with it.
//!
//! The tables ([`crate::broker`], [`crate::topic`], [`crate::group`], [`crate::client_metrics`])
//! are lists of these. Names, types, defaults and limits are Kafka 4.3's.

/// Kafka's type of a value, as DescribeConfigs reports it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

impl Type {
    /// The number DescribeConfigs carries. 0 is an unknown type.
    pub const fn wire_id(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    /// Lower-case name, as the settings page prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Int => "int",
            Self::Short => "short",
            Self::Long => "long",
            Self::Double => "double",
            Self::List => "list",
            Self::Class => "class",
            Self::Password => "password",
        }
    }
}

/// What holds where nobody sets anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Default {
    /// The setting must be given.
    Required,
    /// No value.
    Null,
    /// In Kafka's notation.
    Is(&'static str),
}

/// Which values of the right type are allowed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Check {
    Any,
    /// Whole number, both ends included.
    Range {
        min: i64,
        max: i64,
    },
    /// Whole number in the range, or this one.
    RangeOr {
        min: i64,
        max: i64,
        or: i64,
    },
    /// Fraction, both ends included.
    Fraction {
        min: f64,
        max: f64,
    },
    OneOf(&'static [&'static str]),
    OneOfIgnoringCase(&'static [&'static str]),
    /// Text of at least one character.
    NonEmpty,
    /// A list without duplicates. An empty `of` allows any entries.
    List {
        of: &'static [&'static str],
        may_be_empty: bool,
    },
    /// `partition:broker,…`, `*` or nothing.
    ThrottledReplicas,
    /// `latest`, `earliest` or `by_duration:` and an ISO 8601 duration.
    OffsetReset,
    /// `id@host:port,…`
    Voters,
    /// `host:port,…`
    Servers,
}

/// When a broker setting may change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// At start only.
    Static,
    /// At run time, for one broker at a time.
    PerBroker,
    /// At run time, for one broker or all.
    ClusterWide,
}

/// What Strandline does with the setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// It does what Kafka does.
    Honoured,
    /// Some of its values or meanings have no effect; the text says which.
    Partly(&'static str),
    /// Accepted, validated and described, and nothing else; the text says why.
    NoEffect(&'static str),
    /// A broker does not start with another value than the default, because ignoring the
    /// setting would leave open what it closes; the text says why.
    FatalIfSet(&'static str),
}

/// Another name the value is looked up under, and what its number counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Synonym {
    pub name: &'static str,
    pub unit: Unit,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    Same,
    /// Minutes where the setting itself counts milliseconds.
    Minutes,
    /// Hours where the setting itself counts milliseconds.
    Hours,
}

impl Unit {
    /// Milliseconds in one of this unit; 1 where nothing is converted.
    pub const fn factor(self) -> i64 {
        match self {
            Self::Same => 1,
            Self::Minutes => 60_000,
            Self::Hours => 3_600_000,
        }
    }
}

/// One row of a table.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Setting {
    pub name: &'static str,
    pub ty: Type,
    pub default: Default,
    pub check: Check,
    pub mode: Mode,
    /// Where the value is looked up next: for a topic or group setting the broker's setting,
    /// for a broker setting its coarser or older forms.
    pub synonyms: &'static [Synonym],
    pub status: Status,
    /// Known and obeyed, but neither described to clients nor listed.
    pub internal: bool,
    pub doc: &'static str,
}

impl Setting {
    /// Whether the value must not be shown to anyone.
    pub const fn is_sensitive(&self) -> bool {
        matches!(self.ty, Type::Password)
    }

    /// The default in Kafka's notation, or `None` where there is no value.
    pub const fn default_text(&self) -> Option<&'static str> {
        match self.default {
            Default::Is(text) => Some(text),
            Default::Required | Default::Null => None,
        }
    }
}

/// Settings of one subject, in the order a person reads them.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    pub title: &'static str,
    pub settings: &'static [Setting],
}

const fn setting(name: &'static str, ty: Type, check: Check) -> Setting {
    Setting {
        name,
        ty,
        default: Default::Null,
        check,
        mode: Mode::Static,
        synonyms: &[],
        status: Status::Honoured,
        internal: false,
        doc: "",
    }
}

pub(crate) const fn boolean(name: &'static str) -> Setting {
    setting(name, Type::Boolean, Check::Any)
}

pub(crate) const fn string(name: &'static str) -> Setting {
    setting(name, Type::String, Check::Any)
}

pub(crate) const fn int(name: &'static str) -> Setting {
    setting(name, Type::Int, Check::Any)
}

pub(crate) const fn short(name: &'static str) -> Setting {
    setting(name, Type::Short, Check::Any)
}

pub(crate) const fn long(name: &'static str) -> Setting {
    setting(name, Type::Long, Check::Any)
}

pub(crate) const fn double(name: &'static str) -> Setting {
    setting(name, Type::Double, Check::Any)
}

pub(crate) const fn class(name: &'static str) -> Setting {
    setting(name, Type::Class, Check::Any)
}

pub(crate) const fn password(name: &'static str) -> Setting {
    setting(name, Type::Password, Check::Any)
}

/// A list that may be empty and holds nothing twice.
pub(crate) const fn list(name: &'static str) -> Setting {
    let of = &[];
    setting(name, Type::List, Check::List { of, may_be_empty: true })
}

/// The table's notation. A row reads: type and name, default, limits, synonyms, mode, status, text.
impl Setting {
    pub(crate) const fn default(mut self, text: &'static str) -> Self {
        self.default = Default::Is(text);
        self
    }

    pub(crate) const fn required(mut self) -> Self {
        self.default = Default::Required;
        self
    }

    pub(crate) const fn at_least(self, min: i64) -> Self {
        let max = match self.ty {
            Type::Short => i16::MAX as i64,
            Type::Int => i32::MAX as i64,
            _ => i64::MAX,
        };
        self.between(min, max)
    }

    pub(crate) const fn between(mut self, min: i64, max: i64) -> Self {
        self.check = Check::Range { min, max };
        self
    }

    pub(crate) const fn or(mut self, or: i64) -> Self {
        if let Check::Range { min, max } = self.check {
            self.check = Check::RangeOr { min, max, or };
        }
        self
    }

    pub(crate) const fn fraction(mut self, min: f64, max: f64) -> Self {
        self.check = Check::Fraction { min, max };
        self
    }

    pub(crate) const fn check(mut self, check: Check) -> Self {
        self.check = check;
        self
    }

    pub(crate) const fn one_of(mut self, of: &'static [&'static str]) -> Self {
        let check = Check::OneOf(of);
        self.check = match self.check {
            Check::List { may_be_empty, .. } => Check::List { of, may_be_empty },
            _ => check,
        };
        self
    }

    pub(crate) const fn non_empty(mut self) -> Self {
        self.check = match self.check {
            Check::List { of, .. } => Check::List { of, may_be_empty: false },
            _ => Check::NonEmpty,
        };
        self
    }

    /// The broker's setting that a topic or group inherits from.
    pub(crate) const fn inherits(mut self, broker: &'static [Synonym]) -> Self {
        self.synonyms = broker;
        self
    }

    /// Other settings of the broker that speak where this one is unset.
    pub(crate) const fn falls_back_to(mut self, others: &'static [Synonym]) -> Self {
        self.synonyms = others;
        self
    }

    pub(crate) const fn per_broker(mut self) -> Self {
        self.mode = Mode::PerBroker;
        self
    }

    pub(crate) const fn cluster_wide(mut self) -> Self {
        self.mode = Mode::ClusterWide;
        self
    }

    pub(crate) const fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    pub(crate) const fn honoured(mut self) -> Self {
        self.status = Status::Honoured;
        self
    }

    pub(crate) const fn partly(mut self, limit: &'static str) -> Self {
        self.status = Status::Partly(limit);
        self
    }

    pub(crate) const fn no_effect(mut self, reason: &'static str) -> Self {
        self.status = Status::NoEffect(reason);
        self
    }

    pub(crate) const fn fatal(mut self, reason: &'static str) -> Self {
        self.status = Status::FatalIfSet(reason);
        self
    }

    pub(crate) const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }
}

pub(crate) const fn same(name: &'static str) -> Synonym {
    Synonym { name, unit: Unit::Same }
}

pub(crate) const fn minutes(name: &'static str) -> Synonym {
    Synonym { name, unit: Unit::Minutes }
}

pub(crate) const fn hours(name: &'static str) -> Synonym {
    Synonym { name, unit: Unit::Hours }
}
