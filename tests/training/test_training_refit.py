"""A network that is shipped learns from every patient, and its card says what the estimate is of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cryptml.datasets import load_dataset
from cryptml.errors import SettingError
from cryptml.listening import SilentListener
from cryptml.training import pipeline
from cryptml.training.evaluation.study import JudgementRequest, judge_network
from cryptml.training.examples import Examples
from cryptml.training.pipeline import CARD_FILE, LEARNED
from cryptml.training.qat import train_network
from cryptml.training.recipes import RECIPES
from cryptml.training.request import TrainingRequest
from cryptml.training.settings import TrainingSettings

SPEC = "phantom:images=160"
REQUEST = TrainingRequest(SPEC, "tiny", epochs=1, views=1, folds=2, repeats=2)
LAST = TrainingSettings(keep="last", distil=False)


class Recorder(SilentListener):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)

    def remark(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def _keeps_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "recipe", lambda _architecture: LAST)


@pytest.mark.usefixtures("_keeps_last")
def test_the_network_itself_learns_from_all_after_the_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learned: list[int] = []

    def spy(architecture: object, train: Examples, validation: object, *rest: object) -> object:
        assert validation is None
        learned.append(len(train.dataset))
        return train_network(architecture, train, validation, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "train_network", spy)
    heard = Recorder()
    result = pipeline.train(REQUEST, tmp_path / "net", listener=heard)
    assert learned == [160]
    assert result.figures == {}
    assert list(result.fidelity) == [LEARNED]
    assert result.document["data"]["refit"] is True
    assert result.document["fidelity"]["p_error"] == REQUEST.p_error
    validated = result.cross_validation
    assert validated is not None
    assert len(validated.aucs) == 2
    assert validated.aucs[0] == validated.quantised.auc
    assert [each.against.split(" on ")[0] for each in validated.differences] == [
        "float teacher",
        "logistic regression",
        "support vector machine",
    ]
    card = (tmp_path / "net" / CARD_FILE).read_text()
    assert "cross-validated figures are the estimate" in card
    assert "--folds 2 --repeats 2 --refit" in card
    assert "| logistic regression on the same values |" in card
    assert "on all pictures, which it learned from" in card.lower()
    assert any("5 trainings of 1 epoch" in each for each in heard.said)
    assert any("the 4 others some" in each for each in heard.said)
    judge_network(JudgementRequest(str(tmp_path / "net"), SPEC, baseline=False), listener=heard)
    assert any("trained on all of these pictures" in each for each in heard.said)


@pytest.mark.usefixtures("_keeps_last")
def test_it_learns_from_its_own_subset_where_that_is_asked_for(tmp_path: Path) -> None:
    result = pipeline.train(replace(REQUEST, repeats=1, refit=False), tmp_path / "net")
    assert sorted(result.figures) == ["test", "validation"]
    assert result.document["data"]["refit"] is False
    assert "--no-refit" in (tmp_path / "net" / CARD_FILE).read_text()


@pytest.mark.parametrize(
    ("request_", "settings", "refits"),
    [
        (REQUEST, LAST, True),
        (replace(REQUEST, refit=True), LAST, True),
        (replace(REQUEST, refit=False), LAST, False),
        (REQUEST, TrainingSettings(), False),
        (replace(REQUEST, folds=0, repeats=1), LAST, False),
    ],
)
def test_the_default_is_for_networks_that_keep_their_last_epoch(
    request_: TrainingRequest, settings: TrainingSettings, refits: bool
) -> None:
    assert request_.refits(settings) is refits


@pytest.mark.parametrize(
    ("request_", "settings", "message"),
    [
        (replace(REQUEST, refit=True, folds=0, repeats=1), LAST, "leaves none to judge by; pass `folds`"),
        (replace(REQUEST, refit=True), TrainingSettings(), "keeps the epoch that does best on others; leave `refit`"),
        (replace(REQUEST, folds=0), LAST, "`repeats` is 2 with 0 `folds`"),
        (replace(REQUEST, repeats=0), LAST, "give 1 to 100"),
    ],
)
def test_what_would_leave_no_estimate_is_refused(
    request_: TrainingRequest, settings: TrainingSettings, message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        request_.refits(settings)


def test_all_shipped_recipes_keep_their_last_epoch() -> None:
    assert {each.keep for each in RECIPES.values()} == {"last"}
    assert load_dataset(SPEC, 8).subsets.count("test") > 0
