//! Which seeds a run plays. Every simulation of this repository understands `SEED=<seed>`, one, and
//! `SEEDS=<count>` with `FROM=<seed>`, as many from there on.

use std::ops::Range;

/// What a variable of the environment says.
pub(crate) fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// The seeds that are asked for, or the first `ordinary` ones.
pub(crate) fn seeds(ordinary: u64) -> Range<u64> {
    let (from, count) = match number("SEED") {
        Some(seed) => (seed, 1),
        None => (number("FROM").unwrap_or(0), number("SEEDS").unwrap_or(ordinary)),
    };
    from..from + count
}

/// Whether nobody has asked for other seeds than the ordinary ones.
pub(crate) fn is_ordinary() -> bool {
    ["SEED", "SEEDS", "FROM"].iter().all(|variable| std::env::var_os(variable).is_none())
}
