//! Plays seeds, and says how a failure is played again.
#![expect(clippy::print_stdout, reason = "a test tells what it has played")]

mod asked;

use std::fmt::Debug;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread::{available_parallelism, scope};
use std::time::{Duration, Instant};

use asked::number;
use strandline_sim::{Outcome, Rounds};

/// A world that a test plays.
pub(crate) struct Played<F> {
    /// The test's file, and how its name begins.
    pub(crate) test: (&'static str, &'static str),
    pub(crate) run: fn(u64, Rounds) -> Outcome<F>,
    /// Seeds of an ordinary test run, and how long they may take.
    pub(crate) count: u64,
    pub(crate) budget: Duration,
    /// In some of them unclean elections take records.
    pub(crate) is_unclean: bool,
}

/// What has come of the seeds so far.
#[derive(Default)]
struct Tally {
    played: u64,
    virtual_time: Duration,
    steps: u64,
    unclean_elections: u64,
    losses: u64,
    failed: Vec<u64>,
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

impl<F: Debug> Played<F> {
    /// Plays one seed; what is wrong with it.
    fn play(&self, seed: u64, rounds: Rounds) -> Result<Outcome<F>, String> {
        match catch_unwind(AssertUnwindSafe(|| (self.run)(seed, rounds))) {
            Ok(outcome) if outcome.violations.is_empty() => Ok(outcome),
            Ok(outcome) => Err(outcome.to_string()),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text =
                    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
                Err(format!("seed {seed}: {text}"))
            }
        }
    }

    /// The failure with as few rounds as it takes, and how it is played again.
    fn shrink(&self, seed: u64) -> String {
        let rounds = Rounds::ALL.shrunk(|rounds| self.play(seed, rounds).is_err());
        let told = self.play(seed, rounds).err().unwrap_or_default();
        let ((file, test), mask) = (self.test, rounds.mask());
        format!(
            "{told}\n  replay: SEED={seed} ROUNDS={mask} cargo test --profile sim -p strandline-sim \
             --test {file} -- --nocapture {test}"
        )
    }

    /// Plays the seeds that the environment asks for, or the ordinary ones, as many at once as there
    /// are cores.
    pub(crate) fn play_all(&self) {
        log_to_stderr();
        let seeds = asked::seeds(self.count);
        let (is_ordinary, count) = (asked::is_ordinary(), seeds.end - seeds.start);
        let rounds = number("ROUNDS").map_or(Rounds::ALL, Rounds::of_mask);
        let began = wall_clock();
        let is_time_up = || is_ordinary && began.elapsed() > self.budget;
        let (next, tally) = (AtomicU64::new(seeds.start), Mutex::new(Tally::default()));
        let play_next = || {
            while !is_time_up() {
                let seed = next.fetch_add(1, Relaxed);
                if seed >= seeds.end {
                    break;
                }
                self.play_one(seed, rounds, count == 1, &tally);
            }
        };
        let cores = available_parallelism().map_or(1, NonZero::get);
        scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(play_next))));
        let Tally { played, virtual_time, steps, unclean_elections, losses, failed } =
            tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        let wall = began.elapsed().as_secs_f64();
        let speed = virtual_time.as_secs_f64() / wall;
        println!(
            "{played} seeds in {wall:.0} s: {steps} steps, {speed:.1} virtual seconds a second"
        );
        if unclean_elections > 0 {
            println!("{unclean_elections} unclean elections, {losses} losses by them");
        }
        assert!(failed.is_empty(), "these seeds break invariants: {failed:?}");
        let is_short = is_ordinary && played < count;
        assert!(!is_short || std::env::var_os("CI").is_none(), "{count} seeds were to be played");
        let is_too_clean = self.is_unclean && is_ordinary && played >= count;
        assert!(!is_too_clean || losses > 0, "no unclean election has taken anything");
    }

    fn play_one(&self, seed: u64, rounds: Rounds, is_alone: bool, tally: &Mutex<Tally>) {
        let played = self.play(seed, rounds);
        match &played {
            Ok(outcome) if is_alone => println!("{outcome}"),
            Ok(_) => {}
            Err(failure) if is_alone => println!("{failure}"),
            Err(failure) => {
                println!("{failure}\nwith fewer rounds: {}", self.shrink(seed));
            }
        }
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.played += 1;
        match played {
            Ok(outcome) => {
                tally.virtual_time += outcome.virtual_time;
                tally.steps += outcome.steps;
                tally.unclean_elections += outcome.unclean_elections;
                tally.losses += outcome.losses;
            }
            Err(_) => tally.failed.push(seed),
        }
    }

    /// Two runs of a seed are one and the same, and another seed is another life.
    pub(crate) fn is_function_of_seed(&self, seeds: [u64; 2]) {
        let fingerprints = seeds.map(|seed| {
            let [first, again] = [(); 2].map(|()| (self.run)(seed, Rounds::ALL));
            let told = "lives two different lives";
            assert_eq!(first.fingerprint, again.fingerprint, "seed {seed} {told}");
            assert_eq!(first.to_string(), again.to_string());
            first.fingerprint
        });
        assert_ne!(fingerprints[0], fingerprints[1]);
    }
}
