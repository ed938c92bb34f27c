"""Ctrl-C and SIGTERM at long work, in processes of their own: one line says what was kept and how to go on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cryptml.listening import NOTHING_KEPT, Bar, Interrupted, SilentListener, saying
from cryptml.search.request import SearchRequest, search
from cryptml.training.evaluation.study import JudgementRequest, judge_network
from cryptml.training.teachers.pretraining import pretrain_to
from tests.bounds import ENDS_SECONDS
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("unmeasured_children")

INTERRUPTED = 130
PROFILES = sorted((Path(__file__).parents[2] / "profiles").rglob("profile.json"))


@contextmanager
def started(module: str, *command: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", f"from {module} import run; run()", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def interrupted(process: subprocess.Popen[str], when: Callable[[], object], number: int = signal.SIGINT) -> str:
    """Return the last line on stderr of a process that is interrupted once something is so."""

    def so() -> bool:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        return bool(when())

    wait_for(so, "the work to begin")
    process.send_signal(number)
    _, complaint = process.communicate(timeout=10 * ENDS_SECONDS)
    assert process.returncode == INTERRUPTED, complaint
    assert "Traceback" not in complaint
    return complaint.strip().splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_is_gone_on_with(tmp_path: Path, number: int) -> None:
    out = tmp_path / "net"
    command = ["cryptml.cli.main", "train", "--dataset", "phantom:images=600", "--network", "tiny", "--out", str(out)]
    command += ["--epochs", "9000", "--views", "2"]
    state = tmp_path / "net.unfinished" / "state.json"
    with started(*command) as process:
        said = interrupted(process, state.exists, number)
    kept = re.fullmatch(
        rf"error: interrupted; {re.escape(str(out))}\.unfinished keeps (\d+) finished epochs?( of \d+ trainings, teachers' among them)?; the same command with "
        "--resume goes on from there",
        said,
    )
    assert kept, said
    if number == signal.SIGTERM:
        return  # what is kept does not depend on the signal
    before = state.read_bytes()
    with started(*command, "--resume") as process:
        said = interrupted(process, lambda: state.read_bytes() != before)
    again = re.search(r"keeps (\d+) finished", said)
    assert again, said
    assert int(again[1]) > int(kept[1])
    assert not out.exists()


@pytest.mark.encrypted
def test_a_profile_names_resume(tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    journal = tmp_path / "report.json.unfinished"
    with started("cryptml.cli.split_profiler", "run", "tiny", "--out", str(out)) as process:
        said = interrupted(process, lambda: journal.exists() and journal.read_bytes().count(b"\n") > 1)
    assert said == (
        f"error: interrupted; {journal} keeps what was measured; the same command with --resume goes on from there"
    )
    assert not out.exists()


@pytest.mark.encrypted
def test_a_build_keeps_nothing(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    with started("cryptml.cli.main", "build", "tiny", "--out", str(out)) as process:
        said = interrupted(process, lambda: any(tmp_path.iterdir()), signal.SIGTERM)
    assert said == (
        f"error: interrupted; nothing of the build was kept, and {out} is as it was; the same command begins again"
    )
    assert list(tmp_path.iterdir()) == []


class Impatient(SilentListener):
    """Presses Ctrl-C as soon as something is to be counted."""

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Bar]:
        raise KeyboardInterrupt
        yield


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda out: judge_network(JudgementRequest("tiny", "phantom"), listener=Impatient()), NOTHING_KEPT),
        (lambda out: pretrain_to(out, listener=Impatient()), NOTHING_KEPT),
        (
            lambda out: search(SearchRequest("phantom", 100.0, PROFILES), out, listener=Impatient()),
            "keeps the designs that were finished; the same command goes on after them by itself",
        ),
    ],
)
def test_other_long_work_says_what_it_kept(work: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    with pytest.raises(Interrupted) as caught:
        work(tmp_path / "out")
    assert str(caught.value).endswith(said)


def test_what_was_said_first_stays() -> None:
    with pytest.raises(Interrupted, match="inner"), saying("outer"), saying("inner"):
        raise KeyboardInterrupt
