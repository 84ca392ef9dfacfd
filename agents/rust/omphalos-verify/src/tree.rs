//! Tree nodes (`docs/format/tree.md`): the root id of a set of files, and what is wrong with the bytes of a node.
//!
//! Rules of this file: `root_of` is given paths that break no rule, alone or among each other; then entries met in order of
//! components are in byte order of name within each folder, and no folder is empty. `check_node` refuses whatever
//! `root_of` would not have written for some files.

use std::collections::HashSet;

use crate::findings::Id;
use crate::ids::{tree_id, Digest};
use crate::msgpack::{decode, Value, Writer};
use crate::paths::{by_component, check_component, fold};

const MAX_ENTRIES: usize = 1 << 20;
/// An array of entries of four members each, all of them arrays or members.
const MAX_VALUES: usize = 5 * MAX_ENTRIES + 1;
const MAX_SIZE: u128 = (1 << 53) - 1;
/// The bytes of a node without entries.
const EMPTY: &[u8] = &[0x90];

/// One file of a tree.
#[derive(Clone, Copy)]
pub struct File<'f> {
    /// Its path.
    pub path: &'f str,
    /// Its length in bytes.
    pub size: u64,
    /// Its blob id.
    pub id: &'f Digest,
}

/// A folder being filled: its entries as msgpack, how many there are, and the sum of their sizes.
#[derive(Default)]
struct Node {
    entries: Writer,
    count: usize,
    size: u64,
}

impl Node {
    fn add(&mut self, name: &str, kind: u64, size: u64, id: &Digest) {
        self.entries.array(4);
        self.entries.text(name);
        self.entries.uint(kind);
        self.entries.uint(size);
        self.entries.bin(id);
        self.count += 1;
        self.size = self.size.saturating_add(size);
    }

    fn id(&self) -> Digest {
        let mut node = Writer::default();
        node.array(self.count);
        node.bytes.extend(&self.entries.bytes);
        tree_id(&node.bytes)
    }
}

/// The id of the root node, and the sum of the sizes.
pub fn root_of(mut files: Vec<File<'_>>) -> (Digest, u64) {
    files.sort_unstable_by(|a, b| by_component(a.path, b.path));
    let mut root = Node::default();
    // The folders on the way to the present file, below the root.
    let mut open: Vec<(&str, Node)> = Vec::new();
    for file in files {
        let (folders, name) = match file.path.rsplit_once('/') {
            Some((folders, name)) => (Some(folders), name),
            None => (None, file.path),
        };
        let folders = || folders.into_iter().flat_map(|text| text.split('/'));
        let shared = open
            .iter()
            .zip(folders())
            .take_while(|((name, _), folder)| name == folder)
            .count();
        close(&mut root, &mut open, shared);
        open.extend(
            folders()
                .skip(shared)
                .map(|folder| (folder, Node::default())),
        );
        let node = open.last_mut().map_or(&mut root, |(_, node)| node);
        node.add(name, 0, file.size, file.id);
    }
    close(&mut root, &mut open, 0);
    (root.id(), root.size)
}

/// Finish folders until `keep` of them are open.
fn close(root: &mut Node, open: &mut Vec<(&str, Node)>, keep: usize) {
    while open.len() > keep {
        if let Some((name, node)) = open.pop() {
            let parent = open.last_mut().map_or(&mut *root, |(_, parent)| parent);
            parent.add(name, 1, node.size, &node.id());
        }
    }
}

/// Judge the bytes of a node by the rules of a single one.
///
/// # Errors
/// The finding that counts, in the order docs/format/tree.md gives.
pub fn check_node(data: &[u8]) -> Result<(), Id> {
    read_node(data).map(drop)
}

/// What an entry of a node names.
pub struct Entry {
    /// It names a tree, and not a blob.
    pub is_tree: bool,
    /// The size it says.
    pub size: u64,
    /// The id.
    pub id: Digest,
}

/// Read a node by the rules of a single one.
///
/// # Errors
/// The finding that counts, in the order docs/format/tree.md gives.
pub fn read_node(data: &[u8]) -> Result<Vec<Entry>, Id> {
    if let [0xdd, a, b, c, d, ..] = *data {
        let claim = usize::try_from(u32::from_be_bytes([a, b, c, d]));
        if claim.map_or(true, |entries| entries > MAX_ENTRIES) {
            return Err(Id::OversizeLength);
        }
    }
    let Value::Array(entries) = decode(data, 2, MAX_VALUES)? else {
        return Err(Id::TreeMalformed);
    };
    let mut rows = Vec::with_capacity(entries.len());
    for entry in &entries {
        let Value::Array(parts) = entry else {
            return Err(Id::TreeMalformed);
        };
        let [Value::Text(name), Value::Uint(kind), Value::Uint(size), Value::Bin(id)] =
            parts.as_slice()
        else {
            return Err(Id::TreeMalformed);
        };
        rows.push((*name, *kind, *size, *id));
    }
    let empty = tree_id(EMPTY);
    for (name, kind, _, id) in &rows {
        if *kind > 1 || id.len() != empty.len() {
            return Err(Id::TreeMalformed);
        }
        if *kind == 1 && *id == empty {
            return Err(Id::DirExtra);
        }
        let broken = check_component(name);
        if let Some(&id) = broken.iter().find(|id| id.severity().refuses()) {
            return Err(id);
        }
    }
    let total: u128 = rows.iter().map(|(_, _, size, _)| u128::from(*size)).sum();
    if total > MAX_SIZE {
        return Err(Id::TreeTooLarge);
    }
    if !rows.is_sorted_by(|(a, ..), (b, ..)| a < b) {
        let names: HashSet<&str> = rows.iter().map(|(name, ..)| *name).collect();
        let repeated = names.len() < rows.len();
        return Err(if repeated {
            Id::DuplicateEntry
        } else {
            Id::Unsorted
        });
    }
    let folded: HashSet<String> = rows.iter().map(|(name, ..)| fold(name)).collect();
    if folded.len() < rows.len() {
        return Err(Id::PathCaseCollision);
    }
    rows.into_iter()
        .map(|(_, kind, size, id)| {
            Ok(Entry {
                is_tree: kind == 1,
                size,
                id: id.try_into().map_err(|_| Id::TreeMalformed)?,
            })
        })
        .collect()
}
