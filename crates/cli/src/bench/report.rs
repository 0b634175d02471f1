//! What a bench run ends with: rates and latencies, as a small table or as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::histogram::Histogram;
use crate::output::{grouped, table};

/// The shares whose latencies are told.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];

/// One side of a run.
pub(super) struct Figures {
    pub(super) name: &'static str,
    pub(super) value_bytes: usize,
    pub(super) took: Duration,
    pub(super) latencies: Histogram,
    /// Whether the latencies say anything: what was read after it lay there for a while does not.
    pub(super) has_latency: bool,
}

impl Figures {
    fn per_second(&self) -> f64 {
        self.latencies.count() as f64 / self.took.as_secs_f64().max(1e-9)
    }

    fn megabytes_per_second(&self) -> f64 {
        self.per_second() * self.value_bytes as f64 / 1e6
    }

    fn quantiles(&self) -> [Option<Duration>; 4] {
        let [p50, p99, p999] = QUANTILES.map(|(_, share)| self.latencies.quantile(share));
        [p50, p99, p999, self.latencies.max()].map(|it| it.filter(|_| self.has_latency))
    }

    fn row(&self) -> [String; 8] {
        let [p50, p99, p999, max] = self.quantiles().map(|it| it.map_or("-".into(), millis));
        [
            self.name.to_owned(),
            grouped(self.latencies.count()),
            grouped(self.per_second() as u64),
            format!("{:.1}", self.megabytes_per_second()),
            p50,
            p99,
            p999,
            max,
        ]
    }

    fn json(&self) -> Value {
        let [p50, p99, p999, max] =
            self.quantiles().map(|it| it.map(|latency| latency.as_secs_f64() * 1e3));
        json!({
            "records": self.latencies.count(),
            "seconds": self.took.as_secs_f64(),
            "recordsPerSecond": self.per_second(),
            "bytesPerSecond": self.megabytes_per_second() * 1e6,
            "latencyMs": { "p50": p50, "p99": p99, "p99.9": p999, "max": max },
        })
    }
}

/// `0.412 ms`: as many digits as the histogram is good for.
fn millis(latency: Duration) -> String {
    let millis = latency.as_secs_f64() * 1e3;
    let digits = match millis {
        ..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{millis:.digits$} ms")
}

pub(super) fn text(sides: &[Figures]) -> String {
    let names = ["", "records", "records/s", "MB/s", "p50", "p99", "p99.9", "max"];
    table(names, sides.iter().map(Figures::row))
}

pub(super) fn json(sides: &[Figures]) -> Value {
    let sides = sides.iter().map(|side| (side.name.to_owned(), side.json()));
    Value::Object(sides.collect())
}
