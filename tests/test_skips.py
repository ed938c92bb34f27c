"""The gate for skips, in runs of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import read_expected

ROOT = Path(__file__).parent.parent

TESTS = """
import pytest

def test_good(): pass

@pytest.mark.parametrize("n", [1, 2])
def test_some(n):
    if n == 2:
        pytest.skip("two: is not for us")

@pytest.mark.skipif(True, reason="never here")
def test_mark(): pass

@pytest.fixture
def absent(): pytest.skip("no such program")

def test_fixture(absent): pass

@pytest.mark.xfail(reason="known")
def test_known(): assert False
"""

ALL = """# what is expected
test_it.py::test_some: two: is not for us  # one of two
test_it.py::test_mark: never here  # it says so
test_it.py::test_fixture: no such program  # not installed
"""


def run(folder: Path, tests: str, expected: str | None) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:cov", "-p", "tests.skips"]
    command += [f"--rootdir={folder}", "-c", "/dev/null", str(folder / "test_it.py")]
    if expected is not None:
        (folder / "expected.txt").write_text(expected)
        command += ["--expected-skips", str(folder / "expected.txt")]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_without_the_option_everything_may_be_skipped(tmp_path: Path) -> None:
    done = run(tmp_path, TESTS, None)
    assert done.returncode == 0, done.stdout
    assert "3 skipped" in done.stdout


def test_expected_skips_pass(tmp_path: Path) -> None:
    done = run(tmp_path, TESTS, ALL)
    assert done.returncode == 0, done.stdout
    assert "unexpected" not in done.stdout


@pytest.mark.parametrize("number", [1, 2, 3])
def test_any_other_skip_fails_the_run_and_is_named(tmp_path: Path, number: int) -> None:
    lines = ALL.splitlines()
    left_out = lines.pop(number)
    done = run(tmp_path, TESTS, "\n".join(lines))
    assert done.returncode == 1, done.stdout
    assert f"1 x {left_out.partition('  # ')[0]}" in done.stdout


def test_another_reason_is_another_skip(tmp_path: Path) -> None:
    done = run(tmp_path, TESTS, ALL.replace("never here", "sometimes here"))
    assert done.returncode == 1, done.stdout


def test_a_whole_file_that_is_skipped_counts(tmp_path: Path) -> None:
    skipped = "import pytest\npytest.importorskip('nobody_has_this', reason='not for us')\n"
    assert run(tmp_path, skipped, "").returncode == 1
    assert run(tmp_path, skipped, "test_it.py: not for us  # none\n").returncode == 5, "as pytest has it without tests"


@pytest.mark.parametrize("line", ["test_it.py::test_some", "test_it.py::test_some: reason", "a: b  # "])
def test_a_line_without_reason_or_why_is_refused(tmp_path: Path, line: str) -> None:
    done = run(tmp_path, TESTS, line)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "line 1 is not FILE::FUNCTION: REASON  # WHY" in done.stderr


def test_what_is_expected_is_there() -> None:
    """The committed list names tests that exist, and the reasons that they give."""
    for skip in read_expected((ROOT / "tests" / "expected_skips.txt").read_text()):
        where, _, reason = skip.partition(": ")
        file, _, function = where.partition("::")
        text = (ROOT / file).read_text()
        assert re.search(rf"^def {function}\(", text, re.MULTILINE), skip
        assert f'"{reason}"' in text, skip
