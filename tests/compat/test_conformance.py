"""Every verifier gives the verdict and the findings the corpus states, and all agree on damage nobody foresaw.

The package runs in this process. The Go and Rust verifiers run as the programs they are: those named by
``OMPHALOS_VERIFY_GO`` and ``OMPHALOS_VERIFY_RUST``, or those built under ``agents/``. A mutation that divides them is
printed as a case of the corpus, ready to be kept.
"""

import importlib.util
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from omphalos.format.errors import OmphalosError
from omphalos.format.findings import FindingId
from omphalos.format.merkle import consistency_holds, inclusion_holds, tree_head
from omphalos.format.paths import check_path_bytes, check_paths
from omphalos.format.strictjson import JsonError, parse
from omphalos.format.tree import TreeError, decode_tree
from omphalos.runs.verdict import MAX_FINDINGS
from omphalos.runs.verify import NoRunDirectory, verify_directory

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "conformance"
MUTATIONS = 2000
SEED = 20261122
BUILT = {
    "GO": ("agents/go/omphalos-verify/bin/omphalos-verify", "agents/go/omphalos-verify/omphalos-verify"),
    "RUST": (
        "agents/rust/omphalos-verify/target/release/omphalos-verify",
        "agents/rust/omphalos-verify/target/debug/omphalos-verify",
    ),
}
# Read before the suite's own fixture clears the environment of this project's variables.
NAMED = {name: os.environ.get(f"OMPHALOS_VERIFY_{name}") for name in BUILT}
ALL_REQUIRED = os.environ.get("OMPHALOS_TEST_ALL") == "1"
EXITS = {"verified": 0, "refused": 1, "incomplete": 3}
# What cannot be laid out as a still folder: it takes a file that changes, an archive, a store, or a look into tables.
NOT_OF_A_FOLDER = {
    "pathSlash",
    "hardlinkEntry",
    "archiveEscape",
    "bombRatio",
    "endlessData",
    "trailingGarbage",
    "truncated",
    "toctou",
    "typeMismatch",
    "treeMalformed",
    "msgpackSyntax",
    "msgpackNotCanonical",
    "oversizeLength",
    "lmdbCorrupt",
    "fingerprintMismatch",
    "recordsMismatch",
    "objectMissing",
    "objectDamaged",
    "refDangling",
    "refMalformed",
    "refMismatch",
    # What only other verbs or keys bring up; the corpora of those have them.
    "archiveMalformed",
    "base64Malformed",
    "envelopeMalformed",
    "inclusionInvalid",
    "kindUnknown",
    "proofMalformed",
    "rootMismatch",
    "signatureInvalid",
    "signatureMissing",
    "statementMalformed",
    "subjectMismatch",
}


@dataclass(frozen=True)
class Answer:
    """What verifiers must agree on; ``verdict`` is ``none`` where there is no folder."""

    verdict: str
    findings: tuple[tuple[str, str, str], ...] = ()
    unreadable: tuple[str, ...] = ()


Verifier = Callable[[Path | str], Answer]
Case = dict[str, Any]


def _make() -> ModuleType:
    """Load ``conformance/make.py``, which is a program and in no package."""
    spec = importlib.util.spec_from_file_location("conformance_make", CORPUS / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = _make()
CASES: dict[str, Case] = dict(make.cases())


def _python(folder: Path | str) -> Answer:
    try:
        verdict = verify_directory(Path(folder))
    except NoRunDirectory:
        return Answer("none")
    findings = tuple((f.id.value, f.severity.value, f.path) for f in verdict.findings)
    return Answer(verdict.word, findings, verdict.unreadable)


def _program(path: str) -> Verifier:
    """Return the verifier that is the program at ``path``."""

    def verify(folder: Path | str) -> Answer:
        done = subprocess.run([path, "verify-run", "--json", str(folder)], capture_output=True, timeout=60, check=False)
        if done.returncode == 10:
            assert done.stdout == b""
            return Answer("none")
        assert done.returncode in EXITS.values(), (done.returncode, done.stderr[-2000:])
        document = json.loads(done.stdout)
        assert document["schema"] == "omphalos.verify/1"
        (check,) = document["checks"]
        assert check["verdict"] == document["verdict"]
        assert EXITS[check["verdict"]] == done.returncode
        findings = tuple((f["id"], f["severity"], f["path"]) for f in check["findings"])
        return Answer(check["verdict"], findings, tuple(check["unreadable"]))

    return verify


def _agents() -> dict[str, Verifier]:
    """Return the programs that are there, by language."""
    found = {}
    for name, places in BUILT.items():
        named = NAMED[name]
        there = [
            path for path in ([named] if named else [str(ROOT / place) for place in places]) if Path(path).is_file()
        ]
        if there:
            found[name.lower()] = _program(there[0])
    return found


@pytest.fixture(scope="module", params=sorted(BUILT))
def agent(request: pytest.FixtureRequest) -> Verifier:
    """Return one agent after the other; skip one that is not built, saying so."""
    verifier = _agents().get(request.param.lower())
    if verifier is None:
        reason = f"the {request.param.lower()} verifier is not built (set OMPHALOS_VERIFY_{request.param})"
        (pytest.fail if ALL_REQUIRED else pytest.skip)(reason)
    return verifier


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with every case of the corpus as a run directory."""
    place = tmp_path_factory.mktemp("corpus")
    for name, case in CASES.items():
        make.build(case, place / name / "run")
    yield place
    shutil.rmtree(place)


def _expected(case: Case) -> Answer:
    findings = sorted((f["id"], FindingId(f["id"]).severity.value, f["path"]) for f in case["expect"]["findings"])
    return Answer(case["expect"]["verdict"], tuple(findings))


def _differences(verify: Verifier, corpus: Path) -> dict[str, tuple[Answer, Answer]]:
    """Return the cases to which a verifier does not give the expected answer: expected and given."""
    given = {name: verify(corpus / name / "run") for name in CASES}
    return {name: (_expected(case), given[name]) for name, case in CASES.items() if given[name] != _expected(case)}


def test_the_package_gives_the_expected_answers(corpus: Path) -> None:
    """The package gives every case of the corpus exactly its verdict and findings."""
    assert _differences(_python, corpus) == {}


def test_an_agent_gives_the_expected_answers(agent: Verifier, corpus: Path) -> None:
    """Each agent gives every case of the corpus exactly its verdict and findings."""
    assert _differences(agent, corpus) == {}


def test_the_corpus_is_large_enough() -> None:
    """There are at least 250 run directories, and two for every finding a run directory can have."""
    counts = Counter(found["id"] for case in CASES.values() for found in case["expect"]["findings"])

    assert sum(case["base"] is not None for case in CASES.values()) >= 250
    assert {word.value for word in FindingId if counts[word.value] < 2} == NOT_OF_A_FOLDER


def test_expected_findings_are_in_order() -> None:
    """Every case, written or made of a table, lists what is expected in the order in which verifiers give it."""
    listed = {name: [(f["id"], f["path"]) for f in case["expect"]["findings"]] for name, case in CASES.items()}

    assert [name for name, pairs in listed.items() if pairs != sorted(pairs)] == []


def test_the_bases_are_small() -> None:
    """What is committed as a base stays below 200 KiB, and every recipe says what it is about."""
    assert sum(path.stat().st_size for path in (CORPUS / "base").rglob("*") if path.is_file()) < 200 << 10
    assert all(case["about"] for case in CASES.values())


def test_the_same_recipe_makes_the_same_bytes(tmp_path: Path) -> None:
    """A base that is a recipe is the same run directory whenever it is made."""
    first, second = (make.build(CASES["good-plain"], tmp_path / name) for name in ("a", "b"))

    def content(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert content(first) == content(second)
    assert len(content(first)) == 18


def test_make_writes_every_case(tmp_path: Path) -> None:
    """The program lays out each case with what is expected of it."""
    done = subprocess.run([sys.executable, CORPUS / "make.py", tmp_path / "out"], capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(CASES)
    expect = json.loads((tmp_path / "out" / "flip-first" / "expect.json").read_bytes())
    assert expect == {"verdict": "refused", "findings": [{"id": "hashMismatch", "path": "exports/review.csv"}]}


def test_paths() -> None:
    """Each name of the table, and each set of names, has exactly its findings."""
    wrong = [
        (cell, ids)
        for form, cell, ids in make.rows("path/table.tsv")
        if [found.value for found in check_path_bytes(make.text_of(form, cell))] != ids.split()
    ]
    sets = json.loads((CORPUS / "path" / "sets.json").read_bytes())
    given = [[{"id": f.id.value, "path": f.path} for f in check_paths(item["paths"])] for item in sets]

    assert wrong == []
    assert given == [item["findings"] for item in sets]


def test_json_texts() -> None:
    """Each text of the table is strict JSON, or has exactly its finding."""

    def judge(data: bytes) -> str:
        try:
            parse(data, max_bytes=1 << 20)
        except JsonError as error:
            return error.finding.value
        return "ok"

    rows = list(make.rows("json/table.tsv"))
    assert [(cell, judge(make.text_of(form, cell))) for form, cell, *_ in rows] == [(r[1], r[2]) for r in rows]


def test_tree_nodes() -> None:
    """The bytes of each row are a tree node, or have exactly its finding."""

    def judge(data: bytes) -> str:
        try:
            decode_tree(data)
        except TreeError as error:
            return error.finding.value
        return "ok"

    rows = list(make.rows("node/table.tsv"))
    assert [[cell, judge(bytes.fromhex(cell))] for cell, _ in rows] == rows


def _hex(values: list[str]) -> list[bytes]:
    return [bytes.fromhex(value) for value in values]


def test_merkle_probes() -> None:
    """Every tree head is the one computed by definition, and proofs hold exactly where the probes say so."""
    heads, inclusion, consistency = (
        json.loads((CORPUS / "merkle" / f"{name}.json").read_bytes()) for name in ("heads", "inclusion", "consistency")
    )
    wrong = [probe["name"] for probe in heads if tree_head(_hex(probe["leaves"])).hex() != probe["head"]]
    for probe in inclusion:
        leaf, root = _hex([probe["leaf_hash"], probe["root"]])
        place = int(probe["index"]), int(probe["size"])
        if inclusion_holds(leaf, *place, _hex(probe["proof"]), root) is not probe["holds"]:
            wrong.append(probe["name"])
    for probe in consistency:
        old_root, root = _hex([probe["old_root"], probe["root"]])
        sizes = int(probe["old_size"]), int(probe["size"])
        if consistency_holds(sizes[0], old_root, sizes[1], root, _hex(probe["proof"])) is not probe["holds"]:
            wrong.append(probe["name"])

    assert wrong == []


def test_the_probes_are_those_of_the_generator(tmp_path: Path) -> None:
    """The Merkle probes that are committed are what their generator writes."""
    shutil.copy(CORPUS / "gen_merkle.py", tmp_path)
    subprocess.run([sys.executable, tmp_path / "gen_merkle.py"], check=True)

    for path in (CORPUS / "merkle").iterdir():
        assert path.read_bytes() == (tmp_path / "merkle" / path.name).read_bytes()


def test_the_empty_text_names_no_folder(agent: Verifier) -> None:
    """Where the argument is empty no verdict is given, and the present folder is not judged in its place."""
    assert agent("") == Answer("none")


@pytest.mark.parametrize("what", ["nothing", "file"])
def test_no_folder_gives_no_verdict(agent: Verifier, tmp_path: Path, what: str) -> None:
    """Where there is no folder an agent says so by its exit code and prints no document."""
    if what == "file":
        (tmp_path / what).touch()

    assert agent(tmp_path / what) == _python(tmp_path / what) == Answer("none")


def test_a_slash_at_the_end_does_not_hide_a_link(agent: Verifier, corpus: Path) -> None:
    """A link to a run directory is refused even where a slash at its end would make the system follow it."""
    link = corpus / "link-root" / "run"
    refused = Answer("refused", (("symlinkEntry", "ERROR", "."),))

    assert agent(link) == agent(f"{link}/") == agent(f"{link}//") == refused


def test_a_flood_is_cut_alike(agent: Verifier, tmp_path: Path) -> None:
    """Of more findings than are listed every verifier lists the same ones."""
    flood = {"base": "plain", "edits": [{"do": "many", "path": "x/{}", "count": MAX_FINDINGS + 50}]}
    folder = make.build(flood, tmp_path / "run")
    answer = _python(folder)

    assert len(answer.findings) == MAX_FINDINGS
    assert agent(folder) == answer


# ---- mutations

DAMAGE = ("flip", "append", "remove", "fifo", "symlink")
# fmt: off
NAMES = (
    "a:b", "..", "con", "e\u0301.csv", "\u00e9.csv", "x ", ".omphalos", "manifest.json", "attestations", "A\u200dB",
    "exports", "EXPORTS", "n" * 255, "n" * 256, "a\\b", "a\nb", "", ".", "\u00df", "ss", "OMPHAL~1", "\u682a", "~",
    "C:", "%2e",
)
RAW = ("ff", "61ff", "eda080", "c3", "e38141", "c3a9ff", "f0909080", "2f2f", "80")
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, 2**53 - 1, 2**53, -1, 1.5, "", "x", "ab" * 32, "AB" * 32, "00" * 32, [], {}, ["a"],
    ["a", "a"], {"a": 1}, "a" * 1025, "2026-02-30T00:00:00Z", "2026-11-22T10:00:00Z", "../x", "omphalos.manifest/2",
    "\u00e9", "e\u0301", "text/csv",
)
KEYS = ("Path", "SHA256", "extra", "\u017fize", "path", "size", "rows", "key", "fingerprint", "schema", "")
SNIPPETS = (
    b"", b" ", b"\n", b"\r", b",", b"}", b"]", b'"', b"\\", b"0", b"1.0", b"\\u0000", b"\\ud800", b"\xff", b"\xc3\xa9",
    b"NaN", b"{}", b"[", b"\x00",
)
# fmt: on


class Mutator:
    """Random edits of a good run directory, in the language of the recipes."""

    def __init__(self, base: str, folder: Path, chance: random.Random) -> None:
        self.base = base
        self._chance = chance
        self._manifest = (folder / "manifest.json").read_bytes()
        self._value = json.loads(self._manifest)
        everything = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
        self._files = sorted(path for path in everything if (folder / path).is_file())
        self._folders = sorted(path for path in everything if (folder / path).is_dir())
        self.content = {path.encode(): (folder / path).read_bytes() for path in self._files}

    def case(self) -> Case:
        """Return a case with one to three edits."""
        kinds = (self._bytes, self._structure, self._structure, self._files_edit, self._files_edit, self._record)
        edits = [edit for _ in range(self._chance.choice((1, 1, 1, 2, 3))) for edit in self._chance.choice(kinds)()]
        return {"base": self.base, "edits": edits}

    def _bytes(self) -> list[Case]:
        """Damage the text of the manifest."""
        at = self._chance.randrange(len(self._manifest))
        if self._chance.random() < 0.5:
            return [{"do": "flip", "path": "manifest.json", "at": at, "bit": self._chance.randrange(8)}]
        snippet = self._chance.choice((*SNIPPETS, self._manifest[at : at + self._chance.randrange(80)]))
        to = self._chance.randrange(len(self._manifest))
        gone = self._chance.choice((0, 0, 1, 2, 40))
        data = self._manifest[:to] + snippet + self._manifest[to + gone :]
        return [{"do": "write", "path": "manifest.json", "hex": data.hex()}]

    def _structure(self) -> list[Case]:
        """Change the manifest as a value, and perhaps seal it again."""
        at = self._place()
        edit: Case = {"do": "set", "at": at, "value": self._chance.choice(VALUES)}
        kind = self._chance.randrange(6)
        if kind == 0:
            edit = {"do": "delete", "at": at}
        elif kind == 1 and isinstance(at[-1], str):
            edit = {"do": "rekey", "at": at, "to": self._chance.choice((*KEYS, at[-1].upper(), at[-1].title()))}
        elif kind == 2 and isinstance(at[-1], str):
            edit = {"do": "set", "at": [*at[:-1], self._chance.choice(KEYS)], "value": self._chance.choice(VALUES)}
        elif kind == 3:
            lists = [["artifacts"], ["control"], ["plan", "inputs"]]
            holder = self._chance.choice(lists)
            count = len(make._at(self._value, holder))
            places = [self._chance.randrange(count), self._chance.randrange(count)]
            edit = {"do": "swap", "at": holder, "places": places}
            if self._chance.random() < 0.5:
                edit = {"do": "insert", "at": [*holder, places[0]], "from": [*holder, places[1]]}
        elif kind == 4:
            other = self._place()
            edit = {"do": "set", "at": at, "value": make._at(self._value, other)}
        return [edit, *self._seal()]

    def _place(self) -> list[Any]:
        """Return the way to a random member of the manifest."""
        way: list[Any] = []
        value = self._value
        while isinstance(value, dict | list) and value and (not way or self._chance.random() < 0.85):
            way.append(
                self._chance.choice(sorted(value)) if isinstance(value, dict) else self._chance.randrange(len(value))
            )
            value = value[way[-1]]
        return way

    def _seal(self) -> list[Case]:
        if self._chance.random() < 0.5:
            return []
        return [{"do": "seal", "what": [what for what in ("plan", "merkle", "tree") if self._chance.random() < 0.8]}]

    def _record(self) -> list[Case]:
        """List a file more, under a name that may be bad."""
        path = self._name()
        edit: Case = {"do": "record", "path": path, "text": self._chance.choice(("", "x", "{}\n", "longer text"))}
        edit["list"] = self._chance.choice(("artifacts", "artifacts", "control"))
        if self._chance.random() < 0.6:
            edit["on_disk"] = None
        elif self._chance.random() < 0.3:
            edit["on_disk"] = unicodedata.normalize("NFD", path)
        if self._chance.random() < 0.3:
            edit["members"] = {
                self._chance.choice(("size", "blake3", "sha256", "rows", "role")): self._chance.choice(VALUES)
            }
        return [edit, *self._seal()]

    def _name(self) -> str:
        parts = [self._chance.choice(NAMES) for _ in range(self._chance.choice((1, 1, 2)))]
        if self._chance.random() < 0.4:
            parts.insert(0, self._chance.choice(self._folders))
        return "/".join(parts)

    def _files_edit(self) -> list[Case]:
        """Change what lies in the folder."""
        path = self._chance.choice(self._files)
        extra = f"{self._chance.choice(('', *(f'{folder}/' for folder in self._folders)))}{self._chance.choice(NAMES)}"
        raw = f"{self._chance.choice(('', '6578706f7274732f'))}{self._chance.choice(RAW)}"
        swapped = path.swapcase() if self._chance.random() < 0.5 else unicodedata.normalize("NFD", path)
        replaced = [{"do": "remove", "path": path}]
        return self._chance.choice(
            (
                [{"do": "flip", "path": path, "at": self._chance.randrange(1 << 10), "bit": self._chance.randrange(8)}],
                [{"do": "append", "path": path, "text": "x"}],
                [{"do": "truncate", "path": path, "size": self._chance.randrange(200)}],
                replaced,
                [{"do": "rename", "path": path, "to": self._chance.choice(self._files)}],
                [{"do": "rename", "path": path, "to": swapped}],
                [{"do": "copy", "path": path, "to": swapped}],
                [{"do": "copy", "path": path, "to": self._chance.choice(self._files)}],
                [{"do": "remove", "path": self._chance.choice(self._folders)}],
                [*replaced, {"do": "symlink", "path": path, "to": self._chance.choice(("x", "/dev/zero", "..", "."))}],
                [*replaced, {"do": "fifo", "path": path}],
                [*replaced, {"do": "mkdir", "path": path}],
                [{"do": "write", "path": extra, "text": "x"}],
                [{"do": "mkdir", "path": extra}],
                [{"do": "write", "path_hex": raw, "text": "x"}],
                [{"do": "mkdir", "path_hex": raw}],
                [{"do": "write", "path": f"attestations/{extra}", "text": "x"}],
            )
        )


def _restore(content: dict[bytes, bytes], place: bytes) -> None:
    """Make the folder hold these files again and nothing else; what is as it was stays: making folders is slow."""
    folders = {path[:at] for path in content for at in range(len(path)) if path[at : at + 1] == b"/"}
    for root, below, files in os.walk(place, topdown=False):
        for name in (*below, *files):
            full = os.path.join(root, name)  # noqa: PTH118  # names may be bytes that are no text
            path = full[len(place) + 1 :]
            if stat.S_ISDIR(os.lstat(full).st_mode):
                if path not in folders:
                    os.rmdir(full)  # noqa: PTH106  # as above
            elif path not in content or not stat.S_ISREG(os.lstat(full).st_mode):
                os.unlink(full)  # noqa: PTH108  # as above
    for folder in sorted(folders):
        os.makedirs(place + b"/" + folder, exist_ok=True)  # noqa: PTH103  # as above
    for path, data in content.items():
        file = Path(os.fsdecode(place + b"/" + path))
        if not file.exists() or file.read_bytes() != data:
            file.write_bytes(data)


def _mutations(tmp_path: Path) -> Iterator[tuple[Case, Path]]:
    """Yield mutated run directories, one after the other in one place; what cannot be made is passed over."""
    chance = random.Random(SEED)
    bases = {base: make.build({"base": base, "edits": []}, tmp_path / base) for base in ("plain", "small")}
    mutators = [Mutator(base, folder, chance) for base, folder in bases.items()]
    places = {base: tmp_path / f"mutated-{base}" for base in bases}
    made = 0
    while made < MUTATIONS:
        mutator = chance.choice(mutators)
        case, place = mutator.case(), places[mutator.base]
        place.mkdir(exist_ok=True)
        _restore(mutator.content, os.fsencode(place))
        try:
            make.apply(make.Folder(place), case["edits"])
        except (OSError, LookupError, TypeError, ValueError, AttributeError, OmphalosError):
            continue
        made += 1
        yield case, place


@pytest.mark.slow
def test_all_agree_on_random_damage(tmp_path: Path) -> None:
    """On 2,000 seeded mutations of good runs all verifiers that are built give the same answer, and none falls over."""
    agents = _agents()
    verdicts: Counter[str] = Counter()
    ids: Counter[str] = Counter()
    for case, folder in _mutations(tmp_path):
        answer = _python(folder)
        verdicts[answer.verdict] += 1
        ids.update(identifier for identifier, _, _ in answer.findings)
        for name, verify in agents.items():
            given = verify(folder)
            assert given == answer, f"{name} differs from the package on {json.dumps(case)}"
        # What no root covers, such as a role, can be changed in a manifest that nobody knows the id of.
        damaged = all(e["do"] in DAMAGE and e["path"] != "manifest.json" for e in case["edits"])
        assert answer.verdict == "refused" or not damaged, f"damage goes unnoticed: {json.dumps(case)}"

    assert verdicts["refused"] > MUTATIONS * 0.8
    assert verdicts["verified"] > 0
    assert len(ids) >= 35
