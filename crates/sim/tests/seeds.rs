//! Scenarios by their seeds. A failure prints the seed; `SEED=<seed> cargo test -p strandline-sim
//! --test seeds -- --nocapture` plays it again and, with `RUST_LOG=debug`, tells what the broker says.
//!
//! `SEEDS=<count>` (and `FROM=<seed>`) play more of them: that is what `cargo xtask soak` does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use strandline_sim::scenario::{self, Outcome};

/// How long the seeds of an ordinary test run may take.
const BUDGET: Duration = Duration::from_secs(40);

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// Plays one seed; what is wrong with it.
fn play(seed: u64) -> Result<Outcome, String> {
    let played = catch_unwind(AssertUnwindSafe(|| scenario::run(seed)));
    let replay =
        format!("replay: SEED={seed} cargo test -p strandline-sim --test seeds -- --nocapture");
    match played {
        Ok(outcome) if outcome.violations.is_empty() => Ok(outcome),
        Ok(outcome) => Err(format!("{outcome}\n  {replay}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
            Err(format!("seed {seed}: {text}\n  {replay}"))
        }
    }
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    // Another test may have been first.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long the test itself takes, not the simulated world"
)]
fn wall_clock() -> Instant {
    Instant::now()
}

#[test]
fn seeds_keep_every_invariant() {
    log_to_stderr();
    let asked = number("SEEDS");
    let (from, count) = match number("SEED") {
        Some(seed) => (seed, 1),
        None => (number("FROM").unwrap_or(0), asked.unwrap_or(60)),
    };
    let began = wall_clock();
    let (mut played, mut virtual_time, mut steps, mut failed) = (0, Duration::ZERO, 0, Vec::new());
    for seed in from..from + count {
        if asked.is_none() && began.elapsed() > BUDGET {
            break;
        }
        played += 1;
        match play(seed) {
            Ok(outcome) => {
                virtual_time += outcome.virtual_time;
                steps += outcome.steps;
                if count == 1 {
                    println!("{outcome}");
                }
            }
            Err(failure) => {
                println!("{failure}");
                failed.push(seed);
            }
        }
    }
    let wall = began.elapsed().as_secs_f64();
    let speed = virtual_time.as_secs_f64() / wall;
    println!("{played} seeds in {wall:.0} s: {steps} steps, {speed:.1} virtual seconds a second");
    assert!(failed.is_empty(), "these seeds break invariants: {failed:?}");
}

#[test]
fn a_scenario_is_a_function_of_its_seed() {
    for seed in [3, 4] {
        let (first, again) = (scenario::run(seed), scenario::run(seed));
        assert_eq!(first.fingerprint, again.fingerprint, "seed {seed} lives two different lives");
        assert_eq!(first.to_string(), again.to_string());
    }
    assert_ne!(scenario::run(3).fingerprint, scenario::run(4).fingerprint);
}
