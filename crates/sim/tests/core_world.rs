//! Short lives of one log, by their seeds: `SEEDS=<count>` and `FROM=<seed>` play others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use strandline_sim::core_world;

fn number(variable: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return otherwise };
    text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}"))
}

#[expect(clippy::disallowed_methods, reason = "how long the test itself takes")]
fn wall_clock() -> Instant {
    Instant::now()
}

#[test]
fn no_life_takes_what_was_promised() {
    let (from, count) = (number("FROM", 0), number("SEEDS", 1_000));
    let began = wall_clock();
    let (mut lives, mut appended, mut failed) = (0, 0, Vec::new());
    for seed in from..from + count {
        match catch_unwind(AssertUnwindSafe(|| core_world::run(seed))) {
            Ok(outcome) => {
                lives += outcome.lives;
                appended += outcome.appended;
                failed.extend(outcome.complaint.map(|complaint| format!("{seed}: {complaint}")));
            }
            Err(_) => failed.push(format!("{seed}: panicked")),
        }
    }
    let wall = began.elapsed().as_secs_f64();
    println!("{count} seeds, {lives} lives, {appended} batches in {wall:.1} s");
    assert!(failed.is_empty(), "{} seeds fail:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn a_seed_tells_all_its_lives() {
    for seed in 0..20 {
        assert_eq!(core_world::run(seed), core_world::run(seed));
    }
    assert_ne!(core_world::run(1).fingerprint, core_world::run(2).fingerprint);
}
