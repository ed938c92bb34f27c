"""How Concrete's messages begin: a table of the lengths of their segments, which Concrete believes."""

from __future__ import annotations

import struct

WORD = 8
MOST_SEGMENTS = 512
"""Of one message, as Cap'n Proto itself has it."""


def is_whole(message: bytes) -> bool:
    """Return whether a serialised message is as long as its table says.

    One that says it is longer makes Concrete take as much memory as it claims, before it notices that the rest is missing.
    """
    if len(message) < WORD:
        return False
    count = int.from_bytes(message[:4], "little") + 1
    head = -(-4 * (count + 1) // WORD) * WORD
    if count > MOST_SEGMENTS or head > len(message):
        return False
    return head + WORD * sum(struct.unpack_from(f"<{count}I", message, 4)) == len(message)
