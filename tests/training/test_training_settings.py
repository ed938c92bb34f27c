"""Settings are refused once, with every reason."""

from __future__ import annotations

import dataclasses
import math

import pytest

from cryptml.errors import SettingError
from cryptml.training import TrainingSettings


def test_defaults_are_usable_and_become_json() -> None:
    assert TrainingSettings().to_json() == dataclasses.asdict(TrainingSettings())


def test_bounds_themselves_are_allowed() -> None:
    TrainingSettings(epochs=1, batch=2, patience=1, distillation_weight=0, weight_decay=0, learning_rate=1)
    TrainingSettings(seed=2**32 - 1, distillation_weight=1, temperature=100)


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(SettingError) as caught:
        TrainingSettings(
            epochs=0,
            batch=1,
            learning_rate=0,
            weight_decay=2,
            patience=-1,
            keep="some",
            start="some",
            augmentation="turned",
            teacher="none",
            seed=-5,
            views=0,
            distil=1,  # type: ignore[arg-type]
            temperature=math.nan,
            distillation_weight=1.5,
            similarity_weight=-1,
            range_weight=-1,
            lowered_bits=7,
        )
    message = str(caught.value)
    for field in dataclasses.fields(TrainingSettings):
        assert f"{field.name} is " in message
    assert "epochs is 0 where a whole number from 1 to 10000 is needed" in message
    assert "\n" not in message


@pytest.mark.parametrize("value", [2.5, True, "3", None, math.inf])
def test_epochs_must_be_a_whole_number(value: object) -> None:
    with pytest.raises(SettingError, match="epochs is"):
        TrainingSettings(epochs=value)  # type: ignore[arg-type]
