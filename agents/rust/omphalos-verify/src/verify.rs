//! Verify a run directory (`docs/format/verify.md`).
//!
//! Rules of this file: nothing is followed; everything is looked up relative to an open folder; only `manifest.json`,
//! folders, and regular files with a usable record are opened. Each file is read once, from one descriptor whose stat
//! before and after must be the same. What cannot be read makes the verdict incomplete, never positive.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::fs::{fstat, open, openat, statat, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::findings::{Id, NOT_CHECKED};
use crate::ids::{to_hex, Digest};
use crate::manifest::{read, Artifact, Manifest, ATTESTATIONS, FILE_NAME, MAX_BYTES};
use crate::paths::{nfc, MAX_COMPONENTS};
use crate::strictjson::{parse, write_text};

/// How many findings, and how many unreadable paths, are listed.
const MAX_LISTED: usize = 10_000;
/// How many files are read side by side.
const READERS: usize = 2;
/// Large enough for BLAKE3 to use the widest instructions, small enough to stay near the core for SHA-256.
const BUFFER: usize = 128 << 10;

/// There is no folder that could be a run directory.
#[derive(Debug)]
pub struct NoRunDirectory;

/// What a verification found.
#[derive(Default)]
pub struct Verdict {
    /// Last component of what was named.
    pub subject: String,
    /// As the manifest says, if there is a usable one.
    pub run_id: Option<String>,
    /// How many files were found.
    pub files: u64,
    /// The sum of their recorded sizes, which can exceed 64 bits.
    pub bytes: u128,
    findings: BTreeMap<(&'static str, String), (Id, String)>,
    suppressed: u64,
    refused: bool,
    unreadable: BTreeSet<String>,
    incomplete: bool,
}

impl Verdict {
    fn add(&mut self, id: Id, path: &str, detail: &str) {
        self.refused |= id.severity().refuses();
        self.findings
            .entry((id.word(), path.to_owned()))
            .or_insert_with(|| (id, detail.to_owned()));
        if self.findings.len() > MAX_LISTED {
            self.findings.pop_last();
            self.suppressed = self.suppressed.saturating_add(1);
        }
    }

    fn unreadable(&mut self, path: &str) {
        self.incomplete = true;
        self.unreadable.insert(path.to_owned());
        if self.unreadable.len() > MAX_LISTED {
            self.unreadable.pop_last();
        }
    }

    /// The verdict in a word.
    pub fn word(&self) -> &'static str {
        match (self.refused, self.incomplete) {
            (true, _) => "refused",
            (false, true) => "incomplete",
            (false, false) => "verified",
        }
    }

    /// The exit code that says the same.
    pub fn exit_code(&self) -> u8 {
        match (self.refused, self.incomplete) {
            (true, _) => 1,
            (false, true) => 3,
            (false, false) => 0,
        }
    }

    /// The ids and paths of the listed findings, in order.
    pub fn pairs(&self) -> Vec<(Id, &str)> {
        self.findings
            .iter()
            .map(|((_, path), (id, _))| (*id, path.as_str()))
            .collect()
    }

    /// The `omphalos.verify/1` document.
    pub fn document(&self) -> String {
        let mut out = String::from("{\"schema\":\"omphalos.verify/1\",\"verdict\":");
        write_text(&mut out, self.word());
        out.push_str(",\"checks\":[{\"subject\":");
        write_text(&mut out, &self.subject);
        out.push_str(",\"run_id\":");
        match &self.run_id {
            Some(run_id) => write_text(&mut out, run_id),
            None => out.push_str("null"),
        }
        out.push_str(",\"verdict\":");
        write_text(&mut out, self.word());
        out.push_str(&format!(
            ",\"files\":{},\"bytes\":{},\"findings\":[",
            self.files, self.bytes
        ));
        let mut comma = "";
        for ((word, path), (id, detail)) in &self.findings {
            out.push_str(comma);
            comma = ",";
            out.push_str("{\"id\":");
            write_text(&mut out, word);
            out.push_str(",\"severity\":");
            write_text(&mut out, id.severity().word());
            out.push_str(",\"path\":");
            write_text(&mut out, path);
            out.push_str(",\"detail\":");
            write_text(&mut out, detail);
            out.push('}');
        }
        out.push_str(&format!(
            "],\"suppressed\":{},\"unreadable\":[",
            self.suppressed
        ));
        comma = "";
        for path in &self.unreadable {
            out.push_str(comma);
            comma = ",";
            write_text(&mut out, path);
        }
        out.push_str("],\"not_checked\":[");
        comma = "";
        for (word, reason) in NOT_CHECKED {
            out.push_str(comma);
            comma = ",";
            out.push_str("{\"word\":");
            write_text(&mut out, word);
            out.push_str(",\"reason\":");
            write_text(&mut out, reason);
            out.push('}');
        }
        out.push_str("]}]}\n");
        out
    }

    /// The verdict for a person: a line, the findings, what was not checked.
    pub fn page(&self) -> String {
        let name = self.run_id.as_deref().unwrap_or(&self.subject);
        let mut out = format!(
            "{} {}: {} files, {} bytes\n",
            self.word().to_uppercase(),
            visible(name),
            self.files,
            self.bytes
        );
        for ((word, path), (id, detail)) in &self.findings {
            out.push_str(&format!(
                "  {} {word} {}",
                id.severity().word(),
                visible(path)
            ));
            if !detail.is_empty() {
                out.push_str(&format!(": {}", visible(detail)));
            }
            out.push('\n');
        }
        if self.suppressed > 0 {
            out.push_str(&format!("  and {} more\n", self.suppressed));
        }
        for path in &self.unreadable {
            out.push_str(&format!("  UNREADABLE {}\n", visible(path)));
        }
        out.push_str("  NOT CHECKED:\n");
        for (word, reason) in NOT_CHECKED {
            out.push_str(&format!("    {word}: {reason}\n"));
        }
        out
    }
}

/// Show text so that it cannot steer a terminal: what is not printable, or turns the direction of writing, is escaped.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
        if c.is_control() || hidden {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// Verify the run directory at `path`.
///
/// # Errors
/// There is nothing of that name, or it is no folder.
pub fn verify_directory(path: &Path) -> Result<Verdict, NoRunDirectory> {
    let bytes = path.as_os_str().as_bytes();
    let trimmed = bytes.trim_suffix_slashes();
    let subject = trimmed.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let mut verdict = Verdict {
        subject: show(subject),
        ..Verdict::default()
    };
    let Some(root) = open_root(trimmed, &mut verdict)? else {
        return Ok(verdict);
    };
    let Some(data) = manifest_bytes(root.as_fd(), &mut verdict) else {
        return Ok(verdict);
    };
    let value = match parse(&data, MAX_BYTES) {
        Ok(value) => value,
        Err(id) => {
            verdict.add(id, FILE_NAME, "not strict JSON");
            return Ok(verdict);
        }
    };
    match read(&value, &data) {
        Ok(manifest) => verify_manifest(&root, &manifest, &mut verdict),
        Err(found) => {
            for id in found {
                verdict.add(id, FILE_NAME, "");
            }
        }
    }
    Ok(verdict)
}

/// Open the run directory; nothing if what was said about it is all there is to say.
fn open_root(path: &[u8], verdict: &mut Verdict) -> Result<Option<OwnedFd>, NoRunDirectory> {
    let is_folder = look_up(path, verdict)?;
    if !is_folder {
        return Ok(None);
    }
    match open(path, FOLDER, Mode::empty()) {
        Ok(root) => Ok(Some(root)),
        // It became something else just now: a link in its place is told as one.
        Err(error) if no_folder(error) => {
            if look_up(path, verdict)? {
                Err(NoRunDirectory)
            } else {
                Ok(None)
            }
        }
        Err(_) => {
            verdict.unreadable(".");
            Ok(None)
        }
    }
}

/// Say whether there is a folder; what is no folder and yet judged has been.
fn look_up(path: &[u8], verdict: &mut Verdict) -> Result<bool, NoRunDirectory> {
    match statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if kind(&stat) == FileType::Symlink => {
            verdict.add(
                Id::SymlinkEntry,
                ".",
                "the run directory itself is a symbolic link",
            );
            Ok(false)
        }
        Ok(stat) if kind(&stat) == FileType::Directory => Ok(true),
        Ok(_) => Err(NoRunDirectory),
        Err(error) if no_folder(error) => Err(NoRunDirectory),
        Err(_) => {
            verdict.unreadable(".");
            Ok(false)
        }
    }
}

trait Trim {
    fn trim_suffix_slashes(&self) -> &[u8];
}

impl Trim for [u8] {
    /// Leave out slashes at the end, unless there is nothing else.
    fn trim_suffix_slashes(&self) -> &[u8] {
        let mut rest = self;
        while let [more @ .., b'/'] = rest {
            if more.is_empty() {
                break;
            }
            rest = more;
        }
        rest
    }
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Say whether an error means that there is no folder of this name, and not that it cannot be looked at.
fn no_folder(error: Errno) -> bool {
    matches!(
        error,
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG
    )
}

/// Say whether an error means that what was looked up a moment ago is gone or has become another kind.
fn changed(error: Errno) -> bool {
    matches!(
        error,
        Errno::LOOP | Errno::NOTDIR | Errno::NOENT | Errno::NXIO
    )
}

/// Say whether a file stayed the same while it was read.
fn same(before: &Stat, after: &Stat) -> bool {
    let times = |stat: &Stat| {
        (
            stat.st_mtime,
            stat.st_mtime_nsec,
            stat.st_ctime,
            stat.st_ctime_nsec,
        )
    };
    before.st_size == after.st_size && times(before) == times(after)
}

/// Show bytes as text: what is not UTF-8 as `\xNN`.
fn show(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// Read `manifest.json`, or say why not.
fn manifest_bytes(root: BorrowedFd<'_>, verdict: &mut Verdict) -> Option<Vec<u8>> {
    let stat = match statat(root, FILE_NAME, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => {
            verdict.add(Id::ManifestMissing, FILE_NAME, "");
            return None;
        }
        Err(_) => {
            verdict.unreadable(FILE_NAME);
            return None;
        }
    };
    let finding = match kind(&stat) {
        FileType::RegularFile => None,
        FileType::Directory => Some(Id::ManifestMissing),
        FileType::Symlink => Some(Id::SymlinkEntry),
        _ => Some(Id::SpecialFile),
    };
    if let Some(id) = finding {
        verdict.add(id, FILE_NAME, "");
        return None;
    }
    if too_large(&stat) {
        verdict.add(Id::JsonTooLarge, FILE_NAME, "");
        return None;
    }
    let opened = openat(root, FILE_NAME, FILE, Mode::empty());
    let read = opened.and_then(|fd| {
        let before = fstat(&fd)?;
        if kind(&before) != FileType::RegularFile {
            return Ok(Err(Id::Toctou));
        }
        if too_large(&before) {
            return Ok(Err(Id::JsonTooLarge));
        }
        let mut data = Vec::new();
        let file = File::from(fd);
        let limit = u64::try_from(MAX_BYTES).map_or(u64::MAX, |most| most.saturating_add(1));
        (&file)
            .take(limit)
            .read_to_end(&mut data)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        let after = fstat(&file)?;
        let whole = i64::try_from(data.len()).is_ok_and(|length| length == before.st_size);
        if whole && same(&before, &after) {
            Ok(Ok(data))
        } else {
            Ok(Err(Id::Toctou))
        }
    });
    match read {
        Ok(Ok(data)) => return Some(data),
        Ok(Err(id)) => verdict.add(id, FILE_NAME, ""),
        Err(error) if changed(error) => verdict.add(Id::Toctou, FILE_NAME, ""),
        Err(_) => verdict.unreadable(FILE_NAME),
    }
    None
}

fn too_large(stat: &Stat) -> bool {
    usize::try_from(stat.st_size).is_ok_and(|size| size > MAX_BYTES)
}

fn verify_manifest(root: &OwnedFd, manifest: &Manifest<'_>, verdict: &mut Verdict) {
    verdict.run_id = Some(manifest.run_id.to_owned());
    manifest.check(&mut |id, path| verdict.add(id, path, ""));
    let mut survey = Survey::new(manifest);
    survey.walk(root, verdict);
    survey.report_missing(verdict);
    let found: Vec<(&Artifact<'_>, &str)> = survey
        .records
        .values()
        .filter_map(|record| Some((record.file, record.on_disk.as_deref()?)))
        .collect();
    for (file, _) in &found {
        verdict.files = verdict.files.saturating_add(1);
        verdict.bytes = verdict.bytes.saturating_add(u128::from(file.size));
    }
    for (path, answer) in check_files(root.as_fd(), &found) {
        match answer {
            Answer::Found(id, detail) => verdict.add(id, path, &detail),
            Answer::Unreadable => verdict.unreadable(path),
        }
    }
}

/// A usable record, and where on disk its file is.
struct Record<'m> {
    file: &'m Artifact<'m>,
    on_disk: Option<String>,
}

/// What may lie in the folder, and what of it does.
struct Survey<'m> {
    records: BTreeMap<&'m str, Record<'m>>,
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
    fn new(manifest: &'m Manifest<'m>) -> Self {
        let mut survey = Survey {
            records: BTreeMap::new(),
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

    fn walk(&mut self, root: &OwnedFd, verdict: &mut Verdict) {
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
            FileType::RegularFile if folder.attestations => {}
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
    fn report_missing(&self, verdict: &mut Verdict) {
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

enum Answer {
    Found(Id, String),
    Unreadable,
}

/// Read files side by side; what is wrong with them, in no order.
fn check_files<'f>(
    root: BorrowedFd<'_>,
    files: &[(&'f Artifact<'f>, &str)],
) -> Vec<(&'f str, Answer)> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = vec![0; BUFFER];
        let mut answers = Vec::new();
        while let Some((file, on_disk)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(answer) = check_file(root, file, on_disk, &mut buffer) {
                answers.push((file.path, answer));
            }
        }
        answers
    };
    thread::scope(|scope| {
        // A thread that cannot be started is no loss: this one does all the work that is left.
        let others: Vec<_> = (1..READERS.min(files.len()))
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let mut answers = work();
        for other in others {
            answers.extend(other.join().into_iter().flatten());
        }
        answers
    })
}

fn check_file(
    root: BorrowedFd<'_>,
    file: &Artifact<'_>,
    on_disk: &str,
    buffer: &mut [u8],
) -> Option<Answer> {
    let found = |id, detail: String| Some(Answer::Found(id, detail));
    let became = || found(Id::Toctou, "it changed while it was read".to_owned());
    let fd = match open_below(root, on_disk) {
        Ok(fd) => fd,
        Err(error) if changed(error) => return became(),
        Err(_) => return Some(Answer::Unreadable),
    };
    let Ok(before) = fstat(&fd) else {
        return Some(Answer::Unreadable);
    };
    if kind(&before) != FileType::RegularFile {
        return became();
    }
    if !u64::try_from(before.st_size).is_ok_and(|size| size == file.size) {
        let detail = format!("{} bytes, recorded {}", before.st_size, file.size);
        return found(Id::SizeMismatch, detail);
    }
    let Ok((size, blake3, sha256)) = digests(&fd, file.size, buffer) else {
        return Some(Answer::Unreadable);
    };
    let Ok(after) = fstat(&fd) else {
        return Some(Answer::Unreadable);
    };
    if size != file.size || !same(&before, &after) {
        return became();
    }
    match (blake3 == file.blake3, sha256 == file.sha256) {
        (true, true) => None,
        (true, false) => found(
            Id::HashDisagree,
            "blake3 matches and sha256 does not".to_owned(),
        ),
        (false, true) => found(
            Id::HashDisagree,
            "sha256 matches and blake3 does not".to_owned(),
        ),
        (false, false) => found(Id::HashMismatch, format!("blake3 {}", to_hex(&blake3))),
    }
}

/// Open a file below an open folder, each component without following links.
fn open_below(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    let Some((folders, name)) = path.rsplit_once('/') else {
        return openat(root, path, FILE, Mode::empty());
    };
    let mut at: Option<OwnedFd> = None;
    for folder in folders.split('/') {
        let from = at.as_ref().map_or(root, |fd| fd.as_fd());
        at = Some(openat(from, folder, FOLDER, Mode::empty())?);
    }
    openat(
        at.as_ref().map_or(root, |fd| fd.as_fd()),
        name,
        FILE,
        Mode::empty(),
    )
}

/// Read a file, at most one byte more than `limit`: the number of bytes read, BLAKE3, SHA-256.
fn digests(fd: &OwnedFd, limit: u64, buffer: &mut [u8]) -> Result<(u64, Digest, Digest), Errno> {
    let mut blake3 = blake3::Hasher::new();
    let mut sha256 = Sha256::new();
    let mut read = 0_u64;
    loop {
        let left = limit.saturating_add(1).saturating_sub(read);
        let want = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let Some(window) = buffer.get_mut(..want).filter(|window| !window.is_empty()) else {
            break;
        };
        let count = match rustix::io::read(fd, &mut *window) {
            Ok(0) => break,
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error),
        };
        let Some(chunk) = window.get(..count) else {
            return Err(Errno::IO);
        };
        blake3.update(chunk);
        sha256.update(chunk);
        read = read.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }
    Ok((
        read,
        *blake3.finalize().as_bytes(),
        sha256.finalize().into(),
    ))
}
