//! One test for each family of rules behind keys, attestations, bundles, proofs and stores, and random changes of each
//! kind of input: nothing panics.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice
)]

mod common;

use std::cell::Cell;
use std::fs;
use std::io::{Error, ErrorKind};
use std::path::Path;

use common::{bytes, page, repository, Random};
use omphalos_verify::attest::read_envelope;
use omphalos_verify::bundle::verify_stream;
use omphalos_verify::bundleindex;
use omphalos_verify::chunks::List;
use omphalos_verify::findings::Id;
use omphalos_verify::ids::{blob_id, from_hex, to_hex, Digest};
use omphalos_verify::keys::{base64, PublicKey};
use omphalos_verify::merkle::includes;
use omphalos_verify::proof;
use omphalos_verify::segment::{crc32, Item, Kind, Segment, BEGINNING};
use omphalos_verify::store::verify_store;
use omphalos_verify::strictjson::{parse, Value};
use omphalos_verify::tarheader::{header, judge, Block, Due, Fault, Place, INDEX};
use omphalos_verify::verdict::Verdict;
use sha2::{Digest as _, Sha256};

const ORDER_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// RFC 8032, section 7.1: the test vector signs; another message, a changed half, and 63 or 65 bytes do not.
#[test]
fn signatures() {
    let key = PublicKey::parse(ORDER_KEY.as_bytes()).unwrap();
    let good = bytes(concat!(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    ));
    assert!(key.verifies(b"", &good));
    assert!(!key.verifies(b"x", &good));
    for at in [0, 31, 32, 63] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(!key.verifies(b"", &bad), "{at}");
    }
    assert!(!key.verifies(b"", &good[..63]));
    assert!(!key.verifies(b"", &[good.as_slice(), &[0]].concat()));
}

/// The form without the cofactor: S of the order or more is refused, a key of small order is not looked for.
#[test]
fn signatures_at_the_edge() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let key = PublicKey::new(&identity);
    let mut signature = [identity, [0; 32]].concat();
    assert!(key.verifies(b"anything", &signature));
    // The order of the group, which is 0 if it is reduced.
    let order = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    signature[32..].copy_from_slice(&order);
    assert!(!key.verifies(b"anything", &signature));
    // 2 is the y of no point.
    let mut none = [0; 32];
    none[0] = 2;
    assert!(!PublicKey::new(&none).verifies(b"anything", &[identity, [0; 32]].concat()));
}

/// A key is 64 digits or three lines, with at most one newline behind, and nothing else.
#[test]
fn keys() {
    let line = format!("{ORDER_KEY}\n");
    let id = PublicKey::parse(line.as_bytes()).unwrap().id;
    assert_eq!(PublicKey::parse(ORDER_KEY.as_bytes()).unwrap().id, id);
    for bad in [
        String::new(),
        format!("{line}\n"),
        format!(" {ORDER_KEY}"),
        ORDER_KEY.to_uppercase(),
        ORDER_KEY[1..].to_owned(),
        format!("{ORDER_KEY}\r\n"),
        "-----BEGIN PUBLIC KEY-----\n\n-----END PUBLIC KEY-----\n".to_owned(),
    ] {
        assert!(PublicKey::parse(bad.as_bytes()).is_none(), "{bad:?}");
    }
}

/// Base64 has one spelling of each alphabet.
#[test]
fn base64_texts() {
    for (text, data) in [
        ("", "".as_bytes()),
        ("Zg==", b"f"),
        ("Zm8=", b"fo"),
        ("Zm9v", b"foo"),
        ("-_-_", b"\xfb\xff\xbf"),
        ("+/+/", b"\xfb\xff\xbf"),
    ] {
        assert_eq!(base64(text).as_deref(), Some(data), "{text}");
    }
    for bad in [
        "Zg",
        "Zg=",
        "Zh==",
        "Zm9=",
        "Z===",
        "====",
        "Zg==Zg==",
        "+_+_",
        "Zm9v\n",
        "Zm 9",
        "Zm9\u{df}",
        "=Zm9",
    ] {
        assert_eq!(base64(bad), None, "{bad:?}");
    }
}

/// Steps 2 to 4 of an envelope: what is no JSON, no envelope, no base64.
#[test]
fn envelopes() {
    let good = r#"{"payload": "", "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": ""}]}"#;
    assert!(matches!(read_envelope(good.as_bytes(), &[]), Ok(None)));
    for (old, new, id) in [
        ("}]}", "}]", Id::JsonSyntax),
        ("}]}", "}], \"payload\": \"\"}", Id::JsonDuplicateKey),
        ("}]}", "}], \"x\": 1.5}", Id::JsonNumber),
        ("[{", "[1, {", Id::EnvelopeMalformed),
        ("[{\"sig\": \"\"}]", "[]", Id::EnvelopeMalformed),
        ("+json", "+JSON", Id::EnvelopeMalformed),
        ("\"sig\": \"\"", "\"sig\": 1", Id::EnvelopeMalformed),
        (
            "\"sig\": \"\"",
            "\"sig\": \"\", \"keyid\": null",
            Id::EnvelopeMalformed,
        ),
        (
            "\"payload\": \"\"",
            "\"payload\": null",
            Id::EnvelopeMalformed,
        ),
        (
            "\"payload\": \"\"",
            "\"payload\": \"Zh==\"",
            Id::Base64Malformed,
        ),
        ("\"sig\": \"\"", "\"sig\": \"?\"", Id::Base64Malformed),
    ] {
        let text = good.replace(old, new);
        assert_ne!(text, good);
        assert_eq!(
            read_envelope(text.as_bytes(), &[]).err(),
            Some(id),
            "{text}"
        );
    }
    let seventeen = format!("[{}]", vec!["{\"sig\": \"\"}"; 17].join(","));
    let text = good.replace("[{\"sig\": \"\"}]", &seventeen);
    assert_eq!(
        read_envelope(text.as_bytes(), &[]).err(),
        Some(Id::EnvelopeMalformed)
    );
}

/// The probes of conformance/merkle/: an inclusion proof holds or does not.
#[test]
fn inclusion() {
    let text = fs::read(repository("conformance/merkle/inclusion.json")).unwrap();
    let value = parse(&text, 1 << 28).unwrap();
    let probes = match &value {
        Value::List(items) => items,
        other => match other.get("probes") {
            Some(Value::List(items)) => items,
            _ => panic!("no probes"),
        },
    };
    let (mut holding, mut others) = (0, 0);
    for probe in probes {
        let hex = |value: &Value<'_>| from_hex(value.text().unwrap());
        let number = |name| probe.get(name).unwrap().text().unwrap().parse::<u64>();
        let Some(Value::List(path)) = probe.get("proof") else {
            panic!("no proof");
        };
        let path: Option<Vec<Digest>> = path.iter().map(hex).collect();
        let leaf = hex(probe.get("leaf_hash").unwrap());
        let root = hex(probe.get("root").unwrap());
        let answer = match (leaf, path, root) {
            (Some(leaf), Some(path), Some(root)) => {
                let (index, size) = (number("index").unwrap(), number("size").unwrap());
                includes(&leaf, index, size, &path, &root)
            }
            _ => false,
        };
        let holds = probe.get("holds") == Some(&Value::Bool(true));
        assert_eq!(answer, holds, "{probe:?}");
        holding += usize::from(holds);
        others += usize::from(!holds);
    }
    assert!(holding > 20 && others > 100, "{holding} {others}");
}

fn good_header() -> Block {
    header("payload/x", 5)
}

/// The header with one change and a right sum again.
fn changed(at: usize, with: &[u8]) -> Block {
    let mut block = good_header();
    block[at..at + with.len()].copy_from_slice(with);
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A header is judged by the first row of the table that applies.
#[test]
fn headers() {
    let due = Due::Member("payload/x", 5);
    let place = |name: &str| match name {
        "manifests/a" => Place::Earlier,
        "statements/z" => Place::Later,
        _ => Place::Nowhere,
    };
    let id = |block: &Block| judge(block, &due, place).map_err(|fault| fault.id);
    assert_eq!(judge(&good_header(), &due, place), Ok(5));
    assert_eq!(id(&[0; 512]), Err(Id::FileMissing));
    let mut unsummed = good_header();
    unsummed[0] = b'q';
    assert_eq!(id(&unsummed), Err(Id::ArchiveMalformed));
    for (at, with, expected) in [
        (257, b"ustaR".as_slice(), Id::ArchiveMalformed),
        (156, b"1", Id::HardlinkEntry),
        (156, b"2", Id::SymlinkEntry),
        (156, b"x", Id::ArchiveEscape),
        (345, b"a", Id::ArchiveEscape),
        (156, b"5", Id::DirExtra),
        (156, b"\0", Id::SpecialFile),
        (0, b"../x\0\0\0\0\0", Id::ArchiveEscape),
        (0, b"\xff", Id::ArchiveEscape),
        (124, b"00000000006", Id::SizeMismatch),
        (124, b"0000000005 ", Id::SizeMismatch),
        (100, b"0000755", Id::ArchiveMalformed),
        (11, b"x", Id::ArchiveMalformed),
        (511, b"x", Id::ArchiveMalformed),
    ] {
        assert_eq!(id(&changed(at, with)), Err(expected), "{at} {with:?}");
    }
    for (name, expected, at) in [
        ("manifests/a", Id::DuplicateEntry, Some("manifests/a")),
        (INDEX, Id::DuplicateEntry, Some(INDEX)),
        ("statements/z", Id::FileMissing, None),
        ("payload/y", Id::FileExtra, Some("payload/y")),
    ] {
        let fault = Fault {
            id: expected,
            at: at.map(str::to_owned),
        };
        assert_eq!(judge(&header(name, 5), &due, place), Err(fault));
    }
    let index = Due::Index(8);
    assert_eq!(judge(&header(INDEX, 8), &index, place), Ok(8));
    let fault = |block| judge(&block, &index, place).unwrap_err().id;
    assert_eq!(fault(header(INDEX, 9)), Id::JsonTooLarge);
    assert_eq!(fault(header("payload/y", 5)), Id::ManifestMissing);
}

fn index_text(size: u64, name: &str) -> String {
    let zeros = "0".repeat(64);
    format!(
        "{{\n  \"members\": [\n    {{\n      \"name\": \"manifests/{zeros}\",\n      \"sha256\": \"{zeros}\",\n      \"size\": {size}\n    }}\n  ],\n  \"runs\": [\n    {{\n      \"attestations\": [{name}],\n      \"run\": \"{zeros}\",\n      \"run_id\": \"a\"\n    }}\n  ],\n  \"schema\": \"omphalos.bundle/1\"\n}}\n"
    )
}

/// The steps of an index, each only if those before said nothing.
#[test]
fn indexes() {
    let ids = |text: &str| -> Vec<Id> {
        match bundleindex::read(text.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(found) => found.into_iter().map(|(id, _)| id).collect(),
        }
    };
    let good = index_text(7, "");
    assert_eq!(ids(&good), []);
    for (old, new, expected) in [
        ("bundle/1", "bundle/2", Id::ManifestVersion),
        ("\"run\"", "\"Run\"", Id::JsonKeyCase),
        ("\"run\"", "\"ran\"", Id::JsonUnknownField),
        ("\"size\": 7", "\"size\": \"7\"", Id::ManifestSchema),
        ("\"run_id\": \"a\"", "\"run_id\": \"\"", Id::ManifestSchema),
        ("\"size\": 7", "\"size\":  7", Id::ManifestNotCanonical),
        ("\"size\": 7", "\"size\": 8589934592", Id::OversizeLength),
    ] {
        assert_eq!(ids(&good.replace(old, new)), [expected], "{new}");
    }
    let escaped = good.replace("\"name\": \"manifests/", "\"name\": \"elsewhere/");
    assert_eq!(ids(&escaped), [Id::ArchiveEscape, Id::ObjectMissing]);
    for (name, expected) in [
        ("a.txt", Id::ManifestSchema),
        (".omphalos", Id::ManifestSchema),
        ("../a.json", Id::PathDotdot),
        ("a/b.json", Id::PathSlash),
    ] {
        let entry = format!(
            "\n        {{\n          \"id\": \"{}\",\n          \"name\": \"{name}\"\n        }}\n      ",
            "1".repeat(64)
        );
        // Besides its end the name is judged as a path.
        let besides = (name == ".omphalos").then_some(Id::PathOwnDir);
        let mut wanted = vec![expected, Id::ObjectMissing];
        wanted.extend(besides);
        wanted.sort_unstable();
        assert_eq!(ids(&index_text(7, &entry)), wanted, "{name}");
    }
}

fn scan(data: &[u8], open: bool) -> Vec<Item> {
    let most = Cell::new(0);
    let mut read_at = |at: u64, buffer: &mut [u8]| {
        most.set(most.get().max(buffer.len()));
        let from = usize::try_from(at).unwrap();
        let part = data.get(from..from + buffer.len());
        buffer.copy_from_slice(part.ok_or(Error::from(ErrorKind::UnexpectedEof))?);
        Ok(())
    };
    let mut items = Vec::new();
    Segment::new(data.len() as u64, &mut read_at)
        .scan(open, &mut |item| items.push(item))
        .unwrap();
    assert!(most.get() <= 4 << 20, "a window is bounded");
    items
}

fn record(kind: u8, id: &Digest, data: &[u8]) -> Vec<u8> {
    let mut out = b"\xf1\x6f\x6d\x70\x01".to_vec();
    out.extend([kind, 0, 0]);
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(id);
    out.extend(crc32(&out).to_le_bytes());
    out.extend(data);
    out
}

/// A segment: records, gaps, and what a killed writer may leave.
#[test]
fn segments() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    let id = blob_id(b"abc");
    let one = record(0, &id, b"abc");
    let object = |at| Item::Object(Kind::Blob, id, 3, at);
    let damage = |at| Item::Found(Id::ObjectDamaged, at);
    let segment = |parts: &[&[u8]]| [BEGINNING.as_slice(), &parts.concat()].concat();
    assert_eq!(scan(b"", false), []);
    assert_eq!(
        scan(&segment(&[&one, &one]), false),
        [object(64), object(115)]
    );
    assert_eq!(
        scan(&segment(&[b"gap", &one]), true),
        [damage(16), object(67)]
    );
    let wrong = record(1, &id, b"abc");
    let of_later = record(3, &id, &one);
    assert_eq!(
        scan(&segment(&[&wrong]), true),
        [Item::Damaged(3), damage(16)]
    );
    assert_eq!(
        scan(&segment(&[&of_later, &one]), true),
        [Item::Found(Id::KindUnknown, 16), object(163)]
    );
    for torn in [&one[..50], &one[..20], &one[..2], &[0; 600]] {
        assert_eq!(scan(&segment(&[&one, torn]), true), [object(64)]);
        assert_eq!(
            scan(&segment(&[&one, torn]), false),
            [object(64), damage(67)]
        );
    }
    assert_eq!(scan(&BEGINNING[..7], true), []);
    assert_eq!(scan(&BEGINNING[..7], false), [damage(0)]);
    assert_eq!(
        scan(&segment(&[&vec![0; (1 << 20) + 1]]), true),
        [damage(16)]
    );
    // A record across the borders of windows is found behind a long gap.
    for gap in [1 << 20, (4 << 20) - 30, (4 << 20) + 17] {
        let long = segment(&[&vec![b'x'; gap], &one]);
        let at = 16 + gap as u64;
        assert_eq!(scan(&long, true), [damage(16), object(at + 48)]);
    }
}

/// The bytes of the list that the page shows.
fn shown_list() -> Vec<u8> {
    let page = page("store.md");
    let block = page.split("```vector list\n").nth(1).unwrap();
    bytes(block.split("```").next().unwrap().trim())
}

/// A list of these chunks that states this size, with its check.
fn list_of(size: u64, chunks: &[(Digest, u32)]) -> Vec<u8> {
    let mut data = [b"omphalos list 1\n".as_slice(), &size.to_le_bytes()].concat();
    for (id, length) in chunks {
        data.extend(id);
        data.extend(length.to_le_bytes());
    }
    checked(&data)
}

fn checked(data: &[u8]) -> Vec<u8> {
    [data, &blob_id(data)].concat()
}

/// The list of the page is read as the page says, and nothing near it is.
#[test]
fn lists() {
    let shown = shown_list();
    let (abc, d) = ((blob_id(b"abc"), 3), (blob_id(b"d"), 1));
    assert_eq!(shown, list_of(4, &[abc, d]));
    let list = List::read(&shown).unwrap();
    let chunks: Vec<_> = list
        .chunks()
        .map(|chunk| (chunk.id, chunk.length))
        .collect();
    assert_eq!((list.size, chunks), (4, vec![(abc.0, 3), (d.0, 1)]));
    for at in 0..shown.len() {
        let mut data = shown.clone();
        data[at] ^= 1;
        assert!(List::read(&data).is_none(), "{at}");
        assert!(List::read(&shown[..at]).is_none(), "{at}");
        // With a right check too, only an id may be another.
        if let Some(start) = data.len().checked_sub(32).filter(|start| at < *start) {
            let is_id = at >= 24 && (at - 24) % 36 < 32;
            assert_eq!(
                List::read(&checked(&data[..start])).is_some(),
                is_id,
                "{at}"
            );
        }
    }
    let most = 1 << 20;
    let whole = list_of(u64::from(most), &[(abc.0, most)]);
    assert!(List::read(&whole).is_some());
    for bad in [
        list_of(0, &[]),
        list_of(0, &[(abc.0, 0)]),
        list_of(3, &[abc, (abc.0, 0)]),
        list_of(u64::from(most) + 1, &[(abc.0, most + 1)]),
        list_of(u64::from(u32::MAX), &[(abc.0, u32::MAX)]),
        list_of(u64::MAX, &[abc]),
        list_of(5, &[abc, d]),
        checked(&[&shown[..96], b"\0"].concat()),
        [shown.as_slice(), b"\0"].concat(),
    ] {
        assert!(List::read(&bad).is_none());
    }
    let rows = ((1 << 26) - 56) / 36;
    let longest = list_of(rows * 3, &vec![abc; usize::try_from(rows).unwrap()]);
    assert!(longest.len() <= 1 << 26 && List::read(&longest).is_some());
    let longer = list_of(
        (rows + 1) * 3,
        &vec![abc; usize::try_from(rows + 1).unwrap()],
    );
    assert!(longer.len() > 1 << 26 && List::read(&longer).is_none());
}

/// Write a file of a store under an id.
fn put(store: &Path, folder: &str, id: &Digest, data: &[u8]) -> String {
    let hex = to_hex(id);
    let path = format!("objects/{folder}/{}/{}", &hex[..2], &hex[2..]);
    fs::create_dir_all(store.join(&path).parent().unwrap()).unwrap();
    fs::write(store.join(&path), data).unwrap();
    path
}

/// A blob in chunks is there if its list is one, its chunks are there as blobs of their lengths, and the whole has its id.
#[test]
fn chunked_blobs() {
    let store = std::env::temp_dir().join(format!("omphalos-chunked-{}", std::process::id()));
    let _ = fs::remove_dir_all(&store);
    let (abc, d, abcd) = (blob_id(b"abc"), blob_id(b"d"), blob_id(b"abcd"));
    fs::create_dir_all(store.join("refs/tags")).unwrap();
    fs::write(store.join("refs/tags/whole"), to_hex(&abcd) + "\n").unwrap();
    put(&store, "large", &abc, b"abc");
    put(&store, "large", &d, b"d");
    let list = shown_list();
    let path = put(&store, "chunked", &abcd, &list);
    let judge = || {
        let verdict = verify_store(&store).unwrap();
        let pairs: Vec<_> = verdict
            .pairs()
            .iter()
            .map(|(id, path)| (*id, (*path).to_owned()))
            .collect();
        (pairs, verdict.files, verdict.bytes)
    };
    let dangling = || (Id::RefDangling, "refs/tags/whole".to_owned());
    assert_eq!(judge(), (vec![], 3, 132));

    for bad in [
        list_of(5, &[(abc, 3), (d, 1)]),
        list_of(4, &[(d, 1), (abc, 3)]),
        list_of(8, &[(abc, 3), (d, 1), (abc, 3), (d, 1)]),
    ] {
        fs::write(store.join(&path), bad).unwrap();
        let expected = vec![(Id::ObjectDamaged, path.clone()), dangling()];
        assert_eq!(judge().0, expected);
    }
    // Another length than the chunk's, and a chunk that is not there: nothing is said of the list.
    for absent in [
        list_of(4, &[(abc, 2), (d, 2)]),
        list_of(5, &[(abc, 3), (d, 1), (blob_id(b"e"), 1)]),
        list_of(4, &[(abcd, 4)]),
    ] {
        fs::write(store.join(&path), absent).unwrap();
        assert_eq!(judge().0, [dangling()]);
    }
    fs::write(store.join(&path), &list).unwrap();
    // A list is no chunk of another.
    let nested = blob_id(b"abcdd");
    let outer = put(
        &store,
        "chunked",
        &nested,
        &list_of(5, &[(abcd, 4), (d, 1)]),
    );
    fs::write(store.join("refs/tags/outer"), to_hex(&nested) + "\n").unwrap();
    let lost = (Id::RefDangling, "refs/tags/outer".to_owned());
    assert_eq!(judge().0, [lost]);
    fs::remove_file(store.join(&outer)).unwrap();
    fs::remove_file(store.join("refs/tags/outer")).unwrap();
    // A file that is too long to be a list is not read, and counts with its length.
    let long = fs::File::create(store.join(&path)).unwrap();
    long.set_len((1 << 26) + 1).unwrap();
    let expected = vec![(Id::ObjectDamaged, path.clone()), dangling()];
    assert_eq!(judge(), (expected, 3, (1 << 26) + 5));
    // The blob may stand as a file as well.
    put(&store, "large", &abcd, b"abcd");
    assert_eq!(judge().0, [(Id::ObjectDamaged, path)]);
    fs::remove_dir_all(&store).unwrap();
}

fn bundle(index: &str, members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, data) in [(INDEX, index.as_bytes())].iter().chain(members) {
        out.extend(header(name, data.len() as u64));
        out.extend(*data);
        out.resize(out.len().div_ceil(512) * 512, 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

fn judged(data: &[u8], keys: &[PublicKey]) -> Verdict {
    let mut verdict = Verdict::new(String::new(), keys);
    verify_stream(data, keys, &mut verdict);
    verdict
}

/// A bundle whose manifest is the one of docs/format/manifest.md, with nothing else in it.
fn small_bundle() -> Vec<u8> {
    let manifest = common::manifest();
    let id = to_hex(&omphalos_verify::ids::run_id(manifest.as_bytes()));
    let sha256 = to_hex(&Sha256::digest(manifest.as_bytes()));
    let zeros = "0".repeat(64);
    let index = index_text(manifest.len() as u64, "")
        .replacen(
            &format!("\"sha256\": \"{zeros}\""),
            &format!("\"sha256\": \"{sha256}\""),
            1,
        )
        .replace(&zeros, &id)
        .replace("\"run_id\": \"a\"", "\"run_id\": \"daily-488219ea26c9\"");
    bundle(&index, &[(&format!("manifests/{id}"), manifest.as_bytes())])
}

/// A bundle is read to its end: what its manifest names is missing, and nothing is structurally wrong.
#[test]
fn bundles() {
    let good = small_bundle();
    let verdict = judged(&good, &[]);
    let mut ids: Vec<Id> = verdict.pairs().iter().map(|(id, _)| *id).collect();
    ids.dedup();
    assert_eq!(ids, [Id::FileMissing, Id::ObjectMissing]);
    assert_eq!((verdict.files, verdict.bytes), (1, 3011));
    assert_eq!(verdict.run_id.as_deref(), Some("daily-488219ea26c9"));
    let key = [PublicKey::parse(ORDER_KEY.as_bytes()).unwrap()];
    let signed = judged(&good, &key);
    assert!(signed
        .pairs()
        .iter()
        .any(|(id, _)| *id == Id::SignatureMissing));
    for (data, id) in [
        (good[..good.len() - 1].to_vec(), Id::Truncated),
        ([good.as_slice(), &[0]].concat(), Id::TrailingGarbage),
        (
            [&good[..good.len() - 1024], &[b'x'; 1024]].concat(),
            Id::EndlessData,
        ),
    ] {
        let verdict = judged(&data, &[]);
        assert!(verdict.pairs().contains(&(id, ".")), "{id:?}");
        assert!(!verdict
            .pairs()
            .iter()
            .any(|(id, _)| *id == Id::ObjectMissing));
    }
}

fn mutate(random: &mut Random, data: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        let at = random.below(data.len() + 1);
        let to = (at + random.below(60)).min(data.len());
        match random.below(5) {
            0 if at < data.len() => data[at] ^= 1 << random.below(8),
            1 => drop(data.drain(at..to)),
            2 => {
                let part = data[at..to].to_vec();
                let place = random.below(data.len() + 1);
                data.splice(place..place, part);
            }
            3 if at < data.len() => data[at] = random.pick(b"0123456789abcdef{}[]\",:/=. \n\\"),
            _ => drop(
                data.splice(
                    at..at,
                    random
                        .pick(&[b"9007199254740991".as_slice(), b"null", b"\xf1omp", b"\0"])
                        .iter()
                        .copied(),
                ),
            ),
        }
    }
}

/// Random changes of bundles, envelopes, proofs, keys, segments and lists are answered; a changed bundle is never better than it was.
#[test]
fn random_changes() {
    let mut random = Random(6);
    let good = small_bundle();
    let key = [PublicKey::parse(ORDER_KEY.as_bytes()).unwrap()];
    for _ in 0..3_000 {
        let mut data = good.clone();
        mutate(&mut random, &mut data);
        assert_eq!(judged(&data, &key).word(), "refused");
    }
    let envelope = r#"{"payload": "e30K", "payloadType": "application/vnd.in-toto+json", "signatures": [{"keyid": "", "sig": "Zm9v"}]}"#;
    let zeros = "0".repeat(64);
    let proof = format!(
        "{{\n  \"artifact\": {{\n    \"blake3\": \"{zeros}\",\n    \"path\": \"a\",\n    \"sha256\": \"{zeros}\",\n    \"size\": 1\n  }},\n  \"envelope\": null,\n  \"hashes\": [\n    \"{zeros}\"\n  ],\n  \"index\": 0,\n  \"merkle_root\": \"{zeros}\",\n  \"run_id\": \"a\",\n  \"schema\": \"omphalos.proof/1\",\n  \"tree_size\": 2\n}}\n"
    );
    assert!(proof::read(&parse(proof.as_bytes(), 1 << 20).unwrap(), proof.as_bytes()).is_ok());
    let segment = [
        BEGINNING.as_slice(),
        &record(0, &blob_id(b"abc"), b"abc"),
        &record(2, &blob_id(b""), b""),
    ]
    .concat();
    let list = shown_list();
    let mut accepted = 0;
    for _ in 0..30_000 {
        let mut data = envelope.as_bytes().to_vec();
        mutate(&mut random, &mut data);
        assert!(!matches!(read_envelope(&data, &key), Ok(Some(_))));
        let mut data = proof.clone().into_bytes();
        mutate(&mut random, &mut data);
        if let Ok(value) = parse(&data, proof::MAX_BYTES) {
            let _ = proof::read(&value, &data);
        }
        let mut data = ORDER_KEY.as_bytes().to_vec();
        mutate(&mut random, &mut data);
        let _ = PublicKey::parse(&data);
        let mut data = segment.clone();
        mutate(&mut random, &mut data);
        let _ = scan(&data, random.below(2) == 0);
        let mut data = list.clone();
        mutate(&mut random, &mut data);
        assert!(data == list || List::read(&data).is_none());
        let data = checked(&data[..data.len().saturating_sub(32)]);
        if let Some(list) = List::read(&data) {
            accepted += 1;
            let sum = list.chunks().map(|chunk| chunk.length).sum::<u64>();
            assert_eq!(list.size, sum);
        }
    }
    assert!(accepted > 1_000, "{accepted}");
}
