"""The pages that are transcripts are run as they stand, and say what they say there."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.first_hour.comparing import require_same
from tests.first_hour.page import Typed, read_blocks, words_of, written
from tests.first_hour.scripts import OWN_NETWORK, OWN_PICTURES, typed_alone
from tests.first_hour.terminal import Form, Running


@pytest.mark.encrypted
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", [OWN_PICTURES, OWN_NETWORK], ids=lambda page: page.stem)
def test_what_is_said_is_what_the_page_says(page: Path) -> None:
    """The clinic's page is run with a client's installation, in `tests.installations`."""
    with tempfile.TemporaryDirectory() as top, typed_alone(page, Path(top)) as one:
        require_same(page, one)


class TestPages:
    TEXT = 'a\n\n<!-- at every width -->\n```console\n$ b \\\n  c\nd\n$ e\n```\n\n```console title="second"\n$ f\n```\n'

    def test_read_and_written(self) -> None:
        first, second = read_blocks(self.TEXT)
        assert first.typed == (Typed("b \\\n  c", "d"), Typed("e", ""))
        assert (first.everywhere, first.title, second.title) == (True, None, "second")
        assert written(self.TEXT, [first, second]) == self.TEXT
        other = written(self.TEXT, [replace(first, typed=(Typed("e", "1\n2"),)), second])
        assert read_blocks(other)[0].typed == (Typed("e", "1\n2"),)
        assert read_blocks(other)[1].typed == second.typed

    @pytest.mark.parametrize("text", ["```console\nx\n```\n", "<!-- what -->\n```console\n$ x\n```\n"])
    def test_what_is_not_understood_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="line"):
            read_blocks(text)

    def test_words_differ_where_something_else_is_said(self) -> None:
        assert words_of("made  2026-11-29, 19.0 MB in 3.1 s") == words_of("made 2025-01-02,\n7 kB in 12 min")
        assert words_of("4ca9 c511 abcd ends") == words_of("1234 dead beef ends")
        assert words_of("written to a.csv") != words_of("written to b.csv")
        assert words_of("key set 49efd13487838909 is deleted") != words_of("key set 49efd13487838909 is kept")


class TestTerminals:
    def run(self, command: str, form: Form, folder: Path) -> Running:
        running = Running(command, form, folder, {"PATH": "/usr/bin:/bin"})
        assert running.finish() == 0
        return running

    def test_width_and_what_stands_at_the_end(self, tmp_path: Path) -> None:
        command = "stty size; printf 'half\\rwhole\\n'; test -t 1 -a -t 2 -a -t 0"
        assert self.run(command, Form(60), tmp_path).text == "50 60\nwhole"
        assert (
            self.run("printf 'half\\rwhole\\n'; test ! -t 1", Form(80, terminal=False), tmp_path).text == "half\rwhole"
        )

    def test_questions_and_interruptions(self, tmp_path: Path) -> None:
        asked = Running("read -p 'yes? ' answer; echo got $answer", Form(80), tmp_path, {"PATH": "/usr/bin:/bin"})
        asked.wait_for(lambda: asked.text.endswith("yes?"), "its question")
        asked.type("y\n")
        assert asked.finish() == 0
        assert asked.text.endswith("got y")
        for form in (Form(80), Form(80, terminal=False)):
            asleep = Running("echo on; sleep 100", form, tmp_path, {"PATH": "/usr/bin:/bin"})
            asleep.wait_for(lambda asleep=asleep: "on" in asleep.text, "it began")  # type: ignore[misc]
            asleep.interrupt()
            assert asleep.finish() == -2
            assert asleep.cost.peak > 0
