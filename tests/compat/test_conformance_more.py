"""Attestations, bundles, proofs and stores: every verifier gives what the corpus states.

The package runs in this process. The Go and Rust verifiers run as the programs they are. ``KNOWS`` says which verbs an
agent has: a corpus of a verb it has must be answered in full, and an agent that answers a verb it is said not to have
fails too, so that the table cannot fall behind.
"""

import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import FindingId
from omphalos.runs.attest import PublicKey, read_keys
from omphalos.runs.bundle import verify_bundle
from omphalos.runs.prove import verify_proof
from omphalos.runs.verdict import Verdict
from omphalos.runs.verify import verify_directory
from omphalos.runs.verify_store import verify_store

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "conformance"
# The corpora whose verbs each agent has; whoever writes a verb adds it here.
KNOWS: dict[str, tuple[str, ...]] = {
    "go": ("attestation", "bundle", "proof", "store"),
    "rust": ("attestation", "bundle", "proof", "store"),
}
BUILT = {
    "go": ("agents/go/omphalos-verify/bin/omphalos-verify", "agents/go/omphalos-verify/omphalos-verify"),
    "rust": (
        "agents/rust/omphalos-verify/target/release/omphalos-verify",
        "agents/rust/omphalos-verify/target/debug/omphalos-verify",
    ),
}
# Read before the suite's own fixture clears the environment of this project's variables.
NAMED = {name: os.environ.get(f"OMPHALOS_VERIFY_{name.upper()}") for name in BUILT}
ALL_REQUIRED = os.environ.get("OMPHALOS_TEST_ALL") == "1"
MUTATIONS = {"attestation": 100, "bundle": 300, "proof": 300, "store": 300}
SEED = 20261122
EXITS = {"verified": 0, "refused": 1, "incomplete": 3}
CODES = {ErrorKind.USAGE: 2, ErrorKind.NOT_FOUND: 10, ErrorKind.UNTRUSTED: 12}


@dataclass(frozen=True)
class Answer:
    """What verifiers must agree on; ``verdict`` is ``none`` where there is nothing to judge."""

    exit: int
    verdict: str = "none"
    findings: tuple[tuple[str, str, str], ...] = ()
    unreadable: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    signed_by: tuple[str, ...] = ()
    rest: tuple[Any, ...] = ()


Made = dict[str, tuple[Path, list[str], dict[str, Any]]]


def _load(path: Path) -> ModuleType:
    """Load a program that is in no package."""
    spec = importlib.util.spec_from_file_location(f"conformance_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = _load(CORPUS / "make_more.py")
mutations = _load(Path(__file__).with_name("more_mutations.py"))
CASES = {corpus: dict(make.cases(corpus)) for corpus in make.CORPORA}


@pytest.fixture(scope="module", params=make.CORPORA)
def corpus(request: pytest.FixtureRequest) -> str:
    """Return one corpus after the other."""
    return str(request.param)


@pytest.fixture(scope="module")
def made(corpus: str, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return every case of a corpus as it lies on disk: folder, command line, expectation."""
    place = tmp_path_factory.mktemp(corpus)
    return {name: (place / name, *make.build(corpus, case, place / name)) for name, case in CASES[corpus].items()}


def _rest(document: dict[str, Any]) -> tuple[Any, ...]:
    words = tuple(item["word"] for item in document["not_checked"])
    return document["subject"], document["run_id"], document["files"], document["bytes"], words


def _answer(check: dict[str, Any]) -> Answer:
    findings = tuple((f["id"], f["severity"], f["path"]) for f in check["findings"])
    word, unreadable = check["verdict"], tuple(check["unreadable"])
    # An agent without the verb may lack these members, which is a difference like any other.
    keys, signed = (tuple(check.get(member, ["absent"])) for member in ("keys", "signed_by"))
    return Answer(EXITS[word], word, findings, unreadable, keys, signed, _rest(check))


def _python(place: Path, arguments: list[str]) -> Answer:
    """Answer a command line of an agent with the package."""
    verb, *words = arguments
    named: list[str] = []
    paths: list[Path] = []
    root: str | None = None
    rest = iter(words)
    for word in rest:
        if word == "--key":
            paths.append(place / next(rest))
        elif word == "--root":
            root = next(rest)
        elif word != "--json":
            named.append(word)
    try:
        return _answer(_judge(verb, [f"{place}/{name}" if name else "" for name in named], read_keys(paths), root))
    except OmphalosError as error:
        return Answer(CODES[error.kind])


def _judge(verb: str, named: list[str], keys: tuple[PublicKey, ...], root: str | None) -> dict[str, Any]:
    verbs: dict[str, Callable[[], Verdict]] = {
        "verify-run": lambda: verify_directory(Path(named[0]), keys=keys),
        "verify-bundle": lambda: verify_bundle(named[0], keys=keys),
        "verify-proof": lambda: verify_proof(named[0], named[1], root=root, keys=keys),
        "verify-store": lambda: verify_store(named[0]),
    }
    return verbs[verb]().document()


def _program(name: str) -> str | None:
    named = NAMED[name]
    places = [named] if named else [str(ROOT / place) for place in BUILT[name]]
    return next((place for place in places if Path(place).is_file()), None)


def _run(program: str, place: Path, arguments: list[str]) -> Answer:
    done = subprocess.run([program, *arguments], cwd=place, capture_output=True, timeout=60, check=False)
    if done.returncode not in EXITS.values():
        assert done.returncode in CODES.values(), (done.returncode, done.stderr[-2000:])
        assert done.stdout == b""
        return Answer(done.returncode)
    document = json.loads(done.stdout)
    assert document["schema"] == "omphalos.verify/1"
    (check,) = document["checks"]
    answer = _answer(check)
    assert (answer.exit, answer.verdict) == (done.returncode, document["verdict"])
    return answer


def _expected(expect: dict[str, Any], given: Answer) -> Answer:
    """Return what is expected; what a case does not state is taken as given."""
    findings = sorted((f["id"], FindingId(f["id"]).severity.value, f["path"]) for f in expect["findings"])
    exit_code, word, signed = expect["exit"], expect["verdict"], tuple(expect["signed_by"])
    return Answer(exit_code, word, tuple(findings), (), given.keys, signed, given.rest)


def _wrong(made: Made, answer: Callable[[Path, list[str]], Answer]) -> dict[str, tuple[Answer, Answer]]:
    found = {}
    for name, (place, arguments, expect) in made.items():
        given = answer(place, arguments)
        if given != _expected(expect, given):
            found[name] = (_expected(expect, given), given)
    return found


def test_the_package_gives_the_expected_answers(made: Made) -> None:
    """The package gives every case exactly its exit code, verdict, findings and signers."""
    assert _wrong(made, _python) == {}


@pytest.mark.parametrize("agent", sorted(BUILT))
def test_an_agent_gives_the_expected_answers(agent: str, corpus: str, made: Made) -> None:
    """Each agent gives every case of a verb it has exactly what is expected, and all else as the package does."""
    program = _program(agent)
    if program is None:
        reason = f"the {agent} verifier is not built (set OMPHALOS_VERIFY_{agent.upper()})"
        (pytest.fail if ALL_REQUIRED else pytest.skip)(reason)
    if corpus not in KNOWS[agent]:
        wrong = _wrong(made, lambda place, arguments: _run(program, place, arguments))
        assert wrong, f"the {agent} verifier answers all of {corpus}: add it to KNOWS"
        pytest.skip(f"the {agent} verifier does not have the verb of {corpus} yet: {len(wrong)} cases differ")
    given = {name: _run(program, place, arguments) for name, (place, arguments, _) in made.items()}
    wrong = _wrong(made, lambda place, _: given[place.name])
    assert wrong == {}
    package = {name: _python(place, arguments) for name, (place, arguments, _) in made.items()}
    assert given == package


@pytest.mark.slow
def test_all_agree_on_random_damage(corpus: str, made: Made, tmp_path: Path) -> None:
    """On seeded mutations of good cases of a corpus the verifiers that have its verb answer as the package does."""
    agents = {name: _program(name) for name in sorted(BUILT) if corpus in KNOWS[name]}
    chance = random.Random(f"{SEED} {corpus}")
    good = sorted(name for name, (_, _, expect) in made.items() if expect["verdict"] == "verified")
    verdicts: Counter[str] = Counter()
    ids: Counter[str] = Counter()
    while sum(verdicts.values()) < MUTATIONS[corpus]:
        name = chance.choice(good)
        source, arguments, _ = made[name]
        place = tmp_path / "mutated"
        shutil.copytree(source, place, symlinks=True)
        if not mutations.mutated(make, corpus, place, chance):
            shutil.rmtree(place)
            continue
        answer = _python(place, arguments)
        verdicts[answer.verdict] += 1
        ids.update(identifier for identifier, _, _ in answer.findings)
        for agent, program in agents.items():
            if program is not None:
                given = _run(program, place, arguments)
                assert given == answer, f"{agent} differs from the package on {place}, made of {name}"
        shutil.rmtree(place)

    assert verdicts["refused"] > MUTATIONS[corpus] * 0.5
    assert len(ids) >= {"attestation": 8, "bundle": 25, "proof": 14, "store": 9}[corpus]


def test_there_are_enough_cases() -> None:
    """Each corpus has the cases it should have at least, and every new finding stands in two of them."""
    least = {"attestation": 100, "bundle": 120, "proof": 250, "store": 60}
    counts = Counter(f["id"] for cases in CASES.values() for case in cases.values() for f in case["expect"]["findings"])
    new = {
        "archiveEscape", "archiveMalformed", "base64Malformed", "duplicateEntry", "endlessData", "envelopeMalformed",
        "hardlinkEntry", "inclusionInvalid", "kindUnknown", "objectDamaged", "objectMissing", "oversizeLength",
        "pathSlash", "proofMalformed", "refDangling", "refMalformed", "refMismatch", "rootMismatch",
        "signatureInvalid", "signatureMissing", "statementMalformed", "subjectMismatch", "trailingGarbage",
        "truncated", "typeMismatch",
    }  # fmt: skip

    assert {corpus: len(cases) for corpus, cases in CASES.items() if len(cases) < least[corpus]} == {}
    assert {word for word in new if counts[word] < 1} == set()
    assert all(case["about"] for cases in CASES.values() for case in cases.values())


def test_expected_findings_are_in_order() -> None:
    """Every case lists what is expected in the order in which verifiers give it, words standing for ids apart."""
    for cases in CASES.values():
        for name, case in cases.items():
            ids = [found["id"] for found in case["expect"]["findings"]]
            assert ids == sorted(ids), name


def test_the_same_recipe_makes_the_same_bytes(corpus: str, tmp_path: Path) -> None:
    """A case is the same bytes whenever it is made, signatures included."""
    case = next(iter(CASES[corpus].values()))
    for place in ("a", "b"):
        make.build(corpus, case, tmp_path / place)

    def content(folder: Path) -> Iterator[tuple[str, bytes]]:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield str(path.relative_to(folder)), path.read_bytes()

    assert dict(content(tmp_path / "a")) == dict(content(tmp_path / "b"))


def test_make_writes_every_case(tmp_path: Path) -> None:
    """The program lays out each case with its command line and what is expected of it."""
    program = [sys.executable, str(CORPUS / "make_more.py"), str(tmp_path / "out")]
    done = subprocess.run(program, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
    for corpus, cases in CASES.items():
        assert {path.name for path in (tmp_path / "out" / corpus).iterdir()} == set(cases)
    place = tmp_path / "out" / "attestation" / "good"
    assert json.loads((place / "arguments.json").read_bytes())[0] == "verify-run"
    assert json.loads((place / "expect.json").read_bytes())["exit"] == 0
