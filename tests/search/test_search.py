"""A search keeps its budget, goes on where it stopped, and its frontier is one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FixedTrial
from typer.testing import CliRunner

from cryptml.cli.main import app
from cryptml.datasets import load_dataset
from cryptml.errors import NetworkError, SettingError
from cryptml.networks import Standardisation, load_network
from cryptml.networks.architectures.design import ConvolutionDesign, Design
from cryptml.networks.architectures.registry import load_architecture
from cryptml.networks.checkpoint import load_checkpoint
from cryptml.networks.front_ends import Scattering
from cryptml.search import PriceModel, Search, SearchSettings
from cryptml.search.space import parameters, suggest
from cryptml.training import Examples, TrainingSettings, cross_validate, recipe

FRONT_END = Standardisation(8)
TRAINING = TrainingSettings(epochs=2, batch=32, views=2, distil=False)
PRICE = PriceModel(call=10.0, received=0.1, sent=0.1, work=0.1, points=9, median_error=0.05, worst_error=0.1)
SETTINGS = SearchSettings("phantom", 400.0, 2, TRAINING)
SMALL = Design(FRONT_END, 1, (ConvolutionDesign(4, 4, 4),), 8, True, "triangle", False, 5, 5, 3, 3, 0.5)
"""A design that is trained in a moment."""


@pytest.fixture(scope="module")
def examples() -> Examples:
    return Examples.of(load_dataset("phantom:images=96,contrast=0.5", 8), FRONT_END, views=2)


def test_every_design_keeps_the_budget_and_the_frontier_dominates(examples: Examples, tmp_path: Path) -> None:
    study = Search(tmp_path, examples, PRICE, SETTINGS)
    heard: list[str] = []
    first = study.step(tell=heard.append)
    assert heard[0].startswith("looking for a design")
    assert heard[-1] == f"training {first.design.bootstraps} bootstraps, {first.evaluate_ms:.0f} ms"
    again = Search(tmp_path, examples, PRICE, SETTINGS)
    assert again.completed == 1
    again.begin_with([SMALL, replace(SMALL, hidden=12)])
    again.step()
    again.step()
    found = again.found()
    assert len(found) == 3
    assert [each.evaluate_ms for each in found] == sorted(each.evaluate_ms for each in found)
    assert next(each for each in found if each.number == first.number).design == first.design
    for each in found:
        assert 0 <= each.auc <= 1
        assert PRICE.call < each.evaluate_ms <= SETTINGS.max_evaluate_ms
        better = [
            other
            for other in found
            if (other.auc > each.auc and other.evaluate_ms <= each.evaluate_ms)
            or (other.auc >= each.auc and other.evaluate_ms < each.evaluate_ms)
        ]
        assert each.frontier == (not better)


def test_a_study_goes_on_under_the_same_settings_alone(examples: Examples, tmp_path: Path) -> None:
    Search(tmp_path, examples, PRICE, SETTINGS)
    Search(tmp_path, examples, PRICE, SETTINGS)
    with pytest.raises(SettingError, match="another max_evaluate_ms, training; choose another folder"):
        Search(tmp_path, examples, PRICE, replace(SETTINGS, max_evaluate_ms=300.0, training=replace(TRAINING, seed=1)))


def test_a_search_begins_with_known_designs_once(examples: Examples, tmp_path: Path) -> None:
    study = Search(tmp_path, examples, PRICE, SETTINGS)
    study.begin_with([SMALL])
    assert study.step().design == SMALL
    again = Search(tmp_path, examples, PRICE, SETTINGS)
    again.begin_with([SMALL])
    again.step()
    assert [each.design == SMALL for each in again.found()].count(True) == 1


def test_a_design_that_was_interrupted_is_looked_at_again(
    examples: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    study = Search(tmp_path, examples, PRICE, SETTINGS, most_refused=1)
    study.begin_with([SMALL])
    with monkeypatch.context() as patch:
        patch.setattr("cryptml.search.study.cross_validate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            study.step()
    again = Search(tmp_path, examples, PRICE, SETTINGS, most_refused=1)
    again.begin_with([SMALL])
    assert again.step().design == SMALL


def test_no_design_is_trained_twice(examples: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptml.search.study.suggest", lambda *_: SMALL)
    study = Search(tmp_path, examples, PRICE, SETTINGS, most_refused=2)
    study.step()
    with pytest.raises(SettingError, match="none of 2 designs is new and fits 400 ms .+ was trained already"):
        study.step()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_every_design_that_is_drawn_can_be_begun_with(seed: int, pictures: bool) -> None:
    front_end = FRONT_END if pictures else Scattering(16, octaves=2, directions=4, cells=1, harmonics=1)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    try:
        drawn = suggest(study.ask(), front_end)
    except NetworkError:
        return
    assert suggest(FixedTrial(parameters(drawn)), front_end) == drawn


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hidden": 49}, "out of the range"),
        ({"kept": 0.3}, "0.3"),
        ({"front_end": Standardisation(16)}, "give designs of one front end"),
    ],
)
def test_a_design_that_no_search_chooses_is_no_beginning(
    examples: Examples, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    study = Search(tmp_path, examples, PRICE, SETTINGS)
    with pytest.raises(SettingError, match=reason):
        study.begin_with([replace(SMALL, **change)])


def test_a_budget_that_nothing_fits_is_said_to_be_too_small(examples: Examples, tmp_path: Path) -> None:
    study = Search(tmp_path, examples, PRICE, replace(SETTINGS, max_evaluate_ms=11.0), most_refused=5)
    with pytest.raises(
        SettingError, match=r"none of 5 designs is new and fits 11 ms \(the last one: .+\); give a larger budget"
    ):
        study.step()


def test_a_budget_below_a_call_and_a_file_that_is_no_study_are_refused(examples: Examples, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="a budget of 9 ms is no more than the 10 ms of a call"):
        Search(tmp_path, examples, PRICE, replace(SETTINGS, max_evaluate_ms=9.0))
    (tmp_path / "study.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(SettingError, match="study.sqlite cannot be read as a search"):
        Search(tmp_path, examples, PRICE, SETTINGS)


def test_an_interrupted_design_is_left_behind_and_a_diverging_one_refused(
    examples: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Search(tmp_path, examples, PRICE, SETTINGS)
    study.begin_with([SMALL])
    real = cross_validate

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cryptml.search.study.cross_validate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.step()
    calls: list[int] = []

    def diverging_once(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise NetworkError("the training loss became nan")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("cryptml.search.study.cross_validate", diverging_once)
    again = Search(tmp_path, examples, PRICE, SETTINGS)
    again.begin_with([replace(SMALL, hidden=12), replace(SMALL, hidden=16)])
    found = again.step()
    assert len(calls) == 2
    assert [(each.number, each.design.hidden) for each in again.found()] == [(found.number, 16)]


def test_the_command_writes_what_train_takes(tmp_path: Path) -> None:
    runner = CliRunner()
    folder, profile = tmp_path / "found", "profiles/scatter/xeon-2-cores/profile.json"
    data = "phantom:images=96,contrast=0.5"
    command = ["search", "--dataset", data, "--max-evaluate-ms", "3000", "--out", str(folder), "--profile", profile]
    SMALL.save(tmp_path / "known.json")
    command += ["--begin-with", str(tmp_path / "known.json")]
    command += ["--side", "8", "--designs", "2", "--folds", "2", "--epochs", "1", "--json"]
    result = runner.invoke(app, command)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["designs"] == 2
    assert document == json.loads((folder / "frontier.json").read_text())
    assert (folder / "frontier.png").read_bytes().startswith(b"\x89PNG")
    number = document["frontier"][0]["number"]
    file = folder / "designs" / f"{number}.json"
    assert Design.load(file).bootstraps == document["frontier"][0]["lookups"]
    shown = runner.invoke(app, command[:-1])
    assert shown.exit_code == 0, shown.output
    assert f"--network {folder / 'designs'}" in shown.stdout.replace("\n", "")
    trained = runner.invoke(
        app, ["train", "--dataset", data, "--network", str(file), "--out", str(tmp_path / "net"), "--epochs", "1"]
    )
    assert trained.exit_code == 0, trained.output
    figures = json.loads((tmp_path / "net" / "figures.json").read_text())
    assert figures["settings"] == recipe(load_architecture(str(file))).to_json() | {
        "epochs": 1,
        "augmentation": "symmetries",
    }
    assert figures["settings"]["range_weight"] == 1
    network = load_network(str(tmp_path / "net"))
    assert str(tmp_path) not in (tmp_path / "net" / "network.json").read_text()
    assert str(tmp_path) not in (tmp_path / "net" / "MODEL_CARD.md").read_text()
    assert "last" in dict(load_checkpoint(str(tmp_path / "net"), network).named_children())
