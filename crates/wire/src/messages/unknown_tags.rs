//! Tagged fields that this version does not know, kept as they came (KIP-482).

use bytes::Bytes;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownTag {
    pub tag: u32,
    pub bytes: Bytes,
}

/// In ascending order of their tags, each tag once. One pointer when there are none.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct UnknownTags(Option<Box<Kept>>);

#[derive(Clone, PartialEq, Eq, Default)]
struct Kept(Vec<UnknownTag>);

impl UnknownTags {
    /// Memory that keeping one more tag may take: a growing vector doubles.
    pub(crate) const COST_BYTES: usize = 4 * size_of::<UnknownTag>();

    pub fn as_slice(&self) -> &[UnknownTag] {
        self.0.as_ref().map_or(&[], |kept| &kept.0)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The caller has checked that `tag` is above all kept so far.
    pub(crate) fn push(&mut self, tag: u32, bytes: Bytes) {
        self.0.get_or_insert_default().0.push(UnknownTag { tag, bytes });
    }
}

impl core::fmt::Debug for UnknownTags {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}
