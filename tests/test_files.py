"""Bounded reads, strict JSON, whole writes."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptml.errors import BundleError, NetworkError, SettingError
from cryptml.files import (
    MAX_JSON_BYTES,
    describe_violations,
    parse_json,
    read_bounded,
    read_json,
    sha256,
    to_json_bytes,
    write_bytes,
)

SCHEMA = "network.schema.json"


def document() -> dict[str, Any]:
    boundary = {"shape": [2], "low": 0, "high": 1, "bits": 1, "signed": False, "scale": [1.0], "zero": [0]}
    return {
        "format": "cryptml-network",
        "format_version": 1,
        "name": "a",
        "architecture": None,
        "front_end": {"kind": "standardisation", "side": 8, "floor": 0.02, "limit": 3.0},
        "classes": ["a", "b"],
        "boundaries": [boundary, boundary],
        "layers": [{"name": "x", "kind": "linear"}],
        "weights": {"sha256": "0" * 64},
    }


def parse(data: bytes) -> dict[str, Any]:
    return parse_json(data, SCHEMA, "the paper", NetworkError)


def refusal(data: bytes) -> str:
    with pytest.raises(NetworkError) as caught:
        parse(data)
    assert str(caught.value).startswith("the paper ")
    return str(caught.value)


def changed(path: list[Any], value: Any) -> bytes:
    tree = document()
    inner: Any = tree
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return json.dumps(tree).encode()


def test_a_document_that_keeps_its_schema_is_returned() -> None:
    assert parse(to_json_bytes(document())) == document()


@given(st.binary(max_size=64))
def test_arbitrary_bytes_are_refused_and_never_crash(data: bytes) -> None:
    refusal(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_arbitrary_json_is_refused_and_never_crashes(value: Any) -> None:
    refusal(json.dumps(value).encode())


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_constants_that_json_lacks_are_refused(constant: str) -> None:
    data = to_json_bytes(document()).replace(b"0.02", constant.encode())
    assert f"{constant} is not a JSON number" in refusal(data)


def test_numbers_beyond_a_float_are_refused() -> None:
    assert "1e999 is beyond" in refusal(to_json_bytes(document()).replace(b"0.02", b"1e999"))
    assert "-1e999 is beyond" in refusal(to_json_bytes(document()).replace(b"0.02", b"-1e999"))


@pytest.mark.parametrize("digits", [21, 400, 5000])
def test_endless_integers_are_refused(digits: int) -> None:
    assert f"integer of {digits} characters" in refusal(to_json_bytes(document()).replace(b"1.0", b"9" * digits))


@pytest.mark.parametrize("value", [8.0, True, "8", None, [8]])
def test_what_is_not_an_integer_is_no_integer(value: Any) -> None:
    assert "$.front_end.side" in refusal(changed(["front_end", "side"], value))


@pytest.mark.parametrize("name", ["tiny\n", "Tiny", "../tiny", "", "a" * 65, "tiny net"])
def test_a_pattern_holds_for_the_whole_text(name: str) -> None:
    assert "$.name" in refusal(changed(["name"], name))


def test_a_pattern_says_nothing_of_what_is_no_text() -> None:
    assert "is not of type 'string'" in refusal(changed(["name"], 3))


@pytest.mark.parametrize("version", [2, 0, "1", None, [1]])
def test_another_version_is_refused_with_both_versions(version: Any) -> None:
    message = refusal(changed(["format_version"], version))
    assert f"format version {version!r}, this program reads 1" in message


def test_a_document_without_version_or_of_another_kind_is_refused() -> None:
    assert "format version None" in refusal(b"[]")
    assert "format version None" in refusal(b"{}")


def test_every_violation_is_named_up_to_five() -> None:
    tree = document()
    tree["name"], tree["classes"], tree["extra"] = 3, ["only one"], 1
    message = refusal(to_json_bytes(tree))
    assert all(part in message for part in ("$.name", "$.classes", "'extra' was unexpected"))
    tree["boundaries"] = [{}] * 9
    assert refusal(to_json_bytes(tree)).count("$") == 5


def test_long_values_do_not_flood_the_message() -> None:
    assert len(refusal(changed(["name"], "x" * 100_000))) < 400


@pytest.mark.parametrize("depth", [100, 300, 900, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    open_block, close_block = '{"name":"x","kind":"residual","shortcut":[],"body":[', "]}"
    nested = open_block * depth + close_block * depth
    data = to_json_bytes(document()).replace(b'"layers": [', b'"layers": [' + nested.encode() + b",", 1)
    message = refusal(data)
    assert any(why in message for why in ("is nested too deeply", "is not JSON", "more than 262144 values"))


def test_too_long_a_document_is_refused_unread() -> None:
    assert f"{MAX_JSON_BYTES + 1} bytes, more than {MAX_JSON_BYTES}" in refusal(b" " * (MAX_JSON_BYTES + 1))


def test_reading_returns_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bounded(tmp_path / "a", 5, BundleError) == b"12345"


def test_reading_refuses_what_is_longer_than_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    with pytest.raises(BundleError, match="a has 5 bytes, more than the 4"):
        read_bounded(tmp_path / "a", 4, BundleError)


def test_reading_refuses_missing_files_folders_links_and_pipes(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"1")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing", "folder", "link", "dangling", "pipe"):
        with pytest.raises(BundleError, match=f"{name} is missing or not a plain file in .*{tmp_path.name}"):
            read_bounded(tmp_path / name, 10, BundleError)


def test_reading_answers_a_system_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"1")

    def fail(_: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(BundleError, match="a cannot be read: Input/output error"):
        read_bounded(tmp_path / "a", 10, BundleError)


def test_writing_replaces_the_whole_file_and_sets_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old and longer")
    write_bytes(target, b"new", mode=0o600)
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    write_bytes(target, b"open")
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("stage", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, stage, full)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_json_is_written_without_numbers_that_json_lacks() -> None:
    assert to_json_bytes({"a": [1, 2.5]}).endswith(b"\n")
    with pytest.raises(ValueError, match="Out of range"):
        to_json_bytes({"a": float("nan")})


def test_the_digest_is_sha256() -> None:
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' stands twice in one object"),
        (b'{"a": 1' + b"1" * 20 + b"}", "longer than 20"),
        (b'{"a": -1e999}', "beyond the largest number"),
        (b'{"a": Infinity}', "Infinity is not a JSON number"),
        (b"[" * 41 + b"]" * 41, "nested too deeply"),
        (b"[" * 1_000_000, "more than 262144 values"),
        (b"[" * 200_000, "is not JSON"),
        ('{"a": 1}'.encode("utf-16"), "is not JSON"),
        (b"\xef\xbb\xbf{}", "is not JSON"),
        (b'{"\x1b[2J": 1, "\x1b[2J": 1}', "is not JSON"),
        (b'{"\\u001b[2J": 1, "\\u001b[2J": 1}', r"'\[2J' stands twice"),
        (b" " * 101, "has 101 bytes, more than 100"),
        (b"", "is not JSON"),
    ],
)
def test_json_of_any_form_is_bounded(data: bytes, message: str) -> None:
    limit = 100 if data.startswith(b"  ") else 1 << 20
    with pytest.raises(SettingError, match=message):
        read_json(data, "it", SettingError, limit=limit)


def test_json_of_any_form_is_read() -> None:
    for text, value in ((b"[]", []), (b' {"a": [1.5, null, "x"]}', {"a": [1.5, None, "x"]}), (b"7", 7)):
        assert read_json(text, "it", SettingError) == value
    many = b"{" + b",".join(b'"%d": 0' % number for number in range(200_000)) + b', "0": 1}'
    with pytest.raises(SettingError, match="'0' stands twice"):
        read_json(many, "it", SettingError)


@pytest.mark.parametrize("member", ["0", '""', "[]", "{}", '{"":0}'])
def test_a_document_of_very_many_values_is_refused_before_python_holds_them(member: str) -> None:
    with pytest.raises(BundleError, match="more than 262144 values"):
        read_json(f"[{','.join([member] * 300_000)}]".encode(), "it", BundleError)


def test_of_very_many_violations_the_first_are_told_and_the_others_not_made() -> None:
    document = {"format": "cryptml-client-bundle", "format_version": 1, "classes": [5] * 900, "steps": [{}] * 250}
    found = describe_violations(document, "client-bundle.schema.json")
    assert 0 < len(found) <= 20
