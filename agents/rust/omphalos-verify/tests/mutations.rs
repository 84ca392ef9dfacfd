//! Random changes of good inputs, the same in every run: nothing panics, and nothing changed passes for good.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice
)]

mod common;

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{manifest, Random};
use omphalos_verify::findings::Id;
use omphalos_verify::ids::tree_id;
use omphalos_verify::manifest::read;
use omphalos_verify::paths::{by_component, check_path, check_paths, fold, nfc};
use omphalos_verify::strictjson::{is_canonical, parse, write_text, Value};
use omphalos_verify::tree::{check_node, root_of, File};
use omphalos_verify::verify::verify_directory;

const PIECES: &[&str] = &[
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\n",
    " ",
    "\t",
    "\r",
    "0",
    "-",
    "1e9",
    "9007199254740992",
    "true",
    "null",
    "NaN",
    "\\ud800",
    "\\u0041",
    "\u{feff}",
    "\u{301}",
    "\u{212b}",
    "\u{df}",
    "\u{130}",
    "\u{1f600}",
    "/",
    "..",
    "//",
    "CON",
    ".omphalos",
    "~",
    "a",
    "Z",
    "\u{0}",
    "\u{80}",
    "\"a\": 1",
    "\"key\"",
    "[[[[[[[[",
    "{\"a\":",
    "\u{ac00}",
    "\u{344}",
    "\u{1e9e}",
    "\u{fb03}",
    "\u{200d}",
];

/// Change some bytes: flip, cut, repeat, put in, or move a part.
fn mutate(random: &mut Random, data: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        let at = random.below(data.len() + 1);
        let to = (at + random.below(40)).min(data.len());
        match random.below(6) {
            0 if at < data.len() => data[at] ^= 1 << random.below(8),
            1 => drop(data.drain(at..to)),
            2 => {
                let part = data[at..to].to_vec();
                let place = random.below(data.len() + 1);
                data.splice(place..place, part);
            }
            3 | 4 => drop(data.splice(at..at, random.pick(PIECES).bytes())),
            _ => drop(data.splice(at..to, random.pick(PIECES).bytes())),
        }
    }
}

/// Random changes of a manifest are answered; what still reads is in its one spelling; no change verifies in silence.
#[test]
fn manifests() {
    let good = manifest();
    let mut random = Random(1);
    let (mut refused, mut read_well, mut noticed) = (0, 0, 0);
    for _ in 0..50_000 {
        let mut data = good.clone().into_bytes();
        if random.below(2) == 0 {
            mutate(&mut random, &mut data);
        } else {
            // Other characters of the same kind, so that deeper checks are reached.
            for _ in 0..=random.below(2) {
                let at = random.below(data.len());
                data[at] = match data[at] {
                    b'0'..=b'9' => random.pick(b"0123456789a"),
                    b'a'..=b'z' => random.pick(b"abcdefz0-./A:"),
                    b'/' => random.pick(b"/.-a\\"),
                    other => other,
                };
            }
        }
        let Ok(value) = parse(&data, 1 << 20) else {
            refused += 1;
            continue;
        };
        assert!(std::str::from_utf8(&data).is_ok());
        let Ok(manifest) = read(&value, &data) else {
            refused += 1;
            continue;
        };
        assert!(is_canonical(&value, &data));
        read_well += 1;
        let mut findings = 0;
        manifest.check(&mut |_, _| findings += 1);
        noticed += usize::from(findings > 0);
    }
    // Many changes are of members that nothing follows from (versions, roles, media types).
    assert!(
        refused > 10_000 && read_well > 5_000 && noticed > 5_000,
        "{refused} {read_well} {noticed}"
    );
}

/// Write a value in its one spelling, by another way than the comparison in the program.
fn spell(value: &Value<'_>, indent: usize) -> String {
    let pad = "  ".repeat(indent);
    let lines = |open: &str, items: Vec<String>, close: &str| match items.is_empty() {
        true => format!("{open}{close}"),
        false => format!("{open}\n{}\n{pad}{close}", items.join(",\n")),
    };
    let quoted = |text: &str| {
        let mut out = String::new();
        for c in text.chars() {
            match "\u{8}\u{c}\n\r\t\"\\".find(c) {
                Some(place) => out.extend(['\\', char::from(b"bfnrt\"\\"[place])]),
                None if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
                None => out.push(c),
            }
        }
        format!("\"{out}\"")
    };
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Text(text) => quoted(text),
        Value::List(items) => {
            let items = items
                .iter()
                .map(|item| format!("{pad}  {}", spell(item, indent + 1)));
            lines("[", items.collect(), "]")
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(key, _)| key.clone());
            let items = sorted
                .iter()
                .map(|(key, item)| format!("{pad}  {}: {}", quoted(key), spell(item, indent + 1)));
            lines("{", items.collect(), "}")
        }
    }
}

/// Random JSON is answered; a value that reads has one canonical spelling, which reads as the same value.
#[test]
fn json() {
    let mut random = Random(2);
    let mut accepted = 0;
    for _ in 0..50_000 {
        let mut data = br#"{"a": [1, {"b": "\u00e9\n\u0001"}, null], "c": {}, "d": "x"}"#.to_vec();
        mutate(&mut random, &mut data);
        if random.below(2) == 0 {
            mutate(&mut random, &mut data);
        }
        let Ok(value) = parse(&data, 1 << 20) else {
            continue;
        };
        accepted += 1;
        let spelled = spell(&value, 0) + "\n";
        assert_eq!(is_canonical(&value, &data), spelled.as_bytes() == data);
        let again = parse(spelled.as_bytes(), 1 << 20).unwrap();
        assert!(is_canonical(&again, spelled.as_bytes()), "{spelled}");
        assert_eq!(spell(&again, 0) + "\n", spelled);
    }
    assert!(accepted > 1000, "{accepted}");
}

/// Any text written as a JSON string reads as itself.
#[test]
fn text_round_trip() {
    let mut random = Random(3);
    for _ in 0..20_000 {
        let text: String = (0..random.below(8)).map(|_| random.pick(PIECES)).collect();
        let mut written = String::new();
        write_text(&mut written, &text);
        let value =
            parse(written.as_bytes(), 1 << 20).unwrap_or_else(|id| panic!("{id:?} {text:?}"));
        assert_eq!(value.text(), Some(text.as_str()));
    }
}

/// Random names are answered; a set has all findings its members have; folding and NFC change nothing the second time.
#[test]
fn paths() {
    let mut random = Random(4);
    for _ in 0..20_000 {
        let mut paths: Vec<String> = Vec::new();
        for _ in 0..=random.below(5) {
            paths.push((0..random.below(7)).map(|_| random.pick(PIECES)).collect());
        }
        if random.below(50) == 0 {
            paths.push("x\u{301}".repeat(random.below(400)));
            paths.push("a/".repeat(random.below(70)));
        }
        let mut found = Vec::new();
        check_paths(paths.iter().map(String::as_str), &mut |id, path| {
            found.push((id, path.to_owned()));
        });
        for path in &paths {
            assert!(
                check_path(path)
                    .iter()
                    .all(|&id| found.contains(&(id, path.clone()))),
                "{path:?}"
            );
            assert_eq!(fold(&fold(path)), fold(path), "{path:?}");
            assert_eq!(nfc(&nfc(path)), nfc(path), "{path:?}");
            assert_eq!(fold(&nfc(path)), fold(path), "{path:?}");
        }
        let mut other: Vec<_> = Vec::new();
        paths.reverse();
        check_paths(paths.iter().map(String::as_str), &mut |id, path| {
            other.push((id, path.to_owned()));
        });
        found.sort();
        other.sort();
        assert_eq!(found, other, "the order of the set does not matter");
    }
}

/// The root of a tree does not depend on the order of its files, and is that of nodes built by recursion.
#[test]
fn trees() {
    fn node(files: &[(String, u64)], prefix: &str) -> (Vec<u8>, u64) {
        let mut names: Vec<String> = files
            .iter()
            .filter_map(|(path, _)| path.strip_prefix(prefix))
            .map(|rest| rest.split('/').next().unwrap().to_owned())
            .collect();
        names.sort();
        names.dedup();
        assert!(names.len() < 16);
        let mut data = vec![0x90 | names.len() as u8];
        let mut total = 0;
        for name in names {
            let path = format!("{prefix}{name}");
            let (kind, size, id) = match files.iter().find(|(other, _)| *other == path) {
                Some((_, size)) => (0, *size, [7; 32]),
                None => {
                    let (bytes, size) = node(files, &format!("{path}/"));
                    (1, size, tree_id(&bytes))
                }
            };
            assert!(size < 128 && name.len() < 32);
            data.extend([0x94, 0xa0 | name.len() as u8]);
            data.extend(name.bytes());
            data.extend([kind, size as u8, 0xc4, 32]);
            data.extend(id);
            total += size;
        }
        (data, total)
    }
    let mut random = Random(5);
    for _ in 0..2_000 {
        let mut files: Vec<(String, u64)> = Vec::new();
        for _ in 0..random.below(9) {
            let parts: Vec<&str> = (0..=random.below(4))
                .map(|_| random.pick(&["a", "a.b", "a-", "b", "\u{e9}"]))
                .collect();
            let path = parts.join("/");
            let clash = |other: &str| {
                other == path
                    || other.starts_with(&format!("{path}/"))
                    || path.starts_with(&format!("{other}/"))
            };
            if !files.iter().any(|(other, _)| clash(other)) {
                files.push((path, random.below(14) as u64));
            }
        }
        let rows = files.iter().map(|(path, size)| File {
            path,
            size: *size,
            id: &[7; 32],
        });
        let (bytes, size) = node(&files, "");
        assert_eq!(
            root_of(rows.collect()),
            (tree_id(&bytes), size),
            "{files:?}"
        );
        files.sort_by(|(a, _), (b, _)| by_component(a, b));
    }
}

/// A place of its own for a test, with the run the manifest of the page describes.
fn run_directory(name: &str) -> PathBuf {
    let place = std::env::temp_dir().join(format!("omphalos-verify-{}-{name}", std::process::id()));
    for (path, data) in FILES {
        let path = place.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }
    fs::write(place.join("manifest.json"), manifest()).unwrap();
    place
}

const FILES: [(&str, &[u8]); 5] = [
    ("config.json", b"{}\n"),
    ("inputs/feed/shipments.csv", b"k\n1\n"),
    ("reports/validation.json", b"{}\n"),
    ("tables/matches.csv", b"k\n1\n"),
    ("control/log.jsonl", b""),
];

/// A file that is written to all the while it is read is reported as such, whatever its digests.
#[test]
fn touched_while_read() {
    const SIZE: u64 = 64 << 20;
    let place = run_directory("touched");
    let grown = manifest().replacen("\"size\": 0", &format!("\"size\": {SIZE}"), 1);
    fs::write(place.join("manifest.json"), grown).unwrap();
    let log = fs::File::create(place.join("control/log.jsonl")).unwrap();
    log.set_len(SIZE).unwrap();
    let done = AtomicBool::new(false);
    let verdict = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                log.write_at(b"x", 0).unwrap();
            }
        });
        let verdict = verify_directory(&place, &[]);
        done.store(true, Ordering::Relaxed);
        verdict.unwrap()
    });
    assert_eq!(verdict.pairs(), [(Id::Toctou, "control/log.jsonl")]);
    assert_eq!(verdict.exit_code(), 1);
    fs::remove_dir_all(&place).unwrap();
}

/// What may not be read makes the verdict incomplete, and is not called missing. (Passes over itself for a user whom no mode stops.)
#[test]
fn unreadable() {
    let place = run_directory("unreadable");
    let folder = place.join("tables");
    let file = place.join("config.json");
    for path in [&folder, &file] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    if fs::read(&file).is_err() {
        let verdict = verify_directory(&place, &[]).unwrap();
        assert_eq!((verdict.word(), verdict.exit_code()), ("incomplete", 3));
        assert_eq!(verdict.pairs(), []);
        assert!(verdict
            .document()
            .contains(r#""unreadable":["config.json","tables"]"#));
    }
    for path in [&folder, &file] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }
    fs::remove_dir_all(&place).unwrap();
}

/// Folders whose manifest or files were changed at random are answered with a verdict and a document that reads.
#[test]
fn folders() {
    let place = run_directory("random");
    let good = manifest();
    let files = FILES;
    let write = |manifest: &[u8]| {
        for (path, data) in files {
            let path = place.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, data).unwrap();
        }
        fs::write(place.join("manifest.json"), manifest).unwrap();
    };
    write(good.as_bytes());
    let verdict = verify_directory(&place, &[]).unwrap();
    assert_eq!(
        (verdict.word(), verdict.files, verdict.bytes),
        ("verified", 5, 14),
        "{:?}",
        verdict.pairs()
    );
    let mut random = Random(6);
    for round in 0..1_000 {
        let mut data = good.clone().into_bytes();
        let changed = round % 2 == 0;
        if changed {
            mutate(&mut random, &mut data);
        }
        write(&data);
        let (path, bytes) = random.pick(&files);
        let path = place.join(path);
        match random.below(4) {
            0 => fs::remove_file(&path).unwrap(),
            1 => fs::write(&path, [bytes, b"x"].concat()).unwrap(),
            2 => {
                let mut bytes = bytes.to_vec();
                if let Some(byte) = bytes.first_mut() {
                    *byte ^= 1;
                }
                fs::write(&path, bytes).unwrap();
            }
            _ => fs::write(path.with_file_name("extra"), b"").unwrap(),
        }
        let verdict = verify_directory(&place, &[]).unwrap();
        assert!(parse(verdict.document().as_bytes(), 1 << 24).is_ok());
        let untouched = data == good.as_bytes() && fs::read(&path).is_ok_and(|now| now == bytes);
        let extra = path.with_file_name("extra");
        if !untouched || extra.exists() {
            assert!(verdict.word() == "refused" || changed, "{round}");
        }
        let _ = fs::remove_file(extra);
    }
    fs::remove_dir_all(&place).unwrap();
}

/// Random changes of a node are answered, and what is accepted is canonical msgpack of sorted names.
#[test]
fn nodes() {
    let good = common::bytes(common::one(
        &common::vectors("tree.md", "vector tree")[2],
        "bytes",
    ));
    assert_eq!(check_node(&good), Ok(()));
    let mut random = Random(7);
    let mut accepted = 0;
    for _ in 0..50_000 {
        let mut data = good.clone();
        mutate(&mut random, &mut data);
        if check_node(&data).is_ok() {
            accepted += 1;
            assert!(matches!(data[0], 0x90..=0x9f), "an array of few entries");
            assert!(data.len() == 1 || data.len() > 36);
        }
    }
    assert!(accepted > 1_000, "{accepted}");
}
