//! `manifest.json` (`docs/format/manifest.md`): read by a closed schema, and everything it says about itself recomputed.
//!
//! Rules of this file: `read` asks the steps of `docs/format/verify.md`, section 3, in order and stops at the first that
//! says something; `Manifest::check` is section 4 and reports everything that does not hold.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::findings::Id;
use crate::ids::{blob_id, from_hex, to_hex, Digest};
use crate::merkle::{artifact_leaf, TreeHead};
use crate::msgpack::Writer;
use crate::paths::{casefold, check_path, check_paths, fold};
use crate::strictjson::{is_canonical, Value};
use crate::tree::{root_of, File};

/// Its name in a run directory.
pub const FILE_NAME: &str = "manifest.json";
/// The folder beside it that may hold statements about the run.
pub const ATTESTATIONS: &str = "attestations";
/// Its greatest length in bytes.
pub const MAX_BYTES: usize = 1 << 28;

const SCHEMA: &str = "omphalos.manifest/1";
const MAX_SIZE: u128 = (1 << 53) - 1;
const MAX_TEXT: usize = 1024;

const TOP: &[&str] = &[
    "schema",
    "run_id",
    "name",
    "created",
    "tool",
    "plan",
    "environment",
    "tree",
    "merkle_root",
    "artifacts",
    "control",
    "reports",
    "release",
];
const TOOL: &[&str] = &["name", "version"];
const PLAN: &[&str] = &["id", "inputs", "config", "method"];
const INPUT: &[&str] = &[
    "role", "source", "path", "format", "size", "records", "sha256", "blake3",
];
const ENVIRONMENT: &[&str] = &[
    "python",
    "platform",
    "cpu_count",
    "locale",
    "timezone",
    "packages",
];
const ARTIFACT: &[&str] = &[
    "path",
    "role",
    "media_type",
    "size",
    "sha256",
    "blake3",
    "rows",
    "key",
    "fingerprint",
];
const REPORTS: &[&str] = &["validation", "matching", "scoring", "policy"];
const RELEASE: &[&str] = &[
    "bundle_id",
    "created",
    "of",
    "contents",
    "policy",
    "signers",
];

/// One listed file.
pub struct Artifact<'m> {
    /// Its path as listed.
    pub path: &'m str,
    /// Its length.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Its BLAKE3.
    pub blake3: Digest,
    half_a_table: bool,
    column_twice: bool,
}

impl Artifact<'_> {
    /// Say whether the path breaks no rule that refuses it by itself.
    pub fn usable(&self) -> bool {
        !is_kept(self.path)
            && !check_path(self.path)
                .iter()
                .any(|id| id.severity().refuses())
    }
}

struct Input<'m> {
    role: &'m str,
    source: &'m str,
    path: &'m str,
    size: u64,
    sha256: Digest,
    blake3: Digest,
}

/// A manifest that is of its schema and in its one spelling.
pub struct Manifest<'m> {
    /// As it says, whether or not it follows from the plan.
    pub run_id: &'m str,
    /// The payload.
    pub artifacts: Vec<Artifact<'m>>,
    /// The files that may vary.
    pub control: Vec<Artifact<'m>>,
    name: &'m str,
    created: [Option<&'m str>; 2],
    plan_id: Digest,
    inputs: Vec<Input<'m>>,
    config: Digest,
    /// The root of the tree of what computes.
    pub method: Digest,
    /// The root of the tree of the artifacts.
    pub tree: Digest,
    /// The Merkle root of the artifacts.
    pub merkle_root: Digest,
    reports: [Option<&'m str>; 4],
}

/// Read a manifest out of the value that `data` was parsed to.
///
/// # Errors
/// The findings of the first step that says something.
pub fn read<'m>(value: &'m Value<'m>, data: &[u8]) -> Result<Manifest<'m>, BTreeSet<Id>> {
    if value
        .get("schema")
        .and_then(Value::text)
        .is_some_and(|s| s != SCHEMA)
    {
        return Err(BTreeSet::from([Id::ManifestVersion]));
    }
    let mut unknown = BTreeSet::new();
    unknown_keys(value, &mut unknown);
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let mut nulls = false;
    let Some(manifest) = decode(value, &mut nulls) else {
        return Err(BTreeSet::from([Id::ManifestSchema]));
    };
    if nulls || !is_canonical(value, data) {
        return Err(BTreeSet::from([Id::ManifestNotCanonical]));
    }
    Ok(manifest)
}

fn unknown_keys(value: &Value<'_>, found: &mut BTreeSet<Id>) {
    keys_of(Some(value), TOP, found);
    for (name, known) in [
        ("tool", TOOL),
        ("plan", PLAN),
        ("environment", ENVIRONMENT),
        ("reports", REPORTS),
        ("release", RELEASE),
    ] {
        keys_of(value.get(name), known, found);
    }
    let inputs = value.get("plan").and_then(|plan| plan.get("inputs"));
    for (list, known) in [
        (inputs, INPUT),
        (value.get("artifacts"), ARTIFACT),
        (value.get("control"), ARTIFACT),
    ] {
        if let Some(Value::List(items)) = list {
            for item in items {
                keys_of(Some(item), known, found);
            }
        }
    }
}

pub(crate) fn keys_of(value: Option<&Value<'_>>, known: &[&str], found: &mut BTreeSet<Id>) {
    let Some(Value::Object(members)) = value else {
        return;
    };
    for (key, _) in members {
        if known.contains(&key.as_ref()) {
            continue;
        }
        // No known key is longer than 11 bytes, and folding never makes a text shorter than a third of its bytes.
        let miscased = key.len() <= 128 && known.contains(&casefold(key).as_str());
        found.insert(if miscased {
            Id::JsonKeyCase
        } else {
            Id::JsonUnknownField
        });
    }
}

fn decode<'m>(value: &'m Value<'m>, nulls: &mut bool) -> Option<Manifest<'m>> {
    let tool = value.get("tool")?;
    let plan = value.get("plan")?;
    let environment = value.get("environment")?;
    let reports = value.get("reports")?;
    let release = value.get("release")?;
    if any(value, "schema")? != SCHEMA {
        return None;
    }
    text(tool, "name")?;
    text(tool, "version")?;
    for member in ["python", "platform", "locale", "timezone"] {
        text(environment, member)?;
    }
    count(environment, "cpu_count")?;
    let Value::Object(packages) = environment.get("packages")? else {
        return None;
    };
    for (name, version) in packages {
        if !is_text(name) || !is_text(version.text()?) {
            return None;
        }
    }
    let released = match release {
        Value::Null => None,
        Value::Object(_) => {
            text(release, "bundle_id")?;
            digest(release, "of")?;
            optional(release, "policy")?;
            if !list(release, "contents")?
                .iter()
                .all(|item| item.text().is_some())
            {
                return None;
            }
            if !list(release, "signers")?
                .iter()
                .all(|item| item.text().is_some_and(is_text))
            {
                return None;
            }
            Some(any(release, "created")?)
        }
        _ => return None,
    };
    let mut files = |member| -> Option<Vec<Artifact<'m>>> {
        list(value, member)?
            .iter()
            .map(|item| artifact(item, nulls))
            .collect()
    };
    Some(Manifest {
        artifacts: files("artifacts")?,
        control: files("control")?,
        run_id: any(value, "run_id")?,
        name: any(value, "name")?,
        created: [Some(any(value, "created")?), released],
        plan_id: digest(plan, "id")?,
        inputs: list(plan, "inputs")?
            .iter()
            .map(input)
            .collect::<Option<_>>()?,
        config: digest(plan, "config")?,
        method: digest(plan, "method")?,
        tree: digest(value, "tree")?,
        merkle_root: digest(value, "merkle_root")?,
        reports: [
            optional(reports, "validation")?,
            optional(reports, "matching")?,
            optional(reports, "scoring")?,
            optional(reports, "policy")?,
        ],
    })
}

fn artifact<'m>(value: &'m Value<'m>, nulls: &mut bool) -> Option<Artifact<'m>> {
    if !is_role(any(value, "role")?) || !is_media_type(any(value, "media_type")?) {
        return None;
    }
    let mut table = 0;
    let mut column_twice = false;
    for member in ["rows", "key", "fingerprint"] {
        match (member, value.get(member)) {
            (_, None) => continue,
            (_, Some(Value::Null)) => {
                *nulls = true;
                continue;
            }
            ("rows", _) => drop(count(value, member)?),
            ("fingerprint", _) => drop(digest(value, member)?),
            (_, Some(Value::List(columns))) if (1..=64).contains(&columns.len()) => {
                let mut seen = HashSet::new();
                for column in columns {
                    let column = column.text().filter(|text| is_text(text))?;
                    column_twice |= !seen.insert(column);
                }
            }
            _ => return None,
        }
        table += 1;
    }
    Some(Artifact {
        path: any(value, "path")?,
        size: count(value, "size")?,
        sha256: digest(value, "sha256")?,
        blake3: digest(value, "blake3")?,
        half_a_table: table == 1 || table == 2,
        column_twice,
    })
}

fn input<'m>(value: &'m Value<'m>) -> Option<Input<'m>> {
    if !is_role(any(value, "format")?) {
        return None;
    }
    count(value, "records")?;
    Some(Input {
        role: any(value, "role").filter(|role| is_role(role))?,
        source: text(value, "source")?,
        path: any(value, "path")?,
        size: count(value, "size")?,
        sha256: digest(value, "sha256")?,
        blake3: digest(value, "blake3")?,
    })
}

pub(crate) fn any<'m>(value: &'m Value<'m>, member: &str) -> Option<&'m str> {
    value.get(member)?.text()
}

pub(crate) fn text<'m>(value: &'m Value<'m>, member: &str) -> Option<&'m str> {
    any(value, member).filter(|text| is_text(text))
}

/// The text or `null` that must stand here.
pub(crate) fn optional<'m>(value: &'m Value<'m>, member: &str) -> Option<Option<&'m str>> {
    match value.get(member)? {
        Value::Null => Some(None),
        other => other.text().map(Some),
    }
}

pub(crate) fn count(value: &Value<'_>, member: &str) -> Option<u64> {
    match value.get(member)? {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

pub(crate) fn digest(value: &Value<'_>, member: &str) -> Option<Digest> {
    from_hex(any(value, member)?)
}

pub(crate) fn list<'m>(value: &'m Value<'m>, member: &str) -> Option<&'m [Value<'m>]> {
    match value.get(member)? {
        Value::List(items) => Some(items),
        _ => None,
    }
}

pub(crate) fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= 4 * MAX_TEXT && text.chars().count() <= MAX_TEXT
}

fn is_role(text: &str) -> bool {
    let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(rest)
}

fn is_media_type(text: &str) -> bool {
    let token = |part: &str, most: usize, more: &[u8]| {
        (1..=most).contains(&part.len())
            && part.bytes().all(|b| {
                b.is_ascii_lowercase()
                    || b.is_ascii_digit()
                    || b".+-".contains(&b)
                    || more.contains(&b)
            })
    };
    let (kind, parameter) = match text.split_once(';') {
        Some((kind, parameter)) => (kind, Some(parameter)),
        None => (text, None),
    };
    let parameter = parameter.is_none_or(|p| token(p.strip_prefix(' ').unwrap_or(p), 64, b"="));
    let kind = kind
        .split_once('/')
        .is_some_and(|(top, sub)| token(top, 63, b"") && token(sub, 127, b""));
    kind && parameter
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Say whether a text is `YYYY-MM-DDThh:mm:ssZ`, or the same with six digits of a second, and a real time.
fn is_created(text: &str) -> bool {
    let form: &[u8] = match text.len() {
        20 => b"0000-00-00T00:00:00Z",
        27 => b"0000-00-00T00:00:00.000000Z",
        _ => return false,
    };
    let fits = form.iter().zip(text.bytes()).all(|(&f, b)| match f {
        b'0' => b.is_ascii_digit(),
        _ => f == b,
    });
    let part = |from: usize, to: usize| text.get(from..to).and_then(|t| t.parse::<u32>().ok());
    let parts = (
        part(0, 4),
        part(5, 7),
        part(8, 10),
        part(11, 13),
        part(14, 16),
        part(17, 19),
    );
    let (true, (Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second))) =
        (fits, parts)
    else {
        return false;
    };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    year >= 1 && (1..=days).contains(&day) && hour <= 23 && minute <= 59 && second <= 59
}

/// Say whether the run keeps the first component of a path for itself.
pub(crate) fn is_kept(path: &str) -> bool {
    let head = path.split('/').next().unwrap_or_default();
    head.len() <= 255 && [FILE_NAME, ATTESTATIONS].contains(&fold(head).as_str())
}

impl Manifest<'_> {
    /// Recompute everything the manifest says about itself and report all that does not hold.
    pub fn check(&self, report: &mut dyn FnMut(Id, &str)) {
        self.check_identity(report);
        self.check_files(report);
        self.check_roots(report);
        self.check_references(report);
    }

    /// The files: artifacts, then control files.
    pub fn files(&self) -> impl Iterator<Item = &Artifact<'_>> {
        self.artifacts.iter().chain(&self.control)
    }

    fn check_identity(&self, report: &mut dyn FnMut(Id, &str)) {
        if self.created.iter().flatten().any(|text| !is_created(text)) {
            report(Id::CreatedInvalid, FILE_NAME);
        }
        let mut rows: Vec<_> = self
            .inputs
            .iter()
            .map(|input| (input.role, input.source, &input.blake3))
            .collect();
        if !rows.is_sorted() {
            report(Id::Unsorted, FILE_NAME);
        }
        rows.sort_unstable();
        if rows.windows(2).any(|pair| match pair {
            [a, b] => a == b,
            _ => false,
        }) {
            report(Id::DuplicateEntry, FILE_NAME);
        }
        if !is_name(self.name) {
            report(Id::NameInvalid, FILE_NAME);
            return;
        }
        let mut plan = Writer::default();
        plan.array(4);
        plan.text(self.name);
        plan.array(rows.len());
        for (role, source, blake3) in rows {
            plan.array(3);
            plan.text(role);
            plan.text(source);
            plan.bin(blake3);
        }
        plan.bin(&self.config);
        plan.bin(&self.method);
        if blob_id(&plan.bytes) != self.plan_id {
            report(Id::PlanMismatch, FILE_NAME);
        }
        let digits: String = to_hex(&self.plan_id).chars().take(12).collect();
        if self.run_id != format!("{}-{digits}", self.name) {
            report(Id::RunIdMismatch, FILE_NAME);
        }
    }

    fn check_files(&self, report: &mut dyn FnMut(Id, &str)) {
        check_paths(self.files().map(|file| file.path), report);
        for files in [&self.artifacts, &self.control] {
            if !files.is_sorted_by_key(|file| file.path) {
                report(Id::Unsorted, FILE_NAME);
            }
        }
        let mut first: HashMap<&Digest, &Artifact> = HashMap::new();
        for file in self.files() {
            if is_kept(file.path) {
                report(Id::PathOwnDir, file.path);
            }
            if file.half_a_table || file.column_twice {
                report(Id::ManifestSchema, file.path);
            }
            let twin = first.entry(&file.blake3).or_insert(file);
            if (twin.sha256, twin.size) != (file.sha256, file.size) {
                report(Id::HashDisagree, file.path);
            }
        }
    }

    fn check_roots(&self, report: &mut dyn FnMut(Id, &str)) {
        let mut sorted: Vec<&Artifact> = self.artifacts.iter().collect();
        sorted.sort_by_key(|file| file.path);
        let mut root = TreeHead::default();
        for file in &sorted {
            root.add(&artifact_leaf(
                file.path,
                file.size,
                &file.sha256,
                &file.blake3,
            ));
        }
        if root.head() != self.merkle_root {
            report(Id::MerkleMismatch, FILE_NAME);
        }
        let total: u128 = sorted.iter().map(|file| u128::from(file.size)).sum();
        if total > MAX_SIZE {
            report(Id::TreeTooLarge, FILE_NAME);
            return;
        }
        let mut buildable = true;
        check_paths(sorted.iter().map(|file| file.path), &mut |id, _| {
            buildable &= !id.severity().refuses();
        });
        let files = || {
            sorted.iter().map(|file| File {
                path: file.path,
                size: file.size,
                id: &file.blake3,
            })
        };
        if !buildable || root_of(files().collect()).0 != self.tree {
            report(Id::TreeMismatch, FILE_NAME);
        }
    }

    fn check_references(&self, report: &mut dyn FnMut(Id, &str)) {
        let paths: HashSet<&str> = self.artifacts.iter().map(|file| file.path).collect();
        let listed: HashSet<_> = self
            .artifacts
            .iter()
            .map(|file| (file.path, file.size, &file.sha256, &file.blake3))
            .collect();
        for input in &self.inputs {
            if !listed.contains(&(input.path, input.size, &input.sha256, &input.blake3)) {
                report(Id::InputMismatch, input.path);
            }
            if input.source.contains(['/', '\\']) {
                report(Id::InputSource, input.path);
            }
        }
        if self.artifacts.iter().all(|file| file.blake3 != self.config) {
            report(Id::ConfigMissing, FILE_NAME);
        }
        for path in self.reports.iter().flatten() {
            if !paths.contains(path) {
                report(Id::ReportMissing, path);
            }
        }
    }
}
