//! The known name a misspelt one was probably meant to be.

use alloc::vec::Vec;
use core::mem::swap;

/// The name closest to `word`, if no more than a third of it would have to change.
pub fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().collect();
    let limit = word.len().div_ceil(3);
    names
        .map(|name| (distance(&word, &name.chars().collect::<Vec<_>>()), name))
        .min()
        .filter(|(distance, _)| *distance <= limit)
        .map(|(_, name)| name)
}

/// Insertions, deletions and replacements that turn one into the other (Levenshtein).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut row = above.clone();
    for (i, from) in a.iter().enumerate() {
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replace = above[j] + usize::from(from != to);
            row[j + 1] = replace.min(above[j + 1] + 1).min(row[j] + 1);
        }
        swap(&mut above, &mut row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_none() {
        let names = ["num.partitions", "num.io.threads", "log.retention.hours", "log.retention.ms"];
        let found = ["num.partition", "log.retention.hour", "log.retenton.ms", "my.plugin.option"]
            .map(|word| nearest(word, names.into_iter()));
        assert_eq!(
            found,
            [Some("num.partitions"), Some("log.retention.hours"), Some("log.retention.ms"), None]
        );
    }
}
