//! Reads the message tables: `crates/wire/tables/**/*.txt`.
//!
//! A line that starts in the first column opens a section:
//! ```text
//! api 0 Produce on broker                       key, name, listeners of a request and its response
//! advertise 0-13                                versions told to clients, where not all of them
//! message ProduceRequest 3-13 flexible 9+       name, versions, the flexible ones
//! struct NodeEndpoint                           a structure that the message names more than once
//! records MetadataRecord                        the file is a family of records, told apart by number
//! record 3 PartitionRecord 0-2 flexible 0+      a member with one body
//! key 1 OffsetCommitKey 0                       a member's key and value
//! value 1 OffsetCommitValue 0-4 flexible 4+
//! ```
//! An indented line is a field: name, type, then in this order and only where needed
//! ```text
//! 3-12        the versions that have it, where its parent has more
//! null 2+     the versions in which it may be null (`null`: all)
//! tag 0       it is a tagged field
//! = -1        its default, where that is not zero, false or empty
//! ignorable   encoding drops it in versions that lack it, instead of refusing a value
//! plain       not compact even in flexible versions
//! ```
//! `[T]` is an array. Fields of a structure stand below it, two columns further in.

use anyhow::{Context, Result, bail, ensure};

/// From `min` to `max`, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Versions {
    pub(super) min: i16,
    pub(super) max: i16,
}

impl Versions {
    pub(super) fn contains(self, other: Self) -> bool {
        self.min <= other.min && other.max <= self.max
    }

    pub(super) fn iter(self) -> impl Iterator<Item = i16> {
        self.min..=self.max
    }

    fn parse(text: &str, max: i16) -> Result<Self> {
        let number = |text: &str| text.parse().with_context(|| format!("bad version {text:?}"));
        let versions = match (text.strip_suffix('+'), text.split_once('-')) {
            (Some(min), _) => Self { min: number(min)?, max },
            (None, Some((min, max))) => Self { min: number(min)?, max: number(max)? },
            (None, None) => Self { min: number(text)?, max: number(text)? },
        };
        ensure!(versions.min <= versions.max, "empty version range {text:?}");
        Ok(versions)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Type {
    /// A type of the runtime, by its name in the tables.
    Basic(&'static str),
    Struct(String),
    Array(Box<Type>),
}

const BASIC_TYPES: [&str; 12] = [
    "bool", "i8", "i16", "u16", "i32", "i64", "f64", "string", "bytes", "records", "uuid", "error",
];

impl Type {
    fn parse(text: &str) -> Result<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').context("unclosed [")?;
            return Ok(Self::Array(Box::new(Self::parse(inner)?)));
        }
        if let Some(name) = BASIC_TYPES.iter().find(|name| **name == text) {
            return Ok(Self::Basic(name));
        }
        ensure!(text.starts_with(|c: char| c.is_ascii_uppercase()), "unknown type {text:?}");
        Ok(Self::Struct(text.to_owned()))
    }

    /// The structure that the field holds, directly or as elements.
    pub(super) fn structure(&self) -> Option<&str> {
        match self {
            Self::Struct(name) => Some(name),
            Self::Array(inner) => inner.structure(),
            Self::Basic(_) => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) ty: Type,
    pub(super) versions: Versions,
    pub(super) nullable: Option<Versions>,
    pub(super) tag: Option<u32>,
    pub(super) default: Option<String>,
    pub(super) ignorable: bool,
    pub(super) plain: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Struct {
    pub(super) name: String,
    pub(super) versions: Versions,
    pub(super) fields: Vec<Field>,
}

#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) name: String,
    pub(super) versions: Versions,
    pub(super) flexible: Option<Versions>,
    /// The message itself first, then the structures inside, in the order of the table.
    pub(super) structs: Vec<Struct>,
}

#[derive(Clone, Debug)]
pub(super) struct Api {
    pub(super) key: i16,
    pub(super) name: String,
    pub(super) advertised: Option<Versions>,
    pub(super) broker: bool,
    pub(super) controller: bool,
}

/// Where a message stands in a family of records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Body,
    Key,
    Value,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) number: i16,
    pub(super) part: Part,
    pub(super) message: String,
}

#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) name: String,
    pub(super) members: Vec<Member>,
}

/// One file.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) api: Option<Api>,
    pub(super) family: Option<Family>,
    pub(super) messages: Vec<Message>,
}

impl Table {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut parser = Parser::default();
        for (index, line) in text.lines().enumerate() {
            parser.line(line).with_context(|| format!("line {}: {line:?}", index + 1))?;
        }
        parser.table.check()?;
        Ok(parser.table)
    }

    fn check(&self) -> Result<()> {
        for message in &self.messages {
            for field in message.structs.iter().flat_map(|s| &s.fields) {
                if let Some(name) = field.ty.structure() {
                    let known = message.structs.iter().any(|s| s.name == name);
                    ensure!(known, "{}: no struct {name}", message.name);
                }
                if field.tag.is_some() {
                    let flexible = message.flexible.is_some_and(|f| f.contains(field.versions));
                    ensure!(flexible, "{}: tag {} needs flexible", message.name, field.name);
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Parser {
    table: Table,
    /// The open structures of the current message: index in `structs`, outermost first.
    open: Vec<usize>,
}

impl Parser {
    fn line(&mut self, line: &str) -> Result<()> {
        if line.trim().is_empty() {
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let indent = line.len() - line.trim_start().len();
        if indent > 0 {
            ensure!(indent.is_multiple_of(2), "odd indentation");
            return self.field(indent / 2, &words);
        }
        match words[..] {
            ["api", key, name, "on", ref listeners @ ..] => {
                self.table.api = Some(Api {
                    key: key.parse()?,
                    name: name.to_owned(),
                    advertised: None,
                    broker: listeners.contains(&"broker"),
                    controller: listeners.contains(&"controller"),
                });
            }
            ["advertise", versions] => {
                let api = self.table.api.as_mut().context("advertise without api")?;
                api.advertised = Some(Versions::parse(versions, i16::MAX)?);
            }
            ["records", name] => {
                self.table.family = Some(Family { name: name.to_owned(), members: Vec::new() });
            }
            ["message", ref rest @ ..] => self.message(rest)?,
            ["record", number, ref rest @ ..] => self.member(number, Part::Body, rest)?,
            ["key", number, ref rest @ ..] => self.member(number, Part::Key, rest)?,
            ["value", number, ref rest @ ..] => self.member(number, Part::Value, rest)?,
            ["struct", name] => {
                let message = self.table.messages.last().context("struct before message")?;
                self.begin_struct(name, message.versions)?;
            }
            _ => bail!("unknown section"),
        }
        Ok(())
    }

    fn member(&mut self, number: &str, part: Part, rest: &[&str]) -> Result<()> {
        let message = rest.first().context("no name")?.to_string();
        let family = self.table.family.as_mut().context("record outside a family")?;
        family.members.push(Member { number: number.parse()?, part, message });
        self.message(rest)
    }

    fn message(&mut self, words: &[&str]) -> Result<()> {
        let (name, versions, flexible) = match *words {
            [name, versions] => (name, versions, None),
            [name, versions, "flexible", flexible] => (name, versions, Some(flexible)),
            _ => bail!("expected: NAME VERSIONS [flexible VERSIONS]"),
        };
        let versions = Versions::parse(versions, i16::MAX)?;
        let flexible = flexible.map(|text| Versions::parse(text, versions.max)).transpose()?;
        self.table.messages.push(Message {
            name: name.to_owned(),
            versions,
            flexible,
            structs: Vec::new(),
        });
        self.begin_struct(name, versions)
    }

    fn begin_struct(&mut self, name: &str, versions: Versions) -> Result<()> {
        self.open.clear();
        self.push_struct(name, versions)
    }

    fn push_struct(&mut self, name: &str, versions: Versions) -> Result<()> {
        let message = self.table.messages.last_mut().context("no message")?;
        ensure!(message.structs.iter().all(|s| s.name != name), "second struct {name}");
        self.open.push(message.structs.len());
        message.structs.push(Struct { name: name.to_owned(), versions, fields: Vec::new() });
        Ok(())
    }

    fn field(&mut self, depth: usize, words: &[&str]) -> Result<()> {
        ensure!(depth <= self.open.len() + 1, "indented too far");
        let message = self.table.messages.last().context("field outside a message")?;
        if depth > self.open.len() {
            let parent = &message.structs[*self.open.last().context("no structure is open")?];
            let holder = parent.fields.last().context("no field to nest in")?;
            let name = holder.ty.structure().context("its parent is no structure")?.to_owned();
            let versions = holder.versions;
            self.push_struct(&name, versions)?;
        }
        self.open.truncate(depth);
        let message = self.table.messages.last_mut().context("no message")?;
        let parent = &mut message.structs[*self.open.last().context("no structure is open")?];
        let field = parse_field(words, parent.versions)?;
        parent.fields.push(field);
        Ok(())
    }
}

fn parse_field(words: &[&str], parent: Versions) -> Result<Field> {
    let [name, ty, rest @ ..] = words else { bail!("expected: name type") };
    let starts_with_digit = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let mut field = Field {
        name: name.to_string(),
        ty: Type::parse(ty)?,
        versions: parent,
        nullable: None,
        tag: None,
        default: None,
        ignorable: false,
        plain: false,
    };
    let mut rest = rest;
    if let [versions, tail @ ..] = rest
        && starts_with_digit(versions)
    {
        field.versions = Versions::parse(versions, parent.max)?;
        rest = tail;
    }
    if let ["null", tail @ ..] = rest {
        field.nullable = Some(field.versions);
        rest = tail;
        if let [versions, tail @ ..] = rest
            && starts_with_digit(versions)
        {
            field.nullable = Some(Versions::parse(versions, parent.max)?);
            rest = tail;
        }
    }
    if let ["tag", tag, tail @ ..] = rest {
        field.tag = Some(tag.parse()?);
        rest = tail;
    }
    if let ["=", default, tail @ ..] = rest {
        field.default = Some(default.to_string());
        rest = tail;
    }
    if let ["ignorable", tail @ ..] = rest {
        field.ignorable = true;
        rest = tail;
    }
    if let ["plain", tail @ ..] = rest {
        field.plain = true;
        rest = tail;
    }
    ensure!(rest.is_empty(), "unexpected {:?}", rest.join(" "));
    ensure!(parent.contains(field.versions), "versions outside its parent's");
    if let Some(nullable) = field.nullable {
        ensure!(field.versions.contains(nullable), "nullable outside its versions");
    }
    Ok(field)
}
