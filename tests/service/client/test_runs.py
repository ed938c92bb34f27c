"""Runs over many pictures: what is kept, what is asked for again, and what the table holds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import PIL.Image
import pytest
from cryptml_client import Client, SpotCheckFailed
from cryptml_client.asking import AskedPicture, PictureRequest, read_pictures
from cryptml_client.batch.run import Run, RunAnswer, RunStopped
from cryptml_client.batch.settings import RunSettings
from cryptml_client.batch.table import answers_csv

from cryptml.bundle import ClientBundle
from cryptml.errors import JournalError, ServiceTimeout, ServiceUnavailable, SettingError
from cryptml.networks import Network
from tests.conftest import BuildTiny
from tests.service.client.clear_client import Heard, client_of

NAMES = ("=a", "b", "c", "d")


@pytest.fixture(scope="module")
def bundle(build_tiny: BuildTiny) -> ClientBundle:
    return ClientBundle.load(build_tiny("CCCCC").folder / "client")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four pictures, the second one damaged."""
    random = np.random.default_rng(0)
    for name in NAMES:
        PIL.Image.fromarray(random.integers(0, 255, (30, 30), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "c.png").read_bytes()[:60])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pictures() -> list[AskedPicture]:
    return list(read_pictures(PictureRequest([Path(f"{name}.png") for name in NAMES]), 8))


def rows(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.read_text())))


def answers(client: Client, settings: RunSettings, **more: Any) -> list[RunAnswer]:
    return list(Run(client, pictures(), settings, **more).answers())


def test_a_run_leaves_a_table_for_its_owner_alone(folder: Path, bundle: ClientBundle, tiny: Network) -> None:
    _, client = client_of(bundle, tiny)
    table = folder / "out.csv"
    found = answers(client, RunSettings(table), expected=tiny)
    assert [each.as_it_should_be for each in found] == [True, False, True, True]
    assert table.stat().st_mode & 0o777 == 0o600
    assert not table.with_name("out.csv.journal").exists()
    first, damaged, *_ = rows(table)
    classes = [f"probability_{name}" for name in bundle.classes]
    assert list(first) == [
        *("file", "frame", "label", "positive_class", "positive_probability", *classes),
        *("source", "split", "matches_clear", "error"),
    ]
    assert first["file"] == "'=a.png", "a spreadsheet evaluates nothing"
    assert (first["frame"], first["matches_clear"], first["split"], first["error"]) == ("", "yes", "CCCCC", "")
    assert sum(float(first[name]) for name in classes) == pytest.approx(1, abs=1e-5)
    assert first["positive_probability"] == first[classes[-1]]
    assert (damaged["label"], "damaged" in damaged["error"]) == ("", True)


def test_a_service_that_stops_costs_nothing_that_was_answered(
    folder: Path, bundle: ClientBundle, tiny: Network
) -> None:
    table, journal = folder / "out.csv", folder / "out.csv.journal"
    _, client = client_of(bundle, tiny, None, ServiceUnavailable("nothing answers there"))
    with pytest.raises(RunStopped) as stopped:
        answers(client, RunSettings(table))
    assert str(stopped.value) == (
        f"nothing answers there; 1 of 3 pictures are answered and kept in {journal}: the same command with `resume` asks for the rest"
    )
    assert (table.exists(), journal.stat().st_mode & 0o777) == (False, 0o600)
    _, client = client_of(bundle, tiny)
    with pytest.raises(JournalError, match="unfinished run; pass `resume`"):
        answers(client, RunSettings(table))
    stub, client = client_of(bundle, tiny)
    found = answers(client, RunSettings(table, resume=True))
    assert ([each.kept for each in found], stub.asked) == ([True, False, False, False], 2)
    assert [row["file"] for row in rows(table)] == ["'=a.png", "b.png", "c.png", "d.png"], "no row twice"
    with pytest.raises(SettingError, match="is complete"):
        answers(client, RunSettings(table, resume=True))


def test_an_interruption_says_what_is_kept(folder: Path, bundle: ClientBundle, tiny: Network) -> None:
    _, client = client_of(bundle, tiny, None, None, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt, match=r"2 of 3 pictures are answered and kept in .*out.csv.journal"):
        answers(client, RunSettings(folder / "out.csv"))
    _, client = client_of(bundle, tiny, None, KeyboardInterrupt())
    with pytest.raises(
        KeyboardInterrupt, match="1 of 3 pictures are answered, and none is kept: with `csv` or `journal`"
    ):
        answers(client, RunSettings())


def test_another_model_or_other_choices_are_refused(folder: Path, bundle: ClientBundle, tiny: Network) -> None:
    settings = RunSettings(folder / "out.csv", resume=True, choices={"roi": None})
    _, client = client_of(bundle, tiny, None, ServiceTimeout("too slow"))
    with pytest.raises(RunStopped):
        answers(client, settings)
    _, client = client_of(bundle, tiny)
    with pytest.raises(JournalError, match="a run with other roi"):
        answers(client, RunSettings(folder / "out.csv", resume=True, choices={"roi": "1,2,3"}))
    journal = folder / "out.csv.journal"
    whole = journal.read_text()
    journal.write_text(whole.replace(bundle.digest, "0" * 64))
    with pytest.raises(JournalError, match="a run with other bundle"):
        answers(client, settings)
    journal.write_text(whole.replace('"label"', '"opinion"'))
    with pytest.raises(JournalError, match="holds no answer"):
        answers(client, settings)


def test_a_file_that_was_changed_is_asked_about_again(folder: Path, bundle: ClientBundle, tiny: Network) -> None:
    _, client = client_of(bundle, tiny, None, None, ServiceTimeout("too slow"))
    with pytest.raises(RunStopped):
        answers(client, RunSettings(folder / "out.csv"))
    PIL.Image.fromarray(np.full((30, 30), 7, np.uint8)).save(folder / "=a.png")
    stub, client = client_of(bundle, tiny)
    found = answers(client, RunSettings(folder / "out.csv", resume=True))
    assert ([each.kept for each in found], stub.asked) == ([False, False, True, False], 2)


def test_a_service_that_is_found_out_leaves_nothing(folder: Path, bundle: ClientBundle, tiny: Network) -> None:
    _, client = client_of(bundle, tiny, None, SpotCheckFailed("it lies"))
    with pytest.raises(SpotCheckFailed):
        answers(client, RunSettings(folder / "out.csv"))
    assert not list(folder.glob("out.csv*"))


def test_jobs_have_names_and_are_found_again(folder: Path, bundle: ClientBundle, tiny: Network) -> None:
    heard = Heard()
    _, client = client_of(bundle, tiny, None, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        answers(client, RunSettings(folder / "out.csv", background=True), listener=heard)
    assert heard.remarks == [f"job {0:032x}: =a.png", f"job {1:032x}: c.png"]
    heard = Heard()
    _, client = client_of(bundle, tiny)
    answers(client, RunSettings(folder / "out.csv", background=True, resume=True), listener=heard)
    assert [remark.partition(": ")[2] for remark in heard.remarks] == ["d.png"], "the job of c.png is known"


def test_the_service_that_is_away_is_told_once_between_two_answers(
    folder: Path, bundle: ClientBundle, tiny: Network
) -> None:
    stub, client = client_of(bundle, tiny)
    heard = Heard()
    given: Iterator[RunAnswer] = Run(client, pictures(), RunSettings(), listener=heard).answers()
    next(given)
    for _ in range(3):
        cast("Any", stub).waiting(ServiceUnavailable("it is away"))
    list(given)
    assert heard.notes == ["it is away; the service is waited for, and asked again until `patience` is over"]


def test_what_cannot_be_resumed_is_refused_before_anything_is_asked(
    folder: Path, bundle: ClientBundle, tiny: Network
) -> None:
    stub, client = client_of(bundle, tiny)
    with pytest.raises(SettingError, match="name its table"):
        answers(client, RunSettings(resume=True))
    assert (stub.asked, stub.prepared) == (0, False)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_cell_is_a_formula(name: str) -> None:
    document = {"image": name, "frame": None, "error": name}
    (row,) = csv.DictReader(io.StringIO(answers_csv([document], ["=x"], compared=False).decode()))
    assert all(not (value or "").startswith(("=", "+", "-", "@", "\t", "\r")) for value in row.values())
    assert json.dumps(list(row))
