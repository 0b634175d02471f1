//! The worlds, as one who asks only whether something is wrong sees them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use strandline_sim::{Outcome, Rounds, cluster, core_world, quorum_world, scenario};

#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "not every test plays every world")]
pub(crate) enum World {
    /// The whole broker with its clients.
    Broker,
    /// One log on its disk.
    Core,
    /// Several brokers with their clients.
    Cluster,
    /// Several brokers with a chain of transactions.
    Chain,
    /// Several nodes, and nothing but metadata.
    Quorum,
}

impl World {
    /// What is first wrong with some rounds of a seed, if anything is.
    pub(crate) fn first_wrong(self, seed: u64, rounds: Rounds) -> Option<String> {
        let played = catch_unwind(AssertUnwindSafe(|| match self {
            Self::Broker => first_of(&scenario::run(seed, rounds)),
            Self::Core => first_of(&core_world::run(seed, rounds)),
            Self::Cluster => first_of(&cluster::run(seed, rounds)),
            Self::Chain => first_of(&cluster::run_exactly_once(seed, rounds)),
            Self::Quorum => first_of(&quorum_world::run(seed, rounds)),
        }));
        played.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Some(text.unwrap_or("a panic").to_owned())
        })
    }
}

fn first_of<F>(outcome: &Outcome<F>) -> Option<String> {
    outcome.violations.first().map(ToString::to_string)
}
