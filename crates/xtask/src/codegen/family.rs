//! One family of records → one enum over its members.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result};

use super::table::{Family, Part};

pub(super) fn records(family: &Family) -> Result<String> {
    if family.members.iter().any(|member| member.part == Part::Body) {
        framed(family)
    } else {
        keyed(family)
    }
}

/// Records of the metadata log's framing: all in the value.
fn framed(family: &Family) -> Result<String> {
    let Family { name, members } = family;
    let (mut variants, mut reads, mut writes) = (String::new(), String::new(), String::new());
    for member in members {
        let number = member.number;
        let message = &member.message;
        let variant = message.strip_suffix("Record").context("expected …Record")?;
        writeln!(variants, "{variant}({message}),")?;
        writeln!(reads, "{number} => read_known(reader, version)?.map(Self::{variant}),")?;
        writeln!(writes, "Self::{variant}(body) => encode_framed(body, {number}, version),")?;
    }
    let messages: Vec<&str> = members.iter().map(|member| member.message.as_str()).collect();
    let messages = messages.join(", ");
    Ok(format!(
        "use bytes::Bytes;\n\n\
         use crate::messages::framing::{{encode_framed, read_frame, read_known}};\n\
         use crate::messages::{{{messages}}};\n\
         use crate::{{DecodeError, EncodeError, Reader}};\n\n\
         #[derive(Clone, PartialEq, Debug)]\npub enum {name} {{\n{variants}\
         /// Of a type or version we do not know, kept as it came.\nUnknown(Bytes),\n}}\n\n\
         impl {name} {{\n\
         pub fn decode(value: &Bytes) -> Result<Self, DecodeError> {{\n\
         let mut reader = Reader::new(value);\n\
         let (kind, version) = read_frame(&mut reader)?;\n\
         let known = match kind {{ {reads} _ => None }};\n\
         Ok(known.unwrap_or_else(|| Self::Unknown(value.clone())))\n}}\n\n\
         /// An unknown record is written back as it came, whatever the version.\n\
         pub fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {{ match self {{\n\
         {writes} Self::Unknown(value) => Ok(value.clone()),\n}} }}\n}}\n"
    ))
}

/// Records of a coordinator's topic: a typed key, and a value or a tombstone.
fn keyed(family: &Family) -> Result<String> {
    let Family { name, members } = family;
    let mut pairs: BTreeMap<i16, (Option<&str>, Option<&str>)> = BTreeMap::new();
    for member in members {
        let pair = pairs.entry(member.number).or_default();
        match member.part {
            Part::Key => pair.0 = Some(&member.message),
            _ => pair.1 = Some(&member.message),
        }
    }
    let (mut variants, mut reads, mut keys) = (String::new(), String::new(), String::new());
    let mut values = String::new();
    for (number, pair) in pairs {
        let (Some(key), Some(value)) = pair else {
            anyhow::bail!("{name} {number}: a key needs a value, and the other way round");
        };
        let variant = key.strip_suffix("Key").context("expected …Key")?;
        writeln!(variants, "{variant}({key}, Option<{value}>),")?;
        writeln!(
            reads,
            "{number} => read_pair(key, value)?.map(|(key, value)| Self::{variant}(key, value)),"
        )?;
        writeln!(keys, "Self::{variant}(key, _) => encode_key(key, {number}),")?;
        writeln!(values, "Self::{variant}(_, value) => encode_value(value.as_ref(), version),")?;
    }
    let messages: Vec<&str> = members.iter().map(|member| member.message.as_str()).collect();
    let messages = messages.join(", ");
    Ok(format!(
        "use bytes::Bytes;\n\n\
         use crate::messages::framing::{{encode_key, encode_value, read_pair}};\n\
         use crate::messages::{{{messages}}};\n\
         use crate::{{DecodeError, EncodeError, Reader}};\n\n\
         /// A key with its value; without one it is a tombstone.\n\
         #[derive(Clone, PartialEq, Debug)]\npub enum {name} {{\n{variants}\
         /// A key of a type or a value of a version we do not know, kept as they came.\n\
         Unknown {{ key: Bytes, value: Option<Bytes> }},\n}}\n\n\
         impl {name} {{\n\
         pub fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Self, DecodeError> {{\n\
         let kind = Reader::new(key).i16()?;\n\
         let known = match kind {{ {reads} _ => None }};\n\
         Ok(known.unwrap_or_else(|| Self::Unknown {{ key: key.clone(), value: value.cloned() }}))\n\
         }}\n\n\
         pub fn encode_key(&self) -> Result<Bytes, EncodeError> {{ match self {{\n\
         {keys} Self::Unknown {{ key, .. }} => Ok(key.clone()),\n}} }}\n\n\
         /// `None` for a tombstone. An unknown value is written back as it came, whatever the\n\
         /// version.\n\
         pub fn encode_value(&self, version: i16) -> Result<Option<Bytes>, EncodeError> {{\n\
         match self {{\n{values} Self::Unknown {{ value, .. }} => Ok(value.clone()),\n}} }}\n}}\n"
    ))
}
