//! A whole store (`docs/format/store.md`, "Verifying a store"): objects, refs, and what refs lead to.
//!
//! Rules of this file: nothing is followed on disk; each object is read once for each kind it is wanted as; what is missing
//! is not called so where something could not be read.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{openat, statat, AtFlags, FileType, Mode};
use rustix::io::Errno;

use crate::bundle::sum;
use crate::catalog::{names, Catalog, LARGE};
use crate::disk::{
    kind, open_root, read_whole, show, subject, without_slashes, NothingThere, Whole, FILE, FOLDER,
};
use crate::findings::Id;
use crate::ids::{from_hex, to_hex, Digest};
use crate::manifest;
use crate::paths::{check_path_bytes, MAX_COMPONENTS};
use crate::segment::Kind;
use crate::strictjson::parse;
use crate::tree::read_node;
use crate::verdict::Verdict;

const REFS: &str = "refs";
const REF_BYTES: u64 = 65;
const MAX_OBJECT: u64 = 1 << 28;

/// Judge the store at `path`.
///
/// # Errors
/// There is no store of that name.
pub fn verify_store(path: &Path) -> Result<Verdict, NothingThere> {
    let trimmed = without_slashes(path.as_os_str().as_bytes());
    let mut verdict = Verdict::new(subject(trimmed), &[]);
    let Some(root) = open_root(trimmed, &mut verdict)? else {
        return Ok(verdict);
    };
    for folder in ["objects", LARGE, REFS] {
        match statat(&root, folder, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if kind(&stat) == FileType::Directory => {}
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => return Err(NothingThere),
            Err(_) => {
                verdict.unreadable(folder);
                return Ok(verdict);
            }
        }
    }
    let catalog = Catalog::survey(root.as_fd(), &mut verdict);
    let refs = Refs::survey(root.as_fd(), &mut verdict);
    let mut walk = Walk {
        root: root.as_fd(),
        catalog,
        seen: HashSet::new(),
        run_ids: HashMap::new(),
        sums: HashMap::new(),
        open: Vec::new(),
        missing: BTreeSet::new(),
    };
    for (name, id) in &refs.found {
        walk.follow_ref(name, id, &mut verdict);
    }
    if !walk.catalog.blind {
        for (id, path) in &walk.missing {
            verdict.add(*id, path, "");
        }
    }
    Ok(verdict)
}

/// The refs of a store.
struct Refs {
    found: Vec<(String, Digest)>,
}

/// A folder of refs that is to be listed.
struct Folder {
    fd: OwnedFd,
    /// The bytes of its path below `refs/`, and a slash; nothing for `refs` itself.
    prefix: Vec<u8>,
    depth: usize,
}

impl Refs {
    fn survey(root: BorrowedFd<'_>, verdict: &mut Verdict) -> Self {
        let mut refs = Refs { found: Vec::new() };
        let mut open = Vec::new();
        match openat(root, REFS, FOLDER, Mode::empty()) {
            Ok(fd) => open.push(Folder {
                fd,
                prefix: Vec::new(),
                depth: 0,
            }),
            Err(_) => verdict.unreadable(REFS),
        }
        while let Some(folder) = open.pop() {
            let mut inner = Vec::new();
            let listed = names(&folder.fd, &mut |name| {
                if !name.starts_with(b".") {
                    inner.extend(refs.entry(&folder, name, verdict));
                }
            });
            if listed.is_err() {
                let path = folder.prefix.strip_suffix(b"/").unwrap_or_default();
                verdict.unreadable(&place(path));
            }
            open.extend(inner);
        }
        refs.found.sort_unstable();
        refs
    }

    /// Judge one entry; return it open if it is a folder to be entered.
    fn entry(&mut self, folder: &Folder, name: &[u8], verdict: &mut Verdict) -> Option<Folder> {
        let path = [folder.prefix.as_slice(), name].concat();
        let at = place(&path);
        let stat = match statat(&folder.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return None,
            Err(_) => {
                verdict.unreadable(&at);
                return None;
            }
        };
        match kind(&stat) {
            FileType::Directory => {
                let depth = folder.depth.saturating_add(1);
                if depth >= MAX_COMPONENTS {
                    verdict.add(Id::RefMalformed, &at, "");
                    return None;
                }
                match openat(&folder.fd, name, FOLDER, Mode::empty()) {
                    Ok(fd) => {
                        let prefix = [path.as_slice(), b"/"].concat();
                        return Some(Folder { fd, prefix, depth });
                    }
                    Err(Errno::NOENT) => {}
                    Err(_) => verdict.unreadable(&at),
                }
            }
            FileType::RegularFile => {
                let good = check_path_bytes(&path);
                let name_text = std::str::from_utf8(&path).ok();
                let refused = good.iter().any(|id| id.severity().refuses());
                match name_text.filter(|_| !refused) {
                    Some(text) => self.file(folder, name, text, verdict),
                    None => verdict.add(Id::RefMalformed, &at, ""),
                }
            }
            _ => verdict.add(Id::RefMalformed, &at, ""),
        }
        None
    }

    fn file(&mut self, folder: &Folder, name: &[u8], path: &str, verdict: &mut Verdict) {
        let at = place(path.as_bytes());
        let opened = openat(&folder.fd, name, FILE, Mode::empty());
        if matches!(opened, Err(Errno::NOENT)) {
            return;
        }
        let id = match read_whole(opened, REF_BYTES) {
            Whole::Data(data) => std::str::from_utf8(&data)
                .ok()
                .and_then(|text| from_hex(text.strip_suffix('\n')?)),
            Whole::TooLarge => None,
            Whole::Changed | Whole::Unreadable => return verdict.unreadable(&at),
        };
        match id {
            Some(id) => self.found.push((path.to_owned(), id)),
            None => verdict.add(Id::RefMalformed, &at, ""),
        }
    }
}

/// The path of a ref, as findings show it.
fn place(path: &[u8]) -> String {
    if path.is_empty() {
        REFS.to_owned()
    } else {
        format!("{REFS}/{}", show(path))
    }
}

/// An object that something names.
struct Wanted {
    id: Digest,
    kind: Kind,
    /// The size that is said of it.
    size: Option<u64>,
}

/// What refs lead to, as far as it was followed.
struct Walk<'r> {
    root: BorrowedFd<'r>,
    catalog: Catalog,
    /// Trees that were judged.
    seen: HashSet<Digest>,
    /// The run_ids of runs that were judged, where they could be read.
    run_ids: HashMap<Digest, Option<String>>,
    /// The sum of the sizes in each tree that can be read.
    sums: HashMap<Digest, u64>,
    open: Vec<Wanted>,
    missing: BTreeSet<(Id, String)>,
}

impl Walk<'_> {
    fn follow_ref(&mut self, name: &str, id: &Digest, verdict: &mut Verdict) {
        let at = place(name.as_bytes());
        let Some(kind) = self.catalog.get(id).map(|object| object.kind) else {
            self.missing.insert((Id::RefDangling, at));
            return;
        };
        let run = name.strip_prefix("runs/").filter(|run| !run.contains('/'));
        if kind == Kind::Run {
            if !self.run_ids.contains_key(id) {
                let run_id = self.run(id, verdict);
                self.run_ids.insert(*id, run_id);
            }
            let run_id = self.run_ids.get(id).and_then(Option::as_deref);
            if run.is_some_and(|run| run_id.is_some_and(|other| other != run)) {
                verdict.add(Id::RefMismatch, &at, "");
            }
        } else {
            if run.is_some() {
                verdict.add(Id::TypeMismatch, &at, "");
            }
            self.open.push(Wanted {
                id: *id,
                kind,
                size: None,
            });
        }
        while let Some(wanted) = self.open.pop() {
            self.follow(&wanted, verdict);
        }
    }

    /// Read a run, and want what it wants. Its run_id, if it can be read.
    fn run(&mut self, id: &Digest, verdict: &mut Verdict) -> Option<String> {
        let at = to_hex(id);
        if self.catalog.get(id)?.length > MAX_OBJECT {
            verdict.add(Id::JsonTooLarge, &at, "");
            return None;
        }
        let data = self.catalog.read(self.root, id, verdict)?;
        let value = match parse(&data, manifest::MAX_BYTES) {
            Ok(value) => value,
            Err(id) => {
                verdict.add(id, &at, "");
                return None;
            }
        };
        let manifest = match manifest::read(&value, &data) {
            Ok(manifest) => manifest,
            Err(found) => {
                for id in found {
                    verdict.add(id, &at, "");
                }
                return None;
            }
        };
        let mut want = |id: &Digest, kind, size| {
            self.open.push(Wanted {
                id: *id,
                kind,
                size,
            });
        };
        want(&manifest.tree, Kind::Tree, None);
        for file in &manifest.control {
            want(&file.blake3, Kind::Blob, Some(file.size));
        }
        if self.catalog.get(&manifest.method).is_some() {
            want(&manifest.method, Kind::Tree, None);
        }
        Some(manifest.run_id.to_owned())
    }

    fn follow(&mut self, wanted: &Wanted, verdict: &mut Verdict) {
        let at = || to_hex(&wanted.id);
        let Some(object) = self.catalog.get(&wanted.id) else {
            self.missing.insert((Id::ObjectMissing, at()));
            return;
        };
        let length = object.length;
        if object.kind != wanted.kind {
            verdict.add(Id::TypeMismatch, &at(), "");
            return;
        }
        let size = match wanted.kind {
            Kind::Tree => {
                if self.seen.insert(wanted.id) {
                    self.tree(&wanted.id, length, verdict);
                }
                self.sums.get(&wanted.id).copied()
            }
            _ => Some(length),
        };
        let differs = |said: u64| size.is_some_and(|size| size != said);
        if wanted.size.is_some_and(differs) {
            verdict.add(Id::SizeMismatch, &at(), "");
        }
    }

    fn tree(&mut self, id: &Digest, length: u64, verdict: &mut Verdict) {
        if length > MAX_OBJECT {
            verdict.add(Id::OversizeLength, &to_hex(id), "");
            return;
        }
        let Some(data) = self.catalog.read(self.root, id, verdict) else {
            return;
        };
        match read_node(&data) {
            Ok(entries) => {
                self.sums.insert(*id, sum(&entries));
                self.open.extend(entries.iter().map(|entry| Wanted {
                    id: entry.id,
                    kind: if entry.is_tree {
                        Kind::Tree
                    } else {
                        Kind::Blob
                    },
                    size: Some(entry.size),
                }));
            }
            Err(finding) => verdict.add(finding, &to_hex(id), ""),
        }
    }
}
