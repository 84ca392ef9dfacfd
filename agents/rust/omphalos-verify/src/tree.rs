//! Tree nodes (`docs/format/tree.md`): the root id of a set of files.
//!
//! Rules of this file: it is given paths that break no rule, alone or among each other; then entries met in order of
//! components are in byte order of name within each folder, and no folder is empty.

use crate::ids::{tree_id, Digest};
use crate::msgpack::Writer;
use crate::paths::by_component;

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
