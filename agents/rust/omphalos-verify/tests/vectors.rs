//! The vectors of docs/format/: every value on the pages is the one computed here.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice
)]

mod common;

use std::collections::BTreeSet;

use common::{all, bytes, manifest, one, string, vectors};
use omphalos_verify::findings::Id;
use omphalos_verify::ids::{blob_id, from_hex, run_id, to_hex, tree_id};
use omphalos_verify::manifest::read;
use omphalos_verify::merkle::{artifact_leaf, TreeHead};
use omphalos_verify::paths::{check_path, check_path_bytes, check_paths, Broken};
use omphalos_verify::strictjson::{parse, Value};
use omphalos_verify::tree::{check_node, root_of, File};
use sha2::{Digest as _, Sha256};

fn words(broken: &Broken) -> String {
    let words: Vec<&str> = broken.iter().map(|id| id.word()).collect();
    words.join(" ")
}

/// Ids of the page are those computed.
#[test]
fn ids() {
    let found = vectors("ids.md", "vector id");
    assert!(found.len() >= 6);
    for vector in found {
        let data = bytes(one(&vector, "bytes"));
        let id = match one(&vector, "kind") {
            "blob" => blob_id(&data),
            "tree" => tree_id(&data),
            "run" => run_id(&data),
            other => panic!("{other}"),
        };
        assert_eq!(to_hex(&id), one(&vector, "id"));
        assert_eq!(from_hex(one(&vector, "id")), Some(id));
    }
}

/// An id in another spelling is none.
#[test]
fn ids_have_one_spelling() {
    let good = "0123456789abcdef".repeat(4);
    assert!(from_hex(&good).is_some());
    let spaced = format!("{} ", &good[1..]);
    for bad in [
        &good[1..],
        &good.to_uppercase(),
        &spaced,
        "",
        &format!("{good}0"),
    ] {
        assert_eq!(from_hex(bad), None, "{bad}");
    }
}

/// Paths of the page have the findings it says, in its order.
#[test]
fn paths() {
    let found = vectors("paths.md", "vector path");
    assert!(found.len() >= 27);
    for vector in found {
        let path = string(one(&vector, "path"));
        assert_eq!(
            words(&check_path(&path)),
            one(&vector, "findings"),
            "{path:?}"
        );
    }
    for vector in vectors("paths.md", "vector path-bytes") {
        let path = bytes(one(&vector, "bytes"));
        assert_eq!(words(&check_path_bytes(&path)), one(&vector, "findings"));
    }
}

/// Sets of paths of the page have the findings it says.
#[test]
fn path_sets() {
    let found = vectors("paths.md", "vector paths");
    assert!(found.len() >= 7);
    for vector in found {
        let paths: Vec<String> = all(&vector, "path").into_iter().map(string).collect();
        let mut findings = Vec::new();
        check_paths(paths.iter().map(String::as_str), &mut |id, path| {
            findings.push((id.word().to_owned(), path.to_owned()));
        });
        findings.sort();
        let expected: Vec<(String, String)> = all(&vector, "finding")
            .into_iter()
            .map(|line| {
                let (id, path) = line.split_once(' ').unwrap();
                (id.to_owned(), string(path))
            })
            .collect();
        assert_eq!(findings, expected, "{paths:?}");
    }
}

/// Merkle heads and leaves of the page are those computed.
#[test]
fn merkle() {
    let leaves = vectors("merkle.md", "vector artifact-leaf");
    assert!(leaves.len() >= 3);
    for vector in leaves {
        let leaf = artifact_leaf(
            &string(one(&vector, "path")),
            one(&vector, "size").parse().unwrap(),
            &from_hex(one(&vector, "sha256")).unwrap(),
            &from_hex(one(&vector, "blake3")).unwrap(),
        );
        assert_eq!(to_hex(&leaf), one(&vector, "leaf"));
        let mut head = TreeHead::default();
        head.add(&leaf);
        assert_eq!(to_hex(&head.head()), one(&vector, "hash"));
    }
    let heads = vectors("merkle.md", "vector tree-head");
    assert!(heads.len() >= 5);
    for vector in heads {
        let mut head = TreeHead::default();
        for leaf in all(&vector, "leaf") {
            head.add(&bytes(leaf));
        }
        assert_eq!(to_hex(&head.head()), one(&vector, "head"));
    }
}

/// The head computed leaf by leaf is the one of the definition in RFC 6962.
#[test]
fn merkle_by_definition() {
    fn define(leaves: &[Vec<u8>]) -> Vec<u8> {
        let mut hasher = Sha256::new();
        match leaves {
            [] => {}
            [leaf] => {
                hasher.update([0]);
                hasher.update(leaf);
            }
            _ => {
                let k = 1 << (leaves.len() - 1).ilog2();
                hasher.update([1]);
                hasher.update(define(&leaves[..k]));
                hasher.update(define(&leaves[k..]));
            }
        }
        hasher.finalize().to_vec()
    }
    let leaves: Vec<Vec<u8>> = (0..70_u8).map(|i| vec![i; usize::from(i % 5)]).collect();
    for count in 0..=leaves.len() {
        let mut head = TreeHead::default();
        leaves[..count].iter().for_each(|leaf| head.add(leaf));
        assert_eq!(head.head().to_vec(), define(&leaves[..count]), "{count}");
    }
}

/// The tree of files on the page has the root id and size it says.
#[test]
fn trees() {
    let found = vectors("tree.md", "vector tree-of-files");
    assert!(!found.is_empty());
    for vector in found {
        let rows: Vec<(String, u64, [u8; 32])> = all(&vector, "file")
            .into_iter()
            .map(|line| {
                let mut parts = line.rsplitn(3, ' ');
                let id = from_hex(parts.next().unwrap()).unwrap();
                let size = parts.next().unwrap().parse().unwrap();
                (string(parts.next().unwrap()), size, id)
            })
            .collect();
        let files = rows.iter().map(|(path, size, id)| File {
            path,
            size: *size,
            id,
        });
        let (id, size) = root_of(files.collect());
        assert_eq!(to_hex(&id), one(&vector, "id"));
        assert_eq!(size.to_string(), one(&vector, "size"));
    }
    assert_eq!(root_of(Vec::new()).0, tree_id(&[0x90]));
}

/// JSON that the page refuses is refused for the reason it gives.
#[test]
fn json_refused() {
    let found = vectors("manifest.md", "vector json-refused");
    assert!(found.len() >= 15);
    for vector in found {
        let data = bytes(one(&vector, "bytes"));
        let id = parse(&data, 1 << 28).unwrap_err();
        assert_eq!(
            id.word(),
            one(&vector, "finding"),
            "{:?}",
            String::from_utf8_lossy(&data)
        );
    }
}

/// JSON at the edges of the rules of docs/format/verify.md.
#[test]
fn json_edges() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let accepted = [
        "0",
        "9007199254740991",
        " \t\n{}\n",
        r#""\ud83d\ude00""#,
        r#""\/\b\f\n\r\t\"\\""#,
        "null",
        "\"\u{fffe}\u{7f}\"",
        &nested(64),
        r#"{"":0}"#,
    ];
    for text in accepted {
        assert!(parse(text.as_bytes(), 1 << 20).is_ok(), "{text}");
    }
    let refused = [
        ("", Id::JsonSyntax),
        ("9007199254740992", Id::JsonNumber),
        ("99999999999999999999", Id::JsonNumber),
        ("-1", Id::JsonNumber),
        ("-", Id::JsonSyntax),
        ("-x", Id::JsonSyntax),
        ("+1", Id::JsonSyntax),
        ("1e", Id::JsonNumber),
        ("1x", Id::JsonEncoding),
        ("[1x]", Id::JsonSyntax),
        ("NaN", Id::JsonNumber),
        ("-NaN", Id::JsonSyntax),
        ("-Infinity", Id::JsonNumber),
        ("truex", Id::JsonEncoding),
        ("[truex]", Id::JsonSyntax),
        (&nested(65), Id::JsonEncoding),
        ("\u{c}1", Id::JsonSyntax),
        (r#""\ud800\ud800\udc00""#, Id::JsonEncoding),
        (r#""\udc00""#, Id::JsonEncoding),
        (r#""\ud800x"#, Id::JsonSyntax),
        (r#""\u12g4""#, Id::JsonSyntax),
        (r#""\x""#, Id::JsonSyntax),
        ("\"\u{1f}\"", Id::JsonSyntax),
        (r#"{"a":1,"a"}"#, Id::JsonDuplicateKey),
        (r#"{"\ud800"}"#, Id::JsonEncoding),
        (r#"{"a"}"#, Id::JsonSyntax),
        (r#"{"a":1,}"#, Id::JsonSyntax),
        ("[}", Id::JsonSyntax),
        ("{]", Id::JsonSyntax),
        ("[1 2]", Id::JsonSyntax),
        ("01", Id::JsonNumber),
    ];
    for (text, id) in refused {
        assert_eq!(parse(text.as_bytes(), 1 << 20), Err(id), "{text}");
    }
    assert_eq!(parse(b"[1]", 2), Err(Id::JsonTooLarge));
}

/// A key that stands twice among many is found as among few.
#[test]
fn json_many_keys() {
    let members: Vec<String> = (0..2000).map(|i| format!("\"k{i}\":{i}")).collect();
    let good = format!("{{{}}}", members.join(","));
    assert!(parse(good.as_bytes(), 1 << 20).is_ok());
    for again in [0, 15, 16, 17, 1999] {
        let bad = format!("{{{},\"k{again}\":0}}", members.join(","));
        assert_eq!(parse(bad.as_bytes(), 1 << 20), Err(Id::JsonDuplicateKey));
    }
}

/// The manifest of the page is of its schema, in its spelling, and everything it says holds.
#[test]
fn whole_manifest() {
    let text = manifest();
    let vector = &vectors("manifest.md", "vector manifest")[0];
    assert_eq!(text.len().to_string(), one(vector, "length"));
    assert_eq!(to_hex(&Sha256::digest(&text)), one(vector, "sha256"));
    assert_eq!(to_hex(&run_id(text.as_bytes())), one(vector, "id"));
    let value = parse(text.as_bytes(), 1 << 20).unwrap();
    let manifest = read(&value, text.as_bytes()).unwrap_or_else(|found| panic!("{found:?}"));
    assert_eq!(manifest.run_id, one(vector, "run_id"));
    manifest.check(&mut |id, path| panic!("{id:?} {path}"));
}

/// One edit of the manifest of the page gives exactly the findings that follow from it.
#[test]
fn edited_manifest() {
    let zero = "0".repeat(64);
    let cases: [(&str, &str, &str); 24] = [
        (
            "\"omphalos.manifest/1\"",
            "\"omphalos.manifest/2\"",
            "manifestVersion",
        ),
        ("\"omphalos.manifest/1\"", "1", "manifestSchema"),
        ("\"release\": null", "\"Release\": null", "jsonKeyCase"),
        ("\"schema\"", "\"\u{17f}chema\"", "jsonKeyCase"),
        (
            "\"release\": null",
            "\"releases\": null",
            "jsonUnknownField",
        ),
        ("\"cpu_count\": 2", "\"cpu_count\": true", "manifestSchema"),
        (
            "\"cpu_count\": 2",
            "\"cpu_count\":  2",
            "manifestNotCanonical",
        ),
        (
            "\"duckdb\": \"1.5.5\"",
            "\"duckdb\": \"\"",
            "manifestSchema",
        ),
        (
            "\"duckdb\": \"1.5.5\"",
            "\"duckdb\": \"1\\/5\"",
            "manifestNotCanonical",
        ),
        ("\"rows\": 1", "\"rows\": null", "manifestNotCanonical"),
        ("      \"rows\": 1,\n", "", "manifestSchema"),
        ("22T10:00:00Z", "22T10:00:60Z", "createdInvalid"),
        ("2026-11-22T", "2026-02-29T", "createdInvalid"),
        ("2026-11-22T", "0000-01-01T", "createdInvalid"),
        ("daily-488219ea26c9", "daily-488219ea26c8", "runIdMismatch"),
        ("\"name\": \"daily\"", "\"name\": \"Daily\"", "nameInvalid"),
        (
            "\"validation\": \"reports/validation.json\"",
            "\"validation\": \"nothing\"",
            "reportMissing",
        ),
        (
            "e8342bdfadb295926760ab286a0f44adc3900c0be336cdb7ada678349b8d7e2e",
            &zero,
            "merkleMismatch",
        ),
        (
            "852ea16f440ac7792fa20779e57060d65d49fab75aa4c2a92b5dd7fb1f145203",
            &zero,
            "treeMismatch",
        ),
        (
            "488219ea26c9d98de3fe9f07f062326254d78932c5f1ed7a347f583f2382c7be",
            &zero,
            "planMismatch runIdMismatch",
        ),
        (
            "\"key\": [\n        \"k\"\n      ]",
            "\"key\": [\n        \"k\",\n        \"k\"\n      ]",
            "manifestSchema",
        ),
        ("control/log.jsonl", "Manifest.json/x", "pathOwnDir"),
        (
            "control/log.jsonl",
            "Tables/matches.csv",
            "pathCaseCollision",
        ),
        (
            "2222222222222222222222222222222222222222222222222222222222222222",
            &zero,
            "planMismatch",
        ),
    ];
    for (from, to, expected) in cases {
        let text = manifest().replacen(from, to, 1);
        assert_ne!(text, manifest(), "{from}");
        let value = parse(text.as_bytes(), 1 << 20).unwrap();
        let mut found = Broken::new();
        match read(&value, text.as_bytes()) {
            Ok(manifest) => manifest.check(&mut |id, _| {
                found.insert(id);
            }),
            Err(ids) => found = ids,
        }
        let mut found: Vec<&str> = found.iter().map(|id| id.word()).collect();
        found.sort_unstable();
        assert_eq!(found.join(" "), expected, "{from} -> {to}");
    }
}

/// Every id and severity is the one docs/findings.md gives.
#[test]
fn findings_page() {
    let page = std::fs::read_to_string(common::repository("docs/findings.md")).unwrap();
    let mut last = 0;
    for id in Id::ALL {
        let row = format!("| `{}` | {} |", id.word(), id.severity().word());
        let at = page.find(&row).unwrap_or_else(|| panic!("{row}"));
        assert!(at > last, "{row} is out of order");
        last = at;
    }
    for (word, reason) in omphalos_verify::findings::NOT_CHECKED {
        assert!(page.contains(&format!("| `{word}` | {reason} |")), "{word}");
    }
}

/// The rows of a table of the corpus, without comments.
fn table(name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(common::repository("conformance").join(name)).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

/// The bytes of a row: a form and the text in it.
fn raw(row: &[String]) -> Vec<u8> {
    match row[0].as_str() {
        "json" => string(&format!("\"{}\"", row[1])).into_bytes(),
        "hex" => bytes(&row[1]),
        other => panic!("{other}"),
    }
}

/// Paths of the corpus, alone and in sets.
#[test]
fn corpus_paths() {
    let rows = table("path/table.tsv");
    assert!(rows.len() > 200);
    for row in rows {
        assert_eq!(words(&check_path_bytes(&raw(&row))), row[2], "{row:?}");
    }
    let data = std::fs::read(common::repository("conformance/path/sets.json")).unwrap();
    let value = parse(&data, 1 << 24).unwrap();
    let Value::List(cases) = &value else {
        panic!();
    };
    for case in cases {
        let items = |member| match case.get(member) {
            Some(Value::List(items)) => items,
            _ => panic!("{member}"),
        };
        let mut found = BTreeSet::new();
        let paths = items("paths").iter().map(|path| path.text().unwrap());
        check_paths(paths, &mut |id, path| {
            found.insert((id.word().to_owned(), path.to_owned()));
        });
        let text =
            |item: &Value<'_>, member: &str| item.get(member).unwrap().text().unwrap().to_owned();
        let expected: BTreeSet<(String, String)> = items("findings")
            .iter()
            .map(|item| (text(item, "id"), text(item, "path")))
            .collect();
        assert_eq!(found, expected, "{case:?}");
    }
}

/// JSON texts of the corpus, as JSON and as manifests.
#[test]
fn corpus_json() {
    let rows = table("json/table.tsv");
    assert!(rows.len() > 150);
    for row in rows {
        let data = raw(&row);
        match parse(&data, 1 << 28) {
            Err(id) => assert_eq!(id.word(), row[2], "{row:?}"),
            Ok(value) => {
                assert_eq!("ok", row[2], "{row:?}");
                let found = read(&value, &data).map(|_| ()).unwrap_err();
                assert_eq!(words(&found), row[3], "{row:?}");
            }
        }
    }
}

/// Tree heads of the corpus.
#[test]
fn corpus_heads() {
    let data = std::fs::read(common::repository("conformance/merkle/heads.json")).unwrap();
    let value = parse(&data, 1 << 24).unwrap();
    let Value::List(cases) = &value else {
        panic!();
    };
    assert!(cases.len() > 5);
    for case in cases {
        let Some(Value::List(leaves)) = case.get("leaves") else {
            panic!();
        };
        let mut head = TreeHead::default();
        for leaf in leaves {
            head.add(&bytes(leaf.text().unwrap()));
        }
        assert_eq!(
            Some(to_hex(&head.head()).as_str()),
            case.get("head").unwrap().text()
        );
    }
}

/// Bytes of tree nodes: those of the page and those of the corpus.
#[test]
fn nodes() {
    for vector in vectors("tree.md", "vector tree") {
        let data = bytes(one(&vector, "bytes"));
        assert_eq!(check_node(&data), Ok(()));
        assert_eq!(to_hex(&tree_id(&data)), one(&vector, "id"));
    }
    let refused = vectors("tree.md", "vector tree-refused");
    assert!(refused.len() >= 14);
    for vector in refused {
        let id = check_node(&bytes(one(&vector, "bytes"))).unwrap_err();
        assert_eq!(id.word(), one(&vector, "finding"));
    }
    let rows = table("node/table.tsv");
    assert!(rows.len() > 100);
    let wrong: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            let said = check_node(&bytes(&row[0])).map_or_else(|id| id.word(), |()| "ok");
            (said != row[1]).then_some((row, said))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
