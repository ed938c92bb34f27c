"""Small, safe file habits: bounded reads, digests, JSON against a schema, writes that are whole or absent."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache, partial
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptml.errors import CryptmlError, printable

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

MAX_DEPTH = 40
"""Levels of a JSON document; the deepest of ours, residual blocks in a network, has fewer than half."""

MAX_JSON_BYTES = 16 << 20
MAX_VALUES = 1 << 18
"""Of a JSON document: small ones take Python up to a hundred times the bytes that they have on the wire."""

MOST_VIOLATIONS = 20
"""Of a schema that are looked for, in all and in one array or object: each takes a kilobyte, and a document can hold a million."""
MAX_INTEGER_DIGITS = 20

_PROBED = 1 << 20
"""Bytes that a disk must have room for before long work begins."""

SYSTEM_NAMES = frozenset({"__macosx", "@eadir", "desktop.ini", "ehthumbs.db", "thumbs.db"})
"""Files and folders of operating systems, in lower case; names that begin with a dot are such too."""


def is_system(name: str) -> bool:
    """Return whether a file or folder is the operating system's, not its user's."""
    return name.startswith(".") or name.casefold() in SYSTEM_NAMES


def read_bounded(path: Path, limit: int, error: type[CryptmlError]) -> bytes:
    """Return a file's bytes, refusing links, folders and anything longer than ``limit`` bytes.

    Raises:
        CryptmlError: As ``error``, naming the file.
    """
    try:
        if path.is_symlink() or not path.is_file():
            raise error(f"{path.name} is missing or not a plain file in {path.parent}")
        size = path.stat().st_size
        if size > limit:
            raise error(f"{path.name} has {size} bytes, more than the {limit} that it may have")
        return path.read_bytes()
    except OSError as problem:
        raise error(f"{path.name} cannot be read: {problem.strerror}") from problem


def read_json(data: bytes, what: str, error: type[CryptmlError], *, limit: int = MAX_JSON_BYTES) -> Any:
    """Return a JSON document of any form, within bounds.

    They are its size, `MAX_VALUES`, `MAX_DEPTH`, `MAX_INTEGER_DIGITS` of an integer, and that numbers are finite.

    Args:
        data: UTF-8.
        what: The document's name, for messages.
        error: Raised where it is not JSON, breaks a bound, or names a key twice in one object.
        limit: Bytes that it may have.

    Raises:
        CryptmlError: As ``error``.
    """
    if len(data) > limit:
        raise error(f"{what} has {len(data)} bytes, more than {limit}")
    # Each value stands behind one of these; within texts they count too, of which our own documents have few.
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise error(f"{what} has more than {MAX_VALUES} values; write it again")
    try:
        document = json.loads(
            data.decode(),
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
            parse_int=_bounded_integer,
            object_pairs_hook=_unique,
        )
    except (ValueError, RecursionError) as problem:
        raise error(f"{what} is not JSON ({problem}); write it again") from problem
    if _is_deep(document):
        raise error(f"{what} is nested too deeply, more than {MAX_DEPTH} levels; write it again")
    return document


def parse_json(
    data: bytes, schema: str, what: str, error: type[CryptmlError], *, limit: int = MAX_JSON_BYTES
) -> dict[str, Any]:
    """Return a JSON document that keeps a schema of this package.

    Args:
        data: UTF-8.
        schema: The schema's file, a name in ``cryptml/schemas``.
        what: The document's name, for messages.
        limit: Bytes that it may have.
        error: Raised, naming every violation (the first five).

    Raises:
        CryptmlError: As ``error``.
    """
    document = read_json(data, what, error, limit=limit)
    wrong_version = _version_problem(document, _schema(schema))
    if wrong_version:
        raise error(f"{what} {wrong_version}")
    violations = describe_violations(document, schema)
    if violations:
        raise error(f"{what} breaks its schema: {'; '.join(violations[:5])}")
    return document


def describe_violations(document: Any, schema: str) -> list[str]:
    """Return where and how a document breaks a schema (a name in ``cryptml/schemas``), nothing if it keeps it."""
    if _is_deep(document):
        return [f"nested deeper than {MAX_DEPTH} levels"]
    found_first = islice(_validator(schema).iter_errors(document), MOST_VIOLATIONS)
    violations = sorted(found_first, key=lambda violation: list(map(str, violation.path)))
    found = [_innermost(violation) for violation in violations]
    return [f"{violation.json_path}: {violation.message[:160]}" for violation in found]


def _is_deep(document: object) -> bool:
    """Whether a document has more than `MAX_DEPTH` levels: validation recurses, and native code in it must not run out of stack."""
    level = [document]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for value in level:
            if isinstance(value, dict):
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
        if not inner:
            return False
        level = inner
    return True


def _innermost(violation: ValidationError) -> ValidationError:
    """Return what is wrong inside the one alternative that was meant: the one that gets furthest into the document."""
    while violation.context:
        violation = max(violation.context, key=lambda inner: len(inner.absolute_path))
    return violation


def write_bytes(path: Path, *parts: bytes, mode: int = 0o644) -> None:
    """Write a file so that a crash leaves either the old one or the whole new one.

    Args:
        path: Of the file.
        parts: Its content, one after the other: large ones need not be joined in memory.
        mode: Of the file.

    Raises:
        OSError: For example when the disk is full; nothing is left behind.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            for part in parts:
                stream.write(part)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, path)  # noqa: PTH105 (Path.replace of a name from mkstemp)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def require_writable(folder: Path, error: type[CryptmlError]) -> None:
    """Refuse a folder in which nothing can be written, or the nearest one above it where it is still to be made; before long work.

    Raises:
        CryptmlError: As ``error``: it is no folder, belongs to others, is read-only, or its disk is full.
    """
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(each))
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(bytes(_PROBED))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as problem:
        reason = problem.strerror if there.is_dir() else "it is no folder"
        raise error(
            f"nothing can be written in {there} ({reason}); choose another place, or make room or rights there"
        ) from problem


def to_json_bytes(document: Mapping[str, Any]) -> bytes:
    """Return a document as readable JSON in UTF-8, ending in a newline."""
    return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()


def sha256(data: bytes) -> str:
    """Return the SHA-256 digest in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


@cache
def _schema(schema: str) -> dict[str, Any]:
    return json.loads(resources.files("cryptml").joinpath("schemas", schema).read_text(encoding="utf-8"))


@cache
def _validator(schema: str) -> Validator:
    # Here, because it takes a tenth of a second, and much is imported that validates nothing.
    from jsonschema import Draft202012Validator, validators
    from referencing import Registry, Resource

    registry: Registry[Any] = Registry().with_resource(
        "cryptml:definitions", Resource.from_contents(_schema("definitions.schema.json"))
    )
    bounded = {
        name: partial(_first_within, kind, bound, Draft202012Validator.VALIDATORS[name])
        for name, (kind, bound) in _BOUNDED.items()
    }
    strict = validators.extend(  # type: ignore[no-untyped-call]
        Draft202012Validator,
        {"pattern": _match_whole, **bounded},
        type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
    )
    return strict(_schema(schema), registry=registry)


_BOUNDED: dict[str, tuple[type, str]] = {
    "items": (list, "maxItems"),
    "additionalProperties": (dict, "maxProperties"),
    "patternProperties": (dict, "maxProperties"),
    "propertyNames": (dict, "maxProperties"),
    "unevaluatedProperties": (dict, "maxProperties"),
}
"""Keywords that look at every member of an array or an object: of which type, and which keyword bounds it."""


def _first_within(
    kind: Any, bound: str, keyword: Any, validator: Any, value: Any, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    """Yield the first violations within a container, none where it is too long itself: its bound says that, and says it at once."""
    if isinstance(instance, kind) and len(instance) > schema.get(bound, math.inf):
        return
    yield from islice(keyword(validator, value, instance, schema), MOST_VIOLATIONS)


def _is_integer(checker: Any, value: Any) -> bool:  # noqa: ARG001
    """Whether a value is a Python int: the standard takes 1.0 for an integer too, which no shape or index can be."""
    return isinstance(value, int) and not isinstance(value, bool)


def _match_whole(validator: Any, pattern: str, text: Any, schema: Any) -> Iterator[ValidationError]:  # noqa: ARG001
    """Compare with all of a text: Python's ``$`` would let a newline stand behind it."""
    from jsonschema import ValidationError

    if isinstance(text, str) and not re.fullmatch(pattern, text):
        yield ValidationError(f"{text!r} does not match {pattern!r}")


def _version_problem(document: Any, schema: Mapping[str, Any]) -> str | None:
    expected = schema["properties"]["format_version"]["const"]
    found = document.get("format_version") if isinstance(document, dict) else None
    if found == expected:
        return None
    return f"is of format version {repr(found)[:80]}, this program reads {expected}; write it again with this version"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object, in which no name stands twice: readers differ on which of the two counts."""
    document: dict[str, Any] = {}
    for name, value in pairs:
        if name in document:
            raise ValueError(f"{printable(name)[:40]!r} stands twice in one object")
        document[name] = value
    return document


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is beyond the largest number that is read")
    return value


def _bounded_integer(text: str) -> int:
    if len(text) > MAX_INTEGER_DIGITS:
        raise ValueError(f"an integer of {len(text)} characters is longer than {MAX_INTEGER_DIGITS}")
    return int(text)
