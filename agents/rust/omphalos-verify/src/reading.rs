//! What is in the files of a run directory (`docs/format/verify.md`, section 6).

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::fs::{fstat, FileType};
use rustix::io::Errno;

use crate::disk::{changed, digests, kind, open_below, same};
use crate::findings::Id;
use crate::ids::{to_hex, Digest};
use crate::manifest::Artifact;

/// How many files are read side by side.
const READERS: usize = 2;
/// Large enough for BLAKE3 to use the widest instructions, small enough to stay near the core for SHA-256.
pub const BUFFER: usize = 128 << 10;

/// What is wrong with a file.
pub enum Answer {
    /// A finding and its detail.
    Found(Id, String),
    /// It cannot be read.
    Unreadable,
}

/// Read files side by side; what is wrong with them, in no order.
pub fn check_files<'f>(
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
    let recorded = Recorded {
        size: file.size,
        blake3: &file.blake3,
        sha256: &file.sha256,
    };
    check_open(open_below(root, on_disk), &recorded, buffer)
}

/// What is recorded of a file.
pub struct Recorded<'r> {
    /// Its length.
    pub size: u64,
    /// Its BLAKE3.
    pub blake3: &'r Digest,
    /// Its SHA-256.
    pub sha256: &'r Digest,
}

/// Judge one file by its record.
pub fn check_open(
    opened: Result<OwnedFd, Errno>,
    recorded: &Recorded<'_>,
    buffer: &mut [u8],
) -> Option<Answer> {
    let found = |id, detail: String| Some(Answer::Found(id, detail));
    let became = || found(Id::Toctou, "it changed while it was read".to_owned());
    let fd = match opened {
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
    if !u64::try_from(before.st_size).is_ok_and(|size| size == recorded.size) {
        let detail = format!("{} bytes, recorded {}", before.st_size, recorded.size);
        return found(Id::SizeMismatch, detail);
    }
    let Ok((size, blake3, sha256)) = digests(&fd, recorded.size, buffer) else {
        return Some(Answer::Unreadable);
    };
    let Ok(after) = fstat(&fd) else {
        return Some(Answer::Unreadable);
    };
    if size != recorded.size || !same(&before, &after) {
        return became();
    }
    match (blake3 == *recorded.blake3, sha256 == *recorded.sha256) {
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
