//! A segment of a store (`docs/format/store.md`, "The bytes" and "Verifying a store"): records without anything between them.
//!
//! Rules of this file: what is no record is a gap, which ends at the next record whose bytes have its id. A segment is held in a
//! window of a fixed length, whatever it says about itself.

use std::io;

use crate::findings::Id;
use crate::ids::{blob_id, run_id, tree_id, Digest};

/// What a segment begins with.
pub const BEGINNING: &[u8; 16] = b"omphalos pack 1\n";
const MAGIC: &[u8; 4] = b"\xf1\x6f\x6d\x70";
const HEADER: u64 = 48;
/// The greatest length of the bytes of a record.
const MAX_RECORD: u64 = 1 << 20;
/// A window holds a record and its header wherever it begins.
const WINDOW: u64 = 4 << 20;

/// The kind of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Plain bytes.
    Blob,
    /// A tree node.
    Tree,
    /// A run's manifest.
    Run,
}

impl Kind {
    /// Every kind, in order of their numbers.
    pub const ALL: [Kind; 3] = [Kind::Blob, Kind::Tree, Kind::Run];

    /// The id that bytes have as this kind.
    pub fn id(self, data: &[u8]) -> Digest {
        match self {
            Kind::Blob => blob_id(data),
            Kind::Tree => tree_id(data),
            Kind::Run => run_id(data),
        }
    }
}

/// What stands in a segment.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// An object of this kind, id and length, whose bytes begin here.
    Object(Kind, Digest, u64, u64),
    /// A record whose bytes do not have its id, of this length.
    Damaged(u64),
    /// `objectDamaged` or `kindUnknown` at this offset.
    Found(Id, u64),
}

/// A header.
struct Header {
    /// Nothing: a kind this reader does not know.
    kind: Option<Kind>,
    length: u64,
    id: Digest,
}

/// Reads bytes at an offset: as many as asked for, or an error.
pub type ReadAt<'r> = dyn FnMut(u64, &mut [u8]) -> io::Result<()> + 'r;

/// A segment that is read.
pub struct Segment<'r> {
    read_at: &'r mut ReadAt<'r>,
    length: u64,
    start: u64,
    window: Vec<u8>,
}

impl<'r> Segment<'r> {
    /// A segment of this length.
    pub fn new(length: u64, read_at: &'r mut ReadAt<'r>) -> Self {
        Segment {
            read_at,
            length,
            start: 0,
            window: Vec::new(),
        }
    }

    /// Judge the whole segment; `open` if it may still be appended to.
    ///
    /// # Errors
    /// It could not be read.
    pub fn scan(&mut self, open: bool, report: &mut dyn FnMut(Item)) -> io::Result<()> {
        let beginning = self.length.min(16);
        let short = beginning == self.length;
        let first = self.bytes(0, beginning)?;
        // A killed writer leaves a beginning of the first line, or nothing.
        let torn = open && short && BEGINNING.starts_with(first);
        if first != BEGINNING.as_slice() && !torn && beginning > 0 {
            report(Item::Found(Id::ObjectDamaged, 0));
        }
        let mut at = beginning;
        while at < self.length {
            at = match self.header(at)? {
                Some(header) => self.record(at, &header, report)?,
                None => {
                    let end = self.next_record(at.saturating_add(1))?;
                    self.gap(at, end, open, report)?;
                    end
                }
            };
        }
        Ok(())
    }

    /// Judge a record; where the next one is due.
    fn record(
        &mut self,
        at: u64,
        header: &Header,
        report: &mut dyn FnMut(Item),
    ) -> io::Result<u64> {
        let from = at.saturating_add(HEADER);
        match header.kind {
            None => report(Item::Found(Id::KindUnknown, at)),
            Some(kind) => {
                if kind.id(self.bytes(from, header.length)?) == header.id {
                    report(Item::Object(kind, header.id, header.length, from));
                } else {
                    report(Item::Damaged(header.length));
                    report(Item::Found(Id::ObjectDamaged, at));
                }
            }
        }
        Ok(from.saturating_add(header.length))
    }

    /// The offset of the next record whose bytes have its id, or the end.
    fn next_record(&mut self, from: u64) -> io::Result<u64> {
        let mut at = from;
        while at.saturating_add(HEADER) <= self.length {
            let length = (self.length.saturating_sub(at)).min(MAX_RECORD);
            let bytes = self.bytes(at, length)?;
            let found = bytes.windows(MAGIC.len()).position(|four| four == MAGIC);
            match found.map(u64::try_from) {
                Some(Ok(offset)) => at = at.saturating_add(offset),
                _ => {
                    // The last three bytes may begin the magic.
                    at = at.saturating_add(length.saturating_sub(3).max(1));
                    continue;
                }
            }
            if let Some(Header {
                kind: Some(kind),
                length,
                id,
            }) = self.header(at)?
            {
                if kind.id(self.bytes(at.saturating_add(HEADER), length)?) == id {
                    return Ok(at);
                }
            }
            at = at.saturating_add(1);
        }
        Ok(self.length)
    }

    /// Report a gap, unless a killed writer can have left it.
    fn gap(
        &mut self,
        from: u64,
        to: u64,
        open: bool,
        report: &mut dyn FnMut(Item),
    ) -> io::Result<()> {
        let left = open && to == self.length && self.left_by_writer(from, to)?;
        if !left && from < to {
            report(Item::Found(Id::ObjectDamaged, from));
        }
        Ok(())
    }

    fn left_by_writer(&mut self, from: u64, to: u64) -> io::Result<bool> {
        let length = to.saturating_sub(from);
        if self
            .any_header(from)?
            .is_some_and(|header| header.kind.is_some())
        {
            // It would be a record, so its bytes end behind the segment.
            return Ok(true);
        }
        if length > MAX_RECORD {
            return Ok(false);
        }
        let bytes = self.bytes(from, length)?;
        let begins = |with: &[u8]| bytes.iter().zip(with).all(|(a, b)| a == b);
        let header = length < HEADER && begins(MAGIC);
        let zeros = bytes.iter().all(|&byte| byte == 0);
        Ok(header || zeros)
    }

    /// The header that stands here, if its bytes end within the segment.
    fn header(&mut self, at: u64) -> io::Result<Option<Header>> {
        let end = |header: &Header| at.saturating_add(HEADER).saturating_add(header.length);
        let length = self.length;
        let header = self.any_header(at)?;
        Ok(header.filter(|header| end(header) <= length))
    }

    /// The header that stands here, wherever its bytes end.
    fn any_header(&mut self, at: u64) -> io::Result<Option<Header>> {
        if at.saturating_add(HEADER) > self.length {
            return Ok(None);
        }
        Ok(parse_header(self.bytes(at, HEADER)?))
    }

    /// Bytes within the segment, at most as many as a record has.
    fn bytes(&mut self, at: u64, length: u64) -> io::Result<&[u8]> {
        let end = at.saturating_add(length);
        let held = u64::try_from(self.window.len()).unwrap_or_default();
        if at < self.start || end > self.start.saturating_add(held) {
            let want = self.length.saturating_sub(at).min(WINDOW);
            self.window
                .resize(usize::try_from(want).map_err(io::Error::other)?, 0);
            (self.read_at)(at, &mut self.window)?;
            self.start = at;
        }
        let from = usize::try_from(at.saturating_sub(self.start)).map_err(io::Error::other)?;
        let to = usize::try_from(end.saturating_sub(self.start)).map_err(io::Error::other)?;
        self.window
            .get(from..to)
            .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }
}

fn parse_header(bytes: &[u8]) -> Option<Header> {
    let (checked, sum) = bytes.split_at_checked(44)?;
    let (head, id) = checked.split_at_checked(12)?;
    let [m0, m1, m2, m3, version, kind, 0, 0, length @ ..] = head else {
        return None;
    };
    let length = u64::from(u32::from_le_bytes(length.try_into().ok()?));
    let sum = u32::from_le_bytes(sum.try_into().ok()?);
    let fits = [*m0, *m1, *m2, *m3] == *MAGIC && *version == 1 && length <= MAX_RECORD;
    if !fits || crc32(checked) != sum {
        return None;
    }
    Some(Header {
        kind: Kind::ALL.get(usize::from(*kind)).copied(),
        length,
        id: id.try_into().ok()?,
    })
}

/// CRC-32 as zlib computes it. Headers are short, so it is done bit by bit.
pub fn crc32(data: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for &byte in data {
        sum ^= u32::from(byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
        }
    }
    !sum
}
