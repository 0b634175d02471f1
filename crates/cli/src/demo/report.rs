//! What the demo ends with: the answers beside the file's, who owned what, and what it cost.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::answers::Answers;
use super::readers::{Read, numbers};
use crate::output::{grouped, table};

/// More differences than this tell nothing new.
const DIFFERENCES_MAX: usize = 10;

pub(super) struct Report {
    pub(super) bootstrap: String,
    pub(super) topic: String,
    pub(super) flights: u64,
    pub(super) published: Rate,
    pub(super) consumed: Rate,
    /// Of this process, when the broker is in it.
    pub(super) memory_bytes_max: Option<u64>,
    pub(super) groups: Vec<GroupReport>,
    pub(super) next: Next,
}

pub(super) struct GroupReport {
    pub(super) read: Read,
    /// The same answers straight from the file.
    pub(super) file: Answers,
}

/// Records and their keys and values, over a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) took: Duration,
}

/// What the reader can go on with.
#[derive(Clone, Debug)]
pub(super) enum Next {
    /// Nothing is left of the demo.
    Again,
    /// The data is in this directory.
    Kept(PathBuf),
    /// The topic is in this cluster.
    Cluster(String),
}

impl Report {
    pub(super) fn agrees(&self) -> bool {
        self.groups.iter().all(|group| group.read.problems.is_empty())
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for group in &self.groups {
            text += &group.text();
        }
        text += &self.cost();
        text += &self.verdict();
        if self.agrees() {
            text += "\nNext:\n";
            for command in self.commands() {
                let _ = writeln!(text, "  {command}");
            }
        }
        text
    }

    fn cost(&self) -> String {
        let mut text = format!("in   {}\nout  {}\n", self.published.text(), self.consumed.text());
        if let Some(bytes) = self.memory_bytes_max {
            let mib = bytes.div_ceil(1 << 20);
            let _ = writeln!(
                text,
                "at most {mib} MiB of memory for this process: broker, sources and consumers together"
            );
        }
        text
    }

    fn verdict(&self) -> String {
        let problems: Vec<_> = self.groups.iter().flat_map(GroupReport::problems).collect();
        if problems.is_empty() {
            let flights = grouped(self.flights);
            return format!(
                "\nEverything agrees: both groups read {flights} flights as the file has them.\n"
            );
        }
        let mut text = "\nNot everything agrees:\n".to_owned();
        for problem in problems.iter().take(DIFFERENCES_MAX) {
            let _ = writeln!(text, "  {problem}");
        }
        if let Some(more) = problems.len().checked_sub(DIFFERENCES_MAX).filter(|more| *more > 0) {
            let _ = writeln!(text, "  and {more} more");
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "agrees": self.agrees(),
            "bootstrap": self.bootstrap,
            "topic": self.topic,
            "flights": self.flights,
            "published": self.published.json(),
            "consumed": self.consumed.json(),
            "processMemoryBytesMax": self.memory_bytes_max,
            "groups": self.groups.iter().map(GroupReport::json).collect::<Vec<_>>(),
            "next": self.commands(),
        })
    }

    /// Commands that work as they are printed, under the name that this program was called by.
    fn commands(&self) -> [String; 3] {
        let program = std::env::args().next().unwrap_or_else(|| "strandline".to_owned());
        let program = quoted(&program);
        let topic = &self.topic;
        match &self.next {
            Next::Again => [
                format!("{program} demo --data-dir ./demo-data"),
                format!("{program} start --set log.dirs=./demo-data &"),
                format!("{program} consume flights --from beginning -n 3"),
            ],
            Next::Kept(dir) => [
                format!(
                    "{program} start --set {} &",
                    quoted(&format!("log.dirs={}", dir.display()))
                ),
                format!("{program} group describe {}", self.groups[0].read.group),
                format!("{program} consume {topic} --from beginning -n 3"),
            ],
            Next::Cluster(bootstrap) => [
                format!(
                    "{program} group describe {} --bootstrap {bootstrap}",
                    self.groups[0].read.group
                ),
                format!("{program} consume {topic} --bootstrap {bootstrap} --from beginning -n 3"),
                format!("{program} topic delete {topic} --bootstrap {bootstrap}"),
            ],
        }
    }
}

impl GroupReport {
    fn problems(&self) -> impl Iterator<Item = String> {
        let group = &self.read.group;
        self.read.problems.iter().map(move |problem| format!("{group}: {problem}"))
    }

    fn text(&self) -> String {
        let mut rows: Vec<_> = self.read.answers.departures.iter().collect();
        rows.sort_by_key(|(_, departures)| std::cmp::Reverse(departures.flights));
        let rows = rows.into_iter().map(|(name, ours)| {
            let agrees = self.file.departures.get(name) == Some(ours);
            [
                name.clone(),
                format!("{:>7}", grouped(ours.flights)),
                format!("{:>9}", grouped(ours.cancelled)),
                match ours.mean_delay_minutes() {
                    Some(minutes) => format!("{minutes:>6.2} min"),
                    None => format!("{:>6}", "-"),
                },
                if agrees { "the same" } else { "not so" }.to_owned(),
            ]
        });
        let subject = self.read.answers.subject.name();
        let mut text =
            table([subject, "flights", "cancelled", "mean delay", "the file says"], rows);
        text.push('\n');
        let members = self.read.members.iter().map(|member| {
            let flights = format!("{:>7}", grouped(member.flights));
            [member.name.clone(), numbers(&member.partitions), flights]
        });
        text += &table(["member", "partitions", "flights"], members);
        let (in_order, routes) = self.routes_in_order();
        let _ =
            writeln!(text, "{in_order} of {routes} routes have the file's flights in its order");
        if self.read.redelivered > 0 {
            let _ = writeln!(text, "{} came twice over a rebalance", self.read.redelivered);
        }
        text.push('\n');
        text
    }

    fn routes_in_order(&self) -> (usize, usize) {
        let ours = &self.read.answers.routes;
        let file = &self.file.routes;
        let same = file.iter().filter(|(name, route)| ours.get(*name) == Some(route));
        (same.count(), file.len())
    }

    fn json(&self) -> Value {
        let answers = self.read.answers.departures.iter().map(|(name, departures)| {
            json!({
                self.read.answers.subject.name(): name,
                "flights": departures.flights,
                "cancelled": departures.cancelled,
                "delayMinutes": departures.delay_minutes,
                "meanDelayMinutes": departures.mean_delay_minutes(),
            })
        });
        let members = self.read.members.iter().map(|member| {
            json!({
                "member": member.name,
                "partitions": member.partitions,
                "flights": member.flights,
            })
        });
        let (in_order, routes) = self.routes_in_order();
        json!({
            "group": self.read.group,
            "flights": self.read.answers.flights(),
            "answers": answers.collect::<Vec<_>>(),
            "members": members.collect::<Vec<_>>(),
            "routes": routes,
            "routesInOrder": in_order,
            "redelivered": self.read.redelivered,
            "differences": self.read.problems,
        })
    }
}

impl Rate {
    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.took.as_secs_f64().max(1e-9)
    }

    fn text(&self) -> String {
        format!(
            "{:>7} records, {:>5.1} MB in {:.2} s: {} records/s",
            grouped(self.records),
            self.bytes as f64 / 1e6,
            self.took.as_secs_f64(),
            grouped(self.per_second(self.records) as u64)
        )
    }

    fn json(&self) -> Value {
        json!({
            "records": self.records,
            "bytes": self.bytes,
            "seconds": self.took.as_secs_f64(),
            "recordsPerSecond": self.per_second(self.records),
            "bytesPerSecond": self.per_second(self.bytes),
        })
    }
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-=:,@+".contains(c);
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_shell() {
        assert_eq!(quoted("log.dirs=./demo-data"), "log.dirs=./demo-data");
        assert_eq!(quoted("my data"), "'my data'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
