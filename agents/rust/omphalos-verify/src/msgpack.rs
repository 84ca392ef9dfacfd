//! Canonical msgpack (`docs/format/tree.md`): of the forms the format offers, the shortest that holds the value.
//!
//! Rules of this file: only unsigned integers, str, bin and arrays. What is written here is what is hashed.

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
