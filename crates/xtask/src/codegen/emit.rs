//! One message → one Rust module.

use std::fmt::Write;

use anyhow::{Result, ensure};

use super::index::version_range;
use super::table::{Field, Message, Struct, Table, Type, Versions};

/// Names of the runtime that generated modules use: no structure may shadow them.
const RESERVED: [&str; 14] = [
    "ApiKey",
    "Bytes",
    "DecodeError",
    "Element",
    "EncodeError",
    "ErrorCode",
    "Message",
    "Reader",
    "Records",
    "Request",
    "UnknownTags",
    "Uuid",
    "VersionRange",
    "Writer",
];

pub(super) fn message(table: &Table, message: &Message) -> Result<String> {
    let mut body = String::new();
    for (index, structure) in message.structs.iter().enumerate() {
        ensure!(!RESERVED.contains(&structure.name.as_str()), "reserved name {}", structure.name);
        let emit = Emit { message, structure };
        body += &emit.definition(index == 0)?;
        body += &emit.default();
        body += &if index == 0 { emit.message()? } else { emit.element()? };
    }
    body += &request(table, message);
    Ok(format!("{}\n{body}", imports(&body)))
}

/// The link from a request to its response and key.
fn request(table: &Table, message: &Message) -> String {
    let Some(api) = &table.api else { return String::new() };
    let Some(name) = message.name.strip_suffix("Request") else { return String::new() };
    format!(
        "impl Request for {name}Request {{ type Response = super::{name}Response; \
         const KEY: ApiKey = ApiKey::{}; }}\n",
        api.name
    )
}

fn imports(body: &str) -> String {
    let uses = |name: &str| {
        body.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
    };
    let pick = |names: &[&'static str]| {
        names.iter().copied().filter(|name| uses(name)).collect::<Vec<_>>().join(", ")
    };
    let messages = pick(&[
        "ApiKey",
        "Element",
        "Message",
        "Records",
        "Request",
        "UnknownTags",
        "VersionRange",
    ]);
    let types = pick(&["ErrorCode", "Uuid"]);
    let mut text = String::new();
    if uses("Bytes") {
        text += "use bytes::Bytes;\n";
    }
    if !types.is_empty() {
        text += &format!("use strandline_types::{{{types}}};\n");
    }
    text += &format!("\nuse crate::messages::{{{messages}}};\n");
    text += "use crate::{DecodeError, EncodeError, Reader, Writer};\n";
    text
}

/// `JoinGroupRequest` → `join_group_request`; a run of capitals is one word.
pub(super) fn snake(name: &str) -> String {
    let chars: Vec<char> = name.replace("KRaft", "Kraft").chars().collect();
    let mut text = String::new();
    for (index, c) in chars.iter().enumerate() {
        let after_small = index > 0 && !chars[index - 1].is_ascii_uppercase();
        let before_small = chars.get(index + 1).is_some_and(char::is_ascii_lowercase);
        if index > 0 && c.is_ascii_uppercase() && (after_small || before_small) {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

struct Emit<'a> {
    message: &'a Message,
    structure: &'a Struct,
}

impl Emit<'_> {
    fn definition(&self, top: bool) -> Result<String> {
        let Struct { name, versions, fields } = self.structure;
        let derive = if self.needs_default() { "" } else { ", Default" };
        let mut text = String::new();
        if top {
            write!(text, "/// Versions {}", show(*versions))?;
            if let Some(flexible) = self.message.flexible {
                write!(text, ", flexible {}", show_within(flexible, *versions))?;
            }
            text += ".\n";
        } else if *versions != self.message.versions {
            writeln!(text, "/// Versions {}.", show_within(*versions, self.message.versions))?;
        }
        writeln!(text, "#[derive(Clone, PartialEq, Debug{derive})]\npub struct {name} {{")?;
        for field in fields {
            text += &field_doc(field, *versions);
            writeln!(text, "pub {}: {},", ident(field), rust_type(field))?;
        }
        if self.message.flexible.is_some() {
            text += "pub unknown_tags: UnknownTags,\n";
        }
        text += "}\n\n";
        Ok(text)
    }

    fn needs_default(&self) -> bool {
        self.structure.fields.iter().any(|field| default_value(field) != zero_value(field))
    }

    fn default(&self) -> String {
        if !self.needs_default() {
            return String::new();
        }
        let Struct { name, fields, .. } = self.structure;
        let mut values = String::new();
        for field in fields {
            values += &format!("{}: {},\n", ident(field), default_value(field));
        }
        if self.message.flexible.is_some() {
            values += "unknown_tags: UnknownTags::default(),\n";
        }
        format!("impl Default for {name} {{ fn default() -> Self {{ Self {{ {values} }} }} }}\n\n")
    }

    fn message(&self) -> Result<String> {
        let name = &self.structure.name;
        let flexible = match self.message.flexible {
            None => "false".to_owned(),
            Some(f) if f == self.message.versions => "true".to_owned(),
            Some(f) => format!("version >= {}", f.min),
        };
        let set = self.flexible_setter();
        let unsupported = "return Err(%::UnsupportedVersion { message: Self::NAME, version });";
        let guard = |error: &str| {
            format!(
                "if !Self::VERSIONS.contains(version) {{ {} }}",
                unsupported.replace('%', error)
            )
        };
        let (read, write) = (self.read()?, self.write()?);
        let version = underscore("version", &flexible);
        let reader = underscore("reader", &read);
        let writer = underscore("writer", &write);
        Ok(format!(
            "impl Message for {name} {{\n\
             const NAME: &'static str = \"{name}\";\n\
             const VERSIONS: VersionRange = {};\n\n\
             fn flexible({version}: i16) -> bool {{ {flexible} }}\n\n\
             fn decode({reader}: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {{\n\
             {}\n{}{read} }}\n\n\
             fn encode(&self, {writer}: &mut Writer, version: i16) -> Result<(), EncodeError> {{\n\
             {}\n{}{write} }}\n}}\n\n",
            version_range(self.message.versions),
            guard("DecodeError"),
            if read.contains("flexible") { set.as_str() } else { "" },
            guard("EncodeError"),
            if write.contains("flexible") { set.as_str() } else { "" },
        ))
    }

    fn flexible_setter(&self) -> String {
        match self.message.flexible {
            Some(_) => "let flexible = Self::flexible(version);\n".into(),
            None => "let flexible = false;\n".into(),
        }
    }

    fn element(&self) -> Result<String> {
        let name = &self.structure.name;
        let (min_size, read, write) = (self.min_size()?, self.read()?, self.write()?);
        let version = |body: &str| underscore("version", body);
        let flexible = |body: &str| underscore("flexible", body);
        Ok(format!(
            "impl Element for {name} {{\n\
             fn min_size({}: i16, _: bool) -> usize {{ {min_size} }}\n\n\
             fn read(reader: &mut Reader<'_>, {}: i16, {}: bool) -> Result<Self, DecodeError> \
             {{ {read} }}\n\n\
             fn write(&self, writer: &mut Writer, {}: i16, {}: bool) -> Result<(), EncodeError> \
             {{ {write} }}\n}}\n\n",
            version(&min_size),
            version(&read),
            flexible(&read),
            version(&write),
            flexible(&write),
        ))
    }

    /// The fewest bytes of the structure, as arms by version.
    fn min_size(&self) -> Result<String> {
        let versions = self.structure.versions;
        let sizes: Vec<(i16, usize)> =
            versions.iter().map(|v| (v, min_size(self.message, self.structure, v))).collect();
        ensure!(sizes.iter().all(|(_, size)| *size > 0), "{} may be empty", self.structure.name);
        let mut runs: Vec<(Versions, usize)> = Vec::new();
        for (version, size) in sizes {
            match runs.last_mut() {
                Some((run, same)) if *same == size => run.max = version,
                _ => runs.push((Versions { min: version, max: version }, size)),
            }
        }
        let [rest @ .., (_, last)] = &runs[..] else { return Ok("1".into()) };
        let arms: String = rest
            .iter()
            .enumerate()
            .map(|(index, (run, size))| match index {
                0 => format!("..={} => {size},", run.max),
                _ if run.min == run.max => format!("{} => {size},", run.max),
                _ => format!("{}..={} => {size},", run.min, run.max),
            })
            .collect();
        if arms.is_empty() {
            return Ok(last.to_string());
        }
        Ok(format!("match version {{ {arms} _ => {last} }}"))
    }

    fn read(&self) -> Result<String> {
        let flexible = self.message.flexible;
        let tagged = self.structure.fields.iter().any(|field| field.tag.is_some());
        let mut values = String::new();
        for field in &self.structure.fields {
            let value = match field.tag {
                Some(_) => default_value(field),
                None => match condition(field.versions, self.structure.versions) {
                    None => read_value(field),
                    Some(test) => {
                        format!(
                            "if {test} {{ {} }} else {{ {} }}",
                            read_value(field),
                            default_value(field)
                        )
                    }
                },
            };
            writeln!(values, "{}: {value},", ident(field))?;
        }
        let Some(flexible) = flexible else { return Ok(format!("Ok(Self {{ {values} }})")) };
        let test = condition(flexible, self.structure.versions).map(|_| "flexible");
        if !tagged {
            let tags = match test {
                None => "reader.unknown_tags()?".to_owned(),
                Some(test) => format!(
                    "if {test} {{ reader.unknown_tags()? }} else {{ UnknownTags::default() }}"
                ),
            };
            return Ok(format!("Ok(Self {{ {values} unknown_tags: {tags} }})"));
        }
        let mut arms = String::new();
        for (tag, field) in self.tagged_fields() {
            let guard = condition(field.versions, self.structure.versions)
                .map_or(String::new(), |test| format!("if {test}"));
            writeln!(arms, "{tag} {guard} => this.{} = {},", ident(field), read_value(field))?;
        }
        let section = format!(
            "let mut tags = reader.tags()?;\n\
             while let Some(tag) = reader.next_tag(&mut tags)? {{ match tag {{\n{arms}\
             _ => reader.keep_tag(&mut this.unknown_tags, tag)?,\n}} }}"
        );
        Ok(format!(
            "let mut this = Self {{ {values} unknown_tags: UnknownTags::default() }};\n{}\nOk(this)",
            wrap(test, &section, None)
        ))
    }

    fn tagged_fields(&self) -> Vec<(u32, &Field)> {
        let mut fields: Vec<(u32, &Field)> =
            self.structure.fields.iter().filter_map(|field| Some((field.tag?, field))).collect();
        fields.sort_by_key(|(tag, _)| *tag);
        fields
    }

    fn write(&self) -> Result<String> {
        let mut text = String::new();
        for field in self.structure.fields.iter().filter(|field| field.tag.is_none()) {
            let value = self.write_value(field);
            let test = condition(field.versions, self.structure.versions);
            let refuse = (!field.ignorable).then(|| self.refuse_value(field));
            writeln!(text, "{}", wrap(test.as_deref(), &value, refuse.as_deref()))?;
        }
        let Some(flexible) = self.message.flexible else { return Ok(text + "Ok(())") };
        let tagged = self.tagged_fields();
        for (_, field) in tagged.iter().filter(|(_, field)| !field.ignorable) {
            if let Some(test) = absence(field.versions, self.structure.versions) {
                let refuse = self.refuse_value(field);
                let refuse = refuse.strip_prefix("if ").unwrap_or(&refuse);
                writeln!(text, "if {test} && {refuse}")?;
            }
        }
        let section = if tagged.is_empty() {
            "writer.unknown_tags(&self.unknown_tags)?;".to_owned()
        } else {
            self.write_tags(&tagged)?
        };
        let test = condition(flexible, self.structure.versions).map(|_| "flexible");
        let refuse =
            "if !self.unknown_tags.is_empty() { return Err(EncodeError::TagsNotInVersion); }";
        text += &wrap(test, &section, Some(refuse));
        Ok(text + "\nOk(())")
    }

    fn write_tags(&self, tagged: &[(u32, &Field)]) -> Result<String> {
        let mut text = String::new();
        for (_, field) in tagged {
            let mut set = is_set(field);
            if let Some(test) = condition(field.versions, self.structure.versions) {
                set = format!("{test} && {set}");
            }
            writeln!(text, "let has_{} = {set};", field.name)?;
        }
        let count: Vec<String> =
            tagged.iter().map(|(_, field)| format!("u32::from(has_{})", field.name)).collect();
        writeln!(text, "let mut tags = writer.tags({}, &self.unknown_tags);", count.join(" + "))?;
        for (tag, field) in tagged {
            writeln!(
                text,
                "if has_{} {{ tags.begin(writer, {tag})?; {} tags.end(writer); }}",
                field.name,
                self.write_value(field)
            )?;
        }
        text += "tags.finish(writer);";
        Ok(text)
    }

    /// Statement: writes the field in a version that has it.
    fn write_value(&self, field: &Field) -> String {
        let guard = match field.nullable {
            Some(nullable) => absence(nullable, field.versions)
                .map(|test| self.refuse_null(field, &format!("{test} && "))),
            None if field.ty == Type::Basic("records") => Some(self.refuse_null(field, "")),
            None => None,
        };
        guard.unwrap_or_default() + &write_statement(field)
    }

    fn refuse_null(&self, field: &Field, test: &str) -> String {
        let is_null = if field.ty == Type::Basic("records") { "is_null" } else { "is_none" };
        format!(
            "if {test}self.{}.{is_null}() {{ return Err(EncodeError::UnexpectedNull {{ \
             message: \"{}\", field: \"{}\", version }}); }}\n",
            ident(field),
            self.message.name,
            field.name
        )
    }

    /// Statement: refuses a value in a version that lacks the field.
    fn refuse_value(&self, field: &Field) -> String {
        format!(
            "if {} {{ return Err(EncodeError::FieldNotInVersion {{ \
             message: \"{}\", field: \"{}\", version }}); }}",
            is_set(field),
            self.message.name,
            field.name
        )
    }
}

fn wrap(test: Option<&str>, then: &str, otherwise: Option<&str>) -> String {
    match (test, otherwise) {
        (None, _) => then.to_owned(),
        (Some(test), None) => format!("if {test} {{ {then} }}"),
        (Some(test), Some(otherwise)) => {
            if let Some(tail) = otherwise.strip_prefix("if ") {
                return format!("if {test} {{ {then} }} else if {tail}");
            }
            format!("if {test} {{ {then} }} else {{ {otherwise} }}")
        }
    }
}

fn underscore(name: &str, body: &str) -> String {
    let used = body.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name);
    if used { name.to_owned() } else { format!("_{name}") }
}

/// The test that picks `inner` out of `outer`, or `None` when nothing has to be tested.
fn condition(inner: Versions, outer: Versions) -> Option<String> {
    match (inner.min > outer.min, inner.max < outer.max) {
        (false, false) => None,
        (true, false) => Some(format!("version >= {}", inner.min)),
        (false, true) => Some(format!("version <= {}", inner.max)),
        (true, true) if inner.min == inner.max => Some(format!("version == {}", inner.min)),
        (true, true) => Some(format!("({}..={}).contains(&version)", inner.min, inner.max)),
    }
}

/// The opposite of [`condition`].
fn absence(inner: Versions, outer: Versions) -> Option<String> {
    match (inner.min > outer.min, inner.max < outer.max) {
        (false, false) => None,
        (true, false) => Some(format!("version < {}", inner.min)),
        (false, true) => Some(format!("version > {}", inner.max)),
        (true, true) if inner.min == inner.max => Some(format!("version != {}", inner.min)),
        (true, true) => Some(format!("!({}..={}).contains(&version)", inner.min, inner.max)),
    }
}

fn show(versions: Versions) -> String {
    if versions.min == versions.max {
        return versions.min.to_string();
    }
    format!("{}–{}", versions.min, versions.max)
}

fn show_within(versions: Versions, outer: Versions) -> String {
    if versions.max == outer.max { format!("{}+", versions.min) } else { show(versions) }
}

fn field_doc(field: &Field, parent: Versions) -> String {
    let mut facts = Vec::new();
    if field.versions != parent {
        facts.push(format!("Versions {}", show_within(field.versions, parent)));
    }
    if let Some(nullable) = field.nullable.filter(|nullable| *nullable != field.versions) {
        facts.push(format!("Null in versions {}", show_within(nullable, parent)));
    }
    if let Some(tag) = field.tag {
        facts.push(format!("Tag {tag}"));
    }
    if facts.is_empty() { String::new() } else { format!("/// {}.\n", facts.join(". ")) }
}

fn ident(field: &Field) -> String {
    match field.name.as_str() {
        "type" | "match" => format!("r#{}", field.name),
        name => name.to_owned(),
    }
}

fn rust_type(field: &Field) -> String {
    let inner = bare_type(&field.ty);
    if field.nullable.is_some() && field.ty != Type::Basic("records") {
        return format!("Option<{inner}>");
    }
    inner
}

fn bare_type(ty: &Type) -> String {
    match ty {
        Type::Basic("string") => "String".into(),
        Type::Basic("bytes") => "Bytes".into(),
        Type::Basic("records") => "Records".into(),
        Type::Basic("uuid") => "Uuid".into(),
        Type::Basic("error") => "ErrorCode".into(),
        Type::Basic(name) => (*name).into(),
        Type::Struct(name) => name.clone(),
        Type::Array(inner) => format!("Vec<{}>", bare_type(inner)),
    }
}

/// What `#[derive(Default)]` would give.
fn zero_value(field: &Field) -> String {
    if field.nullable.is_some() && field.ty != Type::Basic("records") {
        return "None".into();
    }
    bare_zero(&field.ty)
}

fn bare_zero(ty: &Type) -> String {
    match ty {
        Type::Basic("bool") => "false".into(),
        Type::Basic("f64") => "0.0".into(),
        Type::Basic("string") => "String::new()".into(),
        Type::Basic("bytes") => "Bytes::new()".into(),
        Type::Basic("records") => "Records::Null".into(),
        Type::Basic("uuid") => "Uuid::ZERO".into(),
        Type::Basic("error") => "ErrorCode::NONE".into(),
        Type::Basic(_) => "0".into(),
        Type::Struct(name) => format!("{name}::default()"),
        Type::Array(_) => "Vec::new()".into(),
    }
}

fn default_value(field: &Field) -> String {
    match field.default.as_deref() {
        Some("null") => "None".into(),
        Some(value) => value.into(),
        None if field.nullable.is_some() && field.ty != Type::Basic("records") => {
            format!("Some({})", bare_zero(&field.ty))
        }
        None => bare_zero(&field.ty),
    }
}

/// Test: the field differs from its default.
fn is_set(field: &Field) -> String {
    let place = format!("self.{}", ident(field));
    let null_default = field.default.as_deref() == Some("null");
    let nullable = field.nullable.is_some();
    match &field.ty {
        Type::Basic("records") => format!("!{place}.is_null()"),
        _ if null_default => format!("{place}.is_some()"),
        Type::Basic("string" | "bytes") | Type::Array(_) if nullable => {
            format!("{place}.as_ref().is_none_or(|value| !value.is_empty())")
        }
        Type::Basic("string" | "bytes") | Type::Array(_) => format!("!{place}.is_empty()"),
        Type::Basic("bool") if field.default.is_none() => place,
        Type::Basic("bool") => format!("!{place}"),
        Type::Basic(_) => format!("{place} != {}", default_value(field)),
        Type::Struct(_) => format!("{place} != {}", default_value(field)),
    }
}

/// Expression: reads the field in a version that has it.
fn read_value(field: &Field) -> String {
    let value = read_expression(field);
    let partly = field.nullable.and_then(|nullable| absence(nullable, field.versions));
    match partly {
        None => value,
        Some(test) => format!(
            "match {value} {{ None if {test} => return Err(DecodeError::UnexpectedNull), \
             value => value }}"
        ),
    }
}

fn read_expression(field: &Field) -> String {
    let nullable = if field.nullable.is_some() { "nullable_" } else { "" };
    let flexible = if field.plain { "false" } else { "flexible" };
    match &field.ty {
        Type::Basic(kind @ ("string" | "bytes" | "records")) => {
            format!("reader.{nullable}{kind}({flexible})?")
        }
        Type::Basic("error") => "reader.error_code()?".into(),
        Type::Basic(kind) => format!("reader.{kind}()?"),
        Type::Array(_) => format!("reader.{nullable}array(version, flexible)?"),
        Type::Struct(name) if field.nullable.is_some() => format!(
            "if reader.{}()? {{ Some({name}::read(reader, version, flexible)?) }} else {{ None }}",
            presence(field)
        ),
        Type::Struct(name) => format!("{name}::read(reader, version, flexible)?"),
    }
}

/// The mark in front of a nullable structure: Kafka's differs between plain and tagged fields.
fn presence(field: &Field) -> &'static str {
    if field.tag.is_some() { "tag_present" } else { "present" }
}

fn write_statement(field: &Field) -> String {
    let place = format!("self.{}", ident(field));
    let flexible = if field.plain { "false" } else { "flexible" };
    let nullable = field.nullable.is_some();
    match &field.ty {
        Type::Basic("records") => format!("writer.records(&{place}, {flexible})?;"),
        Type::Basic(kind @ ("string" | "bytes")) if nullable => {
            format!("writer.nullable_{kind}({place}.as_deref(), {flexible})?;")
        }
        Type::Basic(kind @ ("string" | "bytes")) => {
            format!("writer.{kind}(&{place}, {flexible})?;")
        }
        Type::Basic("error") => format!("writer.error_code({place});"),
        Type::Basic(kind) => format!("writer.{kind}({place});"),
        Type::Array(_) if nullable => {
            format!("writer.nullable_array({place}.as_deref(), version, flexible)?;")
        }
        Type::Array(_) => format!("writer.array(&{place}, version, flexible)?;"),
        Type::Struct(_) if nullable => format!(
            "writer.{}({place}.is_some()); \
             if let Some(value) = &{place} {{ value.write(writer, version, flexible)?; }}",
            presence(field)
        ),
        Type::Struct(_) => format!("{place}.write(writer, version, flexible)?;"),
    }
}

/// The fewest bytes a structure takes in one version.
fn min_size(message: &Message, structure: &Struct, version: i16) -> usize {
    let flexible = message.flexible.is_some_and(|f| f.iter().any(|v| v == version));
    let fields: usize = structure
        .fields
        .iter()
        .filter(|field| field.tag.is_none() && field.versions.iter().any(|v| v == version))
        .map(|field| field_min_size(message, field, version, flexible && !field.plain))
        .sum();
    fields + usize::from(flexible)
}

fn field_min_size(message: &Message, field: &Field, version: i16, flexible: bool) -> usize {
    match &field.ty {
        Type::Basic("bool" | "i8") => 1,
        Type::Basic("i16" | "u16" | "error") => 2,
        Type::Basic("i32") => 4,
        Type::Basic("i64" | "f64") => 8,
        Type::Basic("uuid") => 16,
        Type::Basic("string") => {
            if flexible {
                1
            } else {
                2
            }
        }
        Type::Basic(_) | Type::Array(_) => {
            if flexible {
                1
            } else {
                4
            }
        }
        Type::Struct(_) if field.nullable.is_some() => 1,
        Type::Struct(name) => message
            .structs
            .iter()
            .find(|structure| structure.name == *name)
            .map_or(0, |structure| min_size(message, structure, version)),
    }
}
