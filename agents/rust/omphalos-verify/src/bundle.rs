//! A bundle (`docs/format/bundle.md`), judged in one pass from its first byte to its last.
//!
//! Rules of this file: nothing is extracted, and nothing is read that was not announced. Kept are the index, what manifests and
//! nodes name, and what statements say about the runs; of the payload only whether it is asked for.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{fstat, open, FileType, Mode};
use sha2::{Digest as _, Sha256};

use crate::attest::{read_envelope, Facts};
use crate::bundleindex::{self, name_of, Folder, Index, Member};
use crate::disk::{changed, kind, look_up_file, same, subject, NothingThere, FILE};
use crate::findings::Id;
use crate::ids::{blob_id, run_id, tree_id, Digest};
use crate::keys::PublicKey;
use crate::manifest::{self, Manifest};
use crate::reading::BUFFER;
use crate::strictjson::parse;
use crate::tarheader::{judge, Block, Due, Place, BLOCK, INDEX};
use crate::tree::{read_node, Entry};
use crate::verdict::Verdict;

/// What is wrong with the file as a whole is said here.
const WHOLE: &str = ".";

/// What ends the reading.
enum Stop {
    /// A structural fault, and where.
    Fault(Id, String),
    /// The file cannot be read.
    Unreadable,
    /// The index was judged, and that is all.
    Judged,
}

/// Judge a bundle, for each of whose runs each of `keys` must have vouched.
///
/// # Errors
/// There is no file of that name.
pub fn verify_bundle(path: &OsStr, keys: &[PublicKey]) -> Result<Verdict, NothingThere> {
    let mut verdict = Verdict::new(subject(path.as_bytes()), keys);
    let found = match look_up_file(path)? {
        None => {
            verdict.unreadable(WHOLE);
            return Ok(verdict);
        }
        Some(FileType::RegularFile) => None,
        Some(FileType::Symlink) => Some(Id::SymlinkEntry),
        Some(_) => Some(Id::SpecialFile),
    };
    if let Some(id) = found {
        verdict.add(id, WHOLE, "");
        return Ok(verdict);
    }
    let opened = open(path.as_bytes(), FILE, Mode::empty());
    let stats = opened.and_then(|fd| fstat(&fd).map(|stat| (fd, stat)));
    match stats {
        Ok((fd, before)) if kind(&before) == FileType::RegularFile => {
            let file = File::from(fd);
            verify_stream(&file, keys, &mut verdict);
            match fstat(&file) {
                Ok(after) if same(&before, &after) => {}
                Ok(_) => verdict.add(Id::Toctou, WHOLE, "it changed while it was read"),
                Err(_) => verdict.unreadable(WHOLE),
            }
        }
        Ok(_) => verdict.add(Id::Toctou, WHOLE, ""),
        Err(error) if changed(error) => verdict.add(Id::Toctou, WHOLE, ""),
        Err(_) => verdict.unreadable(WHOLE),
    }
    Ok(verdict)
}

/// Judge the bytes of a bundle.
pub fn verify_stream(from: impl Read, keys: &[PublicKey], verdict: &mut Verdict) {
    let mut stream = Stream {
        from: BufReader::with_capacity(BUFFER, from),
    };
    match read_all(&mut stream, keys, verdict) {
        Ok(judge) => judge.finish(verdict),
        Err(Stop::Fault(id, at)) => verdict.add(id, &at, ""),
        Err(Stop::Unreadable) => verdict.unreadable(WHOLE),
        Err(Stop::Judged) => {}
    }
}

fn read_all<'k>(
    stream: &mut Stream<impl Read>,
    keys: &'k [PublicKey],
    verdict: &mut Verdict,
) -> Result<Judge<'k>, Stop> {
    let most = u64::try_from(bundleindex::MAX_BYTES).unwrap_or(u64::MAX);
    let size = stream.header(INDEX, &Due::Index(most), |_| Place::Nowhere)?;
    let data = stream.whole(INDEX, size)?;
    let index = match bundleindex::read(&data) {
        Ok(index) => index,
        Err(found) => {
            for (id, at) in found {
                verdict.add(id, &at, "");
            }
            return Err(Stop::Judged);
        }
    };
    drop(data);
    if let [run] = index.runs.as_slice() {
        verdict.run_id = Some(run.run_id.clone());
    }
    stream.padding(INDEX, size)?;
    let mut judge = Judge::new(index, keys);
    for at in 0..judge.index.members.len() {
        let Some(member) = judge.index.members.get(at) else {
            break;
        };
        let (folder, size) = (member.folder, member.size);
        let name = name_of(folder, &member.id);
        let place = |name: &str| match judge.index.find_name(name) {
            Some(other) if other < at => Place::Earlier,
            Some(_) => Place::Later,
            None => Place::Nowhere,
        };
        stream.header(&name, &Due::Member(&name, size), place)?;
        let (id, sha256, data) = match folder {
            Folder::Payload => {
                let (id, sha256) = stream.hashed(&name, size)?;
                (id, sha256, Vec::new())
            }
            _ => {
                let data = stream.whole(&name, size)?;
                let id = match folder {
                    Folder::Manifests => run_id(&data),
                    Folder::Nodes => tree_id(&data),
                    _ => blob_id(&data),
                };
                (id, Sha256::digest(&data).into(), data)
            }
        };
        verdict.files = verdict.files.saturating_add(1);
        verdict.bytes = verdict.bytes.saturating_add(u128::from(size));
        let wrong = match (id == member.id, sha256 == member.sha256) {
            (true, true) => None,
            (false, false) => Some(Id::HashMismatch),
            _ => Some(Id::HashDisagree),
        };
        match wrong {
            Some(id) => {
                verdict.add(id, &name, "");
                judge.usable &= !matches!(folder, Folder::Manifests | Folder::Nodes);
            }
            None => judge.member(at, folder, &name, &data, verdict),
        }
        stream.padding(&name, size)?;
    }
    stream.end()?;
    Ok(judge)
}

/// The bytes of a bundle, in order.
struct Stream<R> {
    from: BufReader<R>,
}

impl<R: Read> Stream<R> {
    /// Fill a buffer as far as there are bytes.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Stop> {
        let mut filled = 0_usize;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.from.read(rest) {
                Ok(0) => break,
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Stop::Unreadable),
            }
        }
        Ok(filled)
    }

    fn block(&mut self, name: &str) -> Result<Block, Stop> {
        let mut block = [0; BLOCK];
        if self.fill(&mut block)? < BLOCK {
            return Err(Stop::Fault(Id::Truncated, name.to_owned()));
        }
        Ok(block)
    }

    fn header(
        &mut self,
        name: &str,
        due: &Due<'_>,
        place: impl Fn(&str) -> Place,
    ) -> Result<u64, Stop> {
        let block = self.block(name)?;
        judge(&block, due, place)
            .map_err(|fault| Stop::Fault(fault.id, fault.at.unwrap_or_else(|| name.to_owned())))
    }

    /// All bytes of a member that is kept. Nothing is set aside for bytes that do not come.
    fn whole(&mut self, name: &str, size: u64) -> Result<Vec<u8>, Stop> {
        let mut data = Vec::new();
        let read = (&mut self.from).take(size).read_to_end(&mut data);
        match read.map(u64::try_from) {
            Ok(Ok(count)) if count == size => Ok(data),
            Ok(_) => Err(Stop::Fault(Id::Truncated, name.to_owned())),
            Err(_) => Err(Stop::Unreadable),
        }
    }

    /// The blob id and the SHA-256 of a member that is not kept.
    fn hashed(&mut self, name: &str, size: u64) -> Result<(Digest, Digest), Stop> {
        let (mut blake3, mut sha256) = (blake3::Hasher::new(), Sha256::new());
        let mut buffer = vec![0; BUFFER];
        let mut left = size;
        while left > 0 {
            let want = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
            let window = buffer.get_mut(..want).unwrap_or_default();
            let count = self.fill(window)?;
            if count < want {
                return Err(Stop::Fault(Id::Truncated, name.to_owned()));
            }
            blake3.update(window);
            sha256.update(&*window);
            left = left.saturating_sub(u64::try_from(want).unwrap_or(u64::MAX));
        }
        Ok((*blake3.finalize().as_bytes(), sha256.finalize().into()))
    }

    fn padding(&mut self, name: &str, size: u64) -> Result<(), Stop> {
        let block = u64::try_from(BLOCK).unwrap_or(u64::MAX);
        let over = size.checked_rem(block).unwrap_or_default();
        if over == 0 {
            return Ok(());
        }
        let length = usize::try_from(block.saturating_sub(over)).unwrap_or(BLOCK);
        let mut padding = [0; BLOCK];
        let padding = padding.get_mut(..length).unwrap_or_default();
        let fault = |id| Err(Stop::Fault(id, name.to_owned()));
        if self.fill(padding)? < length {
            return fault(Id::Truncated);
        }
        if padding.iter().any(|&byte| byte != 0) {
            return fault(Id::TrailingGarbage);
        }
        Ok(())
    }

    /// The two blocks at the end, and nothing behind them.
    fn end(&mut self) -> Result<(), Stop> {
        for garbage in [Id::EndlessData, Id::TrailingGarbage] {
            let block = self.block(WHOLE)?;
            if block.iter().any(|&byte| byte != 0) {
                return Err(Stop::Fault(garbage, WHOLE.to_owned()));
            }
        }
        match self.fill(&mut [0])? {
            0 => Ok(()),
            _ => Err(Stop::Fault(Id::TrailingGarbage, WHOLE.to_owned())),
        }
    }
}

/// What is kept of a run.
#[derive(Default)]
struct RunState {
    facts: Option<Facts>,
    /// One bit for each key for which something counts.
    counts: u16,
}

/// What is kept of what was read.
struct Judge<'k> {
    keys: &'k [PublicKey],
    index: Index,
    /// Of each member, whether something asks for it.
    asked: Vec<bool>,
    /// The runs that a manifest is of, by its place.
    runs_of_manifest: HashMap<usize, Vec<usize>>,
    /// The runs that a statement is given for, by its place.
    runs_of_statement: HashMap<usize, Vec<usize>>,
    runs: Vec<RunState>,
    methods: Vec<Digest>,
    nodes: HashMap<Digest, Vec<Entry>>,
    /// Every manifest and node could be used.
    usable: bool,
    /// What is said of statements, if there is no structural fault.
    said: BTreeSet<(Id, usize)>,
}

impl<'k> Judge<'k> {
    fn new(index: Index, keys: &'k [PublicKey]) -> Self {
        let mut asked = vec![false; index.members.len()];
        let (mut of_manifest, mut of_statement) = (HashMap::new(), HashMap::new());
        let mut runs = Vec::with_capacity(index.runs.len());
        for (number, run) in index.runs.iter().enumerate() {
            ask(&mut asked, run.manifest);
            of_manifest
                .entry(run.manifest)
                .or_insert_with(Vec::new)
                .push(number);
            for &place in &run.statements {
                ask(&mut asked, place);
                of_statement
                    .entry(place)
                    .or_insert_with(Vec::new)
                    .push(number);
            }
            runs.push(RunState::default());
        }
        Judge {
            keys,
            index,
            asked,
            runs_of_manifest: of_manifest,
            runs_of_statement: of_statement,
            runs,
            methods: Vec::new(),
            nodes: HashMap::new(),
            usable: true,
            said: BTreeSet::new(),
        }
    }

    /// Judge a member whose hashes are right.
    fn member(
        &mut self,
        at: usize,
        folder: Folder,
        name: &str,
        data: &[u8],
        verdict: &mut Verdict,
    ) {
        match folder {
            Folder::Manifests => {
                if let Some(numbers) = self.runs_of_manifest.remove(&at) {
                    self.manifest(&numbers, name, data, verdict);
                }
            }
            Folder::Nodes => match read_node(data) {
                Ok(entries) => drop(self.nodes.insert(tree_id(data), entries)),
                Err(id) => {
                    verdict.add(id, name, "");
                    self.usable = false;
                }
            },
            Folder::Payload => {}
            Folder::Statements if self.keys.is_empty() => {}
            Folder::Statements => {
                if let Some(numbers) = self.runs_of_statement.remove(&at) {
                    self.statement(at, &numbers, data);
                }
            }
        }
    }

    fn manifest(&mut self, numbers: &[usize], name: &str, data: &[u8], verdict: &mut Verdict) {
        let found = match parse(data, manifest::MAX_BYTES) {
            Ok(value) => match manifest::read(&value, data) {
                Ok(manifest) => {
                    return self.usable_manifest(numbers, name, &manifest, data, verdict)
                }
                Err(found) => found,
            },
            Err(id) => BTreeSet::from([id]),
        };
        self.usable = false;
        for id in found {
            verdict.add(id, name, "");
        }
    }

    fn usable_manifest(
        &mut self,
        numbers: &[usize],
        name: &str,
        manifest: &Manifest<'_>,
        data: &[u8],
        verdict: &mut Verdict,
    ) {
        manifest.check(&mut |id, path| verdict.add(id, &format!("{name}/{path}"), ""));
        for &number in numbers {
            let run = self.index.runs.get(number);
            if run.is_some_and(|run| run.run_id != manifest.run_id) {
                verdict.add(Id::RefMismatch, name, "");
            }
            if let Some(state) = self.runs.get_mut(number).filter(|_| !self.keys.is_empty()) {
                state.facts = Some(Facts::new(manifest, data));
            }
        }
        self.methods.push(manifest.method);
        for file in manifest.files() {
            let place = self.index.find(Folder::Payload, &file.blake3);
            place.into_iter().for_each(|at| ask(&mut self.asked, at));
            let wrong = match place.and_then(|at| self.index.members.get(at)) {
                None => Id::FileMissing,
                Some(member) if member.size != file.size => Id::SizeMismatch,
                Some(member) if member.sha256 != file.sha256 => Id::HashDisagree,
                Some(_) => continue,
            };
            verdict.add(wrong, &format!("{name}/{}", file.path), "");
        }
    }

    /// Manifests come before statements, so all facts are there.
    fn statement(&mut self, at: usize, numbers: &[usize], data: &[u8]) {
        let signed = read_envelope(data, self.keys);
        for &number in numbers {
            let Some(state) = self.runs.get_mut(number) else {
                continue;
            };
            let Some(facts) = &state.facts else {
                continue;
            };
            let counts = match &signed {
                Ok(None) => continue,
                Ok(Some(signed)) => facts.counts(signed),
                Err(id) => Err(*id),
            };
            match counts {
                Err(id) => drop(self.said.insert((id, at))),
                Ok(signers) => {
                    let bits = self.keys.iter().enumerate();
                    state.counts |= bits
                        .filter(|(_, key)| signers.contains(&key.id))
                        .fold(0, |bits, (bit, _)| bits | 1 << bit);
                }
            }
        }
    }

    /// What is said where there was no structural fault.
    fn finish(mut self, verdict: &mut Verdict) {
        for (id, at) in &self.said {
            if let Some(member) = self.index.members.get(*at) {
                verdict.add(*id, &name_of(member.folder, &member.id), "");
            }
        }
        let mut everywhere = u16::MAX;
        for (run, state) in self.index.runs.iter().zip(&self.runs) {
            everywhere &= state.counts;
            let member = self.index.members.get(run.manifest);
            let (Some(member), true) = (member, state.facts.is_some()) else {
                continue;
            };
            let missing: Vec<&str> = keys_of(self.keys, !state.counts).collect();
            if !missing.is_empty() {
                let name = name_of(member.folder, &member.id);
                verdict.add(Id::SignatureMissing, &name, &missing.join(" "));
            }
        }
        let signed = keys_of(self.keys, everywhere).map(str::to_owned);
        verdict.signed_by = signed.collect();
        if self.usable {
            self.walk(verdict);
            for (member, asked) in self.index.members.iter().zip(&self.asked) {
                if !asked {
                    verdict.add(Id::FileExtra, &name_of(member.folder, &member.id), "");
                }
            }
        }
    }

    /// Follow the methods, node by node, each once.
    fn walk(&mut self, verdict: &mut Verdict) {
        let mut seen: HashSet<Digest> = HashSet::new();
        let mut open = std::mem::take(&mut self.methods);
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            let name = name_of(Folder::Nodes, &id);
            let place = self.index.find(Folder::Nodes, &id);
            let (Some(place), Some(entries)) = (place, self.nodes.get(&id)) else {
                verdict.add(Id::ObjectMissing, &name, "");
                continue;
            };
            ask(&mut self.asked, place);
            for entry in entries {
                let size = if entry.is_tree {
                    open.push(entry.id);
                    self.nodes.get(&entry.id).map(|below| sum(below))
                } else {
                    let place = self.index.find(Folder::Payload, &entry.id);
                    let member: Option<&Member> = place.and_then(|at| self.index.members.get(at));
                    if member.is_none() {
                        let missing = name_of(Folder::Payload, &entry.id);
                        verdict.add(Id::ObjectMissing, &missing, "");
                    }
                    place.into_iter().for_each(|at| ask(&mut self.asked, at));
                    member.map(|member| member.size)
                };
                if size.is_some_and(|size| size != entry.size) {
                    verdict.add(Id::SizeMismatch, &name, "");
                }
            }
        }
    }
}

fn ask(asked: &mut [bool], at: usize) {
    if let Some(flag) = asked.get_mut(at) {
        *flag = true;
    }
}

/// The ids of the keys whose bits are set.
fn keys_of(keys: &[PublicKey], bits: u16) -> impl Iterator<Item = &str> {
    let numbered = keys.iter().enumerate();
    numbered
        .filter(move |(bit, _)| bits & (1 << bit) != 0)
        .map(|(_, key)| key.id.as_str())
}

/// The sum of the sizes in a node.
pub(crate) fn sum(entries: &[Entry]) -> u64 {
    entries
        .iter()
        .fold(0, |sum, entry| sum.saturating_add(entry.size))
}
