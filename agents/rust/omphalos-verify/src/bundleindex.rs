//! The index of a bundle (`docs/format/bundle.md`, "The index"): closed, in one spelling, and bounded.
//!
//! Rules of this file: each step is asked only if those before said nothing; whatever is said ends the check.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::findings::Id;
use crate::ids::{from_hex, Digest};
use crate::manifest::{any, count, digest, is_text, keys_of, list};
use crate::paths::check_path;
use crate::strictjson::{is_canonical, parse, Value, MAX_INT};
use crate::tarheader::INDEX;

/// The greatest length of an index.
pub const MAX_BYTES: usize = 1 << 26;
const SCHEMA: &str = "omphalos.bundle/1";
const MAX_NAME: usize = 255;
const MAX_MEMBER: u64 = (1 << 33) - 1;
const MAX_MANIFESTS: u128 = 1 << 28;
const MAX_NODES: u128 = 1 << 26;
const MAX_STATEMENT: u64 = 1 << 20;
const MAX_ATTESTATIONS: usize = 256;
const TOP: &[&str] = &["schema", "runs", "members"];
const RUN: &[&str] = &["run_id", "run", "attestations"];
const ATTESTATION: &[&str] = &["name", "id"];
const MEMBER: &[&str] = &["name", "size", "sha256"];

/// The folder a member is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Folder {
    /// Run objects.
    Manifests,
    /// Tree nodes.
    Nodes,
    /// Files.
    Payload,
    /// Attestations.
    Statements,
}

impl Folder {
    const ALL: [Folder; 4] = [
        Folder::Manifests,
        Folder::Nodes,
        Folder::Payload,
        Folder::Statements,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Folder::Manifests => "manifests",
            Folder::Nodes => "nodes",
            Folder::Payload => "payload",
            Folder::Statements => "statements",
        }
    }
}

/// A member.
pub struct Member {
    /// Its folder.
    pub folder: Folder,
    /// Its id.
    pub id: Digest,
    /// Its length.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// A run.
pub struct Run {
    /// Its run_id.
    pub run_id: String,
    /// The place of its run object among the members.
    pub manifest: usize,
    /// The places of its statements among the members, each once.
    pub statements: BTreeSet<usize>,
}

/// An index that could be used.
pub struct Index {
    /// All members after the index, in order of their names.
    pub members: Vec<Member>,
    /// The runs.
    pub runs: Vec<Run>,
}

/// The name of a member.
pub fn name_of(folder: Folder, id: &Digest) -> String {
    format!("{}/{}", folder.name(), crate::ids::to_hex(id))
}

impl Index {
    /// The place of a member.
    pub fn find(&self, folder: Folder, id: &Digest) -> Option<usize> {
        find(&self.members, folder, id)
    }

    /// The place of the member of this name.
    pub fn find_name(&self, name: &str) -> Option<usize> {
        let (folder, id) = split(name)?;
        self.find(folder, &id)
    }
}

fn find(members: &[Member], folder: Folder, id: &Digest) -> Option<usize> {
    members
        .binary_search_by(|member| (member.folder, &member.id).cmp(&(folder, id)))
        .ok()
}

/// The folder and the id that a name says.
fn split(name: &str) -> Option<(Folder, Digest)> {
    let (folder, id) = name.split_once('/')?;
    let folder = Folder::ALL.into_iter().find(|one| one.name() == folder)?;
    Some((folder, from_hex(id)?))
}

/// Findings, each at a name.
pub type Found = BTreeSet<(Id, String)>;

/// What the index says before anything of it is compared.
struct Raw<'v> {
    runs: Vec<RawRun<'v>>,
    members: Vec<(&'v str, u64, Digest)>,
}

struct RawRun<'v> {
    run_id: &'v str,
    run: Digest,
    attestations: Vec<(&'v str, Digest)>,
}

/// Read an index.
///
/// # Errors
/// Everything the first step that says something says.
pub fn read(data: &[u8]) -> Result<Index, Found> {
    let one = |id| Found::from([(id, INDEX.to_owned())]);
    let value = parse(data, MAX_BYTES).map_err(one)?;
    let schema = value.get("schema").and_then(Value::text);
    if schema.is_some_and(|schema| schema != SCHEMA) {
        return Err(one(Id::ManifestVersion));
    }
    let unknown = unknown_keys(&value);
    if !unknown.is_empty() {
        return Err(unknown.into_iter().flat_map(one).collect());
    }
    let raw = decode(&value).ok_or_else(|| one(Id::ManifestSchema))?;
    if !is_canonical(&value, data) {
        return Err(one(Id::ManifestNotCanonical));
    }
    let mut found = Found::new();
    for id in contradictions(&raw) {
        found.extend(one(id));
    }
    let index = build(&raw, &mut found);
    if found.is_empty() {
        Ok(index)
    } else {
        Err(found)
    }
}

fn unknown_keys(value: &Value<'_>) -> BTreeSet<Id> {
    let mut found = BTreeSet::new();
    keys_of(Some(value), TOP, &mut found);
    for member in list(value, "members").unwrap_or_default() {
        keys_of(Some(member), MEMBER, &mut found);
    }
    for run in list(value, "runs").unwrap_or_default() {
        keys_of(Some(run), RUN, &mut found);
        for attestation in list(run, "attestations").unwrap_or_default() {
            keys_of(Some(attestation), ATTESTATION, &mut found);
        }
    }
    found
}

fn decode<'v>(value: &'v Value<'v>) -> Option<Raw<'v>> {
    if any(value, "schema")? != SCHEMA {
        return None;
    }
    let member = |item: &'v Value<'v>| {
        Some((
            any(item, "name")?,
            count(item, "size")?,
            digest(item, "sha256")?,
        ))
    };
    let attestation = |item: &'v Value<'v>| {
        let name = any(item, "name")?;
        let fits = !name.is_empty() && name.chars().count() <= MAX_NAME;
        Some((Some(name).filter(|_| fits)?, digest(item, "id")?))
    };
    let run = |item: &'v Value<'v>| {
        Some(RawRun {
            run_id: any(item, "run_id").filter(|text| is_text(text))?,
            run: digest(item, "run")?,
            attestations: list(item, "attestations")?
                .iter()
                .map(attestation)
                .collect::<Option<_>>()?,
        })
    };
    let runs = list(value, "runs").filter(|runs| !runs.is_empty())?;
    Some(Raw {
        runs: runs.iter().map(run).collect::<Option<_>>()?,
        members: list(value, "members")?
            .iter()
            .map(member)
            .collect::<Option<_>>()?,
    })
}

/// What an index says that cannot be, all of it at the index.
fn contradictions(raw: &Raw<'_>) -> BTreeSet<Id> {
    let mut found = BTreeSet::new();
    found.extend(order(raw.members.iter().map(|(name, ..)| *name)));
    found.extend(order(raw.runs.iter().map(|run| run.run_id)));
    let (mut manifests, mut nodes, mut total) = (0_u128, 0_u128, 0_u128);
    let mut too_large = false;
    for (name, size, _) in &raw.members {
        let wide = u128::from(*size);
        total = total.saturating_add(wide);
        too_large |= *size > MAX_MEMBER;
        match split(name) {
            None => drop(found.insert(Id::ArchiveEscape)),
            Some((Folder::Manifests, _)) => manifests = manifests.saturating_add(wide),
            Some((Folder::Nodes, _)) => nodes = nodes.saturating_add(wide),
            Some((Folder::Statements, _)) => too_large |= *size > MAX_STATEMENT,
            Some((Folder::Payload, _)) => {}
        }
    }
    too_large |= manifests > MAX_MANIFESTS || nodes > MAX_NODES || total > u128::from(MAX_INT);
    for run in &raw.runs {
        found.extend(order(run.attestations.iter().map(|(name, _)| *name)));
        too_large |= run.attestations.len() > MAX_ATTESTATIONS;
        found.extend(run.attestations.iter().flat_map(|(name, _)| bad(name)));
    }
    if too_large {
        found.insert(Id::OversizeLength);
    }
    found
}

/// What is wrong with the name of an attestation: how it ends, and what it is as a path.
fn bad(name: &str) -> impl Iterator<Item = Id> {
    let ends = (!name.ends_with(".json")).then_some(Id::ManifestSchema);
    let broken = check_path(name);
    let first = broken.iter().find(|id| id.severity().refuses());
    let path = first
        .copied()
        .or_else(|| name.contains('/').then_some(Id::PathSlash));
    ends.into_iter().chain(path)
}

/// What is wrong with the order of a list.
fn order<'t>(texts: impl Iterator<Item = &'t str>) -> Option<Id> {
    let (mut twice, mut unsorted) = (false, false);
    let mut before: Option<&str> = None;
    for text in texts {
        match before.map(|before| before.cmp(text)) {
            Some(Ordering::Equal) => twice = true,
            Some(Ordering::Greater) => unsorted = true,
            _ => {}
        }
        before = Some(text);
    }
    match (twice, unsorted) {
        (true, _) => Some(Id::DuplicateEntry),
        (false, true) => Some(Id::Unsorted),
        (false, false) => None,
    }
}

fn build(raw: &Raw<'_>, found: &mut Found) -> Index {
    let mut members = Vec::with_capacity(raw.members.len());
    for (name, size, sha256) in &raw.members {
        if let Some((folder, id)) = split(name) {
            members.push(Member {
                folder,
                id,
                size: *size,
                sha256: *sha256,
            });
        }
    }
    // In the order of the index already, unless that was found to be out of order.
    members.sort_by_key(|member| (member.folder, member.id));
    let mut place = |folder, id: &Digest| {
        let place = find(&members, folder, id);
        if place.is_none() {
            found.insert((Id::ObjectMissing, name_of(folder, id)));
        }
        place
    };
    let mut runs = Vec::with_capacity(raw.runs.len());
    for run in &raw.runs {
        let manifest = place(Folder::Manifests, &run.run);
        let mut statements = BTreeSet::new();
        for (_, id) in &run.attestations {
            statements.extend(place(Folder::Statements, id));
        }
        runs.extend(manifest.map(|manifest| Run {
            run_id: run.run_id.to_owned(),
            manifest,
            statements,
        }));
    }
    Index { members, runs }
}
