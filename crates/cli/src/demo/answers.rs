//! What the demo computes: once from the stream by each group, once straight from the file.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::flights::{Flight, Flights};

/// By what a group sums up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Subject {
    Carrier,
    Origin,
}

impl Subject {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Carrier => "carrier",
            Self::Origin => "origin",
        }
    }

    fn of<'a>(self, flight: &Flight<'a>) -> &'a str {
        match self {
            Self::Carrier => flight.carrier,
            Self::Origin => flight.origin,
        }
    }
}

/// The flights of one carrier or airport. Sums, so that equal means equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Departures {
    pub(super) flights: u64,
    pub(super) cancelled: u64,
    pub(super) delay_minutes: i64,
}

impl Departures {
    /// Over the flights that departed.
    pub(super) fn mean_delay_minutes(&self) -> Option<f64> {
        let departed = self.flights - self.cancelled;
        (departed > 0).then(|| self.delay_minutes as f64 / departed as f64)
    }

    fn add(&mut self, flight: &Flight<'_>) {
        self.flights += 1;
        match flight.dep_delay {
            Some(minutes) => self.delay_minutes += i64::from(minutes),
            None => self.cancelled += 1,
        }
    }
}

/// The flights of one key, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Route {
    pub(super) flights: u64,
    /// Each flight's content hashed on top of those before it: one missing, twice, changed or in
    /// another place, and it differs.
    chain: u64,
}

impl Route {
    fn add(&mut self, flight: &Flight<'_>) {
        self.flights += 1;
        let mut hasher = DefaultHasher::new();
        self.chain.hash(&mut hasher);
        flight.hash(&mut hasher);
        self.chain = hasher.finish();
    }
}

/// The answers of one reader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answers {
    pub(super) subject: Subject,
    pub(super) departures: BTreeMap<String, Departures>,
    pub(super) routes: BTreeMap<String, Route>,
}

impl Answers {
    pub(super) fn new(subject: Subject) -> Self {
        Self { subject, departures: BTreeMap::new(), routes: BTreeMap::new() }
    }

    /// The answers as the file has them.
    pub(super) fn of_file(subject: Subject, count: u64) -> Self {
        let mut answers = Self::new(subject);
        let mut flights = Flights::first(count);
        while let Some(flight) = flights.next() {
            answers.add(&flight);
        }
        answers
    }

    pub(super) fn add(&mut self, flight: &Flight<'_>) {
        // Looked up first: a new name is rare, and only that is worth a copy.
        let name = self.subject.of(flight);
        match self.departures.get_mut(name) {
            Some(departures) => departures.add(flight),
            None => self.departures.entry(name.to_owned()).or_default().add(flight),
        }
        self.routes.entry(flight.route()).or_default().add(flight);
    }

    /// Takes in what was computed from another partition. A route is in one partition only, so one
    /// that is in both is told.
    pub(super) fn merge(&mut self, other: Self) -> Vec<String> {
        for (name, theirs) in other.departures {
            let ours = self.departures.entry(name).or_default();
            ours.flights += theirs.flights;
            ours.cancelled += theirs.cancelled;
            ours.delay_minutes += theirs.delay_minutes;
        }
        let mut problems = Vec::new();
        for (name, theirs) in other.routes {
            if self.routes.insert(name.clone(), theirs).is_some() {
                problems.push(format!("route {name} is in more than one partition"));
            }
        }
        problems
    }

    pub(super) fn flights(&self) -> u64 {
        self.departures.values().map(|departures| departures.flights).sum()
    }

    /// Where these answers are not the file's.
    pub(super) fn differences(&self, file: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        let subject = self.subject.name();
        for name in names(&self.departures, &file.departures) {
            let [ours, theirs] = [self, file]
                .map(|answers| answers.departures.get(name).copied().unwrap_or_default());
            if ours != theirs {
                differences.push(format!(
                    "{subject} {name}: {} flights, {} cancelled, {} minutes late in all; \
                     the file says {}, {} and {}",
                    ours.flights,
                    ours.cancelled,
                    ours.delay_minutes,
                    theirs.flights,
                    theirs.cancelled,
                    theirs.delay_minutes
                ));
            }
        }
        for name in names(&self.routes, &file.routes) {
            let [ours, theirs] =
                [self, file].map(|answers| answers.routes.get(name).copied().unwrap_or_default());
            if ours.flights != theirs.flights {
                let (ours, theirs) = (ours.flights, theirs.flights);
                differences.push(format!("route {name}: {ours} flights; the file says {theirs}"));
            } else if ours != theirs {
                differences.push(format!("route {name}: not the file's flights in its order"));
            }
        }
        differences
    }
}

fn names<'a, T>(
    ours: &'a BTreeMap<String, T>,
    theirs: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = &'a String> {
    ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name)))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(read: impl FnOnce(&mut Vec<String>), expected: Expect) {
        let mut file = Answers::new(Subject::Carrier);
        let mut lines = Vec::new();
        let mut flights = Flights::first(100);
        while let Some(flight) = flights.next() {
            // Two routes are enough to tell a story.
            if ["EWR-IAH", "LGA-ATL"].contains(&flight.route().as_str()) {
                file.add(&flight);
                lines.push(serde_json::to_string(&flight).unwrap());
            }
        }
        read(&mut lines);
        let mut answers = Answers::new(Subject::Carrier);
        for line in &lines {
            answers.add(&serde_json::from_str(line).unwrap());
        }
        expected.assert_eq(&answers.differences(&file).join("\n"));
    }

    #[test]
    fn tells_what_differs() {
        check(|_| (), expect![[""]]);
        check(
            |lines| lines.swap(0, 3),
            expect!["route LGA-ATL: not the file's flights in its order"],
        );
        check(
            |lines| drop(lines.remove(0)),
            expect![[r#"
            carrier UA: 1 flights, 0 cancelled, 0 minutes late in all; the file says 2, 0 and 2
            route EWR-IAH: 1 flights; the file says 2"#]],
        );
        check(
            |lines| lines.push(lines[0].clone()),
            expect![[r#"
            carrier UA: 3 flights, 0 cancelled, 4 minutes late in all; the file says 2, 0 and 2
            route EWR-IAH: 3 flights; the file says 2"#]],
        );
        check(
            |lines| lines[1] = lines[1].replace("\"day\":1", "\"day\":2"),
            expect!["route LGA-ATL: not the file's flights in its order"],
        );
    }

    #[test]
    fn a_route_in_two_partitions() {
        let mut flights = Flights::first(1);
        let flight = flights.next().unwrap();
        let mut answers = Answers::new(Subject::Origin);
        answers.add(&flight);
        let again = answers.clone();
        assert_eq!(answers.merge(again), ["route EWR-IAH is in more than one partition"]);
        assert_eq!(answers.flights(), 2);
    }
}
