//! What an array may hold.

use strandline_types::Uuid;

use crate::{DecodeError, EncodeError, Reader, Writer};

pub(crate) trait Element: Sized {
    /// The fewest bytes that one element takes in this version: never 0.
    fn min_size(version: i16, flexible: bool) -> usize;
    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError>;
    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError>;
}

macro_rules! numbers {
    ($($type:ty, $method:ident;)*) => {$(
        impl Element for $type {
            fn min_size(_: i16, _: bool) -> usize {
                size_of::<Self>()
            }
            fn read(reader: &mut Reader<'_>, _: i16, _: bool) -> Result<Self, DecodeError> {
                reader.$method()
            }
            fn write(&self, writer: &mut Writer, _: i16, _: bool) -> Result<(), EncodeError> {
                writer.$method(*self);
                Ok(())
            }
        }
    )*};
}

numbers! {
    i8, i8;
    i16, i16;
    i32, i32;
    i64, i64;
    Uuid, uuid;
}

impl Element for String {
    fn min_size(_: i16, flexible: bool) -> usize {
        if flexible { 1 } else { 2 }
    }
    fn read(reader: &mut Reader<'_>, _: i16, flexible: bool) -> Result<Self, DecodeError> {
        reader.string(flexible)
    }
    fn write(&self, writer: &mut Writer, _: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(self, flexible)
    }
}
