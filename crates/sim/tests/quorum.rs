//! Quorums by their seeds: as `seeds`, with several nodes and nothing but metadata.

mod seeded;

use std::time::Duration;

use seeded::Played;
use strandline_sim::quorum_world::{self, Trouble};

const QUORUM: Played<Trouble> = Played {
    test: ("quorum", "seeds_keep"),
    run: quorum_world::run,
    count: 100,
    budget: Duration::from_secs(400),
    is_unclean: false,
};

#[test]
fn seeds_keep_every_invariant() {
    QUORUM.play_all();
}

#[test]
fn a_quorum_is_a_function_of_its_seed() {
    QUORUM.is_function_of_seed([1, 2]);
}
