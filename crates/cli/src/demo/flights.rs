//! The demo's data: the flights that left New York in 2013 (`data/README.md`), within the binary.

use std::io::{BufRead, BufReader};

use serde::{Deserialize, Serialize};
use zstd::stream::read::Decoder;

static COMPRESSED: &[u8] = include_bytes!("../../data/flights-2013.csv.zst");

const HEADER: &str = "month,day,sched_dep_time,dep_delay,arr_delay,carrier,flight,tailnum,origin,dest,\
                      air_time,distance";

pub(super) const FLIGHTS: u64 = 336_776;

/// The airports, each of which is a source of the flights that leave it.
pub(super) const ORIGINS: [&str; 3] = ["EWR", "JFK", "LGA"];

/// One flight, and as JSON the value of one record.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(super) struct Flight<'a> {
    pub(super) month: u8,
    pub(super) day: u8,
    /// Local time, hhmm.
    pub(super) sched_dep_time: u16,
    /// In minutes, negative when early; `None` when the flight was cancelled.
    pub(super) dep_delay: Option<i16>,
    pub(super) arr_delay: Option<i16>,
    pub(super) carrier: &'a str,
    pub(super) flight: u16,
    pub(super) tailnum: Option<&'a str>,
    pub(super) origin: &'a str,
    pub(super) dest: &'a str,
    /// In minutes.
    pub(super) air_time: Option<u16>,
    /// In miles.
    pub(super) distance: u16,
}

impl<'a> Flight<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(',');
        let mut next = || fields.next();
        let flight = Self {
            month: next()?.parse().ok()?,
            day: next()?.parse().ok()?,
            sched_dep_time: next()?.parse().ok()?,
            dep_delay: number(next()?)?,
            arr_delay: number(next()?)?,
            carrier: next()?,
            flight: next()?.parse().ok()?,
            tailnum: known(next()?),
            origin: next()?,
            dest: next()?,
            air_time: number(next()?)?,
            distance: next()?.parse().ok()?,
        };
        next().is_none().then_some(flight)
    }

    /// Its key: the flights of one route leave one airport, so they have one source and one order.
    pub(super) fn route(&self) -> String {
        format!("{}-{}", self.origin, self.dest)
    }
}

fn known(field: &str) -> Option<&str> {
    (!field.is_empty() && field != "NA").then_some(field)
}

/// `Some(None)` is a number that nobody knows, `None` is no number.
fn number<T: std::str::FromStr>(field: &str) -> Option<Option<T>> {
    known(field).map(|text| text.parse().ok()).map_or(Some(None), |number| number.map(Some))
}

/// Walks the flights in the order of the file, one in memory at a time.
pub(super) struct Flights {
    lines: BufReader<Decoder<'static, &'static [u8]>>,
    line: String,
    left: u64,
}

impl Flights {
    /// The first `count` flights, or as many as there are.
    pub(super) fn first(count: u64) -> Self {
        let decoder = Decoder::with_buffer(COMPRESSED).expect("zstd has memory for a window");
        let mut flights =
            Self { lines: BufReader::new(decoder), line: String::new(), left: FLIGHTS.min(count) };
        flights.advance();
        assert_eq!(flights.line.trim_end(), HEADER, "the columns are not those of the data");
        flights
    }

    pub(super) fn next(&mut self) -> Option<Flight<'_>> {
        self.left = self.left.checked_sub(1)?;
        self.advance();
        let flight = Flight::parse(self.line.trim_end());
        Some(flight.expect("the tests have read every line of the data within this binary"))
    }

    fn advance(&mut self) {
        self.line.clear();
        let read = self.lines.read_line(&mut self.line);
        read.expect("the tests have read every line of the data within this binary");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_can_be_read() {
        let mut flights = Flights::first(u64::MAX);
        let mut count = 0;
        while let Some(flight) = flights.next() {
            assert!(ORIGINS.contains(&flight.origin), "{flight:?}");
            count += 1;
        }
        assert_eq!(count, FLIGHTS);
        assert_eq!(flights.lines.read_line(&mut flights.line).unwrap(), 0);
    }

    #[test]
    fn survives_json() {
        let mut flights = Flights::first(1_000);
        let mut cancelled = 0;
        while let Some(flight) = flights.next() {
            let json = serde_json::to_vec(&flight).unwrap();
            assert_eq!(serde_json::from_slice::<Flight<'_>>(&json).unwrap(), flight);
            cancelled += u64::from(flight.dep_delay.is_none());
        }
        assert_eq!(cancelled, 4);
    }

    #[test]
    fn refuses_other_lines() {
        let line = "1,1,515,2,11,UA,1545,N14228,EWR,IAH,227,1400";
        assert_eq!(Flight::parse(line).unwrap().route(), "EWR-IAH");
        for bad in
            [&line[..30], "1,1,515,x,11,UA,1545,N14228,EWR,IAH,227,1400", &format!("{line},"), ""]
        {
            assert_eq!(Flight::parse(bad), None, "{bad}");
        }
    }
}
