"""Random damage to what the other verbs judge: attestations, bundles, proofs, stores, made by ``make_more.py``.

Each function takes a folder in which a case lies and a source of chance, and changes something in it. What is damaged
is often made consistent again (a header gets its checksum, an object its id, a statement its signature), as somebody
would who wants to be believed: otherwise verifiers would seldom be asked about more than a digest.
"""

import base64
import json
import os
import random
import shutil
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from omphalos.format.errors import OmphalosError
from omphalos.format.ids import Kind, object_id

VALUES: tuple[Any, ...] = (
    None, True, 0, 1, 2**53 - 1, 2**53, -1, 1.5, "", "x", "ab" * 32, "AB" * 32, "00" * 32, [], {}, ["a"], {"a": 1},
    "a" * 1025, "../x", "a.json", "a/b.json", "con.json", "é.json", "e\u0301", "omphalos.bundle/2",
    "nodes/" + "00" * 32, "urn:omphalos:recomputation:v1", "urn:x", "identical", "different",
)  # fmt: skip
KEYS = ("Size", "SHA256", "extra", "path", "size", "keyid", "blake3", "sha256", "schema", "predicate", "outcome", "")
REFS = ("runs/x", "runs/x/y", "tags/con", "tags/.x", "tags/e\u0301", "x", "holds/x", "tags/a b ", "remotes/a/runs/b")
FOLDERS: dict[str, Kind] = {"manifests": "run", "nodes": "tree", "payload": "blob", "statements": "blob"}
KINDS: tuple[Kind, ...] = ("blob", "tree", "run")
MAGIC = b"\xf1omp"


def flip(data: bytes, chance: random.Random, below: int | None = None) -> bytes:
    """Flip a bit, perhaps only of the first bytes."""
    out = bytearray(data or b"\x00")
    at = chance.randrange(min(len(out), below or len(out)))
    out[at] ^= 1 << chance.randrange(8)
    return bytes(out)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Change bytes: flip, cut, repeat, insert, append."""
    at, length = chance.randrange(len(data) + 1), chance.choice((1, 2, 48, 512, 600))
    filler = chance.choice((b"\x00", b"x", MAGIC, b"\n", b"\x00" * 512, b"\x00" * 1024, data[at : at + length]))
    return chance.choice(
        (
            flip(data, chance),
            flip(data, chance),
            data[:at],
            data[:at] + data[at + length :],
            data[:at] + filler + data[at:],
            data + filler,
        )
    )


def changed(value: Any, chance: random.Random) -> None:
    """Change a JSON value in place, somewhere."""
    places: list[tuple[Any, Any]] = []

    def collect(holder: Any) -> None:
        for key in sorted(holder) if isinstance(holder, dict) else range(len(holder)):
            places.append((holder, key))
            if isinstance(holder[key], dict | list):
                collect(holder[key])

    collect(value)
    holder, key = chance.choice(places)
    kind = chance.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[chance.choice((*KEYS, key.upper()))] = holder.pop(key)
    elif kind == 2 and isinstance(holder, list):
        holder.insert(chance.randrange(len(holder) + 1), json.loads(json.dumps(holder[key])))
    elif kind == 3 and isinstance(holder, list):
        other = chance.randrange(len(holder))
        holder[key], holder[other] = holder[other], holder[key]
    elif kind == 4:
        other_holder, other = chance.choice(places)
        if other in other_holder if isinstance(other_holder, dict) else other < len(other_holder):
            holder[key] = json.loads(json.dumps(other_holder[other]))
    else:
        holder[key] = chance.choice(VALUES)


def respelled(make: ModuleType, data: bytes, chance: random.Random) -> bytes:
    """Change JSON as a value and spell it again, or change its bytes."""
    if chance.random() < 0.2:
        return damaged(data, chance)
    value = json.loads(data)
    for _ in range(chance.choice((1, 1, 2))):
        changed(value, chance)
    return bytes(make.make.spell(value))


def resigned(make: ModuleType, text: bytes, chance: random.Random) -> bytes:
    """Change an attestation: its bytes, its envelope, or what it says, signed again."""
    if chance.random() < 0.4:
        return respelled(make, text, chance)
    value = json.loads(text)
    payload = respelled(make, base64.b64decode(value["payload"]), chance)
    sig = make.key_of("alice").sign(make.pae(value["payloadType"].encode(), payload))
    value["payload"] = base64.b64encode(payload).decode()
    value["signatures"] = [{"keyid": make.keyid_of("alice"), "sig": base64.b64encode(sig).decode()}]
    return bytes(make.make.spell(value))


def attestation(make: ModuleType, place: Path, chance: random.Random) -> None:
    """Damage an attestation of a run directory."""
    every = sorted(path for path in (place / "run" / "attestations").iterdir() if path.is_file())
    path = chance.choice(every)
    path.write_bytes(resigned(make, path.read_bytes(), chance))
    if chance.random() < 0.2:
        shutil.copyfile(path, path.with_name(chance.choice(("z.json", "z.txt", "é.json", ".json"))))


def proof(make: ModuleType, place: Path, chance: random.Random) -> None:
    """Damage a proof, the envelope in it, or the file."""
    path = place / "artifact.proof"
    data = path.read_bytes()
    value = json.loads(data)
    if chance.random() < 0.15:
        (place / "artifact").write_bytes(damaged((place / "artifact").read_bytes(), chance))
    elif value["envelope"] and chance.random() < 0.6:
        value["envelope"] = resigned(make, value["envelope"].encode(), chance).decode("utf-8", "replace")
        path.write_bytes(make.make.spell(value))
    else:
        path.write_bytes(respelled(make, data, chance))


# ---- bundles


def unpacked(data: bytes) -> tuple[Any, dict[str, bytes]]:
    """Return the index of a good bundle, and its members in order."""
    size, at = int(data[124:135], 8), 512
    index = json.loads(data[at : at + size])
    members = {}
    at += -(-size // 512) * 512
    for member in index["members"]:
        members[member["name"]] = data[at + 512 : at + 512 + member["size"]]
        at += 512 + -(-member["size"] // 512) * 512
    return index, members


def packed(make: ModuleType, index: Any, members: dict[str, bytes]) -> bytes:
    """Return the bytes of a bundle with this index and these members."""
    out = b""
    for name, data in (("bundle.json", make.make.spell(index)), *members.items()):
        out += bytes(make.header(name.encode(), len(data))) + data + bytes(-len(data) % 512)
    return out + bytes(1024)


def renamed(index: Any, old: str, data: bytes, members: dict[str, bytes]) -> dict[str, bytes]:
    """Give a member other bytes, with their right id in the index and wherever the index names it."""
    folder, was = old.split("/")
    oid = object_id(FOLDERS[folder], data).hex()
    text = json.dumps(index).replace(was, oid)
    index.clear()
    index.update(json.loads(text))
    for member in index["members"]:
        if member["name"] == f"{folder}/{oid}":
            member.update(size=len(data), sha256=sha256(data).hexdigest())
    index["members"].sort(key=lambda member: str(member["name"]))
    changed_members = {name: content for name, content in members.items() if name != old}
    return dict(sorted({**changed_members, f"{folder}/{oid}": data}.items()))


def bundle(make: ModuleType, place: Path, chance: random.Random) -> None:
    """Damage a bundle: bytes, a header, the index, a member, or a member with its id."""
    path = place / "runs.omphalos"
    data = path.read_bytes()
    index, members = unpacked(data)
    starts = [0]
    for size in (int(data[124:135], 8), *(len(content) for content in members.values())):
        starts.append(starts[-1] + 512 + -(-size // 512) * 512)
    kind = chance.randrange(7)
    if kind == 0:
        data = damaged(data, chance)
    elif kind == 1:  # a header, sealed again or not
        at = chance.choice(starts[:-1])
        header = bytearray(flip(data[at : at + 512], chance, 400))
        if chance.random() < 0.5:
            header[156] = ord(chance.choice("1234567xgLKS\x00"))
        data = data[:at] + bytes(make.seal(header) if chance.random() < 0.8 else header) + data[at + 512 :]
    elif kind == 2:  # whole members
        one, other = sorted(chance.sample(range(len(starts)), 2))
        part = data[starts[one] : starts[other]]
        to = chance.choice(starts)
        data = chance.choice((data[: starts[one]] + data[starts[other] :], data[:to] + part + data[to:]))
    elif kind in (3, 4):  # the index as a value
        for _ in range(chance.choice((1, 1, 2))):
            changed(index, chance)
        if chance.random() < 0.3 and isinstance(index.get("members"), list):
            index["members"] = [m for m in index["members"] if isinstance(m, dict)]
            gone = chance.choice(sorted(members))
            index["members"] = [m for m in index["members"] if m.get("name") != gone]
            del members[gone]
        data = packed(make, index, members)
    else:  # a member, with its right id
        name = chance.choice(sorted(members))
        if chance.random() < 0.6:
            name = chance.choice([n for n in sorted(members) if not n.startswith("payload/")])
        content = members[name]
        if name.startswith("manifests/"):
            content = respelled(make, content, chance)
        elif name.startswith("statements/"):
            content = resigned(make, content, chance)
        else:
            content = damaged(content, chance)
        data = packed(make, index, renamed(index, name, content, members))
    path.write_bytes(data)


# ---- stores


def record(kind: int, data: bytes, oid: bytes, version: int = 1, length: int | None = None) -> bytes:
    """Return a record whose header has its check."""
    first = MAGIC + bytes([version, kind, 0, 0]) + (len(data) if length is None else length).to_bytes(4, "little") + oid
    return first + zlib.crc32(first).to_bytes(4, "little") + data


def segment(data: bytes, chance: random.Random) -> bytes:
    """Damage a segment record by record."""
    parts, at = [data[:16]], 16
    while data[at : at + 4] == MAGIC:
        end = at + 48 + int.from_bytes(data[at + 8 : at + 12], "little")
        parts.append(data[at:end])
        at = end
    parts.append(data[at:])
    number = chance.randrange(len(parts))
    one = parts[number]
    kind = chance.randrange(6)
    if kind == 0 and len(one) >= 48:
        what = chance.choice((0, 1, 2, 3, 200))
        length = chance.choice((None, 0, len(one), len(one) - 49 if len(one) > 49 else 0, 2**20, 2**20 + 1))
        parts[number] = record(what, one[48:], one[12:44], chance.choice((1, 1, 1, 2)), length)
    elif kind == 1:
        parts[number] = damaged(one, chance)
    elif kind == 2:
        parts.insert(number, chance.choice(parts))
    elif kind == 3:
        del parts[number]
    elif kind == 4:
        parts.insert(number, chance.choice((b"\x00" * 60, b"x", MAGIC, MAGIC * 20, one[:47], one[:48], b"\x00")))
    else:
        parts.append(chance.choice((b"\x00" * 60, MAGIC, one[:20], one[:48], b"\x00x", b"\xf1", b"\xf1x")))
    return b"".join(parts)


def store(make: ModuleType, place: Path, chance: random.Random) -> None:
    """Damage a store: a file of it, a segment, what lies there, or an object with its id and a ref to it."""
    root = place / "store"
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    packs = [path for path in files if path.parent.name == "packs"]
    path = chance.choice(files)
    kind = chance.randrange(8)
    if kind == 0:
        path.write_bytes(damaged(path.read_bytes(), chance))
    elif kind == 1:
        path.unlink()
        chance.choice(
            (
                lambda: None,
                lambda: path.symlink_to("x"),
                lambda: path.symlink_to("."),
                lambda: os.mkfifo(path),
                path.mkdir,
            )
        )()
    elif kind == 2:
        name = chance.choice(REFS)
        oid = chance.choice([chance.randbytes(32).hex(), *_ids(packs)])
        target = root / "refs" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(oid + chance.choice(("\n", "\n", "", "\n\n")))
    elif kind == 3 and packs:
        moved = chance.choice(packs)
        moved.rename(
            moved.with_name(chance.choice(("ab" * 32 + ".pack", "cd" * 8 + ".open", "x.pack", "AB" * 8 + ".open")))
        )
    elif kind == 4 and packs:  # an object of its own, and a ref to it
        chosen = chance.choice(packs)
        data = chosen.read_bytes()
        if len(data) > 64 and data[16:20] == MAGIC:
            body = data[64 : 64 + int.from_bytes(data[24:28], "little")]
            body = respelled(make, body, chance) if body[:1] == b"{" else damaged(body, chance)
            number = data[21] if chance.random() < 0.7 and data[21] < 3 else chance.randrange(3)
            made = bytes(object_id(KINDS[number], body))
            if chance.random() < 0.2:
                large = root / "objects" / "large" / made.hex()[:2]
                large.mkdir(exist_ok=True)
                (large / made.hex()[2:]).write_bytes(body)
            else:
                chosen.write_bytes(data + record(number, body, made))
            target = root / "refs" / chance.choice(("runs/x", "tags/y"))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(made.hex() + "\n")
    elif packs:
        chosen = chance.choice(packs)
        chosen.write_bytes(segment(chosen.read_bytes(), chance))


def _ids(packs: list[Path]) -> list[str]:
    found = []
    for path in packs:
        data = path.read_bytes()
        at = data.find(MAGIC)
        while at >= 0 and at + 44 <= len(data):
            found.append(data[at + 12 : at + 44].hex())
            at = data.find(MAGIC, at + 1)
    return found


DAMAGE: dict[str, Callable[[ModuleType, Path, random.Random], None]] = {
    "attestation": attestation, "bundle": bundle, "proof": proof, "store": store,
}  # fmt: skip


def mutated(make: ModuleType, corpus: str, place: Path, chance: random.Random) -> bool:
    """Damage what lies in a folder, once to three times; return whether it could be done."""
    try:
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            DAMAGE[corpus](make, place, chance)
    except (OSError, LookupError, TypeError, ValueError, AttributeError, OmphalosError):
        return False
    return True
