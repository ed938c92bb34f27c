"""Errors are shown to people: in one line, whatever is quoted in them."""

from __future__ import annotations

import pytest

from cryptml import errors
from cryptml.errors import MOST_CHARACTERS, CryptmlError, NetworkError, Problem, ServiceRefused

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CryptmlError)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "text", ["a\nb\r\nc\u2028d", "\x1b[2J\x07", "\u202eevil\u2066", "\ud800", "\x00", "x" * 10_000_000]
)
def test_every_error_is_one_printable_line_of_bounded_length(kind: type[CryptmlError], text: str) -> None:
    error = ServiceRefused(500, text, text) if kind is ServiceRefused else kind(f"it is {text}")
    shown = str(error)
    assert shown.isprintable()
    assert len(shown) <= MOST_CHARACTERS
    shown.encode()


def test_lines_are_told_apart_in_one() -> None:
    assert str(CryptmlError("a\nb\r\nc")) == "a b c"


def test_several_problems_of_a_network_keep_their_lines() -> None:
    error = NetworkError("two things", [Problem("here", "wr\x1bong", "do"), Problem("there", "wrong", "do")])
    assert str(error) == "two things\n  - here: wrong; do\n  - there: wrong; do"
