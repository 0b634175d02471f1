//! Seeds that once found a bug, with what it was. A change of the worlds makes them other lives, so what
//! holds each bug off is a test of its own; these are played because they cost next to nothing.

mod worlds;

use strandline_sim::Rounds;
use worlds::World::{self, Broker, Quorum};

struct Regression {
    world: World,
    seed: u64,
    /// As `ROUNDS` names them.
    rounds: u64,
    found: &'static str,
}

const ALL: u64 = u64::MAX;
/// Only what comes before the first.
const NONE: u64 = 0;

const REGRESSIONS: &[Regression] = &[
    Regression {
        world: Broker,
        seed: 341,
        rounds: ALL,
        found: "a stop was not clean where a disk had room again and a partition did not know",
    },
    Regression {
        world: Broker,
        seed: 9,
        rounds: ALL,
        found: "an ack that overtook a reader's answer was taken for a loss",
    },
    Regression {
        world: Quorum,
        seed: 18,
        rounds: NONE,
        found: "founders that were started again before their format counted as voters without disks",
    },
];

#[test]
fn what_once_failed_holds() {
    for Regression { world, seed, rounds, found } in REGRESSIONS {
        let wrong = world.first_wrong(*seed, Rounds::of_mask(*rounds));
        assert_eq!(wrong, None, "{world:?} {seed}, rounds {rounds}; it once found: {found}");
    }
}
