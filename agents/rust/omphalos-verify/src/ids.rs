//! Object ids (`docs/format/ids.md`): BLAKE3, of blobs plain, of tree nodes and run manifests under a context.

/// 32 bytes that name a sequence of bytes of one kind.
pub type Digest = [u8; 32];

const TREE_CONTEXT: &str = "omphalos 2026-11-22 tree node v1";
const RUN_CONTEXT: &str = "omphalos 2026-11-22 run manifest v1";

/// The id of a blob.
pub fn blob_id(data: &[u8]) -> Digest {
    *blake3::hash(data).as_bytes()
}

/// The id of a tree node.
pub fn tree_id(data: &[u8]) -> Digest {
    blake3::derive_key(TREE_CONTEXT, data)
}

/// The id of a run.
pub fn run_id(data: &[u8]) -> Digest {
    blake3::derive_key(RUN_CONTEXT, data)
}

/// Read 64 lower-case hex digits and nothing else.
pub fn from_hex(text: &str) -> Option<Digest> {
    if text.len() != 64 {
        return None;
    }
    bytes_from_hex(text)?.try_into().ok()
}

/// Read an even number of lower-case hex digits and nothing else.
pub fn bytes_from_hex(text: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
            _ => None,
        })
        .collect()
}

/// Write bytes as lower-case hex digits.
pub fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
    text
}

/// Computes the ids of the same bytes as a blob, a tree node and a run.
pub struct Hashers([blake3::Hasher; 3]);

impl Default for Hashers {
    fn default() -> Self {
        Hashers([
            blake3::Hasher::new(),
            blake3::Hasher::new_derive_key(TREE_CONTEXT),
            blake3::Hasher::new_derive_key(RUN_CONTEXT),
        ])
    }
}

impl Hashers {
    /// Add bytes.
    pub fn update(&mut self, data: &[u8]) {
        for hasher in &mut self.0 {
            hasher.update(data);
        }
    }

    /// The three ids.
    pub fn ids(&self) -> [Digest; 3] {
        self.0
            .each_ref()
            .map(|hasher| *hasher.finalize().as_bytes())
    }
}
