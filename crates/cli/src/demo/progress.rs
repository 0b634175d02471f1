//! How far everybody has come: bars on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use strandline_ports::Clock;

use super::readers::Readers;
use super::sources::Published;
use crate::failure::Failure;

const REFRESH_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(1);
/// When nothing moves for so long, nothing will.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Progress {
    total: u64,
    published: Arc<Published>,
    groups: Vec<Arc<Readers>>,
    view: View,
}

enum View {
    /// For machines, which read the result.
    Silent,
    Lines,
    Bars(MultiProgress, Vec<ProgressBar>),
}

impl Progress {
    pub(super) fn new(
        total: u64,
        published: &Arc<Published>,
        groups: &[Arc<Readers>],
        is_silent: bool,
    ) -> Self {
        let mut progress = Self {
            total,
            published: Arc::clone(published),
            groups: groups.to_vec(),
            view: if is_silent { View::Silent } else { View::Lines },
        };
        if !is_silent && stderr().is_terminal() {
            progress.view = progress.bars();
        }
        progress
    }

    /// One line that stays.
    pub(super) fn say(&self, line: &str) {
        match &self.view {
            View::Silent => {}
            // A closed standard error leaves nobody to tell.
            View::Lines => drop(writeln!(stderr(), "{line}")),
            View::Bars(bars, _) => drop(bars.println(line)),
        }
    }

    /// Shows how things move, until dropped.
    ///
    /// # Errors
    /// When nothing moves any more.
    pub(super) async fn watch(&self, clock: &dyn Clock) -> Failure {
        let mut moved_at = clock.now().instant;
        let mut told_at = moved_at;
        let mut last = self.counts();
        loop {
            clock.sleep(REFRESH_EVERY).await;
            let now = clock.now().instant;
            let counts = self.counts();
            if counts != last {
                (last, moved_at) = (counts.clone(), now);
            } else if now.since(moved_at) > PATIENCE {
                return Failure::new(format!("nothing has moved for {PATIENCE:?}"))
                    .next("look at the broker's log");
            }
            if let View::Bars(_, bars) = &self.view {
                bars.iter().zip(&counts).for_each(|(bar, count)| bar.set_position(*count));
            } else if now.since(told_at) >= LINE_EVERY {
                told_at = now;
                self.tell(&counts);
            }
        }
    }

    /// Takes the bars away; the result says the same.
    pub(super) fn finish(&self) {
        if let View::Bars(_, bars) = &self.view {
            bars.iter().for_each(ProgressBar::finish_and_clear);
        }
    }

    fn counts(&self) -> Vec<u64> {
        let published = self.published.records.load(Ordering::Relaxed);
        let read = self.groups.iter().map(|group| group.records.load(Ordering::Relaxed));
        std::iter::once(published).chain(read).collect()
    }

    fn names(&self) -> Vec<String> {
        let groups = self.groups.iter().map(|group| format!("read by {}", group.group));
        std::iter::once("published".to_owned()).chain(groups).collect()
    }

    fn tell(&self, counts: &[u64]) {
        let total = self.total;
        let parts = self.names().into_iter().zip(counts);
        let parts: Vec<_> = parts.map(|(name, count)| format!("{name} {count}")).collect();
        self.say(&format!("{} of {total}", parts.join(", ")));
    }

    fn bars(&self) -> View {
        let names = self.names();
        let width = names.iter().map(String::len).max().unwrap_or(0);
        let style = ProgressStyle::with_template("{prefix} {bar:40.cyan} {pos:>7} of {len}")
            .expect("the template is a constant");
        let all = MultiProgress::new();
        let bars = names.into_iter().map(|name| {
            let bar = ProgressBar::new(self.total).with_style(style.clone());
            bar.set_prefix(format!("{name:width$}"));
            all.add(bar)
        });
        let bars = bars.collect();
        View::Bars(all, bars)
    }
}

/// The most resident memory that this process has had, in bytes, where the system tells.
pub(super) fn resident_bytes_max() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
