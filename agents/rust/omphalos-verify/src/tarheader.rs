//! The headers of a bundle's members (`docs/format/bundle.md`, "A header"): one spelling, and the first row that applies.
//!
//! Rules of this file: a header is compared with the one that is due; nothing of it is believed that was not announced, but the
//! size of the index.

use crate::findings::Id;
use crate::paths::check_path_bytes;

/// The length of a header, and what everything is filled up to.
pub const BLOCK: usize = 512;
/// A header.
pub type Block = [u8; BLOCK];

/// What is due.
pub enum Due<'d> {
    /// The index, of at most so many bytes.
    Index(u64),
    /// A member of this name and size.
    Member(&'d str, u64),
}

/// A fault of a header.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// The finding.
    pub id: Id,
    /// The name it stands at, if that is not the name of the member that is due.
    pub at: Option<String>,
}

/// Where a name that is not the one due stands.
pub enum Place {
    /// It was there already.
    Earlier,
    /// It is due later.
    Later,
    /// Nowhere.
    Nowhere,
}

/// The name of the index.
pub const INDEX: &str = "bundle.json";

/// Judge a header; the size of the member.
///
/// # Errors
/// The first row of the table that applies.
pub fn judge(block: &Block, due: &Due<'_>, place: impl Fn(&str) -> Place) -> Result<u64, Fault> {
    let fault = |id| Err(Fault { id, at: None });
    if block.iter().all(|&byte| byte == 0) {
        return fault(Id::FileMissing);
    }
    if field(block, 257, 5) != b"ustar"
        || field(block, 148, 6) != format!("{:06o}", sum(block)).as_bytes()
    {
        return fault(Id::ArchiveMalformed);
    }
    let prefix = field(block, 345, 1) != [0];
    match field(block, 156, 1) {
        b"1" => return fault(Id::HardlinkEntry),
        b"2" => return fault(Id::SymlinkEntry),
        b"x" | b"g" | b"L" | b"K" => return fault(Id::ArchiveEscape),
        _ if prefix => return fault(Id::ArchiveEscape),
        b"5" => return fault(Id::DirExtra),
        b"0" => {}
        _ => return fault(Id::SpecialFile),
    }
    let raw = field(block, 0, 100);
    let raw = raw.split(|&byte| byte == 0).next().unwrap_or_default();
    let name = match std::str::from_utf8(raw) {
        Ok(name)
            if check_path_bytes(raw)
                .iter()
                .all(|id| !id.severity().refuses()) =>
        {
            name
        }
        _ => return fault(Id::ArchiveEscape),
    };
    let expected = match due {
        Due::Index(_) => INDEX,
        Due::Member(name, _) => name,
    };
    if name != expected {
        return Err(misplaced(name, due, place(name)));
    }
    let size = match due {
        Due::Index(most) => {
            let Some(size) = octal(field(block, 124, 11)) else {
                return fault(Id::ArchiveMalformed);
            };
            if size > *most {
                return fault(Id::JsonTooLarge);
            }
            size
        }
        Due::Member(_, size) => {
            if field(block, 124, 12) != size_field(*size) {
                return fault(Id::SizeMismatch);
            }
            *size
        }
    };
    if *block != header(name, size) {
        return fault(Id::ArchiveMalformed);
    }
    Ok(size)
}

fn misplaced(name: &str, due: &Due<'_>, place: Place) -> Fault {
    let at = |id, at: &str| Fault {
        id,
        at: Some(at.to_owned()),
    };
    match (due, place) {
        (Due::Index(_), _) => at(Id::ManifestMissing, INDEX),
        _ if name == INDEX => at(Id::DuplicateEntry, name),
        (_, Place::Earlier) => at(Id::DuplicateEntry, name),
        (_, Place::Later) => Fault {
            id: Id::FileMissing,
            at: None,
        },
        (_, Place::Nowhere) => at(Id::FileExtra, name),
    }
}

/// The one header of a file of this name and size.
pub fn header(name: &str, size: u64) -> Block {
    let mut block = [0; BLOCK];
    for (offset, bytes) in [
        (0, name.as_bytes()),
        (100, b"0000644"),
        (108, b"0000000"),
        (116, b"0000000"),
        (124, &size_field(size)),
        (136, b"00000000000"),
        (156, b"0"),
        (257, b"ustar"),
        (263, b"00"),
        (329, b"0000000"),
        (337, b"0000000"),
    ] {
        put(&mut block, offset, bytes);
    }
    let sum = format!("{:06o}\0 ", sum(&block));
    put(&mut block, 148, sum.as_bytes());
    block
}

fn put(block: &mut Block, offset: usize, bytes: &[u8]) {
    for (to, from) in block.iter_mut().skip(offset).zip(bytes) {
        *to = *from;
    }
}

/// The sum of all bytes, those of the sum itself taken as spaces.
fn sum(block: &Block) -> u32 {
    block
        .iter()
        .enumerate()
        .map(|(at, &byte)| match at {
            148..=155 => 32,
            _ => u32::from(byte),
        })
        .sum()
}

fn field(block: &Block, offset: usize, length: usize) -> &[u8] {
    block.get(offset..offset + length).unwrap_or_default()
}

fn size_field(size: u64) -> Vec<u8> {
    format!("{size:011o}\0").into_bytes()
}

fn octal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'7' => Some(number << 3 | u64::from(digit - b'0')),
        _ => None,
    })
}
