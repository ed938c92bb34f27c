"""A network judged on a data set, as a notebook asks for it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from cryptml.datasets import load_dataset
from cryptml.errors import DatasetError, NetworkError, SettingError
from cryptml.listening import SilentListener
from cryptml.networks import load_network
from cryptml.networks.front_ends.deep import weights_digest
from cryptml.networks.shipped import FOR_TESTS_SAID
from cryptml.training import judge
from cryptml.training.evaluation.measures import as_network_says, predict_integers
from cryptml.training.evaluation.roc import RocLine
from cryptml.training.evaluation.study import FIGURES_FILE, JudgementRequest, division_warning, judge_network
from cryptml.training.teachers.pretraining import pretrain_to

PHANTOMS = "phantom:images=60,seed=4"


class Heard(SilentListener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_network_and_baseline_are_judged_on_the_same_pictures() -> None:
    heard = Heard()
    found = judge_network(JudgementRequest("tiny", PHANTOMS, specificities=(0.5,)), listener=heard)
    network = load_network("tiny")
    data = as_network_says(network, load_dataset(PHANTOMS, 8))
    part = data.subset("test")
    assert found.places == tuple(place for place, own in enumerate(data.subsets) if own == "test")
    assert np.array_equal(found.predicted, predict_integers(network, part))
    assert found.judgement == judge(found.predicted, part, (0.5,), 0)
    assert found.baseline is not None
    assert found.baseline.judgement == judge(found.baseline.predicted, part, (0.5,), 0)
    assert (found.refused, heard.notes) == (None, [f"tiny {FOR_TESTS_SAID}"])
    document = json.loads(json.dumps(found.to_json()))
    assert list(document)[-2:] == ["baseline", "baseline_refused"]
    assert document["baseline"]["strength"] == found.baseline.strength
    assert document["baseline"]["auc"] == found.baseline.judgement.evaluation.auc
    lines = found.roc_lines()
    assert [line.name for line in lines] == ["network tiny", "logistic regression"]
    assert [line.auc for line in lines] == [document["auc"], document["baseline"]["auc"]]
    assert found.title == f"{part.name}, test, {len(part)} pictures; positive: {part.positive_class}"


def test_scores_are_a_row_for_every_picture() -> None:
    found = judge_network(JudgementRequest("tiny", PHANTOMS, "all", baseline=False))
    rows = list(csv.DictReader(io.StringIO(found.scores_csv().decode())))
    assert [int(row["picture"]) for row in rows] == list(range(60))
    assert {row["subset"] for row in rows} == {"train", "validation", "test"}
    for row, scores in zip(rows, found.predicted, strict=True):
        assert [float(row[f"score {name}"]) for name in found.network.classes] == pytest.approx(scores, abs=1e-6)
    assert (found.baseline, found.refused) == (None, "it was not asked for")


def test_a_baseline_is_not_judged_on_what_it_learned_from() -> None:
    found = judge_network(JudgementRequest("tiny", PHANTOMS, "train"))
    assert found.baseline is None
    assert "pictures that it learned from; choose `subset` validation or test" in str(found.refused)
    assert [line.name for line in found.roc_lines()] == ["network tiny"]


@pytest.mark.parametrize(
    ("request_", "error", "said"),
    [
        (JudgementRequest("nobody", PHANTOMS), NetworkError, "nobody"),
        (JudgementRequest("tiny", "nothing"), DatasetError, "nothing"),
        (JudgementRequest("tiny", PHANTOMS, "some"), DatasetError, "some"),
        (JudgementRequest("tiny", PHANTOMS, specificities=(0.5, 1.5)), SettingError, "`specificities` holds 1.5"),
        (JudgementRequest("tiny", PHANTOMS, specificities=(float("nan"),)), SettingError, "holds nan"),
    ],
)
def test_what_cannot_be_judged(request_: JudgementRequest, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        judge_network(request_)


def test_pictures_in_other_subsets_than_those_of_the_training_are_told(tmp_path: Path) -> None:
    data = load_dataset(PHANTOMS, 8)
    assert division_warning(tmp_path, data) is None
    for pictures, subsets, told in (
        (data.digest, data.division, False),
        ("others", "otherwise", False),
        (data.digest, "otherwise", True),
    ):
        (tmp_path / FIGURES_FILE).write_text(json.dumps({"data": {"pictures": pictures, "subsets": subsets}}))
        assert (division_warning(tmp_path, data) is not None) == told
    (tmp_path / FIGURES_FILE).write_text("{")
    with pytest.raises(SettingError):
        division_warning(tmp_path, data)


def test_a_curve_says_its_area() -> None:
    labels = np.array([0, 0, 1, 1])
    chances = np.array([0.1, 0.6, 0.4, 0.9], np.float32)
    line = RocLine.of("mine", labels, np.stack([1 - chances, chances], axis=1), 1)
    assert (line.name, line.auc) == ("mine", 0.75)
    assert (line.false_rate[0], line.true_rate[0], line.false_rate[-1], line.true_rate[-1]) == (0, 0, 1, 1)


def test_pretrained_weights_are_written_once(tmp_path: Path) -> None:
    file = tmp_path / "new" / "deep.safetensors"
    written = pretrain_to(file, 10)
    assert written.to_json() == {
        "digest": written.digest,
        "as_in_the_package": False,
        "explained": written.explained,
    }
    assert written.digest != weights_digest()
    with pytest.raises(SettingError, match="pass `force` to replace it"):
        pretrain_to(file, 10)
    assert pretrain_to(file, 10, force=True) == written
