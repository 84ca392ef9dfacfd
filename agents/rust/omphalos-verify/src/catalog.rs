//! The objects of a store (`docs/format/store.md`, "Verifying a store", steps 1 and 2, and "Chunked blobs" between 2 and 3):
//! segments, large files and blobs in chunks, all hashed.
//!
//! Rules of this file: no index is believed; an object is there if bytes with its id are. Kept is for each object where it lies,
//! never its bytes; one list of chunks and one chunk at a time are in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{fstat, openat, statat, AtFlags, Dir, FileType, Mode};
use rustix::io::Errno;

use crate::chunks::{List, MAX_LIST};
use crate::disk::{kind, open_below, FOLDER};
use crate::findings::Id;
use crate::ids::{from_hex, to_hex, Digest, Hashers};
use crate::reading::BUFFER;
use crate::segment::{Item, Kind, Segment};
use crate::verdict::Verdict;

const PACKS: &str = "objects/packs";
/// Where large objects lie.
pub const LARGE: &str = "objects/large";
const CHUNKED: &str = "objects/chunked";

/// Where an object lies.
#[derive(Clone, Copy)]
enum Place {
    /// In a segment, by its number, from this offset.
    Segment(usize, u64),
    /// In a file of its own.
    Large,
    /// In chunks; a blob, which nothing reads as a whole again.
    Chunked,
}

/// What is done with a file that is named like an object.
type Each<'e> = dyn FnMut(&mut Catalog, &str, &Digest, &mut Verdict) + 'e;

/// An object that is there.
pub struct Object {
    /// Its kind.
    pub kind: Kind,
    /// Its length.
    pub length: u64,
    place: Place,
}

/// Every object of a store.
#[derive(Default)]
pub struct Catalog {
    objects: HashMap<Digest, Object>,
    segments: Vec<String>,
    /// The segment that was read last.
    last: Option<(usize, File)>,
    /// Something below `objects` could not be read.
    pub blind: bool,
}

impl Catalog {
    /// The object of this id.
    pub fn get(&self, id: &Digest) -> Option<&Object> {
        self.objects.get(id)
    }

    /// Look at all segments, large files and lists of chunks.
    pub fn survey(root: BorrowedFd<'_>, verdict: &mut Verdict) -> Self {
        let mut catalog = Catalog::default();
        catalog.segments(root, verdict);
        catalog.files(root, verdict);
        catalog.lists(root, verdict);
        catalog
    }

    fn unreadable(&mut self, path: &str, verdict: &mut Verdict) {
        self.blind = true;
        verdict.unreadable(path);
    }

    /// The entries of a folder, as text and by kind, those of one name after the other; nothing where it is gone.
    fn list(
        &mut self,
        root: BorrowedFd<'_>,
        path: &str,
        verdict: &mut Verdict,
        wanted: impl Fn(&str) -> bool,
    ) -> Vec<(String, FileType)> {
        let folder = match open_folder(root, path) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Vec::new(),
            Err(_) => {
                self.unreadable(path, verdict);
                return Vec::new();
            }
        };
        let mut entries = Vec::new();
        let listed = names(&folder, &mut |name| {
            let Some(text) = std::str::from_utf8(name).ok().filter(|name| wanted(name)) else {
                return;
            };
            match statat(&folder, text, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => entries.push((text.to_owned(), kind(&stat))),
                Err(Errno::NOENT) => {}
                Err(_) => self.unreadable(&format!("{path}/{text}"), verdict),
            }
        });
        if listed.is_err() {
            self.unreadable(path, verdict);
        }
        entries
    }

    fn segments(&mut self, root: BorrowedFd<'_>, verdict: &mut Verdict) {
        match statat(root, PACKS, AtFlags::SYMLINK_NOFOLLOW).map(|stat| kind(&stat)) {
            Ok(FileType::Directory) => {}
            Err(Errno::NOENT) => return,
            _ => return self.unreadable(PACKS, verdict),
        }
        for (name, kind) in self.list(root, PACKS, verdict, is_segment) {
            let path = format!("{PACKS}/{name}");
            match kind {
                FileType::Symlink => verdict.add(Id::SymlinkEntry, &path, ""),
                FileType::RegularFile => self.segment(root, &path, verdict),
                _ => verdict.add(Id::SpecialFile, &path, ""),
            }
        }
    }

    fn segment(&mut self, root: BorrowedFd<'_>, path: &str, verdict: &mut Verdict) {
        let file = match open_file(root, path) {
            Ok((file, length)) => Some((file, length)),
            Err(Errno::NOENT) => return,
            Err(_) => None,
        };
        let Some((file, length)) = file else {
            return self.unreadable(path, verdict);
        };
        let number = self.segments.len();
        self.segments.push(path.to_owned());
        let mut read_at = |at, buffer: &mut [u8]| file.read_exact_at(buffer, at);
        let scanned = Segment::new(length, &mut read_at).scan(
            path.ends_with(".open"),
            &mut |item| match item {
                Item::Object(kind, id, length, at) => {
                    count(verdict, length);
                    self.objects.entry(id).or_insert(Object {
                        kind,
                        length,
                        place: Place::Segment(number, at),
                    });
                }
                Item::Damaged(length) => count(verdict, length),
                Item::Found(id, at) => verdict.add(id, &format!("{path}@{at}"), ""),
            },
        );
        if scanned.is_err() {
            self.unreadable(path, verdict);
        }
    }

    /// Go through the files that are named like objects below a folder.
    fn named(
        &mut self,
        root: BorrowedFd<'_>,
        above: &str,
        verdict: &mut Verdict,
        each: &mut Each<'_>,
    ) {
        for (head, kind) in self.list(root, above, verdict, |name| is_hex(name, 2)) {
            let folder = format!("{above}/{head}");
            match kind {
                FileType::Symlink => {
                    verdict.add(Id::SymlinkEntry, &folder, "");
                    continue;
                }
                FileType::Directory => {}
                _ => continue,
            }
            for (tail, kind) in self.list(root, &folder, verdict, |name| is_hex(name, 62)) {
                let path = format!("{folder}/{tail}");
                match kind {
                    FileType::Symlink => verdict.add(Id::SymlinkEntry, &path, ""),
                    FileType::RegularFile => {
                        if let Some(id) = from_hex(&format!("{head}{tail}")) {
                            each(self, &path, &id, verdict);
                        }
                    }
                    _ => verdict.add(Id::SpecialFile, &path, ""),
                }
            }
        }
    }

    fn files(&mut self, root: BorrowedFd<'_>, verdict: &mut Verdict) {
        let mut buffer = vec![0; BUFFER];
        self.named(root, LARGE, verdict, &mut |catalog, path, id, verdict| {
            catalog.file(root, path, id, &mut buffer, verdict);
        });
    }

    fn file(
        &mut self,
        root: BorrowedFd<'_>,
        path: &str,
        id: &Digest,
        buffer: &mut [u8],
        verdict: &mut Verdict,
    ) {
        let hashed = match open_file(root, path) {
            Ok((file, length)) => hash_kinds(&file, length, buffer)
                .ok()
                .map(|ids| (ids, length)),
            Err(Errno::NOENT) => return,
            Err(_) => None,
        };
        let Some((ids, length)) = hashed else {
            return self.unreadable(path, verdict);
        };
        count(verdict, length);
        let matching = ids.iter().position(|one| one == id);
        match matching.and_then(|number| Kind::ALL.get(number)) {
            Some(&kind) => {
                self.objects.entry(*id).or_insert(Object {
                    kind,
                    length,
                    place: Place::Large,
                });
            }
            None => verdict.add(Id::ObjectDamaged, path, ""),
        }
    }

    fn lists(&mut self, root: BorrowedFd<'_>, verdict: &mut Verdict) {
        // A list is no chunk of another, so what lists make is there only when all are read.
        let mut made = Vec::new();
        self.named(root, CHUNKED, verdict, &mut |catalog, path, id, verdict| {
            let size = catalog.chunked(root, path, id, verdict);
            made.extend(size.map(|size| (*id, size)));
        });
        for (id, length) in made {
            self.objects.entry(id).or_insert(Object {
                kind: Kind::Blob,
                length,
                place: Place::Chunked,
            });
        }
    }

    /// Judge a list of chunks; the size of the blob if it is there.
    fn chunked(
        &mut self,
        root: BorrowedFd<'_>,
        path: &str,
        id: &Digest,
        verdict: &mut Verdict,
    ) -> Option<u64> {
        let opened = match open_file(root, path) {
            Ok((file, length)) => list_bytes(&file, length).ok().map(|data| (data, length)),
            Err(Errno::NOENT) => return None,
            Err(_) => None,
        };
        let Some((data, length)) = opened else {
            self.unreadable(path, verdict);
            return None;
        };
        count(verdict, length);
        let Some(list) = List::read(&data) else {
            verdict.add(Id::ObjectDamaged, path, "");
            return None;
        };
        let there = list.chunks().all(|chunk| {
            let object = self.objects.get(&chunk.id);
            object.is_some_and(|o| o.kind == Kind::Blob && o.length == chunk.length)
        });
        if !there {
            return None;
        }
        if self.joined(root, &list, verdict)? == *id {
            return Some(list.size);
        }
        verdict.add(Id::ObjectDamaged, path, "");
        None
    }

    /// The id of the bytes of all chunks; nothing, and unreadable, where one is not there any more.
    fn joined(
        &mut self,
        root: BorrowedFd<'_>,
        list: &List<'_>,
        verdict: &mut Verdict,
    ) -> Option<Digest> {
        let mut hasher = blake3::Hasher::new();
        for chunk in list.chunks() {
            let (path, place, at) = self.place(&chunk.id)?;
            let Ok(data) = self.read_at(root, &path, place, at, chunk.length) else {
                self.unreadable(&path, verdict);
                return None;
            };
            hasher.update(&data);
        }
        Some(*hasher.finalize().as_bytes())
    }

    /// The file that holds an object, and the offset where its bytes begin; nothing where no one file does.
    fn place(&self, id: &Digest) -> Option<(String, Place, u64)> {
        let place = self.objects.get(id)?.place;
        let (path, at) = match place {
            Place::Segment(number, at) => (self.segments.get(number)?.clone(), at),
            Place::Large => {
                let hex = to_hex(id);
                let (head, tail) = hex.split_at_checked(2)?;
                (format!("{LARGE}/{head}/{tail}"), 0)
            }
            Place::Chunked => return None,
        };
        Some((path, place, at))
    }

    /// Read an object whole; nothing, and unreadable, if it is not there any more as it was hashed.
    pub fn read(
        &mut self,
        root: BorrowedFd<'_>,
        id: &Digest,
        verdict: &mut Verdict,
    ) -> Option<Vec<u8>> {
        let object = self.objects.get(id)?;
        let (kind, length) = (object.kind, object.length);
        let (path, place, at) = self.place(id)?;
        let data = self.read_at(root, &path, place, at, length).ok();
        let data = data.filter(|data| kind.id(data) == *id);
        if data.is_none() {
            self.unreadable(&path, verdict);
        }
        data
    }

    fn read_at(
        &mut self,
        root: BorrowedFd<'_>,
        path: &str,
        place: Place,
        at: u64,
        length: u64,
    ) -> io::Result<Vec<u8>> {
        let mut data = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        match (place, &self.last) {
            (Place::Segment(number, _), Some((last, file))) if *last == number => {
                file.read_exact_at(&mut data, at)?;
            }
            _ => {
                let (file, _) = open_file(root, path)?;
                file.read_exact_at(&mut data, at)?;
                if let Place::Segment(number, _) = place {
                    self.last = Some((number, file));
                }
            }
        }
        Ok(data)
    }
}

fn count(verdict: &mut Verdict, length: u64) {
    verdict.files = verdict.files.saturating_add(1);
    verdict.bytes = verdict.bytes.saturating_add(u128::from(length));
}

/// The ids of a file of this length, as each kind.
fn hash_kinds(file: &File, length: u64, buffer: &mut [u8]) -> io::Result<[Digest; 3]> {
    let mut hashers = Hashers::default();
    let mut at = 0_u64;
    while at < length {
        let left = length.saturating_sub(at);
        let want = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let window = buffer.get_mut(..want).unwrap_or_default();
        file.read_exact_at(window, at)?;
        hashers.update(window);
        at = at.saturating_add(u64::try_from(want).unwrap_or(u64::MAX));
    }
    Ok(hashers.ids())
}

/// The bytes of a file that may be a list; none where it is longer than a list is.
fn list_bytes(file: &File, length: u64) -> io::Result<Vec<u8>> {
    let length = if length > MAX_LIST { 0 } else { length };
    let mut data = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut data, 0)?;
    Ok(data)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_segment(name: &str) -> bool {
    let open = name.strip_suffix(".open").is_some_and(|n| is_hex(n, 16));
    let sealed = name.strip_suffix(".pack").is_some_and(|n| is_hex(n, 64));
    open || sealed
}

/// Open a regular file below a folder; with its length.
pub fn open_file(root: BorrowedFd<'_>, path: &str) -> Result<(File, u64), Errno> {
    let fd = open_below(root, path)?;
    let stat = fstat(&fd)?;
    match (kind(&stat), u64::try_from(stat.st_size)) {
        (FileType::RegularFile, Ok(length)) => Ok((File::from(fd), length)),
        _ => Err(Errno::IO),
    }
}

/// Open a folder below a folder, each component without following links.
pub fn open_folder(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    let mut at: Option<OwnedFd> = None;
    for name in path.split('/') {
        let from = at.as_ref().map_or(root, |fd| fd.as_fd());
        at = Some(openat(from, name, FOLDER, Mode::empty())?);
    }
    at.ok_or(Errno::NOENT)
}

/// Call with the name of every entry of a folder.
///
/// # Errors
/// It could not be listed to its end.
pub fn names(folder: &OwnedFd, each: &mut dyn FnMut(&[u8])) -> Result<(), Errno> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            each(name);
        }
    }
    Ok(())
}
