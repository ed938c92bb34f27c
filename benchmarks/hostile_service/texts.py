"""Texts that may harm whoever shows or keeps them."""

from __future__ import annotations

TEXTS = (
    "\x1b[2J\x1b[1;31mowned\x07",
    "line\nline\r\nline",
    "\u202eright to left\u2066",
    "\x00" * 20,
    "\ud800 lone",
    "\u2028\u2029\x85",
    "\u200b\ufeff\u00ad",
    "x" * 100_000,
    "<script>alert(1)</script>",
    "%s %n {0} {x.__class__}",
    "",
    "😀" * 3000,
    "'; DROP TABLE keys; --",
    "a\u0300" * 5000,
)
