"""Make the cases of the other verbs: attestations, bundles, proofs, stores.

Everything here is laid out byte by byte from the format pages; of the package only what ``make.py`` uses (ids, tree
nodes, the spelling of JSON) and nothing that reads or writes these formats, so that a case tests it. Keys are made from
words and sign deterministically: same recipes, same bytes. ``README.md`` says what stands in a recipe.

Usage: ``python conformance/make_more.py OUT``: for each case a folder ``OUT/<corpus>/<case>`` with the files,
``arguments.json`` (the command line after the program's name, to be run in that folder) and ``expect.json``.
"""

import base64
import hashlib
import json
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import gen_merkle as merkle  # beside this file, wherever it is started
import make  # as above
from cryptography.hazmat.primitives import serialization  # as above
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # as above

from omphalos.format.ids import Kind, from_hex, object_id  # as above
from omphalos.format.tree import TreeEntry, encode_tree  # as above

ROOT = Path(__file__).resolve().parent
CORPORA = ("attestation", "bundle", "proof", "store")
PERSONS = ("alice", "bob", "carol")
DER = bytes.fromhex("302a300506032b6570032100")
KINDS: tuple[Kind, ...] = ("blob", "tree", "run")
METHOD = {"job.py": b"pass\n", "lib/names.py": b"NAMES = ()\n", "lib/score.py": b"def score(): ...\n"}
Case = dict[str, Any]
Edit = dict[str, Any]


# ---- keys and attestations


def key_of(person: str) -> Ed25519PrivateKey:
    """Return the private key of a person of the corpus."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"omphalos conformance {person}".encode()).digest())


def raw_of(person: str) -> bytes:
    """Return the 32 bytes of a person's public key."""
    return key_of(person).public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def keyid_of(person: str) -> str:
    """Return a person's keyid."""
    return hashlib.sha256(DER + raw_of(person)).hexdigest()


def write_keys(place: Path) -> None:
    """Write every form of key a case may name."""
    place.mkdir(parents=True)
    for person in PERSONS:
        raw = raw_of(person)
        pem = f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(DER + raw).decode()}\n-----END PUBLIC KEY-----\n"
        (place / f"{person}.pub").write_text(pem)
        (place / f"{person}.hex").write_text(raw.hex())
        (place / f"{person}.hexline").write_text(raw.hex() + "\n")
        (place / f"{person}.crlf").write_text(pem.replace("\n", "\r\n"), newline="")
        (place / f"{person}.upper").write_text(raw.hex().upper())
        (place / f"{person}.spaced").write_text(f" {raw.hex()}")
        (place / f"{person}.twolines").write_text(raw.hex() + "\n\n")
    (place / "empty.pub").write_bytes(b"")
    (place / "large.pub").write_bytes(b"a" * 5000)


def pae(kind: bytes, payload: bytes, length: int | None = None) -> bytes:
    """Return what is signed; ``length`` states another length, as a wrong program would."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload) if length is None else length, payload)


def envelope(manifest: bytes, edit: Edit) -> bytes:
    """Return the bytes of an attestation of a manifest, good but for what the edit says.

    ``by``: who signs; ``statement``, ``envelope``: edits of these as values; ``payload``: text signed in place of the
    statement; ``sign``: ``characters`` (lengths count characters), ``plain`` (no PAE), ``payload`` (its base64), or a
    type; ``alphabet``: ``url`` or ``mixed``; ``as``: whose keyid is written; ``replace``: pairs of text in the result.
    """
    run = json.loads(manifest)
    digest = {"sha256": hashlib.sha256(manifest).hexdigest(), "blake3": object_id("blob", manifest).hex()}
    predicate = {
        "runId": run["run_id"],
        "merkleRoot": run["merkle_root"],
        "treeSize": len(run["artifacts"]),
        "signedAt": "2026-11-23T09:00:00Z",
    }
    statement: Any = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "manifest.json", "digest": digest}],
        "predicateType": "urn:omphalos:run:v1",
        "predicate": predicate,
    }
    change(statement, edit.get("statement", []))
    payload = edit["payload"].encode() if "payload" in edit else make.spell(statement)
    kind, how = b"application/vnd.in-toto+json", edit.get("sign", "")
    message = {
        "": pae(kind, payload),
        "characters": pae(kind, payload, len(payload.decode())),
        "plain": payload,
        "payload": pae(kind, base64.b64encode(payload)),
    }.get(how, pae(how.encode(), payload))
    signatures = []
    for person in edit.get("by", ["alice"]):
        sig = key_of(person).sign(message)
        who = edit.get("as", person)
        listed = {"sig": base64.b64encode(sig).decode()}
        signatures.append(listed if who is None else {"keyid": keyid_of(who) if who in PERSONS else who, **listed})
    value: Any = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": kind.decode(),
        "signatures": signatures,
    }
    if edit.get("alphabet") == "url":
        value["payload"] = value["payload"].replace("+", "-").replace("/", "_")
        for item in value["signatures"]:
            item["sig"] = item["sig"].replace("+", "-").replace("/", "_")
    change(value, edit.get("envelope", []))
    text = make.spell(value)
    text = replaced(text, edit.get("replace", []))
    return bytes.fromhex(edit["prefix_hex"]) + text if "prefix_hex" in edit else text


def replaced(text: bytes, pairs: list[list[str]]) -> bytes:
    """Return bytes with the first place of each old text replaced; it must be there."""
    for old, new in pairs:
        if old.encode() not in text:
            raise ValueError(f"nothing to replace: {old}")
        text = text.replace(old.encode(), new.encode(), 1)
    return text


def change(value: Any, edits: list[Edit]) -> None:
    """Change a JSON value in place: ``at`` with ``value``, or ``insert``, ``delete``, ``flip``, ``times``, ``swap``."""
    for edit in edits:
        holder = value
        for step in edit["at"][:-1]:
            holder = holder[step]
        last = edit["at"][-1]
        if "delete" in edit:
            del holder[last]
        elif "insert" in edit:
            holder.insert(last, json.loads(json.dumps(edit["insert"])))
        elif "copy" in edit:
            holder.insert(edit["copy"], json.loads(json.dumps(holder[last])))
        elif "times" in edit:
            holder[last] = holder[last] * edit["times"]
        elif "swap" in edit:
            holder[last], holder[edit["swap"]] = holder[edit["swap"]], holder[last]
        elif "flip" in edit:  # one bit of a text of base64 or hex
            data = bytearray(base64.b64decode(holder[last]))
            data[edit["flip"]] ^= 1
            holder[last] = base64.b64encode(data).decode()
        else:
            holder[last] = edit["value"]


def _attest(folder: make.Folder, edit: Edit) -> None:
    for number in range(edit.get("count", 1)):
        path = folder.path({"path": f"attestations/{edit['name'].replace('{}', f'{number:03}')}"})
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(envelope((folder.place / "manifest.json").read_bytes(), edit))


def run_directory(case: Case, place: Path) -> Path:
    """Make a run directory with attestations, in the order of its edits."""
    make.build({"base": case["base"], "edits": []}, place)
    for edit in case.get("edits", []):
        if edit["do"] == "attest":
            _attest(make.Folder(place), edit)
        else:
            make.apply(make.Folder(place), [edit])
    return place


# ---- bundles


def header(name: bytes, size: int) -> bytearray:
    """Return a member's header, by the table of the format page."""
    data = bytearray(512)
    data[: len(name)] = name
    for at, text in (
        (100, b"0000644"),
        (108, b"0000000"),
        (116, b"0000000"),
        (124, b"%011o" % size),
        (136, b"00000000000"),
        (156, b"0"),
        (257, b"ustar\x0000"),
        (329, b"0000000"),
        (337, b"0000000"),
    ):
        data[at : at + len(text)] = text
    return seal(data)


def seal(data: bytearray) -> bytearray:
    """Put the right checksum into a header."""
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\x00 " % sum(data)
    return data


class Bundle:
    """A bundle while it is edited: members in order, by what they are called in recipes."""

    def __init__(self, runs: list[Case], scratch: Path) -> None:
        self.data: dict[str, bytes] = {}  # member → bytes
        self.names: dict[str, str] = {}  # word of a recipe → member
        listed = []
        for number, run in enumerate(runs):
            nodes = self._method() if run.get("method", True) else ""
            seals = [{"do": "set", "at": ["plan", "method"], "value": nodes}, {"do": "seal"}] if nodes else []
            folder = make.build({"base": run["base"], "edits": [*run.get("edits", []), *seals]}, scratch / str(number))
            for edit in run.get("attest", []):
                _attest(make.Folder(folder), edit)
            listed.append(self._run(folder, number))
        self.index: Any = {"schema": "omphalos.bundle/1", "runs": sorted(listed, key=lambda item: item["run_id"])}
        self.index["members"] = [self._member(name) for name in sorted(self.data)]

    def _add(self, folder: str, kind: Kind, data: bytes, word: str) -> str:
        oid = object_id(kind, data).hex()
        self.data[f"{folder}/{oid}"] = data
        self.names[word] = f"{folder}/{oid}"
        return oid

    def _method(self) -> str:
        inner = []
        for path in ("lib/names.py", "lib/score.py"):
            oid = self._add("payload", "blob", METHOD[path], path)
            inner.append(TreeEntry(path.split("/")[1], "blob", len(METHOD[path]), from_hex(oid)))
        lib = self._add("nodes", "tree", encode_tree(inner), "node:lib")
        job = self._add("payload", "blob", METHOD["job.py"], "job.py")
        total = sum(entry.size for entry in inner)
        entries = [
            TreeEntry("job.py", "blob", len(METHOD["job.py"]), from_hex(job)),
            TreeEntry("lib", "tree", total, from_hex(lib)),
        ]
        return self._add("nodes", "tree", encode_tree(entries), "node:root")

    def _run(self, folder: Path, number: int) -> Any:
        raw = (folder / "manifest.json").read_bytes()
        manifest = json.loads(raw)
        oid = self._add("manifests", "run", raw, f"manifest:{number}")
        for file in (*manifest["artifacts"], *manifest["control"]):
            self._add("payload", "blob", (folder / file["path"]).read_bytes(), file["path"])
        attestations = []
        for path in sorted((folder / "attestations").glob("*")):
            name = f"statement:{number}:{path.name}"
            attestations.append({"name": path.name, "id": self._add("statements", "blob", path.read_bytes(), name)})
        return {"run_id": manifest["run_id"], "run": oid, "attestations": attestations}

    def _member(self, name: str) -> Any:
        data = self.data[name]
        return {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    def name(self, word: str) -> str:
        """Return the member that a word of a recipe stands for."""
        return "bundle.json" if word == "index" else self.names.get(word, word)

    def resolve(self, text: Any) -> Any:
        """Replace ``<word>`` in every text of a value by the member it stands for, ``<#word>`` by the id alone."""
        if isinstance(text, str):
            for word, name in self.names.items():
                text = text.replace(f"<{word}>", name).replace(f"<#{word}>", name.split("/")[1])
            return text
        if isinstance(text, list):
            return [self.resolve(item) for item in text]
        return {key: self.resolve(item) for key, item in text.items()} if isinstance(text, dict) else text

    def write(self, edits: list[Edit]) -> bytes:
        """Apply edits and return the file.

        ``index`` (edits of the index as a value), ``announce`` (a member anew in the index, or first), ``data``,
        ``drop``, ``add``, ``move``, ``header`` come first, in order; then ``file`` edits on the bytes of all.
        """
        order = sorted(self.data)
        self.names["last"] = order[-1]
        heads: dict[str, list[Edit]] = {}
        extra: list[tuple[str, bytes, bytes]] = []  # before which member, header, bytes
        padded: dict[str, bytes] = {}
        for edit in edits:
            what = edit["do"]
            word = self.name(edit.get("member", ""))
            if what == "index":
                change(self.index, self.resolve(edit["edits"]))
            elif what == "data":
                self.data[word] = make.content(edit)
            elif what == "flip_member":
                self.data[word] = bytes([self.data[word][0] ^ 1]) + self.data[word][1:]
            elif what == "store":  # another member, in the archive and in the index
                data = make.content(edit)
                name = f"{edit['folder']}/{object_id(edit['kind'], data).hex()}"
                self.data[name], self.names[edit["word"]] = data, name
                order = sorted([*order, name])
                self.index["members"] = sorted([*self.index["members"], self._member(name)], key=lambda m: m["name"])
            elif what == "forget":  # out of the archive and the index
                order.remove(word)
                self.index["members"] = [item for item in self.index["members"] if item["name"] != word]
            elif what == "drop":
                order.remove(word)
            elif what == "move":
                order.remove(word)
                order.insert(edit["to"], word)
            elif what == "header":
                heads.setdefault(word, []).append(edit)
            elif what == "add":
                data = make.content(edit)
                name = bytes.fromhex(edit["name_hex"]) if "name_hex" in edit else self.name(edit["name"]).encode()
                head = header(name, len(data))
                for patch in edit.get("patch", []):
                    head[patch["at"] : patch["at"] + len(patch["text"])] = patch["text"].encode()
                extra.append((self.name(edit["before"]), bytes(seal(head)), data))
            elif what == "padding":
                padded[word] = bytes.fromhex(edit["hex"])
        text = make.spell(self.index)
        for edit in edits:
            if edit["do"] == "index_text":
                text = replaced(text, edit["replace"])
                text = bytes.fromhex(edit.get("prefix_hex", "")) + text
        out = bytearray()
        for name in ["bundle.json", *order, "end"]:
            for before, head, data in extra:
                if before == name:
                    out += head + data + bytes(-len(data) % 512)
            if name == "end":
                break
            data = text if name == "bundle.json" else self.data[name]
            recorded = next(
                (m["size"] for m in self.index["members"] if m["name"] == name and type(m["size"]) is int), len(data)
            )
            head = header(name.encode(), len(data) if name == "bundle.json" else recorded)
            for edit in heads.get(name, []):
                patch = bytes.fromhex(edit["hex"]) if "hex" in edit else edit["text"].encode()
                head[edit["at"] : edit["at"] + len(patch)] = patch
                if edit.get("seal", True):
                    seal(head)
            pad = padded.get(name, bytes(-len(data) % 512))
            out += head + data + pad
        out += bytes(1024)
        return _file_edits(bytes(out), edits)


def _file_edits(out: bytes, edits: list[Edit]) -> bytes:
    """Apply ``file`` edits to bytes: ``truncate``, ``append``, ``prepend``, ``flip``, ``replace_all``."""
    data = bytearray(out)
    for edit in edits:
        if edit["do"] != "file":
            continue
        if "truncate" in edit:
            del data[edit["truncate"] :]
        if "append_hex" in edit:
            data += bytes.fromhex(edit["append_hex"]) * edit.get("times", 1)
        if "prepend_hex" in edit:
            data[:0] = bytes.fromhex(edit["prepend_hex"])
        if "flip" in edit:
            data[edit["flip"]] ^= 1
        if "replace_all" in edit:
            data = bytearray(edit["replace_all"].encode())
    return bytes(data)


def build_bundle(case: Case, place: Path) -> Any:
    """Write ``runs.omphalos`` and return the expectation with ids in place of words."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle = Bundle(case["runs"], Path(scratch))
    data = bundle.write(case.get("edits", []))
    (place / "runs.omphalos").write_bytes(data)
    return bundle.resolve(case["expect"])


# ---- proofs


def leaf_of(artifact: Any) -> bytes:
    """Return the hash of an artifact's leaf: canonical msgpack, written by hand."""
    path, size = artifact["path"].encode(), artifact["size"]
    if len(path) >= 1 << 8 or size >= 1 << 16:
        raise ValueError("an artifact beyond what this writes")
    head = bytes([0xA0 + len(path)]) if len(path) < 32 else bytes([0xD9, len(path)])
    number = bytes([size]) if size < 128 else b"\xcc%c" % size if size < 256 else b"\xcd" + size.to_bytes(2, "big")
    digests = b"".join(b"\xc4\x20" + bytes.fromhex(artifact[name]) for name in ("sha256", "blake3"))
    return b"\x94" + head + path + number + digests


def proof_of(manifest: Any, path: str) -> Any:
    """Return the proof of an artifact, by the recursive definition of RFC 6962."""
    leaves = [leaf_of(item) for item in manifest["artifacts"]]
    place = next(at for at, item in enumerate(manifest["artifacts"]) if item["path"] == path)
    item = manifest["artifacts"][place]
    return {
        "schema": "omphalos.proof/1",
        "run_id": manifest["run_id"],
        "artifact": {name: item[name] for name in ("path", "size", "sha256", "blake3")},
        "index": place,
        "tree_size": len(leaves),
        "hashes": [sibling.hex() for sibling in merkle.path(place, leaves)],
        "merkle_root": merkle.head(leaves).hex(),
        "envelope": None,
    }


def build_proof(case: Case, place: Path) -> Any:
    """Write ``artifact.proof`` and ``artifact``, and return the expectation."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = make.build(
            {"base": case.get("base", "plain"), "edits": case.get("run_edits", [])}, Path(scratch) / "r"
        )
        raw = (folder / "manifest.json").read_bytes()
        manifest = json.loads(raw)
        path = case.get("artifact", "exports/review.csv")
        shutil.copyfile(folder / path, place / "artifact")
    proof = proof_of(manifest, path)
    if "attest" in case:
        proof["envelope"] = envelope(raw, case["attest"]).decode()
    true_root = proof["merkle_root"]
    change(proof, case.get("edits", []))
    text = make.spell(proof)
    text = replaced(text, case.get("replace", []))
    (place / "artifact.proof").write_bytes(bytes.fromhex(case.get("prefix_hex", "")) + text)
    make.apply(make.Folder(place), case.get("files", []))
    case["arguments"] = [part.replace("<root>", true_root) for part in case.get("arguments", [])]
    return case["expect"]


def proof_mutations() -> Iterator[tuple[str, Case]]:
    """Yield the mutation families of transparency-dev/merkle on proofs of every artifact of the base."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = make.build({"base": "plain", "edits": []}, Path(scratch) / "r")
        manifest = json.loads((folder / "manifest.json").read_bytes())
    size = len(manifest["artifacts"])
    other = hashlib.sha256(b"another").hexdigest()
    for number, item in enumerate(manifest["artifacts"]):
        good = proof_of(manifest, item["path"])
        hashes = good["hashes"]
        families: dict[str, list[Edit]] = {
            "index-plus-1": [{"at": ["index"], "value": number + 1}],
            "index-plus-2": [{"at": ["index"], "value": number + 2}],
            "index-times-16": [{"at": ["index"], "value": (number or 1) * 16}],
            "index-huge": [{"at": ["index"], "value": 2**53 - 1}],
            "size-0": [{"at": ["tree_size"], "value": 0}],
            "size-is-index": [{"at": ["tree_size"], "value": number}],
            "size-times-2": [{"at": ["tree_size"], "value": size * 2}],
            "size-times-16": [{"at": ["tree_size"], "value": size * 16}],
            "size-half": [{"at": ["tree_size"], "value": size // 2}],
            "size-huge": [{"at": ["tree_size"], "value": 2**53 - 1}],
            "leaf-size": [{"at": ["artifact", "size"], "value": item["size"] + 1}],
            "leaf-blake3": [{"at": ["artifact", "blake3"], "value": other}],
            "root-other": [{"at": ["merkle_root"], "value": other}],
            "root-of-nothing": [{"at": ["merkle_root"], "value": hashlib.sha256(b"").hexdigest()}],
            "no-proof": [{"at": ["hashes"], "value": []}],
            "leading-garbage": [{"at": ["hashes", 0], "insert": other}],
            "leading-root": [{"at": ["hashes", 0], "insert": good["merkle_root"]}],
            "trailing-garbage": [{"at": ["hashes", len(hashes)], "insert": other}],
            "trailing-root": [{"at": ["hashes", len(hashes)], "insert": good["merkle_root"]}],
            "removed-first": [{"at": ["hashes", 0], "delete": True}],
            "removed-last": [{"at": ["hashes", len(hashes) - 1], "delete": True}],
            "sixty-four": [{"at": ["hashes"], "value": [other] * 64}],
        }
        for at in range(len(hashes)):
            flipped = f"{int(hashes[at][0], 16) ^ 8:x}{hashes[at][1:]}"
            families[f"modified-at-{at}"] = [{"at": ["hashes", at], "value": flipped}]
            if at + 1 < len(hashes):
                families[f"swapped-at-{at}"] = [{"at": ["hashes", at], "swap": at + 1}]
        for name, edits in families.items():
            changed = json.loads(json.dumps(good))
            change(changed, edits)
            if _equivalent(changed, good):
                continue
            found = [{"id": "inclusionInvalid", "path": "proof"}]
            about = f"{name} in the proof of artifact {number}"
            expect: Any = {"verdict": "refused", "findings": found}
            if changed["artifact"] != good["artifact"]:
                what = "sizeMismatch" if name == "leaf-size" else "hashDisagree"
                expect["findings"] = sorted([*found, {"id": what, "path": "file"}], key=lambda f: f["id"])
            if changed["merkle_root"] != good["merkle_root"]:
                found.append({"id": "rootMismatch", "path": "proof"})
            case = {"about": about, "artifact": item["path"], "edits": edits, "arguments": ["--root", "<root>"]}
            yield f"mutation-{number:02}-{name}", {**case, "expect": expect}


def _equivalent(changed: Any, good: Any) -> bool:
    """Say whether only place or size changed, and both trees have the same way up: then the proof still holds."""
    same = all(changed[name] == good[name] for name in ("hashes", "merkle_root", "artifact"))
    if not same or not changed["index"] < changed["tree_size"]:
        return False
    return merkle.shape(changed["index"], changed["tree_size"]) == merkle.shape(good["index"], good["tree_size"])


# ---- stores


def build_store(case: Case, place: Path) -> Any:
    """Lay out ``store`` and return the expectation with ids in place of words."""
    root = place / "store"
    ids, data, kinds = _objects(case.get("objects", []), place)
    files: dict[str, bytearray] = {}
    for folder in ("objects/large", "objects/packs", "refs"):
        (root / folder).mkdir(parents=True)
    for item in case.get("objects", []):
        if "in" not in item:
            continue
        body = data[item["name"]] if "body" not in item else item["body"].encode()
        if item["in"] == "large":
            oid = ids[item.get("claim", item["name"])]
            path = root / "objects/large" / oid[:2] / oid[2:]
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(body)
            continue
        segment = files.setdefault(item["in"], bytearray(b"omphalos pack 1\n"))
        kind = item.get("kind_byte", KINDS.index(kinds[item["name"]]))
        length = item.get("length", len(body)).to_bytes(4, "little")
        first = b"\xf1omp" + bytes([item.get("version", 1), kind, 0, 0]) + length
        first += bytes.fromhex(ids[item.get("claim", item["name"])])
        check = zlib.crc32(first) ^ (1 if item.get("bad_check") else 0)
        segment += first + check.to_bytes(4, "little") + body + bytes.fromhex(item.get("after_hex", ""))
    for name, segment in files.items():
        (root / "objects/packs" / name).write_bytes(segment)
    for item in case.get("lists", []):
        oid = ids[item["makes"]]
        path = root / "objects/chunked" / oid[:2] / oid[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_list(item, ids, data))
    for name, target in case.get("refs", {}).items():
        path = root / "refs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{ids.get(target, target)}\n")
    for edit in _named(case.get("edits", []), ids):
        if edit["do"] == "cut":
            path = root / edit["path"]
            path.write_bytes(path.read_bytes()[: -edit["by"]])
        else:
            make.apply(make.Folder(root), [edit])
    return _named(case["expect"], ids)


def _objects(items: list[Any], place: Path) -> tuple[dict[str, str], dict[str, bytes], dict[str, Kind]]:
    """Return ids, bytes and kinds of the objects of a recipe, by the names it gives them."""
    ids: dict[str, str] = {"nothing": "00" * 32}
    data: dict[str, bytes] = {}
    kinds: dict[str, Kind] = {}
    for item in items:
        name, kind = item["name"], item["kind"]
        if "bytes_of" in item:
            raw = data[item["bytes_of"]]
        elif kind == "blob" or "hex" in item or "text" in item:
            raw = make.content(item)
        elif kind == "tree":
            entries = []
            for entry in item["entries"]:
                size = entry[2] if len(entry) > 2 else _size(entry[1], items, data)
                of: Any = entry[3] if len(entry) > 3 else kinds.get(entry[1], "blob")
                entries.append(TreeEntry(entry[0], of, size, from_hex(ids[entry[1]])))
            raw = encode_tree(entries)
        else:
            raw = _manifest(item, ids, place)
        data[name], kinds[name], ids[name] = raw, kind, object_id(kind, raw).hex()
    return ids, data, kinds


def _list(item: Any, ids: dict[str, str], data: dict[str, bytes]) -> bytes:
    """Return a list of chunks: of names, or of names with the length that is said for them."""
    rows = [(row, len(data[row])) if isinstance(row, str) else (row[0], int(row[1])) for row in item["chunks"]]
    size = item.get("size", sum(length for _, length in rows))
    first = b"omphalos list 1\n" + int(size).to_bytes(8, "little")
    first += b"".join(bytes.fromhex(ids[name]) + length.to_bytes(4, "little") for name, length in rows)
    return first + object_id("blob", first)


def _size(name: str, items: list[Any], data: dict[str, bytes]) -> int:
    item = next(item for item in items if item["name"] == name)
    if item["kind"] != "tree" or "entries" not in item:
        return len(data[name])
    return sum(entry[2] if len(entry) > 2 else _size(entry[1], items, data) for entry in item["entries"])


def _manifest(item: Any, ids: dict[str, str], place: Path) -> bytes:
    """Return the bytes of a run object: the base's manifest with edits; texts that are words become ids."""
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        folder = make.build({"base": "plain", "edits": []}, Path(scratch) / "r")
        manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["control"] = []
    change(manifest, _named(item.get("edits", []), ids))
    return make.spell(manifest)


def _named(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, str):
        for word, oid in ids.items():
            value = value.replace(f"<{word}/>", f"{oid[:2]}/{oid[2:]}").replace(f"<{word}>", oid)
        return value
    if isinstance(value, list):
        return [_named(item, ids) for item in value]
    return {key: _named(item, ids) for key, item in value.items()} if isinstance(value, dict) else value


# ---- all of them


def cases(corpus: str) -> Iterator[tuple[str, Case]]:
    """Yield every case of a corpus with its name, those that are generated last."""
    listed = json.loads((ROOT / corpus / "cases.json").read_text("utf-8"))
    yield from listed.items()
    if corpus == "proof":
        yield from proof_mutations()


def build(corpus: str, case: Case, place: Path) -> tuple[list[str], Any]:
    """Make one case in the folder ``place``, which must not exist; return its command line and its expectation."""
    place.mkdir(parents=True)
    case = json.loads(json.dumps(case))
    if corpus in ("attestation", "bundle") or case.get("keys"):
        write_keys(place / "keys")
    if corpus == "attestation":
        run_directory(case, place / "run")
        expect, last = case["expect"], ["verify-run", ["run"]]
    elif corpus == "bundle":
        expect, last = build_bundle(case, place), ["verify-bundle", ["runs.omphalos"]]
    elif corpus == "proof":
        expect, last = build_proof(case, place), ["verify-proof", ["artifact.proof", "artifact"]]
    else:
        expect, last = build_store(case, place), ["verify-store", ["store"]]
    make.apply(make.Folder(place), case.get("around", []))
    for person in case.get("keys", []):
        name = person if "." in person else f"{person}.pub"
        case.setdefault("arguments", []).extend(["--key", f"keys/{name}"])
    arguments = [str(last[0]), "--json", *case.get("arguments", []), *(case.get("named") or last[1])]
    expect = {"exit": {"verified": 0, "refused": 1, "incomplete": 3}.get(expect["verdict"]), "signed_by": [], **expect}
    expect["signed_by"] = sorted(keyid_of(person) for person in expect["signed_by"])
    return arguments, expect


def main() -> int:
    """Write every case into the folder named on the command line."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)  # noqa: T201  # a program that writes its usage
        return 2
    for corpus in CORPORA:
        for name, case in cases(corpus):
            place = Path(sys.argv[1]) / corpus / name
            arguments, expect = build(corpus, case, place)
            for file, value in (("arguments.json", arguments), ("expect.json", expect)):
                text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
                (place / file).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
