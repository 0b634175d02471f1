//! The configuration that verbs on a node share: a properties file and single settings.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use strandline_config::{BrokerConfig, ConfigErrors, Resolved, Warning, parse_properties};

use crate::failure::Failure;

/// `--config` and `--set`.
#[derive(Args, Debug)]
pub struct ConfigurationArgs {
    /// A Kafka server.properties file; without one, a single node on loopback
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// One setting, over the file's; may be given many times
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err("it must be KEY=VALUE".to_owned()),
    }
}

impl ConfigurationArgs {
    /// The file and the single settings, resolved.
    ///
    /// # Errors
    /// When the file cannot be read, or anything in it or beside it cannot be followed.
    pub fn load(&self) -> Result<Resolved, Failure> {
        let (name, properties) = match &self.config {
            None => ("the command line".to_owned(), None),
            Some(path) => {
                let name = path.display().to_string();
                let text = fs::read(path).map_err(|error| {
                    Failure::misuse(format!("cannot read {name}"))
                        .because(&error)
                        .next("name a Kafka server.properties file, or leave --config away")
                })?;
                // Java reads these files as Latin-1; what is not UTF-8 is most likely that.
                let text = String::from_utf8(text).unwrap_or_else(|not_utf8| {
                    not_utf8.into_bytes().into_iter().map(char::from).collect()
                });
                let properties = parse_properties(&text).map_err(|error| {
                    Failure::misuse(format!("cannot read {name}")).because(&error)
                })?;
                (name, Some(properties))
            }
        };
        BrokerConfig::resolve(properties.as_deref(), &self.set)
            .map_err(|errors| refused(&name, &errors))
    }

    /// The same arguments as a person types them, for a hint.
    pub fn as_typed(&self) -> String {
        let mut typed = String::new();
        if let Some(path) = &self.config {
            let _ = write!(typed, " --config {}", path.display());
        }
        for (key, value) in &self.set {
            let _ = write!(typed, " --set {key}={value}");
        }
        typed
    }
}

fn refused(name: &str, errors: &ConfigErrors) -> Failure {
    let count = match errors.0.len() {
        1 => "an error".to_owned(),
        count => format!("{count} errors"),
    };
    Failure::misuse(format!("{name} has {count}")).because(errors)
}

/// Warnings in as few lines as they need: settings without effect, of which ordinary files hold
/// several, share one.
pub fn warning_lines(warnings: &[Warning]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut without_effect = Vec::new();
    for warning in warnings {
        match warning {
            Warning::NoEffect { key, .. } => without_effect.push(format!("`{key}`")),
            other => lines.push(other.to_string()),
        }
    }
    if !without_effect.is_empty() {
        lines.push(format!(
            "accepted without effect (docs/settings.md says why): {}",
            without_effect.join(", ")
        ));
    }
    lines
}
