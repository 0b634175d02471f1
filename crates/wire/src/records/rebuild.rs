//! Writes an inspected batch anew: with the codec that the topic demands, or because its offsets
//! are not dense.

use bytes::Bytes;
use strandline_types::{BatchFacts, Compression};

use super::header::{ATTRIBUTES, BatchHeader, CHECKSUM, LENGTH, LENGTH_END, MAX_TIMESTAMP};
use super::{
    BatchBuilder, BatchOptions, BatchRefusal, InspectLimits, InspectedBatch, NewRecord,
    ProducerFields, Records,
};
use crate::compression::{CompressionChoice, compress_into};

const CODEC_MASK: i16 = 0b111;

impl InspectedBatch {
    /// The same records with dense offsets, compressed with `target`. The facts stay what they
    /// were, but for size, codec, base timestamp and offset deltas. Fails only on a batch that
    /// expands beyond `limits` or was not fully inspected.
    pub fn rebuild(
        &self,
        target: CompressionChoice,
        limits: &InspectLimits,
    ) -> Result<Self, BatchRefusal> {
        let records = Records::open(&self.bytes, limits)?;
        match self.offsets_are_dense {
            true => Ok(self.recompress(target, records.plain())),
            false => self.renumber(target, &records),
        }
    }

    fn recompress(&self, target: CompressionChoice, plain: &[u8]) -> Self {
        let source = BatchHeader::parse(&self.bytes).expect("an inspected batch has its header");
        let mut buffer = Vec::with_capacity(self.bytes.len());
        buffer.extend_from_slice(source.bytes());
        compress_into(target, plain, &mut buffer);
        let attributes = source.attributes() & !CODEC_MASK | target.codec as i16;
        let length = (buffer.len() - LENGTH_END) as i32;
        let mut put = |position: usize, field: &[u8]| {
            buffer[position..position + field.len()].copy_from_slice(field);
        };
        put(LENGTH, &length.to_be_bytes());
        put(ATTRIBUTES, &attributes.to_be_bytes());
        put(MAX_TIMESTAMP, &self.facts.max_timestamp.0.to_be_bytes());
        let checksum = crc_fast::crc32_iscsi(&buffer[ATTRIBUTES..]);
        buffer[CHECKSUM..ATTRIBUTES].copy_from_slice(&checksum.to_be_bytes());
        self.rewritten(buffer.into(), target.codec)
    }

    fn renumber(&self, target: CompressionChoice, records: &Records) -> Result<Self, BatchRefusal> {
        let BatchFacts { producer_id, producer_epoch, base_sequence, .. } = self.facts;
        let options = BatchOptions {
            base_offset: self.facts.base_offset,
            leader_epoch: self.facts.leader_epoch,
            compression: target,
            producer: ProducerFields { id: producer_id, epoch: producer_epoch, base_sequence },
            is_transactional: self.facts.is_transactional,
            is_control: self.facts.control.is_some(),
            log_append_time: None,
        };
        let mut builder = BatchBuilder::with_capacity(options, records.plain().len());
        let mut headers = Vec::new();
        let mut max_timestamp_delta = None;
        for record in records {
            let record = record?;
            headers.clear();
            headers.extend(record.headers.iter());
            let copy = NewRecord {
                timestamp: record.timestamp,
                key: record.key,
                value: record.value,
                headers: &headers,
            };
            let delta = builder.append(&copy).map_err(|_| BatchRefusal::TooLarge)?;
            if record.timestamp == self.facts.max_timestamp {
                max_timestamp_delta.get_or_insert(delta);
            }
        }
        let last_offset_delta = builder.record_count() - 1;
        let mut rebuilt = self.rewritten(builder.build(), target.codec);
        rebuilt.facts.last_offset_delta = last_offset_delta;
        rebuilt.facts.max_timestamp_delta = max_timestamp_delta.unwrap_or(0);
        rebuilt.offsets_are_dense = true;
        Ok(rebuilt)
    }

    fn rewritten(&self, bytes: Bytes, compression: Compression) -> Self {
        let header = BatchHeader::parse(&bytes).expect("a written batch has its header");
        let facts = BatchFacts {
            size_bytes: bytes.len() as u32,
            compression,
            base_timestamp: header.base_timestamp(),
            ..self.facts.clone()
        };
        Self { facts, bytes, offsets_are_dense: self.offsets_are_dense }
    }
}
