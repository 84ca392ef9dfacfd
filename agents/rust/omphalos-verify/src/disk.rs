//! Looking at files and folders without following links, and reading each once.
//!
//! Rules of this file: everything below a folder is opened relative to it, component by component; what is opened without
//! blocking is looked at before it is read; no more is read than asked for.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{fstat, open, openat, statat, AtFlags, FileType, Mode, OFlags, Stat, CWD};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::findings::Id;
use crate::ids::Digest;
use crate::verdict::Verdict;

/// There is nothing to judge.
#[derive(Debug)]
pub struct NothingThere;

/// How a folder is opened.
pub const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// How a file is opened: a pipe does not block.
pub const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// Open the run directory; nothing if what was said about it is all there is to say.
pub fn open_root(path: &[u8], verdict: &mut Verdict) -> Result<Option<OwnedFd>, NothingThere> {
    let is_folder = look_up(path, verdict)?;
    if !is_folder {
        return Ok(None);
    }
    match open(path, FOLDER, Mode::empty()) {
        Ok(root) => Ok(Some(root)),
        // It became something else just now: a link in its place is told as one.
        Err(error) if no_folder(error) => {
            if look_up(path, verdict)? {
                Err(NothingThere)
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
pub fn look_up(path: &[u8], verdict: &mut Verdict) -> Result<bool, NothingThere> {
    match statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if kind(&stat) == FileType::Symlink => {
            verdict.add(
                Id::SymlinkEntry,
                ".",
                "what was named is itself a symbolic link",
            );
            Ok(false)
        }
        Ok(stat) if kind(&stat) == FileType::Directory => Ok(true),
        Ok(_) => Err(NothingThere),
        Err(error) if no_folder(error) => Err(NothingThere),
        Err(_) => {
            verdict.unreadable(".");
            Ok(false)
        }
    }
}

/// Leave out slashes at the end, unless there is nothing else.
pub fn without_slashes(path: &[u8]) -> &[u8] {
    let mut rest = path;
    while let [more @ .., b'/'] = rest {
        if more.is_empty() {
            break;
        }
        rest = more;
    }
    rest
}

/// What kind of thing a stat is of.
pub fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Say whether an error means that there is no folder of this name, and not that it cannot be looked at.
pub fn no_folder(error: Errno) -> bool {
    matches!(
        error,
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG
    )
}

/// Say whether an error means that what was looked up a moment ago is gone or has become another kind.
pub fn changed(error: Errno) -> bool {
    matches!(
        error,
        Errno::LOOP | Errno::NOTDIR | Errno::NOENT | Errno::NXIO
    )
}

/// Say whether a file stayed the same while it was read.
pub fn same(before: &Stat, after: &Stat) -> bool {
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
pub fn show(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// Open a file below an open folder, each component without following links.
pub fn open_below(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
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
pub fn digests(
    fd: &OwnedFd,
    limit: u64,
    buffer: &mut [u8],
) -> Result<(u64, Digest, Digest), Errno> {
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

/// The last component of what was named, as text.
pub fn subject(path: &[u8]) -> String {
    show(path.rsplit(|&b| b == b'/').next().unwrap_or_default())
}

/// What came of reading a small file whole.
pub enum Whole {
    /// Its bytes.
    Data(Vec<u8>),
    /// It is longer than asked for, and was not read.
    TooLarge,
    /// It changed while it was looked at or read, or is of another kind now.
    Changed,
    /// It cannot be read.
    Unreadable,
}

/// Read a whole open file of at most `most` bytes.
pub fn read_whole(opened: Result<OwnedFd, Errno>, most: u64) -> Whole {
    let fd = match opened {
        Ok(fd) => fd,
        Err(error) if changed(error) => return Whole::Changed,
        Err(_) => return Whole::Unreadable,
    };
    let Ok(before) = fstat(&fd) else {
        return Whole::Unreadable;
    };
    if kind(&before) != FileType::RegularFile {
        return Whole::Changed;
    }
    if longer(&before, most) {
        return Whole::TooLarge;
    }
    let mut data = Vec::new();
    let file = File::from(fd);
    if (&file)
        .take(most.saturating_add(1))
        .read_to_end(&mut data)
        .is_err()
    {
        return Whole::Unreadable;
    }
    let Ok(after) = fstat(&file) else {
        return Whole::Unreadable;
    };
    let whole = i64::try_from(data.len()).is_ok_and(|length| length == before.st_size);
    if whole && same(&before, &after) {
        Whole::Data(data)
    } else {
        Whole::Changed
    }
}

/// Say whether a file has more bytes than `most`.
pub fn longer(stat: &Stat, most: u64) -> bool {
    u64::try_from(stat.st_size).is_ok_and(|size| size > most)
}

/// The kind of a file that was named, or nothing if it cannot be looked up.
///
/// # Errors
/// There is nothing of that name, or a folder.
pub fn look_up_file(path: &OsStr) -> Result<Option<FileType>, NothingThere> {
    match statat(CWD, path.as_bytes(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => match kind(&stat) {
            FileType::Directory => Err(NothingThere),
            other => Ok(Some(other)),
        },
        Err(error) if no_folder(error) => Err(NothingThere),
        Err(_) => Ok(None),
    }
}
