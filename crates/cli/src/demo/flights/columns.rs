//! How the flights are kept within the binary: column by column, each told by what came before it.
//!
//! A name is the place that it has among the names of its kind, the latest first: flights leave
//! every day with few aircraft, so places are small numbers. Times are the differences to what was
//! to be expected. Both repeat far more than the text does, so that it takes half the room.

use std::io::{BufRead, BufReader, Read};

use zstd::stream::read::Decoder;

/// Numbers, one per flight or fewer, in a zstd frame of their own.
pub(super) struct Column(BufReader<Decoder<'static, &'static [u8]>>);

/// From this on a number takes two bytes more.
pub(super) const WIDE: u8 = u8::MAX;

impl Column {
    fn open(frame: &'static [u8]) -> Self {
        Self(BufReader::new(Decoder::with_buffer(frame).expect("zstd has memory for a window")))
    }

    pub(super) fn next(&mut self) -> u16 {
        match self.bytes() {
            [WIDE] => u16::from_le_bytes(self.bytes()),
            [narrow] => narrow.into(),
        }
    }

    /// Either sign: 0, -1, 1, -2, 2, …
    pub(super) fn next_signed(&mut self) -> i16 {
        signed(self.next())
    }

    /// Either sign or unknown, which is 0.
    pub(super) fn next_known(&mut self) -> Option<i16> {
        self.next().checked_sub(1).map(signed)
    }

    pub(super) fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect(WHOLE);
        line.truncate(line.trim_end().len());
        line
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).expect(WHOLE);
        bytes
    }

    #[cfg(test)]
    pub(super) fn is_at_end(&mut self) -> bool {
        self.0.fill_buf().unwrap().is_empty()
    }
}

pub(super) const WHOLE: &str = "the tests have read all of the data within this binary";

fn signed(number: u16) -> i16 {
    (number >> 1) as i16 ^ -((number & 1) as i16)
}

/// The columns of a file: each behind its size.
pub(super) fn columns<const N: usize>(mut file: &'static [u8]) -> [Column; N] {
    std::array::from_fn(|_| {
        let (size, rest) = file.split_first_chunk().expect(WHOLE);
        let (frame, rest) = rest.split_at(u32::from_le_bytes(*size) as usize);
        file = rest;
        Column::open(frame)
    })
}

/// Values of one kind that have occurred, which are told by their place: the latest is at 0, and
/// the place behind the last is a new one's.
pub(super) struct Known<T> {
    values: Vec<T>,
    /// Indexes of `values`, the latest first: they move, the values stay.
    latest: Vec<u16>,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { values: Vec::new(), latest: Vec::new() }
    }
}

impl<T> Known<T> {
    /// The index of the value at a place, which becomes the latest.
    pub(super) fn recall(&mut self, place: u16, new: impl FnOnce() -> T) -> u16 {
        if let Some(up_to_it) = self.latest.get_mut(..=usize::from(place)) {
            up_to_it.rotate_right(1);
        } else {
            self.latest.insert(0, self.values.len() as u16);
            self.values.push(new());
        }
        self.latest[0]
    }

    pub(super) fn get(&self, index: u16) -> &T {
        &self.values[usize::from(index)]
    }

    pub(super) fn get_mut(&mut self, index: u16) -> &mut T {
        &mut self.values[usize::from(index)]
    }

    #[cfg(test)]
    pub(super) fn place(&self, is_it: impl Fn(&T) -> bool) -> u16 {
        let place = self.latest.iter().position(|index| is_it(self.get(*index)));
        place.unwrap_or(self.latest.len()) as u16
    }
}

/// What is to be expected: the mean of what was, where the latest counts for an eighth.
#[derive(Default)]
pub(super) struct Expected(Option<i32>);

impl Expected {
    pub(super) fn value(&self) -> i16 {
        self.0.map_or(0, |eighths| ((eighths + 4) >> 3) as i16)
    }

    pub(super) fn learn(&mut self, value: i16) {
        let value = i32::from(value);
        self.0 = Some(match self.0 {
            None => value << 3,
            Some(eighths) => eighths + value - ((eighths + 4) >> 3),
        });
    }
}
