//! The first signal asks for a clean stop, the second for one at once.

#![allow(clippy::unwrap_used)]

use std::future::{pending, ready};

use rustix::process::{Signal, getpid, kill_process};
use strandline_cli::signals::{Signals, Stop};

#[tokio::test]
async fn first_cleanly_second_at_once() {
    let mut signals = Signals::listen().unwrap();
    kill_process(getpid(), Signal::TERM).unwrap();
    assert_eq!(signals.next().await, Stop::Terminate);

    assert_eq!(signals.unless_signalled(ready(7)).await, Ok(7));
    kill_process(getpid(), Signal::INT).unwrap();
    assert_eq!(signals.unless_signalled(pending::<()>()).await, Err(Stop::Interrupt));
}
