//! How far a move of many partitions has come: one line that is rewritten on a terminal, a line now
//! and then elsewhere, nothing for machines, which read the result.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use strandline_types::Instant;

use crate::output::bytes;

const LINE_EVERY: Duration = Duration::from_secs(5);
/// When nothing arrives for so long, a person should look.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// What is still to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Left {
    /// Partitions that have not begun to move.
    pub(super) waiting: usize,
    pub(super) moving: usize,
    pub(super) bytes: u64,
}

pub(super) struct Progress {
    is_silent: bool,
    is_terminal: bool,
    began: Instant,
    /// What there was to do at the beginning, or as much as that has grown to.
    most: Option<Left>,
    last: Option<Left>,
    changed_at: Instant,
    told_at: Option<Instant>,
}

impl Progress {
    pub(super) fn new(now: Instant, is_silent: bool) -> Self {
        Self {
            is_silent,
            is_terminal: stderr().is_terminal(),
            began: now,
            most: None,
            last: None,
            changed_at: now,
            told_at: None,
        }
    }

    /// One line that stays.
    pub(super) fn say(&self, line: &str) {
        if !self.is_silent {
            let clear = if self.is_terminal { "\r\x1b[K" } else { "" };
            // A closed standard error leaves nobody to tell.
            let _ = writeln!(stderr(), "{clear}{line}");
        }
    }

    /// Shows what is left, and how long that may take.
    pub(super) fn tell(&mut self, now: Instant, left: Left) {
        if self.last != Some(left) {
            (self.last, self.changed_at) = (Some(left), now);
        }
        let most = self.most.get_or_insert(left);
        most.bytes = most.bytes.max(left.bytes);
        let total = (left.waiting + left.moving).max(most.waiting + most.moving);
        (most.waiting, most.moving) = (total, 0);
        let line = self.line(now, left, total);
        self.show(now, &line);
    }

    /// Shows what keeps the moves from going on.
    pub(super) fn wait(&mut self, now: Instant, reason: &str) {
        self.show(now, &format!("waiting: {reason}"));
    }

    fn show(&mut self, now: Instant, line: &str) {
        let is_due =
            self.is_terminal || self.told_at.is_none_or(|told| now.since(told) >= LINE_EVERY);
        if self.is_silent || !is_due {
            return;
        }
        self.told_at = Some(now);
        let _ = match self.is_terminal {
            true => write!(stderr(), "\r\x1b[K{line}").and_then(|()| stderr().flush()),
            false => writeln!(stderr(), "{line}"),
        };
    }

    fn line(&self, now: Instant, left: Left, total: usize) -> String {
        let done = total - left.waiting - left.moving;
        let mut line = format!(
            "{done} of {total} partitions moved, {} moving, {} left",
            left.moving,
            bytes(left.bytes)
        );
        let copied = self.most.map_or(0, |most| most.bytes) - left.bytes;
        let elapsed = now.since(self.began);
        if copied > 0 && left.bytes > 0 && elapsed >= Duration::from_secs(1) {
            let seconds = elapsed.as_secs_f64() * left.bytes as f64 / copied as f64;
            line += &format!(", about {}", duration(Duration::from_secs_f64(seconds.min(1e9))));
        }
        let still = now.since(self.changed_at);
        if still >= STALLED_AFTER && left.moving > 0 {
            let seconds = still.as_secs();
            line += &format!(", nothing arrives since {seconds} s: see `strandline cluster`");
        }
        line
    }

    /// Ends the line that is rewritten.
    pub(super) fn end(&self) {
        if !self.is_silent && self.is_terminal && self.told_at.is_some() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

/// `45 s`, `12 min`, `3 h 20 min`
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{} s", seconds.max(1)),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_long_it_takes() {
        let texts = [0, 45, 119, 120, 7_199, 12_000].map(Duration::from_secs).map(duration);
        assert_eq!(texts, ["1 s", "45 s", "119 s", "2 min", "119 min", "3 h 20 min"]);
    }

    #[test]
    fn counts_what_has_come_later_too() {
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let left = |waiting, moving, mib: u64| Left { waiting, moving, bytes: mib << 20 };
        let mut progress = Progress::new(at(0), true);
        progress.tell(at(0), left(8, 0, 10));
        progress.tell(at(2), left(5, 5, 8));
        let text = |now| progress.line(at(now), left(5, 5, 8), 10);
        assert_eq!(text(2), "0 of 10 partitions moved, 5 moving, 8.0 MiB left, about 8 s");
        assert_eq!(
            text(40),
            "0 of 10 partitions moved, 5 moving, 8.0 MiB left, about 2 min, nothing arrives since 38 s: see `strandline cluster`"
        );
    }
}
