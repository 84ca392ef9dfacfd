//! Proof of one artifact (`docs/format/proof.md`).
//!
//! Rules of this file: a proof does not bear its own root out, so without a given root or key nothing is verified; FILE is
//! opened only if it is a file, and read no further than recorded.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{open, FileType, Mode};

use crate::attest::{read_envelope, Says, Signers};
use crate::disk::{look_up_file, read_whole, subject, NothingThere, Whole, FILE};
use crate::findings::Id;
use crate::ids::{from_hex, Digest};
use crate::keys::PublicKey;
use crate::manifest::{any, count, digest, is_kept, is_text, keys_of, list};
use crate::merkle::{artifact_leaf, includes, leaf_hash};
use crate::paths::check_path;
use crate::reading::{check_open, Answer, Recorded, BUFFER};
use crate::strictjson::{is_canonical, parse, Value};
use crate::verdict::Verdict;
use crate::verify::missing_keys;

/// The greatest length of a proof.
pub const MAX_BYTES: usize = 2 << 20;
const SCHEMA: &str = "omphalos.proof/1";
const MAX_HASHES: usize = 64;
const PROOF: &str = "proof";
const CONTENT: &str = "file";
const TOP: &[&str] = &[
    "schema",
    "run_id",
    "artifact",
    "index",
    "tree_size",
    "hashes",
    "merkle_root",
    "envelope",
];
const ARTIFACT: &[&str] = &["path", "size", "sha256", "blake3"];

/// A proof that is of its schema and in its one spelling.
pub struct Proof<'p> {
    run_id: &'p str,
    path: &'p str,
    size: u64,
    sha256: Digest,
    blake3: Digest,
    index: u64,
    tree_size: u64,
    hashes: Vec<Digest>,
    merkle_root: Digest,
    envelope: Option<&'p str>,
}

/// Judge a proof and the file it is about, by a given root, by given keys, or by neither.
///
/// # Errors
/// There is no file of one of the names.
pub fn verify_proof(
    proof: &OsStr,
    file: &OsStr,
    root: Option<&Digest>,
    keys: &[PublicKey],
) -> Result<Verdict, NothingThere> {
    let mut verdict = Verdict::new(subject(proof.as_bytes()), keys);
    verdict.no_root = root.is_none() && keys.is_empty();
    let (proof_kind, file_kind) = (look_up_file(proof)?, look_up_file(file)?);
    let Some(data) = proof_bytes(proof, proof_kind, &mut verdict) else {
        return Ok(verdict);
    };
    let value = match parse(&data, MAX_BYTES) {
        Ok(value) => value,
        Err(id) => {
            verdict.add(id, PROOF, "not strict JSON");
            return Ok(verdict);
        }
    };
    let proof = match read(&value, &data) {
        Ok(proof) => proof,
        Err(found) => {
            for id in found {
                verdict.add(id, PROOF, "");
            }
            return Ok(verdict);
        }
    };
    verdict.run_id = Some(proof.run_id.to_owned());
    check_itself(&proof, root, &mut verdict);
    if !keys.is_empty() {
        check_envelope(&proof, keys, &mut verdict);
    }
    check_content(&proof, file, file_kind, &mut verdict);
    Ok(verdict)
}

fn proof_bytes(path: &OsStr, found: Option<FileType>, verdict: &mut Verdict) -> Option<Vec<u8>> {
    match found {
        None => verdict.unreadable(PROOF),
        Some(FileType::Symlink) => verdict.add(Id::SymlinkEntry, PROOF, ""),
        Some(FileType::RegularFile) => {
            let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
            match read_whole(open(path.as_bytes(), FILE, Mode::empty()), most) {
                Whole::Data(data) => return Some(data),
                Whole::TooLarge => verdict.add(Id::JsonTooLarge, PROOF, ""),
                Whole::Changed => verdict.add(Id::Toctou, PROOF, ""),
                Whole::Unreadable => verdict.unreadable(PROOF),
            }
        }
        Some(_) => verdict.add(Id::SpecialFile, PROOF, ""),
    }
    None
}

/// Read a proof out of the value that `data` was parsed to.
///
/// # Errors
/// The findings of the first step that says something.
pub fn read<'p>(value: &'p Value<'p>, data: &[u8]) -> Result<Proof<'p>, BTreeSet<Id>> {
    let schema = value.get("schema").and_then(Value::text);
    if schema.is_some_and(|schema| schema != SCHEMA) {
        return Err(BTreeSet::from([Id::ManifestVersion]));
    }
    let mut unknown = BTreeSet::new();
    keys_of(Some(value), TOP, &mut unknown);
    keys_of(value.get("artifact"), ARTIFACT, &mut unknown);
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let Some(proof) = decode(value) else {
        return Err(BTreeSet::from([Id::ProofMalformed]));
    };
    if !is_canonical(value, data) {
        return Err(BTreeSet::from([Id::ManifestNotCanonical]));
    }
    Ok(proof)
}

fn decode<'p>(value: &'p Value<'p>) -> Option<Proof<'p>> {
    if any(value, "schema")? != SCHEMA {
        return None;
    }
    let artifact = value.get("artifact")?;
    let hashes = list(value, "hashes")?;
    if hashes.len() > MAX_HASHES {
        return None;
    }
    Some(Proof {
        run_id: any(value, "run_id").filter(|text| is_text(text))?,
        path: any(artifact, "path")?,
        size: count(artifact, "size")?,
        sha256: digest(artifact, "sha256")?,
        blake3: digest(artifact, "blake3")?,
        index: count(value, "index")?,
        tree_size: count(value, "tree_size")?,
        hashes: hashes
            .iter()
            .map(|hash| from_hex(hash.text()?))
            .collect::<Option<_>>()?,
        merkle_root: digest(value, "merkle_root")?,
        envelope: match value.get("envelope")? {
            Value::Null => None,
            envelope => Some(envelope.text()?),
        },
    })
}

/// Steps 3 to 5.
fn check_itself(proof: &Proof<'_>, root: Option<&Digest>, verdict: &mut Verdict) {
    for id in check_path(proof.path) {
        verdict.add(id, proof.path, "");
    }
    if is_kept(proof.path) {
        verdict.add(Id::PathOwnDir, proof.path, "");
    }
    let leaf = artifact_leaf(proof.path, proof.size, &proof.sha256, &proof.blake3);
    let stands = includes(
        &leaf_hash(&leaf),
        proof.index,
        proof.tree_size,
        &proof.hashes,
        &proof.merkle_root,
    );
    if !stands {
        verdict.add(Id::InclusionInvalid, PROOF, "");
    }
    if root.is_some_and(|root| *root != proof.merkle_root) {
        verdict.add(Id::RootMismatch, PROOF, "another root was given");
    }
}

/// Step 6.
fn check_envelope(proof: &Proof<'_>, keys: &[PublicKey], verdict: &mut Verdict) {
    let signed = match proof.envelope {
        None => Ok(None),
        Some(envelope) => read_envelope(envelope.as_bytes(), keys),
    };
    let counts = signed.and_then(|signed| match signed {
        None => Ok(Signers::new()),
        Some(signed) => match signed.statement.says {
            Says::Run {
                run_id,
                merkle_root,
                tree_size,
            } => {
                if (merkle_root, tree_size) != (proof.merkle_root, proof.tree_size) {
                    Err(Id::RootMismatch)
                } else if run_id != proof.run_id {
                    Err(Id::SubjectMismatch)
                } else {
                    Ok(signed.by)
                }
            }
            _ => Ok(Signers::new()),
        },
    });
    match counts {
        Ok(signers) => verdict.signed_by = signers,
        Err(id) => verdict.add(id, PROOF, "in its envelope"),
    }
    let missing = missing_keys(keys, &verdict.signed_by);
    if !missing.is_empty() {
        verdict.add(Id::SignatureMissing, PROOF, &missing);
    }
}

/// Step 7.
fn check_content(proof: &Proof<'_>, file: &OsStr, found: Option<FileType>, verdict: &mut Verdict) {
    match found {
        None => return verdict.unreadable(CONTENT),
        Some(FileType::RegularFile) => {}
        Some(FileType::Symlink) => return verdict.add(Id::SymlinkEntry, CONTENT, ""),
        Some(_) => return verdict.add(Id::SpecialFile, CONTENT, ""),
    }
    let recorded = Recorded {
        size: proof.size,
        blake3: &proof.blake3,
        sha256: &proof.sha256,
    };
    let opened = open(file.as_bytes(), FILE, Mode::empty());
    let answer = check_open(opened, &recorded, &mut vec![0; BUFFER]);
    // It was read to its end with the recorded size unless the answer says otherwise.
    let read = matches!(
        answer,
        None | Some(Answer::Found(Id::HashDisagree | Id::HashMismatch, _))
    );
    if read {
        verdict.files = 1;
        verdict.bytes = u128::from(proof.size);
    }
    match answer {
        None => {}
        Some(Answer::Found(id, detail)) => verdict.add(id, CONTENT, &detail),
        Some(Answer::Unreadable) => verdict.unreadable(CONTENT),
    }
}
