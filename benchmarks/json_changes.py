"""Every place of a JSON document, and copies in which values are replaced, by JSON or not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

Path_ = tuple[str | int, ...]
PLACE = "\0number\0"

EXTREMES = tuple(
    """
    0 -0.0 1 -1 2 3 7 8 15 16 31 32 33 63 64 65 127 255 256 450 512 562 1023 1024 2047 2048 4096 32768 65536 131072 262144 1048575 1048576
    2147483647 2147483648 4294967295 4294967296 9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616
    1000000000000000000000000000000 0.5 1.5 2.0 1e-400 5e-324 1e-300 1e-40 1e-38 1e-20 1e-9 1e-3 1e3 1e6 1e12 1e36 1e300 1.7e308 1e999
    -1e999 -1e12 NaN Infinity -Infinity true false null "1" [] {}
    """.split()  # noqa: SIM905
)
"""As they stand in JSON; some are not JSON."""

FACTORS = (
    1 - 1e-12,
    1 + 1e-12,
    1 - 1e-6,
    1 + 1e-6,
    0.999,
    1.001,
    0.99,
    1.01,
    0.5,
    2.0,
    0.25,
    4.0,
    16.0,
    1e3,
    1e-3,
    -1.0,
)

STEPS = (-64, -16, -8, -2, -1, 1, 2, 8, 16, 64)


def places(document: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Yield every value of a document, containers too, with the way to it; not the document itself."""
    members: Iterable[tuple[str | int, Any]] = ()
    if isinstance(document, dict):
        members = document.items()
    elif isinstance(document, list):
        members = enumerate(document)
    for name, value in members:
        yield (*path, name), value
        yield from places(value, (*path, name))


def put(document: Any, path: Path_, value: Any) -> Any:
    """Return a copy of a document with another value in one place."""
    again = deepcopy(document)
    inner = again
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return again


def leaves(document: Any) -> Iterator[tuple[Path_, int | float]]:
    """Yield every number of a document with the way to it."""
    for path, value in places(document):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield path, value


def mutations(value: float) -> list[str]:
    """Return what a number is changed to, as it stands in JSON; each once, and not what it is already."""
    changed = list(EXTREMES)
    changed += [repr(value * factor) for factor in FACTORS]
    if isinstance(value, int):
        changed += [str(value + step) for step in STEPS] + [str(int(value * factor)) for factor in FACTORS]
    return [each for each in dict.fromkeys(changed) if each != json.dumps(value)]


def changed(document: Any, tokens: Mapping[Path_, str]) -> bytes:
    """Return a document's JSON with numbers replaced by tokens, whatever these are."""
    again = json.loads(json.dumps(document))
    for number, path in enumerate(tokens):
        inner = again
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = f"{PLACE}{number}"
    text = json.dumps(again)
    for number, token in enumerate(tokens.values()):
        text = text.replace(json.dumps(f"{PLACE}{number}"), token)
    return text.encode()
