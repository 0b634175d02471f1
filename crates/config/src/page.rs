//! The settings page of the documentation, written from the tables.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use crate::scope::Scope;
use crate::setting::{Default, Mode, Setting, Status};

const SCOPES: [(Scope, &str); 4] = [
    (Scope::Broker, "Broker and controller"),
    (Scope::Topic, "Topic"),
    (Scope::Group, "Group"),
    (Scope::ClientMetrics, "Client metrics"),
];

const HEAD: &str = "# Settings

Strandline reads Kafka's settings by Kafka's names, from a `server.properties` file and from
`--set key=value`. This page is written from the table that the program itself reads
(`cargo xtask config-docs`).

*Change* tells when a broker's setting may change: at *start*, at run time for one *broker*, or at run
time for one broker or *all*. A topic's setting inherits from the broker's setting named in its row.
";

/// `docs/settings.md`, in Markdown.
pub fn settings_page() -> String {
    let mut page = String::from(HEAD);
    for (scope, title) in SCOPES {
        let sections = scope.sections();
        for section in sections {
            let _ = match sections.len() {
                1 => write!(page, "\n## {title}\n\n"),
                _ => write!(page, "\n## {title}: {}\n\n", section.title),
            };
            table(&mut page, scope, section.settings);
        }
    }
    let _ = write!(
        page,
        "\n## Accepted without effect\n\n\
         These are read, checked and described to clients, and change nothing.\n"
    );
    by_reason(&mut page, |status| match status {
        Status::NoEffect(reason) => Some(reason),
        _ => None,
    });
    let _ = write!(page, "\n## Honoured in part\n");
    by_reason(&mut page, |status| match status {
        Status::Partly(reason) => Some(reason),
        _ => None,
    });
    let _ = write!(
        page,
        "\n## Refused until honoured\n\n\
         With any of these set to something else than its default, the broker does not start.\n\
         So do listeners that speak another protocol than PLAINTEXT.\n"
    );
    by_reason(&mut page, |status| match status {
        Status::FatalIfSet(reason) => Some(reason),
        _ => None,
    });
    page
}

fn table(page: &mut String, scope: Scope, settings: &[Setting]) {
    page.push_str(match scope {
        Scope::Broker => "| Key | Type | Default | Change | Status | Meaning |\n|---|---|---|---|---|---|\n",
        _ => "| Key | Type | Default | Inherits from | Status | Meaning |\n|---|---|---|---|---|---|\n",
    });
    for setting in settings.iter().filter(|setting| !setting.internal) {
        let default = match setting.default {
            Default::Required => Cow::Borrowed("required"),
            Default::Null => Cow::Borrowed("none"),
            Default::Is("") => Cow::Borrowed("empty"),
            Default::Is(text) => Cow::Owned(format!("`{text}`")),
        };
        let third = match (scope, setting.mode, setting.synonyms) {
            (Scope::Broker, Mode::Static, _) => Cow::Borrowed("start"),
            (Scope::Broker, Mode::PerBroker, _) => Cow::Borrowed("broker"),
            (Scope::Broker, Mode::ClusterWide, _) => Cow::Borrowed("all"),
            (_, _, [broker, ..]) => Cow::Owned(format!("`{}`", broker.name)),
            (_, _, []) => Cow::Borrowed(""),
        };
        let status = match setting.status {
            Status::Honoured => "honoured",
            Status::Partly(_) => "in part",
            Status::NoEffect(_) => "no effect",
            Status::FatalIfSet(_) => "refused",
        };
        let (name, ty, doc) = (setting.name, setting.ty.name(), setting.doc);
        let _ = writeln!(page, "| `{name}` | {ty} | {default} | {third} | {status} | {doc} |");
    }
}

/// The settings whose status gives a reason, under that reason, in the tables' order.
fn by_reason(page: &mut String, reason_of: impl Fn(Status) -> Option<&'static str>) {
    let rows = || {
        let of = |(scope, _): (Scope, _)| scope.settings().map(move |setting| (scope, setting));
        SCOPES.into_iter().flat_map(of).filter(|(_, setting)| !setting.internal)
    };
    let mut told = Vec::new();
    for reason in rows().filter_map(|(_, setting)| reason_of(setting.status)) {
        if told.contains(&reason) {
            continue;
        }
        told.push(reason);
        let _ = write!(page, "\n- {reason}:");
        let mut separator = " ";
        for (scope, setting) in rows() {
            if reason_of(setting.status) == Some(reason) {
                let noun = match scope {
                    Scope::Broker => "",
                    Scope::Topic => " (topic)",
                    Scope::Group => " (group)",
                    Scope::ClientMetrics => " (client metrics)",
                };
                let _ = write!(page, "{separator}`{}`{noun}", setting.name);
                separator = ", ";
            }
        }
    }
    page.push('\n');
}
