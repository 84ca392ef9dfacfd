//! Lists of chunks (`docs/format/store.md`, "Chunked blobs"): a huge blob kept as smaller ones.
//!
//! Rules of this file: a list is a claim about bytes and nothing more; it is read in place, and takes no memory but its own.

use crate::ids::{blob_id, Digest};

/// A list has at most so many bytes.
pub const MAX_LIST: u64 = 1 << 26;
const BEGINNING: &[u8; 16] = b"omphalos list 1\n";
/// An id and a length.
const ROW: usize = 36;
/// The greatest length of a chunk.
const MAX_CHUNK: u64 = 1 << 20;

/// One chunk of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its id, as a blob.
    pub id: Digest,
    /// Its length.
    pub length: u64,
}

/// A list of chunks.
#[derive(Debug)]
pub struct List<'d> {
    /// The size of the blob, which is the sum of the lengths.
    pub size: u64,
    rows: &'d [[u8; ROW]],
}

impl<'d> List<'d> {
    /// Read the bytes of a list; nothing where they are none.
    pub fn read(data: &'d [u8]) -> Option<Self> {
        if u64::try_from(data.len()).is_ok_and(|length| length > MAX_LIST) {
            return None;
        }
        let (checked, check) = data.split_last_chunk::<32>()?;
        let (size, rows) = checked.strip_prefix(BEGINNING)?.split_first_chunk::<8>()?;
        let (rows, rest) = rows.as_chunks::<ROW>();
        if rows.is_empty() || !rest.is_empty() || blob_id(checked) != *check {
            return None;
        }
        let size = u64::from_le_bytes(*size);
        let list = List { size, rows };
        let mut sum = 0_u64;
        for chunk in list.chunks() {
            if !(1..=MAX_CHUNK).contains(&chunk.length) {
                return None;
            }
            sum = sum.checked_add(chunk.length)?;
        }
        (sum == size).then_some(list)
    }

    /// The chunks, in order.
    pub fn chunks(&self) -> impl Iterator<Item = Chunk> + 'd {
        self.rows.iter().map(|[id @ .., a, b, c, d]| Chunk {
            id: *id,
            length: u64::from(u32::from_le_bytes([*a, *b, *c, *d])),
        })
    }
}
