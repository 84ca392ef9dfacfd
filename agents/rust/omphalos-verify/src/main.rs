//! The command line: four verbs that judge, and two commands by which tests reach the parts.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use omphalos_verify::bundle::verify_bundle;
use omphalos_verify::disk::NothingThere;
use omphalos_verify::ids::{bytes_from_hex, from_hex, Digest};
use omphalos_verify::keys::{read_keys, PublicKey, MAX_KEYS};
use omphalos_verify::manifest::MAX_BYTES;
use omphalos_verify::paths::check_path_bytes;
use omphalos_verify::proof::verify_proof;
use omphalos_verify::store::verify_store;
use omphalos_verify::strictjson::parse;
use omphalos_verify::verdict::{visible, Verdict};
use omphalos_verify::verify::verify_directory;

const USAGE: &str = "usage: omphalos-verify verify-run [--json] [--key PUB]... DIR
       omphalos-verify verify-bundle [--json] [--key PUB]... FILE
       omphalos-verify verify-proof [--json] [--root HEX] [--key PUB]... PROOF FILE
       omphalos-verify verify-store [--json] DIR
       omphalos-verify check-path < NAMES
       omphalos-verify check-json FILE
       omphalos-verify --version

verify-run     judge a run directory
verify-bundle  judge a file that carries runs, without extracting it
verify-proof   judge a proof and the artifact it is about
verify-store   judge every object and ref of a store
check-path     print the findings of each line of standard input, in the form of conformance/path/table.tsv
check-json     print the finding of a file as strict JSON, or nothing

--key PUB      a public key that must have vouched for each run; up to 16 times
--root HEX     the Merkle root the artifact must belong to
--json         print the document of docs/format/verify.md

exit code 0 verified, 1 refused, 2 wrong usage, 3 incomplete, 10 nothing of that name, 12 no such key
";

const REFUSED: u8 = 1;
const WRONG_USAGE: u8 = 2;
const INCOMPLETE: u8 = 3;
const NOTHING_THERE: u8 = 10;
const NO_KEY: u8 = 12;
const INTERNAL: u8 = 70;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    let command = words.first().and_then(|word| word.to_str());
    let rest = words.get(1..).unwrap_or_default();
    ExitCode::from(match (command, rest) {
        (Some("verify-run"), rest) => verify_run(rest),
        (Some("verify-bundle"), rest) => verify_file(rest),
        (Some("verify-store"), rest) => verify_all(rest),
        (Some("verify-proof"), rest) => verify_one(rest),
        (Some("check-path"), []) => check_paths(),
        (Some("check-json"), [file]) => check_json(Path::new(file)),
        (Some("--version"), []) => say(
            &format!("omphalos-verify {}\n", env!("CARGO_PKG_VERSION")),
            0,
        ),
        (Some("--help" | "-h"), []) => say(USAGE, 0),
        _ => wrong_usage(),
    })
}

/// What a verb was given.
#[derive(Default)]
struct Given<'a> {
    json: bool,
    root: Option<Digest>,
    keys: Vec<&'a OsStr>,
    named: Vec<&'a OsStr>,
}

/// Read the words behind a verb; nothing if they are wrong.
fn given<'a>(rest: &[&'a OsStr], options: &[&str]) -> Option<Given<'a>> {
    let mut given = Given::default();
    let mut words = rest.iter().copied();
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--") => {
                given.named.extend(words);
                break;
            }
            Some("--json") => given.json = true,
            Some(option) if options.contains(&option) => {
                let value = words.next()?;
                if option == "--key" {
                    given.keys.push(value);
                } else {
                    given.root = Some(from_hex(value.to_str()?)?);
                }
            }
            Some(text) if text.len() > 1 && text.starts_with('-') => return None,
            _ => given.named.push(word),
        }
    }
    (given.keys.len() <= MAX_KEYS).then_some(given)
}

/// Read the keys, judge, and print the answer.
fn answer(
    given: &Given<'_>,
    judge: impl FnOnce(&[PublicKey]) -> Result<Verdict, NothingThere>,
) -> u8 {
    let keys = match read_keys(&given.keys) {
        Ok(keys) => keys,
        Err(number) => {
            let name = given
                .keys
                .get(number)
                .map(|name| name.display().to_string());
            let name = visible(&name.unwrap_or_default());
            complain(&format!("no public key: {name}"));
            return NO_KEY;
        }
    };
    match judge(&keys) {
        Ok(verdict) if given.json => say(&verdict.document(), verdict.exit_code()),
        Ok(verdict) => say(&verdict.page(), verdict.exit_code()),
        Err(NothingThere) => {
            complain("there is nothing of that name to judge");
            NOTHING_THERE
        }
    }
}

fn verify_run(rest: &[&OsStr]) -> u8 {
    match given(rest, &["--key"]) {
        Some(given) => match *given.named.as_slice() {
            [folder] => answer(&given, |keys| verify_directory(Path::new(folder), keys)),
            _ => wrong_usage(),
        },
        None => wrong_usage(),
    }
}

fn verify_file(rest: &[&OsStr]) -> u8 {
    match given(rest, &["--key"]) {
        Some(given) => match *given.named.as_slice() {
            [file] => answer(&given, |keys| verify_bundle(file, keys)),
            _ => wrong_usage(),
        },
        None => wrong_usage(),
    }
}

fn verify_all(rest: &[&OsStr]) -> u8 {
    match given(rest, &[]) {
        Some(given) => match *given.named.as_slice() {
            [folder] => answer(&given, |_| verify_store(Path::new(folder))),
            _ => wrong_usage(),
        },
        None => wrong_usage(),
    }
}

fn verify_one(rest: &[&OsStr]) -> u8 {
    match given(rest, &["--key", "--root"]) {
        Some(given) => match *given.named.as_slice() {
            [proof, file] => answer(&given, |keys| {
                verify_proof(proof, file, given.root.as_ref(), keys)
            }),
            _ => wrong_usage(),
        },
        None => wrong_usage(),
    }
}

/// Print the findings of every line that is no comment, in the order of docs/findings.md, separated by spaces.
fn check_paths() -> u8 {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().split(b'\n') {
        let Ok(line) = line else {
            return INCOMPLETE;
        };
        if line.starts_with(b"#") {
            continue;
        }
        let Some(path) = path_of(&line) else {
            complain("a line of standard input is not of the form of conformance/path/table.tsv");
            return WRONG_USAGE;
        };
        let words: Vec<&str> = check_path_bytes(&path).iter().map(|id| id.word()).collect();
        if writeln!(out, "{}", words.join(" ")).is_err() {
            return INTERNAL;
        }
    }
    if out.flush().is_err() {
        return INTERNAL;
    }
    0
}

/// The path of a line: `json` or `hex`, a tab, the inside of a JSON string or hex digits; what follows a second tab is
/// not looked at.
fn path_of(line: &[u8]) -> Option<Vec<u8>> {
    let mut columns = line.split(|&byte| byte == b'\t');
    let (form, text) = (columns.next()?, columns.next()?);
    match form {
        b"json" => {
            let quoted = [b"\"", text, b"\""].concat();
            let value = parse(&quoted, MAX_BYTES).ok()?;
            Some(value.text()?.as_bytes().to_vec())
        }
        b"hex" => bytes_from_hex(std::str::from_utf8(text).ok()?),
        _ => None,
    }
}

fn check_json(path: &Path) -> u8 {
    let mut data = Vec::new();
    let limit = u64::try_from(MAX_BYTES).map_or(u64::MAX, |most| most.saturating_add(1));
    let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut data));
    if read.is_err() {
        complain("the file cannot be read");
        return INCOMPLETE;
    }
    match parse(&data, MAX_BYTES) {
        Ok(_) => 0,
        Err(id) => say(&format!("{}\n", id.word()), REFUSED),
    }
}

fn wrong_usage() -> u8 {
    // Where nothing can be said, the exit code says it.
    let _ = io::stderr().write_all(USAGE.as_bytes());
    WRONG_USAGE
}

fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "omphalos-verify: {message}");
}

/// Write to standard output; the exit code is that of an internal error if it cannot be written.
fn say(text: &str, code: u8) -> u8 {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => code,
        Err(_) => INTERNAL,
    }
}
