//! Takes the `Debug` form of a message apart into its leaf values, and knows what value each place
//! must have in a golden vector: the same rule as in `interop/golden/Filler.java`.

use strandline_types::Uuid;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// Such as `topics[1].name`: lower case without underscores.
    pub path: String,
    /// As `Debug` prints it.
    pub value: String,
}

pub fn leaves(debug: &str) -> Vec<Leaf> {
    let mut parser = Parser { rest: debug, leaves: Vec::new() };
    parser.value("");
    assert_eq!(parser.rest, "");
    parser.leaves
}

/// Reads `Name { field: value, … }`, `Name(value)`, `[value, …]` and leaves.
struct Parser<'a> {
    rest: &'a str,
    leaves: Vec<Leaf>,
}

impl Parser<'_> {
    fn eat(&mut self, text: &str) -> bool {
        self.rest.strip_prefix(text).map(|rest| self.rest = rest).is_some()
    }

    fn value(&mut self, path: &str) {
        if self.eat("[") {
            for index in 0.. {
                if self.eat("]") {
                    break;
                }
                self.value(&format!("{path}[{index}]"));
                self.eat(", ");
            }
            return;
        }
        let word = self.word();
        if self.eat(" { ") {
            while !self.eat("}") {
                let name = self.word();
                assert!(self.eat(": "), "{}", self.rest);
                let name = name.trim_start_matches("r#").replace('_', "");
                let dot = if path.is_empty() { "" } else { "." };
                self.value(&format!("{path}{dot}{name}"));
                let _ = self.eat(", ") || self.eat(" ");
            }
        } else if word.chars().all(|c| c.is_alphabetic()) && self.eat("(") {
            self.value(path);
            assert!(self.eat(")"), "{}", self.rest);
        } else {
            self.leaves.push(Leaf { path: path.into(), value: word });
        }
    }

    /// A name, a number, a quoted string, or an error code with its number in parentheses.
    fn word(&mut self) -> String {
        let quoted = self.rest.starts_with('"') || self.rest.starts_with("b\"");
        let end = if quoted {
            let open = self.rest.find('"').expect("starts with one") + 1;
            open + self.rest[open..].find('"').expect("closed") + 1
        } else if self.rest.starts_with("UNKNOWN(") {
            self.rest.find(')').expect("closed") + 1
        } else {
            self.rest.find([' ', ',', ':', ')', ']', '(', '}']).unwrap_or(self.rest.len())
        };
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }
}

impl Leaf {
    /// Whether this is the value that the place got in the given filling.
    pub fn is_expected(&self, filling: u32) -> bool {
        let hash = hash(&self.path, filling);
        let name = self.path.rsplit('.').next().unwrap_or_default();
        let own = self::hash(name, filling);
        let text = format!("{name}-{}", hash % 1000);
        let short = 200 + hash % 30_000;
        let candidates = [
            (own & 1 == 1).to_string(),
            (20 + own % 100).to_string(),
            short.to_string(),
            format!("UNKNOWN({short})"),
            (200 + hash % 65_000).to_string(),
            (100_000 + hash % 2_000_000_000).to_string(),
            (10_000_000_000 + hash % 1_000_000_000_000_000_000).to_string(),
            format!("{}.125", hash % 1_000_000),
            format!("{text:?}"),
            format!("b{text:?}"),
            uuid(hash).to_string(),
        ];
        candidates.contains(&self.value)
    }
}

fn uuid(hash: u64) -> Uuid {
    Uuid::from_u128(u128::from(hash) << 64 | u128::from(hash.wrapping_mul(31) | 1))
}

/// FNV-1a, stirred, made positive.
fn hash(path: &str, filling: u32) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in format!("{path}#{filling}").bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (hash ^ hash >> 33) & (u64::MAX >> 1)
}
