//! Merkle root of artifacts (`docs/format/merkle.md`): the tree head of RFC 6962, section 2.1, over SHA-256,
//! and the path from one leaf to it.

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
        let mut right = leaf_hash(leaf);
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

/// The hash of a leaf.
pub fn leaf_hash(data: &[u8]) -> Digest {
    hash(&[&[0], data])
}

/// Say whether a leaf stands at `index` of the tree of `size` leaves with this root (RFC 9162, section 2.1.3.2).
pub fn includes(leaf: &Digest, index: u64, size: u64, path: &[Digest], root: &Digest) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last) = (index, size - 1);
    let mut head = *leaf;
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            head = hash(&[&[1], sibling, &head]);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            head = hash(&[&[1], &head, sibling]);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && head == *root
}

fn hash(parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}
