"""How large what a specification asks for may be: keys, ciphertexts, values."""

from __future__ import annotations

SEED_WORDS = 3
"""Of a seeded ciphertext: 128 bits of seed, 64 of message."""

WORD_BYTES = 8

MAX_SPECS_BYTES = 4 << 20

MAX_KEY_BYTES = 2 << 30
"""Of evaluation keys as they are sent: what a client makes and keeps."""

MAX_EXPANDED_KEY_BYTES = 16 << 30
"""Of evaluation keys with every seed expanded: what a client computes to make them, some twenty times as much as the shipped networks'."""

MAX_CIPHERTEXT_BYTES = 1 << 30
"""Of one encrypted input or output."""

MOST_MESSAGES = 1 << 18
"""Of one encrypted input or output: a client encrypts some ten a millisecond."""

MARGIN = 4.0
"""Standard deviations of fresh noise between a message and its neighbour, at least; honest builds keep over 7 of all noise together
(a p_error of 2^-40)."""
