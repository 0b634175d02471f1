//! How a scenario went.

use std::fmt;
use std::time::Duration;

use crate::executor::Sim;
use crate::oracle::Violation;
use crate::workload::Field;

/// One broken invariant often breaks others after it.
const VIOLATIONS_SHOWN: usize = 10;

/// What is told of one seed, where `F` is what can go wrong.
#[derive(Clone, Debug)]
pub struct Outcome<F> {
    pub seed: u64,
    pub violations: Vec<Violation>,
    pub fingerprint: u64,
    pub faults: Vec<F>,
    pub acked: u64,
    /// Values that a broker said it had not taken.
    pub refused: u64,
    pub read: u64,
    pub committed_transactions: u64,
    /// The longest that a value was acked and nobody had read it.
    pub lag_max: Duration,
    pub unclean_elections: u64,
    /// What clients have noticed of what those took.
    pub losses: u64,
    pub steps: u64,
    pub virtual_time: Duration,
}

impl<F> Outcome<F> {
    /// Ends the world.
    pub(crate) fn of(sim: &Sim, field: &Field, seed: u64, faults: Vec<F>) -> Self {
        let outcome = Self::seen(sim, field, seed, faults);
        sim.end();
        outcome
    }

    fn seen(sim: &Sim, field: &Field, seed: u64, faults: Vec<F>) -> Self {
        let oracle = field.oracle();
        Self {
            seed,
            violations: oracle.violations().to_vec(),
            fingerprint: sim.fingerprint(),
            faults,
            acked: oracle.acked,
            refused: oracle.refused,
            read: oracle.read,
            committed_transactions: oracle.committed_transactions,
            lag_max: oracle.lag_max,
            unclean_elections: oracle.unclean_elections,
            losses: oracle.losses,
            steps: sim.steps(),
            virtual_time: Duration::from_nanos(sim.now().as_nanos()),
        }
    }
}

impl<F: fmt::Debug> fmt::Display for Outcome<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, acked, refused, read, lag_max, steps, virtual_time, faults, .. } = self;
        write!(f, "seed {seed}: {acked} acked, {refused} refused, {read} read, ")?;
        write!(f, "{:.1} s behind at most, {steps} steps, ", lag_max.as_secs_f64())?;
        if self.committed_transactions > 0 {
            write!(f, "{} transactions committed, ", self.committed_transactions)?;
        }
        if self.unclean_elections > 0 {
            write!(f, "{} unclean elections, {} losses, ", self.unclean_elections, self.losses)?;
        }
        write!(f, "{:.1} s, {faults:?}", virtual_time.as_secs_f64())?;
        let shown = self.violations.iter().take(VIOLATIONS_SHOWN);
        shown.into_iter().try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}
