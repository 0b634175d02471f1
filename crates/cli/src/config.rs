//! `strandline config`: what is set where, and changing it while everything runs.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use strandline_client::Admin;
use strandline_client::admin::{
    ConfigChange, ConfigEntry, ConfigResource, ConfigSource, ResourceType,
};

use crate::connect::{ConnectArgs, failed, key_value, refused};
use crate::failure::Failure;
use crate::output::{Output, table};

#[derive(Subcommand, Debug)]
pub(crate) enum ConfigVerb {
    /// Show what is set, or all settings
    #[command(
        after_help = "Examples:\n  strandline config describe topic orders\n  strandline config describe broker 1 --all"
    )]
    Describe {
        #[command(flatten)]
        of: Resource,
        /// Show defaults too
        #[arg(long, short)]
        all: bool,
        #[command(flatten)]
        connect: ConnectArgs,
    },

    /// Change settings
    #[command(after_help = "Example:\n  strandline config set topic orders retention.ms=3600000")]
    Set {
        #[command(flatten)]
        of: Resource,
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = key_value)]
        settings: Vec<(String, String)>,
        #[command(flatten)]
        connect: ConnectArgs,
    },

    /// Put settings back to their defaults
    #[command(after_help = "Example:\n  strandline config unset topic orders retention.ms")]
    Unset {
        #[command(flatten)]
        of: Resource,
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
        #[command(flatten)]
        connect: ConnectArgs,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Resource {
    /// What it is
    #[arg(value_enum)]
    kind: Kind,
    /// Name of the topic or group, or id of the broker; `default` stands for all brokers
    name: String,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Kind {
    Topic,
    Broker,
    Group,
}

impl Resource {
    fn resource(&self) -> ConfigResource {
        let kind = match self.kind {
            Kind::Topic => ResourceType::Topic,
            Kind::Broker => ResourceType::Broker,
            Kind::Group => ResourceType::Group,
        };
        let is_all_brokers = matches!(self.kind, Kind::Broker) && self.name == "default";
        let name = if is_all_brokers { String::new() } else { self.name.clone() };
        ConfigResource { kind, name }
    }

    fn told(&self) -> String {
        let kind = match self.kind {
            Kind::Topic => "topic",
            Kind::Broker => "broker",
            Kind::Group => "group",
        };
        format!("{kind} {}", self.name)
    }
}

pub(crate) fn run(verb: ConfigVerb, output: &Output) -> Result<ExitCode, Failure> {
    match verb {
        ConfigVerb::Describe { of, all, connect } => {
            connect.administer(|admin| describe(admin, of, all, output))
        }
        ConfigVerb::Set { of, settings, connect } => {
            let set = |(key, value)| ConfigChange::Set { name: key, value };
            let changes = settings.into_iter().map(set).collect();
            connect.administer(|admin| alter(admin, of, changes, output))
        }
        ConfigVerb::Unset { of, keys, connect } => {
            let changes = keys.into_iter().map(|name| ConfigChange::Delete { name }).collect();
            connect.administer(|admin| alter(admin, of, changes, output))
        }
    }
}

async fn describe(
    admin: Admin,
    of: Resource,
    all: bool,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let what = format!("describe the settings of {}", of.told());
    let results = admin.describe_configs(&[of.resource()], false).await;
    let results = results.map_err(|error| failed(&what, &error))?;
    let mut shown: Vec<ConfigEntry> = Vec::new();
    for (_, result) in results {
        let entries = result.map_err(|refusal| refused(&what, [(of.told(), &refusal)]))?;
        let is_shown = |entry: &ConfigEntry| all || is_own(of.kind, entry.source);
        shown.extend(entries.into_iter().filter(is_shown));
    }
    shown.sort_by(|left, right| left.name.cmp(&right.name));
    let value = |entry: &ConfigEntry| match (&entry.value, entry.is_sensitive) {
        (Some(value), _) => value.clone(),
        (None, true) => "(hidden)".to_owned(),
        (None, false) => String::new(),
    };
    let text = match shown.is_empty() {
        true => format!("nothing is set for {}; --all shows the defaults\n", of.told()),
        false => {
            let rows = shown
                .iter()
                .map(|entry| [entry.name.clone(), value(entry), entry.source.name().to_owned()]);
            table(["key", "value", "source"], rows)
        }
    };
    let json = shown.iter().map(|entry| {
        json!({
            "key": entry.name,
            "value": entry.value,
            "source": entry.source.name(),
            "readOnly": entry.is_read_only,
            "sensitive": entry.is_sensitive,
        })
    });
    output.done(&text, &json!(json.collect::<Vec<_>>()))
}

/// Whether somebody set it for this very thing.
fn is_own(kind: Kind, source: ConfigSource) -> bool {
    match kind {
        Kind::Topic => source == ConfigSource::Topic,
        Kind::Group => source == ConfigSource::Group,
        Kind::Broker => !matches!(source, ConfigSource::Default | ConfigSource::Unknown),
    }
}

async fn alter(
    admin: Admin,
    of: Resource,
    changes: Vec<ConfigChange>,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let what = format!("change the settings of {}", of.told());
    let results = admin.alter_configs(&[(of.resource(), changes)], false).await;
    let results = results.map_err(|error| failed(&what, &error))?;
    for (_, result) in results {
        result.map_err(|refusal| refused(&what, [(of.told(), &refusal)]))?;
    }
    output.done(&format!("changed {}\n", of.told()), &json!({ "changed": of.told() }))
}
