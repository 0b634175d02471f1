//! A failure is told best by few troubles: which rounds of a scenario are played, and how those are
//! found that it takes.

/// Rounds by their number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rounds(u64);

/// More than any scenario has.
const MOST: u32 = 16;

impl Rounds {
    pub const ALL: Self = Self(u64::MAX);

    pub fn has(self, number: u64) -> bool {
        number >= u64::from(MOST) || self.0 >> number & 1 == 1
    }

    /// Those of the bits of `mask`, the first round in the lowest.
    pub fn of_mask(mask: u64) -> Self {
        Self(mask)
    }

    pub fn mask(self) -> u64 {
        self.0 & ((1 << MOST) - 1)
    }

    /// The fewest rounds, taken away one by one from the last on, with which it `fails` still.
    #[must_use]
    pub fn shrunk(mut self, fails: impl Fn(Self) -> bool) -> Self {
        for number in (0..MOST).rev() {
            let fewer = Self(self.0 & !(1 << number));
            if fewer != self && fails(fewer) {
                self = fewer;
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_takes_stays() {
        let fails = |rounds: Rounds| rounds.has(3) && rounds.has(11);
        let shrunk = Rounds::ALL.shrunk(fails);
        assert_eq!(shrunk.mask(), 1 << 3 | 1 << 11);
        assert_eq!(Rounds::of_mask(shrunk.mask()).mask(), shrunk.mask());
        assert!(fails(shrunk) && !shrunk.has(0));
    }
}
