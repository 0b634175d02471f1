//! The demo's data: the flights that left New York in 2013 (`data/README.md`), within the binary.

mod columns;
#[cfg(test)]
mod pack;

use columns::{Column, Expected, Known, WHOLE};
use serde::{Deserialize, Serialize};

static PACKED: &[u8] = include_bytes!("../../../data/flights-2013.columns");

pub(super) const FLIGHTS: u64 = 336_776;

/// The airports, each of which is a source of the flights that leave it.
pub(super) const ORIGINS: [&str; 3] = ["EWR", "JFK", "LGA"];

const MINUTES_PER_DAY: i16 = 24 * 60;

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

impl Flight<'_> {
    /// Its key: the flights of one route leave one airport, so they have one source and one order.
    pub(super) fn route(&self) -> String {
        format!("{}-{}", self.origin, self.dest)
    }
}

/// Walks the flights in the order of the source, one in memory at a time.
pub(super) struct Flights {
    columns: Columns,
    past: Past,
    left: u64,
}

struct Columns {
    month: Column,
    day: Column,
    carrier: Column,
    flight: Column,
    /// Among the routes of the flight.
    route: Column,
    /// Among all routes, where the flight has not flown it before.
    new_route: Column,
    tailnum: Column,
    departure: Column,
    dep_delay: Column,
    arr_delay: Column,
    air_time: Column,
    /// Whatever is new: one per line.
    names: Column,
}

/// What the next flight is told by.
#[derive(Default)]
struct Past {
    date: (u8, u8),
    /// When the flight before it left, or was to leave, in minutes of the day.
    departure: i16,
    carriers: Known<Carrier>,
    routes: Known<Route>,
}

struct Carrier {
    name: String,
    flights: Known<Number>,
    tailnums: Known<String>,
}

struct Number {
    number: u16,
    /// Indexes of [`Past::routes`].
    routes: Known<u16>,
}

struct Route {
    origin: String,
    dest: String,
    distance: u16,
    air_time: Expected,
}

impl Flights {
    /// The first `count` flights, or as many as there are.
    pub(super) fn first(count: u64) -> Self {
        Self::of(PACKED, FLIGHTS.min(count))
    }

    fn of(file: &'static [u8], count: u64) -> Self {
        let [month, day, carrier, flight, route, new_route, tailnum, rest @ ..] =
            columns::columns::<12>(file);
        let [departure, dep_delay, arr_delay, air_time, names] = rest;
        let columns = Columns {
            month,
            day,
            carrier,
            flight,
            route,
            new_route,
            tailnum,
            departure,
            dep_delay,
            arr_delay,
            air_time,
            names,
        };
        Self { columns, past: Past::default(), left: count }
    }

    pub(super) fn next(&mut self) -> Option<Flight<'_>> {
        self.left = self.left.checked_sub(1)?;
        let Self { columns, past, .. } = self;
        let date = (columns.month.next() as u8, columns.day.next() as u8);
        let dep_delay = columns.dep_delay.next_known();
        let sched_dep_time = past.scheduled(date, columns.departure.next_signed(), dep_delay);
        let names = &mut columns.names;

        let carrier =
            past.carriers.recall(columns.carrier.next(), || Carrier::new(names.next_line()));
        let carrier = past.carriers.get_mut(carrier);
        let tailnum = carrier.tailnums.recall(columns.tailnum.next(), || names.next_line());
        let flight = carrier.flights.recall(columns.flight.next(), || Number {
            number: names.next_line().parse().expect(WHOLE),
            routes: Known::default(),
        });
        let flight = carrier.flights.get_mut(flight);
        let route = flight.routes.recall(columns.route.next(), || {
            past.routes.recall(columns.new_route.next(), || Route::parse(&names.next_line()))
        });
        let route = past.routes.get_mut(*flight.routes.get(route));
        let air_time = columns.air_time.next_known().map(|more| route.air_time.value() + more);
        if let Some(minutes) = air_time {
            route.air_time.learn(minutes);
        }
        Some(Flight {
            month: date.0,
            day: date.1,
            sched_dep_time,
            dep_delay,
            arr_delay: columns
                .arr_delay
                .next_known()
                .map(|more| dep_delay.unwrap_or_default() + more),
            carrier: &carrier.name,
            flight: flight.number,
            tailnum: Some(carrier.tailnums.get(tailnum).as_str()).filter(|name| !name.is_empty()),
            origin: &route.origin,
            dest: &route.dest,
            air_time: air_time.map(i16::cast_unsigned),
            distance: route.distance,
        })
    }
}

impl Past {
    /// The scheduled time, hhmm, of a flight that left `later` than the one before it; a cancelled
    /// one was to leave then.
    fn scheduled(&mut self, date: (u8, u8), later: i16, delay: Option<i16>) -> u16 {
        if date != self.date {
            (self.date, self.departure) = (date, 0);
        }
        self.departure += later;
        let minutes = (self.departure - delay.unwrap_or_default()).rem_euclid(MINUTES_PER_DAY);
        (minutes / 60 * 100 + minutes % 60) as u16
    }
}

impl Carrier {
    fn new(name: String) -> Self {
        Self { name, flights: Known::default(), tailnums: Known::default() }
    }
}

impl Route {
    /// `EWR,IAH,1400`
    fn parse(line: &str) -> Self {
        let mut fields = line.split(',').map(str::to_owned);
        let mut next = || fields.next().expect(WHOLE);
        let (origin, dest) = (next(), next());
        Self { origin, dest, distance: next().parse().expect(WHOLE), air_time: Expected::default() }
    }
}
