//! Clusters by their seeds: as `seeds`, with several brokers.

mod seeded;

use std::time::Duration;

use seeded::Played;
use strandline_sim::cluster::{self, Fault};

const CLUSTER: Played<Fault> =
    Played { test: "cluster", run: cluster::run, count: 30, budget: Duration::from_secs(120) };

#[test]
fn seeds_keep_every_invariant() {
    CLUSTER.play_all();
}

#[test]
fn a_cluster_is_a_function_of_its_seed() {
    CLUSTER.is_function_of_seed([1, 2]);
}
