//! Public keys and base64 (`docs/format/attestation.md`, "The bytes").
//!
//! Rules of this file: a key has two spellings and no other; base64 has one spelling of each alphabet. A signature is checked in
//! the form without the cofactor.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use rustix::fs::{fstat, open, FileType, Mode, OFlags};
use sha2::{Digest as _, Sha256};

use crate::disk::{kind, read_whole, Whole};
use crate::ids::{from_hex, to_hex};

/// How often `--key` may be given.
pub const MAX_KEYS: usize = 16;
const MAX_FILE: u64 = 4096;
/// What stands before the 32 bytes of a key in its SubjectPublicKeyInfo.
const PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// A public key somebody gave.
pub struct PublicKey {
    /// Its keyid: the SHA-256 of its SubjectPublicKeyInfo, in hex.
    pub id: String,
    /// Nothing if the 32 bytes are no point of the curve: then no signature is valid for it.
    point: Option<VerifyingKey>,
}

impl PublicKey {
    /// The key of 32 bytes.
    pub fn new(raw: &[u8; 32]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(PREFIX);
        hasher.update(raw);
        PublicKey {
            id: to_hex(&hasher.finalize()),
            point: VerifyingKey::from_bytes(raw).ok(),
        }
    }

    /// Read the content of a file as a key.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(data).ok()?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        if let Some(raw) = from_hex(text) {
            return Some(PublicKey::new(&raw));
        }
        let middle = text
            .strip_prefix("-----BEGIN PUBLIC KEY-----\n")?
            .strip_suffix("\n-----END PUBLIC KEY-----")?;
        if middle.len() != 60 || middle.contains(['-', '_']) {
            return None;
        }
        let der = base64(middle)?;
        let raw: [u8; 32] = der.strip_prefix(&PREFIX)?.try_into().ok()?;
        Some(PublicKey::new(&raw))
    }

    /// Say whether a signature of a message is valid: 64 bytes, and [S]B - [k]A has the encoding R.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let (Some(point), Ok(signature)) = (&self.point, Signature::from_slice(signature)) else {
            return false;
        };
        point.verify(message, &signature).is_ok()
    }
}

/// Read the files of keys, each key once; links to them are the caller's, and followed.
///
/// # Errors
/// The number of the first file that is not there, cannot be read, or is no key.
pub fn read_keys(files: &[&OsStr]) -> Result<Vec<PublicKey>, usize> {
    let mut keys: Vec<PublicKey> = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let key = read_key(file).ok_or(number)?;
        if keys.iter().all(|other| other.id != key.id) {
            keys.push(key);
        }
    }
    keys.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(keys)
}

fn read_key(file: &OsStr) -> Option<PublicKey> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = open(file.as_bytes(), flags, Mode::empty()).ok()?;
    if kind(&fstat(&fd).ok()?) != FileType::RegularFile {
        return None;
    }
    match read_whole(Ok(fd), MAX_FILE) {
        Whole::Data(data) => PublicKey::parse(&data),
        _ => None,
    }
}

/// Decode base64 in the standard or the URL-safe alphabet, not both, with padding, in its one spelling.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(4) {
        return None;
    }
    let standard = bytes.iter().any(|b| matches!(b, b'+' | b'/'));
    let url = bytes.iter().any(|b| matches!(b, b'-' | b'_'));
    if standard && url {
        return None;
    }
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    let mut groups = bytes.chunks(4).peekable();
    while let Some(group) = groups.next() {
        let last = groups.peek().is_none();
        match group {
            [a, b, b'=', b'='] if last => {
                let (a, b) = (digit(*a)?, digit(*b)?);
                if b & 0xf != 0 {
                    return None;
                }
                out.push(a << 2 | b >> 4);
            }
            [a, b, c, b'='] if last => {
                let (a, b, c) = (digit(*a)?, digit(*b)?, digit(*c)?);
                if c & 0x3 != 0 {
                    return None;
                }
                out.extend([a << 2 | b >> 4, b << 4 | c >> 2]);
            }
            [a, b, c, d] => {
                let (a, b, c, d) = (digit(*a)?, digit(*b)?, digit(*c)?, digit(*d)?);
                out.extend([a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
            }
            _ => return None,
        }
    }
    Some(out)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}
