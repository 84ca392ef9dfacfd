"""Strict JSON: what every reader understands alike passes, all else is refused with its finding."""

import json

import pytest

from omphalos.format.findings import FindingId, Severity
from omphalos.format.strictjson import MAX_INT, JsonError, compact, dump, parse

F = FindingId


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("true", True),
        ("0", 0),
        ("9007199254740991", MAX_INT),
        (' \n\t"a" ', "a"),
        (r'"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"', '"\\/\b\f\n\r\té😀'),
        ("[]", []),
        ("{ }", {}),
        ('{"a" : [ 1 , {"b":[]} ] , "c":{} }', {"a": [1, {"b": []}], "c": {}}),
        ('{"":{"":0}}', {"": {"": 0}}),
        ('{"a":{"b":1},"b":{"a":1}}', {"a": {"b": 1}, "b": {"a": 1}}),
        ('"\uffff"', "\uffff"),
        ("[" * 64 + "]" * 64, json.loads("[" * 64 + "]" * 64)),
    ],
)
def test_accepted(text: str, value: object) -> None:
    """These texts mean this."""
    assert parse(text.encode(), max_bytes=10**4) == value


@pytest.mark.parametrize(
    ("data", "finding"),
    [
        (b'{"sha256":"a","sha256":"b"}', F.JSON_DUPLICATE_KEY),
        (b'{"a":{"b":1,"b":1}}', F.JSON_DUPLICATE_KEY),
        (b'{"\\u0061":1,"a":1}', F.JSON_DUPLICATE_KEY),
        (b"1.0", F.JSON_NUMBER),
        (b"1e3", F.JSON_NUMBER),
        (b"1E3", F.JSON_NUMBER),
        (b"-0", F.JSON_NUMBER),
        (b"-1", F.JSON_NUMBER),
        (b"01", F.JSON_NUMBER),
        (b"00", F.JSON_NUMBER),
        (b"9007199254740992", F.JSON_NUMBER),
        (b"9" * 1_000_000, F.JSON_NUMBER),
        (b"NaN", F.JSON_NUMBER),
        (b"-Infinity", F.JSON_NUMBER),
        (b"[Infinity]", F.JSON_NUMBER),
        (b"\xef\xbb\xbf{}", F.JSON_ENCODING),
        (b"\xff\xfe{\0}\0", F.JSON_ENCODING),
        (b'"\xff"', F.JSON_ENCODING),
        (b'"\xed\xa0\x80"', F.JSON_ENCODING),
        (b'"\\ud800"', F.JSON_ENCODING),
        (b'"\\udc00\\ud800"', F.JSON_ENCODING),
        (b'{"\\udfff":1}', F.JSON_ENCODING),
        (b"{}\r\n", F.JSON_ENCODING),
        (b"{} {}", F.JSON_ENCODING),
        (b"{}}", F.JSON_ENCODING),
        (b"1\x0b", F.JSON_ENCODING),
        (b"{}\0", F.JSON_ENCODING),
        (b"[" * 65 + b"]" * 65, F.JSON_ENCODING),
        (b"[" * 100_000, F.JSON_ENCODING),
        (b'{"a":' * 100_000, F.JSON_ENCODING),
        (b"", F.JSON_SYNTAX),
        (b" ", F.JSON_SYNTAX),
        (b"[1,]", F.JSON_SYNTAX),
        (b"[,1]", F.JSON_SYNTAX),
        (b"[1 2]", F.JSON_SYNTAX),
        (b'{"a":1,}', F.JSON_SYNTAX),
        (b"{,}", F.JSON_SYNTAX),
        (b'{"a"}', F.JSON_SYNTAX),
        (b'{"a":}', F.JSON_SYNTAX),
        (b'{"a" 1}', F.JSON_SYNTAX),
        (b"{a:1}", F.JSON_SYNTAX),
        (b"{1:1}", F.JSON_SYNTAX),
        (b"[1}", F.JSON_SYNTAX),
        (b'{"a":1]', F.JSON_SYNTAX),
        (b'{"a":1', F.JSON_SYNTAX),
        (b'"a', F.JSON_SYNTAX),
        (b"'a'", F.JSON_SYNTAX),
        (b'"a\nb"', F.JSON_SYNTAX),
        (b'"\\x41"', F.JSON_SYNTAX),
        (b'"\\u00e"', F.JSON_SYNTAX),
        (b"tru", F.JSON_SYNTAX),
        (b"truex", F.JSON_ENCODING),
        (b"[truex]", F.JSON_SYNTAX),
        (b"NaNx", F.JSON_NUMBER),
        (b"True", F.JSON_SYNTAX),
        (b"// x\n1", F.JSON_SYNTAX),
        ("\u00a01".encode(), F.JSON_SYNTAX),
        ("\u0661".encode(), F.JSON_SYNTAX),
    ],
)
def test_refused(data: bytes, finding: FindingId) -> None:
    """Each text is refused with the finding of the first rule it breaks."""
    with pytest.raises(JsonError) as caught:
        parse(data, max_bytes=10**7)
    assert caught.value.finding is finding


def test_a_duplicate_key_is_fatal() -> None:
    """Readers that disagree about a document are worse than a document in error."""
    assert F.JSON_DUPLICATE_KEY.severity is Severity.FATAL


def test_the_first_fault_is_reported() -> None:
    """Of two faults the one that stands first in the text is reported, with its place."""
    with pytest.raises(JsonError) as caught:
        parse(b'{"a":1.5,"a":1}', max_bytes=100)
    assert (caught.value.finding, caught.value.offset) == (F.JSON_NUMBER, 5)
    with pytest.raises(JsonError) as caught:
        parse(b'{"a":1,"a":1.5}', max_bytes=100)
    assert (caught.value.finding, caught.value.offset) == (F.JSON_DUPLICATE_KEY, 7)


def test_length_limit() -> None:
    """A text one byte over the limit is refused before it is read."""
    assert parse(b"[0]", max_bytes=3) == [0]
    with pytest.raises(JsonError) as caught:
        parse(b"[0] ", max_bytes=3)
    assert caught.value.finding is F.JSON_TOO_LARGE


def test_a_million_escapes_are_read_in_bounded_time() -> None:
    """A long run of escapes, closed or not, does not make the scanner go back."""
    assert parse(b'"' + b"\\n" * 1_000_000 + b'"', max_bytes=10**7) == "\n" * 1_000_000
    with pytest.raises(JsonError):
        parse(b'"' + b"\\n" * 1_000_000, max_bytes=10**7)


def test_dump_bytes() -> None:
    """Keys stand in code point order, text is not escaped beyond need, and one newline ends the file."""
    value = {"b": [], "a": {}, "\uffff": 1, "😀": ['\0\x1f\x7f\n"\\/é', None, True], "Z": [0, [1]]}
    expected = (
        '{\n  "Z": [\n    0,\n    [\n      1\n    ]\n  ],\n  "a": {},\n  "b": [],\n  "\uffff": 1,\n'
        '  "😀": [\n    "\\u0000\\u001f\x7f\\n\\"\\\\/é",\n    null,\n    true\n  ]\n}\n'
    )
    assert dump(value).decode() == expected
    assert compact(value).decode() == (
        '{"Z":[0,[1]],"a":{},"b":[],"\uffff":1,"😀":["\\u0000\\u001f\x7f\\n\\"\\\\/é",null,true]}'
    )


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        (1.0, F.JSON_NUMBER),
        ([{"a": float("nan")}], F.JSON_NUMBER),
        (-1, F.JSON_NUMBER),
        (MAX_INT + 1, F.JSON_NUMBER),
        ({1: 2}, F.JSON_SYNTAX),
        ({1, 2}, F.JSON_SYNTAX),
        (b"x", F.JSON_SYNTAX),
        ("\ud800", F.JSON_ENCODING),
        ({"\ud800": 1}, F.JSON_ENCODING),
        (json.loads("[" * 65 + "]" * 65), F.JSON_ENCODING),
    ],
)
def test_what_is_not_written(value: object, finding: FindingId) -> None:
    """A value that would not be read back is a typed error, a float above all."""
    with pytest.raises(JsonError) as caught:
        dump(value)
    assert caught.value.finding is finding


def test_the_deepest_value_goes_both_ways() -> None:
    """What is written at the limit of nesting is read again."""
    value = json.loads("[" * 64 + "]" * 64)
    assert parse(dump(value), max_bytes=10**5) == value
