//! Scenarios by their seeds. A failure prints the seed; `SEED=<seed> cargo test -p strandline-sim
//! --test seeds -- --nocapture` plays it again and, with `RUST_LOG=debug`, tells what the broker says.
//!
//! `SEEDS=<count>` (and `FROM=<seed>`) play more of them: that is what `cargo xtask soak` does.

mod seeded;

use std::time::Duration;

use seeded::Played;
use strandline_sim::scenario::{self, Fault};

const BROKER: Played<Fault> = Played {
    test: ("seeds", "seeds_keep"),
    run: scenario::run,
    count: 400,
    budget: Duration::from_secs(300),
    is_unclean: false,
};

/// With a chain of transactions.
const CHAINED: Played<Fault> = Played {
    test: ("seeds", "chains_keep"),
    run: scenario::run_exactly_once,
    count: 60,
    budget: Duration::from_secs(300),
    is_unclean: false,
};

#[test]
fn chains_keep_every_invariant() {
    CHAINED.play_all();
}

#[test]
fn seeds_keep_every_invariant() {
    BROKER.play_all();
}

#[test]
fn a_scenario_is_a_function_of_its_seed() {
    BROKER.is_function_of_seed([3, 4]);
}
