//! Log lines on standard error: one format for all, as text or as JSON.

use std::io::{self, IsTerminal};

use strandline_config::OwnSettings;
use tracing::Subscriber;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::failure::Failure;

/// Logs from now on as `strandline.log.format` and `strandline.log.level` say.
///
/// # Errors
/// When the level is none, or the process logs already.
pub fn start(settings: &OwnSettings) -> Result<(), Failure> {
    let lines = lines(settings, io::stderr, io::stderr().is_terminal())?;
    tracing::subscriber::set_global_default(lines)
        .map_err(|error| Failure::new("cannot start logging").because(&error))
}

/// What turns events into lines.
fn lines<W>(
    settings: &OwnSettings,
    writer: W,
    in_color: bool,
) -> Result<Box<dyn Subscriber + Send + Sync>, Failure>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let level = &settings.log_level;
    let filter: Targets = level.parse().map_err(|error: ParseError| {
        Failure::misuse(format!("`strandline.log.level` is `{level}`"))
            .because(&error)
            .next("set it to error, warn, info, debug or trace")
    })?;
    let lines = fmt::layer().with_writer(writer);
    Ok(if settings.log_as_json {
        let lines = lines.json().flatten_event(true).with_current_span(false);
        Box::new(Registry::default().with(lines.with_filter(filter)))
    } else {
        let lines = lines.with_ansi(in_color).with_target(false);
        Box::new(Registry::default().with(lines.with_filter(filter)))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use expect_test::{Expect, expect};
    use serde_json::Value;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(set: &[(&str, &str)], log: impl FnOnce()) -> String {
        let set: Vec<_> = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let config = strandline_config::BrokerConfig::resolve(None, &set).unwrap().config;
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let lines = lines(&config.own, move || writer.clone(), false).unwrap();
        tracing::subscriber::with_default(lines, log);
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn log_two() {
        tracing::info!(node = 1, "ready");
        tracing::debug!("nobody asked");
    }

    /// The lines after their times, without the padding of the levels.
    fn check(text: &str, expected: Expect) {
        let mut rest = String::new();
        for line in text.lines() {
            let (time, event) = line.split_once(' ').unwrap();
            assert!(time.len() == 27 && time.ends_with('Z'), "{time}");
            rest += &format!("{}\n", event.trim_start());
        }
        expected.assert_eq(&rest);
    }

    #[test]
    fn text_lines() {
        check(
            &logged(&[], log_two),
            expect![[r#"
                 INFO ready node=1
            "#]],
        );
        check(
            &logged(&[("strandline.log.level", "debug")], log_two),
            expect![[r#"
                INFO ready node=1
                DEBUG nobody asked
            "#]],
        );
    }

    #[test]
    fn json_lines() {
        let text = logged(&[("strandline.log.format", "json")], log_two);
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "ready");
        assert_eq!(line["node"], 1);
    }

    #[test]
    fn a_level_that_is_none() {
        let set = [("strandline.log.level".to_owned(), "loud=shout".to_owned())];
        let config = strandline_config::BrokerConfig::resolve(None, &set).unwrap().config;
        let failure = lines(&config.own, io::stderr, false).err().unwrap();
        expect![[r#"
            error: `strandline.log.level` is `loud=shout`
              error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5
            next: set it to error, warn, info, debug or trace"#]].assert_eq(&failure.to_string());
    }
}
