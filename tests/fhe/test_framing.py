"""Messages of Concrete that are not as long as they say."""

from __future__ import annotations

import struct

import pytest

from cryptml.fhe.framing import MOST_SEGMENTS, is_whole


def message(*sizes: int) -> bytes:
    table = struct.pack(f"<{1 + len(sizes)}I", len(sizes) - 1, *sizes)
    return table + bytes(-len(table) % 8) + bytes(8 * sum(sizes))


@pytest.mark.parametrize("sizes", [(0,), (1,), (127, 3), (1, 2, 3), (1,) * MOST_SEGMENTS])
def test_whole_messages(sizes: tuple[int, ...]) -> None:
    found = message(*sizes)
    assert is_whole(found)
    assert not is_whole(found[:-1])
    assert not is_whole(found + b"x")
    assert not is_whole(found + bytes(8))


@pytest.mark.parametrize(
    "found",
    [b"", b"\0" * 7, b"\xff" * 64, struct.pack("<2I", 0, 2**31) + bytes(64), message(*[1] * (MOST_SEGMENTS + 1))],
)
def test_messages_that_are_none(found: bytes) -> None:
    assert not is_whole(found)
