//! The files that list things: `api_key.rs` and `mod.rs`.

use std::fmt::Write;

use anyhow::{Context, Result};

use super::emit::snake;
use super::table::{Api, Table, Versions};

pub(super) fn api_key(tables: &[Table]) -> Result<String> {
    let mut rows: Vec<(&Api, &Table)> =
        tables.iter().filter_map(|table| Some((table.api.as_ref()?, table))).collect();
    rows.sort_by_key(|(api, _)| api.key);
    let mut variants = String::new();
    let mut all = String::new();
    let mut facts = String::new();
    for (api, table) in &rows {
        let Api { key, name, broker, controller, .. } = api;
        let request = table.messages.first().with_context(|| format!("{name}: no request"))?;
        let flexible = request.flexible.map(|versions| versions.min);
        let advertised = api.advertised.unwrap_or(request.versions);
        writeln!(variants, "{name} = {key},")?;
        writeln!(all, "Self::{name},")?;
        writeln!(
            facts,
            "Self::{name} => &ApiFacts {{ name: \"{name}\", versions: {}, advertised: {}, \
             flexible_from: {flexible:?}, \
             listeners: Listeners {{ broker: {broker}, controller: {controller} }} }},",
            version_range(request.versions),
            version_range(advertised),
        )?;
    }
    Ok(format!(
        "use crate::messages::{{ApiFacts, Listeners, VersionRange}};\n\n\
         /// Every API of Kafka 4.3.\n\
         #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]\n\
         #[repr(i16)]\npub enum ApiKey {{ {variants} }}\n\n\
         impl ApiKey {{\n\
         /// In ascending order of their codes.\n\
         pub const ALL: &'static [Self] = &[{all}];\n\n\
         pub const fn facts(self) -> &'static ApiFacts {{ match self {{ {facts} }} }}\n}}\n"
    ))
}

pub(super) fn version_range(versions: Versions) -> String {
    format!("VersionRange {{ min: {}, max: {} }}", versions.min, versions.max)
}

pub(super) fn modules(tables: &[Table]) -> String {
    let mut names: Vec<&str> =
        tables.iter().flat_map(|table| &table.messages).map(|m| m.name.as_str()).collect();
    names.extend(tables.iter().filter_map(|table| Some(table.family.as_ref()?.name.as_str())));
    names.sort_unstable();
    let mut text = String::from("pub(super) mod api_key;\n");
    for name in &names {
        text += &format!("pub mod {};\n", snake(name));
    }
    text += "\n";
    for name in &names {
        text += &format!("pub use {}::{name};\n", snake(name));
    }
    text += "\nuse super::MessageVisitor;\n\n\
             /// Calls the visitor once for every message.\n\
             pub fn visit_messages(visitor: &mut impl MessageVisitor) {\n";
    for name in tables.iter().flat_map(|table| &table.messages).map(|m| &m.name) {
        text += &format!("visitor.visit::<{name}>();\n");
    }
    text + "}\n"
}
