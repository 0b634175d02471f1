//! Makes the columns from the table of the source, and proves that they say the same.

use std::path::Path;

use super::columns::WIDE;
use super::*;

const HEADER: &str = "month,day,sched_dep_time,dep_delay,arr_delay,carrier,flight,tailnum,origin,dest,\
                      air_time,distance";

/// Columns as they are written, in the order of [`Columns`].
#[derive(Default)]
struct Packer {
    columns: [Vec<u8>; 12],
    past: Past,
}

impl Packer {
    fn number(&mut self, column: usize, number: u16) {
        match u8::try_from(number) {
            Ok(narrow) if narrow != WIDE => self.columns[column].push(narrow),
            _ => {
                self.columns[column].push(WIDE);
                self.columns[column].extend(number.to_le_bytes());
            }
        }
    }

    fn signed(&mut self, column: usize, number: i16) {
        self.number(column, zigzag(number));
    }

    fn known(&mut self, column: usize, number: Option<i16>) {
        self.number(column, number.map_or(0, |number| zigzag(number) + 1));
    }

    fn name(&mut self, name: &str) {
        self.columns[11].extend(format!("{name}\n").into_bytes());
    }

    fn flight(&mut self, flight: &Flight<'_>) {
        let date = (flight.month, flight.day);
        self.number(0, flight.month.into());
        self.number(1, flight.day.into());
        let delay = flight.dep_delay.unwrap_or_default();
        let scheduled = (flight.sched_dep_time / 100 * 60 + flight.sched_dep_time % 100) as i16;
        let departure = match flight.dep_delay {
            Some(delay) => (scheduled + delay).rem_euclid(MINUTES_PER_DAY),
            None => scheduled,
        };
        let before = if date == self.past.date { self.past.departure } else { 0 };
        self.signed(7, departure - before);
        self.past.scheduled(date, departure - before, flight.dep_delay);
        self.known(8, flight.dep_delay);
        self.known(9, flight.arr_delay.map(|minutes| minutes - delay));
        self.names(flight);
    }

    fn names(&mut self, flight: &Flight<'_>) {
        let mut past = std::mem::take(&mut self.past);
        let place = past.carriers.place(|it| it.name == flight.carrier);
        self.number(2, place);
        let index = past.carriers.recall(place, || {
            self.name(flight.carrier);
            Carrier::new(flight.carrier.to_owned())
        });
        let carrier = past.carriers.get_mut(index);
        let tailnum = flight.tailnum.unwrap_or_default();
        let place = carrier.tailnums.place(|it| it == tailnum);
        self.number(6, place);
        carrier.tailnums.recall(place, || {
            self.name(tailnum);
            tailnum.to_owned()
        });
        let place = carrier.flights.place(|it| it.number == flight.flight);
        self.number(3, place);
        let index = carrier.flights.recall(place, || {
            self.name(&flight.flight.to_string());
            Number { number: flight.flight, routes: Known::default() }
        });
        let number = carrier.flights.get_mut(index);
        let is_its = |it: &Route| {
            (&*it.origin, &*it.dest, it.distance) == (flight.origin, flight.dest, flight.distance)
        };
        let place = number.routes.place(|it| is_its(past.routes.get(*it)));
        self.number(4, place);
        let index = number.routes.recall(place, || {
            let place = past.routes.place(is_its);
            self.number(5, place);
            past.routes.recall(place, || {
                let line = format!("{},{},{}", flight.origin, flight.dest, flight.distance);
                self.name(&line);
                Route::parse(&line)
            })
        });
        let route = past.routes.get_mut(*number.routes.get(index));
        let air_time = flight.air_time.map(u16::cast_signed);
        self.known(10, air_time.map(|minutes| minutes - route.air_time.value()));
        if let Some(minutes) = air_time {
            route.air_time.learn(minutes);
        }
        self.past = past;
    }

    fn finish(self) -> Vec<u8> {
        let mut file = Vec::new();
        for column in self.columns {
            let mut compressor = zstd::bulk::Compressor::new(22).unwrap();
            // Nothing repeats over a longer distance, and every reader has such a window per column.
            compressor.window_log(17).unwrap();
            let frame = compressor.compress(&column).unwrap();
            file.extend((frame.len() as u32).to_le_bytes());
            file.extend(frame);
        }
        file
    }
}

fn zigzag(number: i16) -> u16 {
    ((number << 1) ^ (number >> 15)).cast_unsigned()
}

fn parse(line: &str) -> Option<Flight<'_>> {
    let known = |field: &str| !field.is_empty() && field != "NA";
    let number = |field: &str| match known(field) {
        true => field.parse().ok().map(Some),
        false => Some(None),
    };
    let mut fields = line.split(',');
    let mut next = || fields.next();
    let flight = Flight {
        month: next()?.parse().ok()?,
        day: next()?.parse().ok()?,
        sched_dep_time: next()?.parse().ok()?,
        dep_delay: number(next()?)?,
        arr_delay: number(next()?)?,
        carrier: next()?,
        flight: next()?.parse().ok()?,
        tailnum: next().map(|field| Some(field).filter(|field| known(field)))?,
        origin: next()?,
        dest: next()?,
        air_time: number(next()?)?.map(i16::cast_unsigned),
        distance: next()?.parse().ok()?,
    };
    next().is_none().then_some(flight)
}

/// The line of the source; what is unknown is NA there.
fn line(flight: &Flight<'_>) -> String {
    let known = |number: Option<i64>| number.map_or_else(|| "NA".to_owned(), |it| it.to_string());
    format!(
        "{},{},{},{},{},{},{},{},{},{},{},{}\n",
        flight.month,
        flight.day,
        flight.sched_dep_time,
        known(flight.dep_delay.map(i64::from)),
        known(flight.arr_delay.map(i64::from)),
        flight.carrier,
        flight.flight,
        flight.tailnum.unwrap_or("NA"),
        flight.origin,
        flight.dest,
        known(flight.air_time.map(i64::from)),
        flight.distance
    )
}

/// FNV-1a, as any other program can compute it over the source.
fn fnv(hash: u64, text: &str) -> u64 {
    text.bytes().fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[test]
fn the_columns_say_what_the_source_says() {
    let mut flights = Flights::first(u64::MAX);
    let (mut count, mut hash) = (0, fnv(0xcbf2_9ce4_8422_2325, &format!("{HEADER}\n")));
    while let Some(flight) = flights.next() {
        assert!(ORIGINS.contains(&flight.origin), "{flight:?}");
        hash = fnv(hash, &line(&flight));
        count += 1;
    }
    assert_eq!(count, FLIGHTS);
    assert_eq!(format!("{hash:016x}"), SOURCE);
    let Columns { names, departure, new_route, .. } = &mut flights.columns;
    assert!(names.is_at_end() && departure.is_at_end() && new_route.is_at_end());
}

/// Of the whole table, 15,659,133 bytes.
const SOURCE: &str = "464ccb901fc2720a";

#[test]
fn what_is_packed_is_found_again() {
    let mut flights = Flights::first(5_000);
    let (mut packer, mut lines) = (Packer::default(), Vec::new());
    while let Some(flight) = flights.next() {
        let text = line(&flight);
        assert_eq!(parse(text.trim_end()).as_ref(), Some(&flight));
        packer.flight(&flight);
        lines.push(text);
    }
    let mut again = Flights::of(packer.finish().leak(), lines.len() as u64);
    for text in lines {
        assert_eq!(again.next().map(|flight| line(&flight)), Some(text));
    }
}

#[test]
#[ignore = "makes the data anew from the table that STRANDLINE_FLIGHTS names"]
fn pack_the_source() {
    let source = std::fs::read_to_string(std::env::var("STRANDLINE_FLIGHTS").unwrap()).unwrap();
    let mut lines = source.lines();
    assert_eq!(lines.next(), Some(HEADER));
    let mut packer = Packer::default();
    for line in lines {
        packer.flight(&parse(line).unwrap());
    }
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/flights-2013.columns");
    std::fs::write(data, packer.finish()).unwrap();
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
