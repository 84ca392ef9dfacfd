//! Canonical msgpack (`docs/format/tree.md`): of the forms the format offers, the shortest that holds the value.
//!
//! Rules of this file: only unsigned integers, str, bin and arrays. What is written here is what is hashed, and nothing
//! else is read.

use crate::findings::Id;

/// Bytes being written.
#[derive(Default)]
pub struct Writer {
    /// What was written so far.
    pub bytes: Vec<u8>,
}

impl Writer {
    /// Write an unsigned integer.
    pub fn uint(&mut self, value: u64) {
        let bytes = value.to_be_bytes();
        let [.., b4, b5, b6, b7] = bytes;
        match value {
            0..=0x7f => self.bytes.push(b7),
            0x80..=0xff => self.bytes.extend([0xcc, b7]),
            0x100..=0xffff => self.bytes.extend([0xcd, b6, b7]),
            0x1_0000..=0xffff_ffff => self.bytes.extend([0xce, b4, b5, b6, b7]),
            _ => {
                self.bytes.push(0xcf);
                self.bytes.extend(bytes);
            }
        }
    }

    /// Write text. Its length is below 2^32: it comes from a manifest of at most 2^28 bytes.
    pub fn text(&mut self, text: &str) {
        match text.len() {
            0..=31 => self.header(text.len() as u64, 0xa0),
            length => self.length(length as u64, Some(0xd9), 0xda, 0xdb),
        }
        self.bytes.extend(text.as_bytes());
    }

    /// Write bytes.
    pub fn bin(&mut self, bytes: &[u8]) {
        self.length(bytes.len() as u64, Some(0xc4), 0xc5, 0xc6);
        self.bytes.extend(bytes);
    }

    /// Write the header of an array; its items are written next.
    pub fn array(&mut self, items: usize) {
        match items {
            0..=15 => self.header(items as u64, 0x90),
            _ => self.length(items as u64, None, 0xdc, 0xdd),
        }
    }

    fn header(&mut self, small: u64, base: u8) {
        let [.., low] = small.to_be_bytes();
        self.bytes.push(base | low);
    }

    fn length(&mut self, length: u64, one: Option<u8>, two: u8, four: u8) {
        let [.., b4, b5, b6, b7] = length.to_be_bytes();
        match (length, one) {
            (0..=0xff, Some(head)) => self.bytes.extend([head, b7]),
            (0..=0xffff, _) => self.bytes.extend([two, b6, b7]),
            _ => self.bytes.extend([four, b4, b5, b6, b7]),
        }
    }
}

/// A decoded value.
#[derive(Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// An unsigned integer.
    Uint(u64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bin(&'a [u8]),
    /// An array.
    Array(Vec<Value<'a>>),
}

/// Decode one canonical value, in which at most `max_depth` arrays stand inside each other and at most `max_values`
/// values in all, arrays counted.
///
/// # Errors
/// The finding of the first fault in the order of the bytes.
pub fn decode(data: &[u8], max_depth: usize, max_values: usize) -> Result<Value<'_>, Id> {
    let mut reader = Reader {
        rest: data,
        values_left: max_values,
    };
    let value = reader.value(max_depth)?;
    match reader.rest {
        [] => Ok(value),
        _ => Err(Id::TrailingGarbage),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    values_left: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth_left: usize) -> Result<Value<'a>, Id> {
        let (&head, rest) = self.rest.split_first().ok_or(Id::Truncated)?;
        self.rest = rest;
        self.values_left = self.values_left.checked_sub(1).ok_or(Id::OversizeLength)?;
        let low = u64::from(head & 0x1f);
        match head {
            0x00..=0x7f => Ok(Value::Uint(u64::from(head))),
            0xcc => self.number(1, 0x80).map(Value::Uint),
            0xcd => self.number(2, 0x100).map(Value::Uint),
            0xce => self.number(4, 0x1_0000).map(Value::Uint),
            0xcf => self.number(8, 0x1_0000_0000).map(Value::Uint),
            0xa0..=0xbf => self.text(low),
            0xd9 => self.number(1, 32).and_then(|length| self.text(length)),
            0xda => self.number(2, 0x100).and_then(|length| self.text(length)),
            0xdb => self
                .number(4, 0x1_0000)
                .and_then(|length| self.text(length)),
            0xc4 => self.number(1, 0).and_then(|length| self.bin(length)),
            0xc5 => self.number(2, 0x100).and_then(|length| self.bin(length)),
            0xc6 => self.number(4, 0x1_0000).and_then(|length| self.bin(length)),
            0x90..=0x9f => self.items(low & 0xf, depth_left),
            0xdc => self
                .number(2, 16)
                .and_then(|count| self.items(count, depth_left)),
            0xdd => self
                .number(4, 0x1_0000)
                .and_then(|count| self.items(count, depth_left)),
            _ => Err(Id::MsgpackSyntax),
        }
    }

    /// The number behind a header; one that a shorter header could hold is not canonical.
    fn number(&mut self, width: usize, least: u64) -> Result<u64, Id> {
        let (bytes, rest) = self.rest.split_at_checked(width).ok_or(Id::Truncated)?;
        self.rest = rest;
        let number = bytes
            .iter()
            .fold(0, |number: u64, &byte| (number << 8) | u64::from(byte));
        if number < least {
            return Err(Id::MsgpackNotCanonical);
        }
        Ok(number)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Id> {
        let length = usize::try_from(length).map_err(|_| Id::OversizeLength)?;
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Id::OversizeLength)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn text(&mut self, length: u64) -> Result<Value<'a>, Id> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes)
            .map(Value::Text)
            .map_err(|_| Id::NotUtf8)
    }

    fn bin(&mut self, length: u64) -> Result<Value<'a>, Id> {
        self.take(length).map(Value::Bin)
    }

    fn items(&mut self, count: u64, depth_left: usize) -> Result<Value<'a>, Id> {
        // Every item takes at least a byte, so a larger claim is a lie, and nothing is set aside for it.
        let count = usize::try_from(count).map_err(|_| Id::OversizeLength)?;
        if count > self.rest.len() || count > self.values_left {
            return Err(Id::OversizeLength);
        }
        let deeper = depth_left.checked_sub(1).ok_or(Id::OversizeLength)?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.value(deeper)?);
        }
        Ok(Value::Array(items))
    }
}
