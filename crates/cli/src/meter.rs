//! How far a read with an end has come: a bar on a terminal, nothing elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use strandline_client::consumer::Progress;

/// Goes away when dropped.
pub(crate) struct Meter(ProgressBar);

impl Meter {
    /// What nobody wants to see, such as a bar between the lines of a result, is `hidden`.
    pub(crate) fn new(what: &'static str, is_hidden: bool) -> Self {
        let style =
            ProgressStyle::with_template("{prefix} {bar:40.cyan} {pos} of {len}, {eta} left")
                .expect("the template is a constant");
        let bar = match is_hidden {
            true => ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
            false => ProgressBar::no_length(),
        };
        bar.set_style(style);
        bar.set_prefix(what);
        Self(bar)
    }

    pub(crate) fn show(&self, progress: Progress) {
        self.0.set_length(progress.total);
        self.0.set_position(progress.passed);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
