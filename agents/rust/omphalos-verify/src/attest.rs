//! Attestations (`docs/format/attestation.md`): envelopes, statements, and what they vouch for.
//!
//! Rules of this file: a good signature by a key nobody gave is as good as none, and a bad one by a given key refuses. The
//! first thing wrong with an envelope is the one that is said.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::findings::Id;
use crate::ids::{blob_id, to_hex, Digest};
use crate::keys::{base64, PublicKey};
use crate::manifest::{any, count, digest, Manifest};
use crate::strictjson::{parse, Value};

/// The greatest length of an envelope, and of a statement.
pub const MAX_BYTES: usize = 1 << 20;
/// How many envelopes a run may have.
pub const MAX_ENVELOPES: usize = 256;
const MAX_SIGNATURES: usize = 16;
const MAX_SUBJECTS: usize = 1024;
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const RUN_TYPE: &str = "urn:omphalos:run:v1";
const RECOMPUTATION_TYPE: &str = "urn:omphalos:recomputation:v1";

/// The ids of keys.
pub type Signers = BTreeSet<String>;

/// A statement, as far as a reader asks.
pub struct Statement {
    /// Its subjects' `sha256` and `blake3`.
    subjects: Vec<(Option<String>, Option<String>)>,
    /// What it says.
    pub says: Says,
}

/// What a statement says, by its type.
pub enum Says {
    /// I vouch for this run.
    Run {
        /// Its run_id.
        run_id: String,
        /// Its Merkle root.
        merkle_root: Digest,
        /// The number of its artifacts.
        tree_size: u64,
    },
    /// I executed its plan again.
    Recomputation {
        /// Its run_id.
        run_id: String,
        /// The outcome was `identical`.
        identical: bool,
    },
    /// Something of somebody else.
    Other,
}

/// A statement and the given keys that signed it.
pub struct Signed {
    /// The ids of these keys.
    pub by: Signers,
    /// What they signed.
    pub statement: Statement,
}

/// What statements about a run are compared with.
pub struct Facts {
    sha256: String,
    blake3: String,
    run_id: String,
    merkle_root: Digest,
    tree_size: u64,
}

impl Facts {
    /// The facts of a manifest and its bytes.
    pub fn new(manifest: &Manifest<'_>, data: &[u8]) -> Self {
        Facts {
            sha256: to_hex(&Sha256::digest(data)),
            blake3: to_hex(&blob_id(data)),
            run_id: manifest.run_id.to_owned(),
            merkle_root: manifest.merkle_root,
            tree_size: u64::try_from(manifest.artifacts.len()).unwrap_or(u64::MAX),
        }
    }

    /// Say for which keys a statement counts: steps 8 to 10.
    ///
    /// # Errors
    /// The finding of the step that refuses it.
    pub fn counts(&self, signed: &Signed) -> Result<Signers, Id> {
        let subjects = &signed.statement.subjects;
        let mut own = subjects
            .iter()
            .filter(|(sha256, _)| sha256.as_ref() == Some(&self.sha256))
            .peekable();
        if own.peek().is_none() {
            return Err(Id::SubjectMismatch);
        }
        if own.any(|(_, blake3)| blake3.as_ref().is_some_and(|hex| *hex != self.blake3)) {
            return Err(Id::HashDisagree);
        }
        let (same, counts) = match &signed.statement.says {
            Says::Run {
                run_id,
                merkle_root,
                tree_size,
            } => (
                (run_id, merkle_root, tree_size)
                    == (&self.run_id, &self.merkle_root, &self.tree_size),
                true,
            ),
            Says::Recomputation { run_id, identical } => (*run_id == self.run_id, *identical),
            Says::Other => (true, false),
        };
        match (same, counts) {
            (false, _) => Err(Id::SubjectMismatch),
            (true, true) => Ok(signed.by.clone()),
            (true, false) => Ok(Signers::new()),
        }
    }
}

/// Read an envelope: steps 2 to 7. Nothing if no given key signed it.
///
/// # Errors
/// The finding of the first step that says something.
pub fn read_envelope(data: &[u8], keys: &[PublicKey]) -> Result<Option<Signed>, Id> {
    let value = parse(data, MAX_BYTES)?;
    let (payload, signatures) = envelope(&value).ok_or(Id::EnvelopeMalformed)?;
    let payload = base64(payload).ok_or(Id::Base64Malformed)?;
    let mut decoded = Vec::with_capacity(signatures.len());
    for (sig, keyid) in signatures {
        decoded.push((base64(sig).ok_or(Id::Base64Malformed)?, keyid));
    }
    let message = signed_bytes(&payload);
    let mut by = Signers::new();
    for (sig, keyid) in &decoded {
        match keys.iter().find(|key| Some(key.id.as_str()) == *keyid) {
            Some(key) if key.verifies(&message, sig) => drop(by.insert(key.id.clone())),
            Some(_) => return Err(Id::SignatureInvalid),
            None => {
                let valid = keys.iter().filter(|key| key.verifies(&message, sig));
                by.extend(valid.map(|key| key.id.clone()));
            }
        }
    }
    if by.is_empty() {
        return Ok(None);
    }
    let value = parse(&payload, MAX_BYTES)?;
    let statement = statement(&value).ok_or(Id::StatementMalformed)?;
    Ok(Some(Signed { by, statement }))
}

/// The payload, and each signature with its keyid.
type Parts<'v> = (&'v str, Vec<(&'v str, Option<&'v str>)>);

fn envelope<'v>(value: &'v Value<'v>) -> Option<Parts<'v>> {
    let payload = any(value, "payload")?;
    if any(value, "payloadType")? != PAYLOAD_TYPE {
        return None;
    }
    let Value::List(items) = value.get("signatures")? else {
        return None;
    };
    if !(1..=MAX_SIGNATURES).contains(&items.len()) {
        return None;
    }
    let mut signatures = Vec::with_capacity(items.len());
    for item in items {
        let keyid = match item.get("keyid") {
            None => None,
            Some(keyid) => Some(keyid.text()?),
        };
        signatures.push((any(item, "sig")?, keyid));
    }
    Some((payload, signatures))
}

/// DSSE's pre-authentication encoding.
fn signed_bytes(payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {PAYLOAD_TYPE} {} ",
        PAYLOAD_TYPE.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

fn statement(value: &Value<'_>) -> Option<Statement> {
    if any(value, "_type")? != STATEMENT_TYPE {
        return None;
    }
    let Value::List(items) = value.get("subject")? else {
        return None;
    };
    if !(1..=MAX_SUBJECTS).contains(&items.len()) {
        return None;
    }
    let mut subjects = Vec::with_capacity(items.len());
    for item in items {
        let digest = item.get("digest")?;
        let Value::Object(digests) = digest else {
            return None;
        };
        if !digests.iter().all(|(_, hex)| hex.text().is_some()) {
            return None;
        }
        let hex = |name| any(digest, name).map(str::to_owned);
        subjects.push((hex("sha256"), hex("blake3")));
    }
    let kind = any(value, "predicateType").filter(|kind| !kind.is_empty())?;
    let predicate = match value.get("predicate") {
        None => &Value::Null,
        Some(predicate @ (Value::Null | Value::Object(_))) => predicate,
        Some(_) => return None,
    };
    let says = match kind {
        RUN_TYPE => Says::Run {
            run_id: any(predicate, "runId")?.to_owned(),
            merkle_root: digest(predicate, "merkleRoot")?,
            tree_size: count(predicate, "treeSize")?,
        },
        RECOMPUTATION_TYPE => Says::Recomputation {
            run_id: any(predicate, "runId")?.to_owned(),
            identical: match any(predicate, "outcome")? {
                "identical" => true,
                "equal-after" | "different" | "not-rerunnable" => false,
                _ => return None,
            },
        },
        _ => Says::Other,
    };
    Some(Statement { subjects, says })
}
