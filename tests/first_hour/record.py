"""Writes transcripts anew: ``python -m tests.first_hour.record docs/tutorials/first-hour.md``, after a look at what changed: ``git diff``.

The page gets what is read on a terminal of 80 columns; what is read on others and in a pipe goes into ``golden/``.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.first_hour.comparing import require_status
from tests.first_hour.page import read_blocks, read_files, written
from tests.first_hour.scripts import GOLDEN, typed_alone
from tests.first_hour.session import OTHERS, USUAL


def record(page: Path) -> None:
    """Run a page and write it and its other transcripts."""
    text = page.read_text()
    blocks, others = [], {form: list[str]() for form in OTHERS}
    with tempfile.TemporaryDirectory() as top, typed_alone(page.resolve(), Path(top)) as one:
        one.save(read_files(text))
        for block in read_blocks(text):
            typed = []
            for ran in one.run(block):
                require_status(block, ran, one.as_written(ran.typed.command))
                sys.stderr.write(
                    f"{ran.form}: {ran.cost.seconds:6.1f} s {ran.cost.peak / 1e6:6.0f} MB  {ran.typed.command}\n"
                )
                if ran.form == USUAL:
                    typed.append(ran.typed)
                else:
                    others[ran.form] += [f"$ {ran.typed.command}", ran.typed.output]
            blocks.append(replace(block, typed=tuple(typed)))
    page.write_text(written(text, blocks))
    for form, lines in others.items():
        (GOLDEN / f"{page.stem}.{form}.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        record(Path(name))
