//! Short lives of one log, by their seeds: as `seeds`, without a broker.

mod seeded;

use std::time::Duration;

use seeded::Played;
use strandline_sim::core_world::{self, Ending};

const CORE: Played<Ending> = Played {
    test: ("core_world", "seeds_keep"),
    run: core_world::run,
    count: 1_000,
    budget: Duration::from_secs(120),
    is_unclean: false,
};

#[test]
fn seeds_keep_every_invariant() {
    CORE.play_all();
}

#[test]
fn lives_are_a_function_of_their_seed() {
    for seed in 0..10 {
        CORE.is_function_of_seed([seed, seed + 10]);
    }
}
