//! Verify a run directory (`docs/format/verify.md`).
//!
//! Rules of this file: nothing is followed; everything is looked up relative to an open folder; only `manifest.json`,
//! folders, and regular files with a usable record are opened, and envelopes where keys are given. What cannot be read makes
//! the verdict incomplete, never positive.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{openat, statat, AtFlags, FileType, Mode};
use rustix::io::Errno;

use crate::attest::{self, Facts, Signers, MAX_ENVELOPES};
use crate::disk::{
    kind, longer, open_below, open_root, read_whole, subject, without_slashes, NothingThere, Whole,
    FILE,
};
use crate::findings::Id;
use crate::keys::PublicKey;
use crate::manifest::{read, Artifact, Manifest, ATTESTATIONS, FILE_NAME, MAX_BYTES};
use crate::reading::{check_files, Answer};
use crate::strictjson::parse;
use crate::survey::Survey;
use crate::verdict::Verdict;

/// Verify the run directory at `path`, for which each of `keys` must have vouched.
///
/// # Errors
/// There is nothing of that name, or it is no folder.
pub fn verify_directory(path: &Path, keys: &[PublicKey]) -> Result<Verdict, NothingThere> {
    let trimmed = without_slashes(path.as_os_str().as_bytes());
    let mut verdict = Verdict::new(subject(trimmed), keys);
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
        Ok(manifest) => {
            let envelopes = verify_manifest(&root, &manifest, &mut verdict);
            if !keys.is_empty() {
                let facts = Facts::new(&manifest, &data);
                verify_envelopes(root.as_fd(), &envelopes, keys, &facts, &mut verdict);
            }
        }
        Err(found) => {
            for id in found {
                verdict.add(id, FILE_NAME, "");
            }
        }
    }
    Ok(verdict)
}

/// Read `manifest.json`, or say why not.
fn manifest_bytes(root: BorrowedFd<'_>, verdict: &mut Verdict) -> Option<Vec<u8>> {
    let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
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
        FileType::RegularFile if longer(&stat, most) => Some(Id::JsonTooLarge),
        FileType::RegularFile => None,
        FileType::Directory => Some(Id::ManifestMissing),
        FileType::Symlink => Some(Id::SymlinkEntry),
        _ => Some(Id::SpecialFile),
    };
    if let Some(id) = finding {
        verdict.add(id, FILE_NAME, "");
        return None;
    }
    match read_whole(openat(root, FILE_NAME, FILE, Mode::empty()), most) {
        Whole::Data(data) => return Some(data),
        Whole::TooLarge => verdict.add(Id::JsonTooLarge, FILE_NAME, ""),
        Whole::Changed => verdict.add(Id::Toctou, FILE_NAME, ""),
        Whole::Unreadable => verdict.unreadable(FILE_NAME),
    }
    None
}

/// Judge envelopes; every key must have vouched in one of them.
fn verify_envelopes(
    root: BorrowedFd<'_>,
    names: &BTreeSet<String>,
    keys: &[PublicKey],
    facts: &Facts,
    verdict: &mut Verdict,
) {
    if names.len() > MAX_ENVELOPES {
        verdict.add(Id::OversizeLength, ATTESTATIONS, "too many envelopes");
    } else {
        let most = u64::try_from(attest::MAX_BYTES).unwrap_or(u64::MAX);
        for name in names {
            let path = format!("{ATTESTATIONS}/{name}");
            match read_whole(open_below(root, &path), most) {
                Whole::Data(data) => {
                    let answer = attest::read_envelope(&data, keys).and_then(|signed| {
                        signed.map_or(Ok(Signers::new()), |signed| facts.counts(&signed))
                    });
                    match answer {
                        Ok(counts) => verdict.signed_by.extend(counts),
                        Err(id) => verdict.add(id, &path, ""),
                    }
                }
                Whole::TooLarge => verdict.add(Id::JsonTooLarge, &path, ""),
                Whole::Changed => verdict.add(Id::Toctou, &path, ""),
                Whole::Unreadable => verdict.unreadable(&path),
            }
        }
    }
    let missing = missing_keys(keys, &verdict.signed_by);
    if !missing.is_empty() {
        verdict.add(Id::SignatureMissing, ATTESTATIONS, &missing);
    }
}

/// The keys for which nothing counts, as text.
pub(crate) fn missing_keys(keys: &[PublicKey], signed_by: &Signers) -> String {
    let missing: Vec<&str> = keys
        .iter()
        .map(|key| key.id.as_str())
        .filter(|id| !signed_by.contains(*id))
        .collect();
    missing.join(" ")
}

/// Steps 4 to 6; the envelopes that were met.
fn verify_manifest(
    root: &OwnedFd,
    manifest: &Manifest<'_>,
    verdict: &mut Verdict,
) -> BTreeSet<String> {
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
    std::mem::take(&mut survey.envelopes)
}
