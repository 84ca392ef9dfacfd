//! What lies in a run directory against what is recorded (`docs/format/verify.md`, section 5).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::os::fd::OwnedFd;

use rustix::fs::{openat, statat, AtFlags, Dir, FileType, Mode};
use rustix::io::Errno;

use crate::attest::MAX_ENVELOPES;
use crate::disk::{changed, kind, show, FOLDER};
use crate::findings::Id;
use crate::manifest::{Artifact, Manifest, ATTESTATIONS, FILE_NAME};
use crate::paths::{nfc, MAX_COMPONENTS};
use crate::verdict::Verdict;

/// A usable record, and where on disk its file is.
pub struct Record<'m> {
    /// The record.
    pub file: &'m Artifact<'m>,
    /// The path its file was found under.
    pub on_disk: Option<String>,
}

/// What may lie in the folder, and what of it does.
pub struct Survey<'m> {
    /// Every usable record.
    pub records: BTreeMap<&'m str, Record<'m>>,
    /// The first files of `attestations` that can be envelopes, one more than allowed at most.
    pub envelopes: BTreeSet<String>,
    /// Recorded folders, and whether one was met on disk.
    folders: HashMap<&'m str, bool>,
    /// Recorded files and folders that could not be looked at.
    blocked: HashSet<&'m str>,
    root_blocked: bool,
}

/// A folder being listed.
struct Open {
    dir: Dir,
    /// Its path and a slash; nothing for the top.
    prefix: String,
    depth: usize,
    attestations: bool,
}

impl<'m> Survey<'m> {
    /// What a manifest records.
    pub fn new(manifest: &'m Manifest<'m>) -> Self {
        let mut survey = Survey {
            records: BTreeMap::new(),
            envelopes: BTreeSet::new(),
            folders: HashMap::new(),
            blocked: HashSet::new(),
            root_blocked: false,
        };
        for file in manifest.files().filter(|file| file.usable()) {
            survey.records.entry(file.path).or_insert(Record {
                file,
                on_disk: None,
            });
            for folder in ancestors(file.path) {
                survey.folders.insert(folder, false);
            }
        }
        survey
    }

    /// The recorded folder that a path on disk is, by name or by normalization.
    fn folder(&self, path: &str) -> Option<&'m str> {
        let by_name = self.folders.get_key_value(path);
        by_name
            .or_else(|| self.folders.get_key_value(normalized(path)?.as_str()))
            .map(|(name, _)| *name)
    }

    /// The recorded path of a file on disk, and whether it is so by name.
    fn record(&self, path: &str) -> Option<(&'m str, bool)> {
        match self.records.get_key_value(path) {
            Some((name, _)) => Some((name, true)),
            None => {
                let (name, _) = self.records.get_key_value(normalized(path)?.as_str())?;
                Some((name, false))
            }
        }
    }

    fn unreadable(&mut self, path: &str, verdict: &mut Verdict) {
        verdict.unreadable(path);
        self.blocked.extend(self.folder(path));
        self.blocked.extend(self.record(path).map(|(name, _)| name));
    }

    /// Look at everything in the folder.
    pub fn walk(&mut self, root: &OwnedFd, verdict: &mut Verdict) {
        let top = root
            .try_clone()
            .map_err(|_| Errno::MFILE)
            .and_then(Dir::new);
        let Ok(dir) = top else {
            self.root_blocked = true;
            verdict.unreadable(".");
            return;
        };
        let mut open = vec![Open {
            dir,
            prefix: String::new(),
            depth: 0,
            attestations: false,
        }];
        while let Some(folder) = open.last_mut() {
            match folder.dir.read() {
                None => drop(open.pop()),
                Some(Err(_)) => {
                    match folder.prefix.strip_suffix('/') {
                        Some(path) => self.unreadable(path, verdict),
                        None => {
                            self.root_blocked = true;
                            verdict.unreadable(".");
                        }
                    }
                    open.pop();
                }
                Some(Ok(entry)) => {
                    let name = entry.file_name().to_bytes();
                    if name != b"." && name != b".." {
                        let inner = self.entry(folder, name, verdict);
                        open.extend(inner);
                    }
                }
            }
        }
    }

    /// Judge one entry; return it open if it is a folder to be entered.
    fn entry(&mut self, folder: &Open, name: &[u8], verdict: &mut Verdict) -> Option<Open> {
        let Ok(text) = std::str::from_utf8(name) else {
            verdict.add(Id::NotUtf8, &format!("{}{}", folder.prefix, show(name)), "");
            return None;
        };
        let path = format!("{}{text}", folder.prefix);
        let looked_up = folder
            .dir
            .fd()
            .and_then(|fd| statat(fd, name, AtFlags::SYMLINK_NOFOLLOW));
        let Ok(stat) = looked_up else {
            self.unreadable(&path, verdict);
            return None;
        };
        if path == FILE_NAME {
            return None;
        }
        match kind(&stat) {
            FileType::Symlink => verdict.add(Id::SymlinkEntry, &path, ""),
            FileType::Directory => return self.enter(folder, name, path, verdict),
            FileType::RegularFile if folder.attestations => {
                let here = folder.depth == 1 && text.ends_with(".json");
                if here && self.envelopes.len() <= MAX_ENVELOPES {
                    self.envelopes.insert(text.to_owned());
                }
            }
            FileType::RegularFile => self.file(path, verdict),
            _ => verdict.add(Id::SpecialFile, &path, ""),
        }
        None
    }

    fn enter(
        &mut self,
        folder: &Open,
        name: &[u8],
        path: String,
        verdict: &mut Verdict,
    ) -> Option<Open> {
        let depth = folder.depth.saturating_add(1);
        if depth >= MAX_COMPONENTS {
            verdict.add(Id::PathTooDeep, &path, "");
            return None;
        }
        let attestations = folder.attestations || path == ATTESTATIONS;
        if !attestations {
            match self.folder(&path) {
                None => verdict.add(Id::DirExtra, &path, ""),
                Some(recorded) => {
                    if self.folders.insert(recorded, true) == Some(true) {
                        verdict.add(
                            Id::PathNormCollision,
                            recorded,
                            "more than one folder has this name",
                        );
                    }
                }
            }
        }
        let opened = folder
            .dir
            .fd()
            .and_then(|fd| openat(fd, name, FOLDER, Mode::empty()))
            .and_then(Dir::new);
        match opened {
            Ok(dir) => Some(Open {
                dir,
                prefix: path + "/",
                depth,
                attestations,
            }),
            Err(error) => {
                if changed(error) {
                    verdict.add(Id::Toctou, &path, "");
                } else {
                    self.unreadable(&path, verdict);
                }
                None
            }
        }
    }

    fn file(&mut self, path: String, verdict: &mut Verdict) {
        let Some((recorded, by_name)) = self.record(&path) else {
            verdict.add(Id::FileExtra, &path, "");
            return;
        };
        let Some(record) = self.records.get_mut(recorded) else {
            return;
        };
        let better = match &record.on_disk {
            None => true,
            Some(other) => {
                verdict.add(
                    Id::PathNormCollision,
                    recorded,
                    "more than one file has this name",
                );
                other != recorded && (by_name || path < *other)
            }
        };
        if better {
            record.on_disk = Some(path);
        }
    }

    /// Report what is not there, and what is there under another spelling.
    pub fn report_missing(&self, verdict: &mut Verdict) {
        for (path, record) in &self.records {
            match &record.on_disk {
                Some(on_disk) if on_disk == path => {}
                Some(_) => verdict.add(Id::PathNormChanged, path, ""),
                None => {
                    let blocked = self.root_blocked
                        || self.blocked.contains(path)
                        || ancestors(path).any(|folder| self.blocked.contains(folder));
                    if !blocked {
                        verdict.add(Id::FileMissing, path, "");
                    }
                }
            }
        }
    }
}

/// The proper ancestors of a path.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(at, _)| path.get(..at))
}

/// NFC of a path, if that is another text.
fn normalized(path: &str) -> Option<String> {
    if path.is_ascii() {
        return None;
    }
    Some(nfc(path)).filter(|normal| normal != path)
}
