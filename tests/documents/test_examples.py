"""The examples run, from any folder, and say what they promise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SAY = {
    "encrypted_answer.py": ["equal: yes"],
    "rows_of_numbers.py": ["test rows right", "of 8 encrypted answers 8 lie within what rounding may change"],
}
"""What each prints, among other things."""

ELSEWHERE = {
    "make_pictures.py": "tests.first_hour",
    "export_backbone.py": "tests.networks.test_backbones",
    "whole_pictures.py": "tests.networks.test_squares_front_end",
    "mnist_networks.py": "tests.datasets.test_dataset_mnist",
}
"""Run by others."""


def test_every_example_is_tested() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == set(SAY) | set(ELSEWHERE)


@pytest.mark.slow
@pytest.mark.encrypted
@pytest.mark.parametrize("name", sorted(SAY))
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / name],
        cwd=tmp_path,
        env={each: value for each, value in os.environ.items() if not each.startswith("CRYPTML_")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    for sentence in SAY[name]:
        assert sentence in done.stdout
    assert list(tmp_path.iterdir()) == []
