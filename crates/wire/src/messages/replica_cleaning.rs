//! What a broker tells of the compaction of its replicas, for which Kafka has no message: a tagged
//! field of our own in DescribeLogDirs. It is told only to whoever asks for it, by a tagged field
//! too, so that nobody else's answers change.

use bytes::Bytes;
use strandline_types::{Offset, Timestamp};

use super::describe_log_dirs_response::DescribeLogDirsPartition;
use super::{DescribeLogDirsRequest, UnknownTags};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Kafka counts its tags from 0 up, a few per message.
const TAG: u32 = 20_000;

/// The first version that has tagged fields.
const FIRST_VERSION: i16 = 2;

/// How far one replica of a compacted partition is cleaned.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ReplicaCleaning {
    /// Share of the bytes that may be cleaned and were never, from 0 to 1.
    pub dirty_ratio: Option<f64>,
    /// Before this everything was cleaned.
    pub cleaned_upto: Option<Offset>,
    /// When the last pass ended that this process has made.
    pub cleaned_at: Option<Timestamp>,
    /// Why the last pass failed, if it did.
    pub fault: Option<String>,
    /// Another pass will be tried.
    pub is_tried_again: bool,
}

impl ReplicaCleaning {
    /// Asks for it, where the request's version can.
    pub fn ask(request: &mut DescribeLogDirsRequest, version: i16) {
        if version >= FIRST_VERSION {
            request.unknown_tags.push(TAG, Bytes::new());
        }
    }

    pub fn is_asked_for(request: &DescribeLogDirsRequest) -> bool {
        find(&request.unknown_tags).is_some()
    }

    /// # Errors
    /// When the text of the fault is too long.
    pub fn tell(&self, replica: &mut DescribeLogDirsPartition) -> Result<(), EncodeError> {
        let mut writer = Writer::new();
        writer.f64(self.dirty_ratio.unwrap_or(-1.0));
        writer.i64(self.cleaned_upto.map_or(-1, Offset::get));
        writer.i64(self.cleaned_at.map_or(-1, Timestamp::as_millis));
        writer.nullable_string(self.fault.as_deref(), true)?;
        writer.bool(self.is_tried_again);
        replica.unknown_tags.push(TAG, writer.into_bytes());
        Ok(())
    }

    /// `None` when nothing is told.
    ///
    /// # Errors
    /// When what is told is cut short. What follows it is for later versions.
    pub fn told(replica: &DescribeLogDirsPartition) -> Result<Option<Self>, DecodeError> {
        let Some(bytes) = find(&replica.unknown_tags) else { return Ok(None) };
        let mut reader = Reader::new(bytes);
        Ok(Some(Self {
            dirty_ratio: Some(reader.f64()?).filter(|ratio| *ratio >= 0.0),
            cleaned_upto: Some(Offset(reader.i64()?)).filter(|upto| *upto >= Offset::ZERO),
            cleaned_at: Some(Timestamp(reader.i64()?)).filter(|at| *at >= Timestamp(0)),
            fault: reader.nullable_string(true)?,
            is_tried_again: reader.bool()?,
        }))
    }
}

fn find(tags: &UnknownTags) -> Option<&Bytes> {
    tags.as_slice().iter().find(|it| it.tag == TAG).map(|it| &it.bytes)
}
