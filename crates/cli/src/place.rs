//! Points of a topic as people name them.

use strandline_client::consumer::Place;
use strandline_types::{Offset, Timestamp};

use crate::when;

/// Reads `beginning`, `end` or `now`, an offset, or a moment as [`when::parse`] does.
pub(crate) fn parse(text: &str, now: Timestamp) -> Option<Place> {
    Some(match text {
        "beginning" | "earliest" | "start" => Place::Beginning,
        "end" | "latest" | "now" => Place::End,
        text => match text.parse() {
            Ok(offset) if offset >= 0 => Place::Offset(Offset(offset)),
            _ => Place::Time(when::parse(text, now)?),
        },
    })
}
