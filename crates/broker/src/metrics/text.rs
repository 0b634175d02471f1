//! The text format that Prometheus reads (version 0.0.4).

use std::fmt::Display;

use super::table::Metric;

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Default)]
pub(super) struct Text(String);

/// The samples of one metric.
pub(super) struct Family<'a> {
    text: &'a mut String,
    metric: &'a Metric,
}

impl Text {
    pub(super) fn family<'a>(&'a mut self, metric: &'a Metric) -> Family<'a> {
        let Metric { name, kind, help } = metric;
        let kind = kind.name();
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: &mut self.0, metric }
    }

    /// A metric with one sample.
    pub(super) fn single(&mut self, metric: &Metric, value: impl Display) {
        self.family(metric).sample(&[], value);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn write(&mut self, arguments: std::fmt::Arguments<'_>) {
        write_to(&mut self.0, arguments);
    }
}

impl Family<'_> {
    pub(super) fn sample(&mut self, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.sample_of("", labels, value);
    }

    /// A sample of a summary: `suffix` is `_sum`, `_count`, or nothing for a quantile.
    pub(super) fn sample_of(
        &mut self,
        suffix: &str,
        labels: &[(&str, &dyn Display)],
        value: impl Display,
    ) {
        let name = self.metric.name;
        write_to(self.text, format_args!("{name}{suffix}"));
        for (index, (label, content)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            write_to(self.text, format_args!("{before}{label}=\""));
            write_to(&mut Escaped(self.text), format_args!("{content}"));
            self.text.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        write_to(self.text, format_args!("{end} {value}\n"));
    }
}

/// A label's content, which may be anything that a person chose as a name.
struct Escaped<'a>(&'a mut String);

impl std::fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for c in text.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

fn write_to(text: &mut impl std::fmt::Write, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("text takes all that is written to it");
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::table::Kind;
    use super::*;

    #[test]
    fn families_and_samples() {
        let size = Metric { name: "log_size", kind: Kind::Gauge, help: "Bytes." };
        let time = Metric { name: "time_ms", kind: Kind::Summary, help: "Milliseconds." };
        let mut text = Text::default();
        let mut family = text.family(&size);
        family.sample(&[("topic", &"plain"), ("partition", &0)], 17);
        family.sample(&[("topic", &"a\"b\\c\nd")], -1);
        let mut family = text.family(&time);
        family.sample(&[("quantile", &0.5)], 0.25);
        family.sample_of("_count", &[], 2);
        expect![[r#"
            # HELP log_size Bytes.
            # TYPE log_size gauge
            log_size{topic="plain",partition="0"} 17
            log_size{topic="a\"b\\c\nd"} -1
            # HELP time_ms Milliseconds.
            # TYPE time_ms summary
            time_ms{quantile="0.5"} 0.25
            time_ms_count 2
        "#]]
        .assert_eq(&text.finish());
    }
}
