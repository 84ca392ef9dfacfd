"""Inputs lie in the run under safe names, and the recorded configuration gives the same job again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omphalos.format import strictjson
from omphalos.format.errors import OmphalosError
from omphalos.runs.inputs import BadConfiguration, InputMissing, acquire, inputs_of, job_of_config, read_config
from omphalos.screening.job import Job, job_of_table, normalized
from omphalos.screening.reference import reference_table

FEEDS: list[dict[str, Any]] = [
    {"path": "feed.csv"},
    {"path": "feed.tsv.gz", "null_values": ["NULL", ""], "date_formats": ["dmy", "iso"], "encoding": "cp1252"},
    {"path": "feed.jsonl", "decimal_separator": ",", "thousands_separator": "."},
    {"path": "feed.parquet", "currency": "JPY", "minor_unit_digits": 0, "constants": {"flow": "import"}},
]


def _job(feed: dict[str, Any]) -> Job:
    registry = [
        {"source": "b", "format": "un-xml", "path": "b.xml"},
        {"source": "a", "format": "entities-csv", "path": "a"},
    ]
    table = {"name": "n", "feed": {"columns": {"exporter": "e"}, **feed}, "registry": registry}
    return job_of_table({**table, "match": {"max_candidates": 7}}, base=Path("/some/where"))


@pytest.mark.parametrize("feed", FEEDS)
def test_the_recorded_configuration_is_the_same_job(feed: dict[str, Any]) -> None:
    """Normalizing a job, writing it down, and reading it back gives the very same normalized job."""
    before = normalized(_job(feed))

    after = normalized(job_of_config(read_config(strictjson.dump({**before, "files": {}}))))

    assert before == after


def test_the_reference_configuration_is_the_same_job() -> None:
    """The same holds for the reference job."""
    before = normalized(job_of_table(reference_table("small"), base=Path()))

    assert before == normalized(job_of_config(read_config(strictjson.dump({**before, "files": {}}))))


def test_inputs_lie_under_safe_names(tmp_path: Path, feed_job: Callable[..., Job]) -> None:
    """A name that would not pass the path rules is made safe in the run, and the plan keeps the true one."""
    from dataclasses import replace

    job = feed_job("exporter,value\nA,1\n")
    assert job.feed is not None
    odd = job.feed.path.rename(job.feed.path.parent / "con: q3?.csv")
    job = replace(job, feed=replace(job.feed, path=odd))

    acquired = acquire(job, tmp_path / "run")

    feed = next(file for file in acquired.files if file.role == "feed")
    assert "con: q3?.csv" == feed.source
    assert not set(feed.path.split("/")[-1]) & set(':?*<>|"')
    assert b"exporter,value\nA,1\n" == (tmp_path / "run" / feed.path).read_bytes()


def test_a_missing_input_is_named(tmp_path: Path, feed_job: Callable[..., Job]) -> None:
    """A feed that is not there is an error that names it."""
    job = feed_job("exporter,value\nA,1\n")
    assert job.feed is not None
    job.feed.path.unlink()

    with pytest.raises(InputMissing, match=r"no such file: .*feed\.csv"):
        acquire(job, tmp_path / "run")


@pytest.mark.parametrize("place", ["/etc/passwd", "../feed.csv", "inputs/../../x", "config/job.json", 7, None])
def test_a_configuration_cannot_reach_outside_the_inputs(
    tmp_path: Path, place: Any, feed_job: Callable[..., Job]
) -> None:
    """A recorded configuration that names a file outside inputs/ is refused."""
    job = feed_job("exporter,value\nA,1\n")

    with pytest.raises(BadConfiguration, match="no input of the run"):
        inputs_of(job, {"files": {"feed": place, "registry": {}}}, tmp_path)


def test_a_configuration_without_places_is_refused() -> None:
    """A configuration artifact that does not say where the inputs lie cannot be used."""
    with pytest.raises(BadConfiguration, match="which file"):
        read_config(b'{\n  "name": "n"\n}\n')


def test_a_pipe_is_no_input(tmp_path: Path, feed_job: Callable[..., Job]) -> None:
    """A named pipe, which could be waited for without end, is refused at once."""
    import os

    job = feed_job("exporter,value\nA,1\n")
    assert job.feed is not None
    job.feed.path.unlink()
    os.mkfifo(job.feed.path)

    with pytest.raises(InputMissing, match="not a regular file"):
        acquire(job, tmp_path / "run")


def test_a_folder_is_no_feed(tmp_path: Path, feed_job: Callable[..., Job]) -> None:
    """A folder where the feed should be is refused with what it is."""
    job = feed_job("exporter,value\nA,1\n")
    assert job.feed is not None
    job.feed.path.unlink()
    job.feed.path.mkdir()

    with pytest.raises(InputMissing, match="not a regular file"):
        acquire(job, tmp_path / "run")


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every member of a document, nested ones included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [below for key, item in inner for below in ((*path, key), *_places(item, (*path, key)))]


def _spoiled(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return a copy in which one member has another value, or is gone for ``...``."""
    copy: Any = strictjson.parse(strictjson.dump(document), max_bytes=1 << 20)
    at = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    if value is ...:
        del at[path[-1]]
    return dict(copy)


def test_a_spoiled_configuration_is_a_typed_error() -> None:
    """A recorded configuration of which any member is missing or of another kind gives a typed error or a job."""
    places = {"feed": "inputs/feed/feed.csv", "registry": {"a": {"list": "inputs/a"}, "b": {"list": "inputs/b"}}}
    sound = {**normalized(_job(FEEDS[1])), "files": places}
    refused = 0
    for path in _places(sound):
        for value in (..., None, 1, "", "x", [], {}, [1], ["x"], {"a": 1}, [{}], "9" * 5000):
            config = _spoiled(sound, path, value)
            try:
                inputs_of(job_of_config(read_config(strictjson.dump(config))), config, Path("/run"))
            except OmphalosError:
                refused += 1
    assert refused > 300
