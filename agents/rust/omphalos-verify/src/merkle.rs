//! Merkle root of artifacts (`docs/format/merkle.md`): the tree head of RFC 6962, section 2.1, over SHA-256.

use sha2::{Digest as _, Sha256};

use crate::ids::Digest;
use crate::msgpack::Writer;

/// Roots of complete subtrees, largest first: one per bit set in the number of leaves so far.
#[derive(Default)]
pub struct TreeHead {
    roots: Vec<Digest>,
    count: u64,
}

impl TreeHead {
    /// Add the data of the next leaf.
    pub fn add(&mut self, leaf: &[u8]) {
        let mut right = hash(&[&[0], leaf]);
        // Each trailing one bit of the count is a subtree as large as the one just completed.
        for _ in 0..self.count.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                right = hash(&[&[1], &left, &right]);
            }
        }
        self.roots.push(right);
        self.count = self.count.wrapping_add(1);
    }

    /// The head of all leaves added.
    pub fn head(mut self) -> Digest {
        let Some(mut head) = self.roots.pop() else {
            return hash(&[]);
        };
        while let Some(left) = self.roots.pop() {
            head = hash(&[&[1], &left, &head]);
        }
        head
    }
}

/// The data of the leaf of one artifact.
pub fn artifact_leaf(path: &str, size: u64, sha256: &Digest, blake3: &Digest) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.array(4);
    writer.text(path);
    writer.uint(size);
    writer.bin(sha256);
    writer.bin(blake3);
    writer.bytes
}

fn hash(parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}
