"""What a network is called, and that the test network is said to be one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import cryptml
from cryptml.errors import SettingError
from cryptml.listening import SilentListener
from cryptml.networks import load_network, resolve_network, shipped_networks
from cryptml.networks.shipped import DEFAULT_SPLITS, FOR_TESTS, FOR_TESTS_SAID
from cryptml.training.evaluation.study import JudgementRequest, judge_network
from cryptml.training.pipeline import train
from cryptml.training.request import TrainingRequest

TINY = TrainingRequest("phantom:images=120", "tiny", epochs=1, views=1, teacher=False)


class Listening(SilentListener):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.remarks: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def remark(self, text: str) -> None:
        self.remarks.append(text)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("my-network", "my-network"),
        ("My_Network 2", "my-network-2"),
        ("deep", "own-deep"),
        ("tiny", "own-tiny"),
        ("--", "own-deep"),
        ("x" * 80, "x" * 64),
        ("nets/last", "last"),
    ],
)
def test_a_network_is_called_as_its_folder_and_never_as_a_shipped_one_by_accident(folder: str, name: str) -> None:
    assert TINY.named(Path(folder), "deep") == name
    assert name not in shipped_networks()


def test_the_folder_of_this_place_has_a_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert TINY.named(Path(), "deep") == "here"


@pytest.mark.parametrize("name", ["", "-a", "A", "a_b", "a" * 65, "a\n", "ä"])
def test_a_name_that_a_bundle_cannot_have_is_refused_before_anything_is_done(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingError, match="cannot be a network's name"):
        train(replace(TINY, name=name), tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


def test_network_and_card_have_the_name(tmp_path: Path) -> None:
    listener, out = Listening(), tmp_path / "tiny"
    train(TINY, out, listener=listener)
    assert load_network(out).name == "own-tiny"
    card = (out / "MODEL_CARD.md").read_text()
    assert card.startswith("# own-tiny\n")
    assert "Its weights are its own, not those of the shipped network `tiny`." in card
    assert "--name own-tiny" in card
    assert FOR_TESTS_SAID in card
    assert "the network's name is own-tiny; choose another with `name`" in listener.remarks
    assert any(note.startswith(f"tiny {FOR_TESTS_SAID}") for note in listener.notes)
    listener = Listening()
    judge_network(JudgementRequest(str(out), TINY.dataset, baseline=False), listener=listener)
    assert f"tiny {FOR_TESTS_SAID}" in listener.notes


def test_a_name_may_be_given_and_a_shipped_one_is_said_to_be_one(tmp_path: Path) -> None:
    given = cryptml.train(TINY.dataset, tmp_path / "net", "tiny", epochs=1, views=1, teacher=False, name="clinic-7")
    assert given.network.name == load_network(tmp_path / "net").name == "clinic-7"
    listener = Listening()
    train(replace(TINY, name="deep"), tmp_path / "other", listener=listener)
    assert any(note.startswith("a shipped network is called deep too") for note in listener.notes)


def test_the_test_network_is_worse_than_a_logistic_regression_and_says_so() -> None:
    assert {"tiny"} == FOR_TESTS
    assert set(DEFAULT_SPLITS) >= FOR_TESTS
    found = judge_network(JudgementRequest("tiny", "phantom:images=800,seed=0,contrast=0.5"))
    assert found.baseline is not None
    assert found.judgement.evaluation.image_level.auc < found.baseline.judgement.evaluation.image_level.auc
    assert FOR_TESTS_SAID in (resolve_network("tiny") / "MODEL_CARD.md").read_text()
