"""Scenes and what is learned from them: reproducible, with the properties that they say, and no data set in sight."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load

from cryptml.networks.front_ends import Standardisation
from cryptml.networks.front_ends.deep import features, shipped_weights
from cryptml.training import pretrain
from cryptml.training.teachers.scenes import PROPERTIES, draw_scenes


@settings(max_examples=10, deadline=None)
@given(count=st.integers(1, 5), side=st.integers(8, 40), seed=st.integers(0, 2**32 - 1))
def test_scenes_are_pictures_with_bounded_properties_and_depend_on_the_seed_alone(
    count: int, side: int, seed: int
) -> None:
    scenes, again = (draw_scenes(count, side, np.random.default_rng(seed)) for _ in range(2))
    assert scenes.pictures.shape == (count, side, side)
    assert scenes.properties.shape == (count, len(PROPERTIES))
    assert 0 <= scenes.pictures.min() <= scenes.pictures.max() <= 1
    assert np.abs(scenes.properties).max() <= 1
    assert np.array_equal(scenes.pictures, again.pictures)
    assert np.array_equal(scenes.properties, again.properties)


def test_the_middle_is_brighter_where_the_contrast_says_so() -> None:
    scenes = draw_scenes(400, 28, np.random.default_rng(0))
    middle = scenes.pictures[:, 10:18, 10:18].mean(axis=(1, 2)) - scenes.pictures.mean(axis=(1, 2))
    contrast = scenes.properties[:, PROPERTIES.index("contrast")]
    assert np.corrcoef(middle, contrast)[0, 1] > 0.6


def test_a_rougher_scene_has_finer_texture() -> None:
    scenes = draw_scenes(400, 28, np.random.default_rng(1))
    steps = np.abs(np.diff(scenes.pictures, axis=1)).mean(axis=(1, 2))
    for name, sign in (("roughness", -1), ("speckle", 1)):
        assert sign * np.corrcoef(steps, scenes.properties[:, PROPERTIES.index(name)])[0, 1] > 0.2


def test_a_short_pretraining_begins_to_see_and_says_so() -> None:
    heard = []
    pretrained = pretrain(150, 0, lambda step, steps, loss, auc: heard.append((step, steps, loss, auc)))
    assert [step for step, *_ in heard] == [100, 150]
    assert heard[-1][2] < heard[0][2]
    assert set(pretrained.explained) == set(PROPERTIES)
    assert pretrained.explained["contrast"] > 0.3
    assert {name: value.shape for name, value in load(pretrained.pack()).items()} == {
        name: value.shape for name, value in shipped_weights().items()
    }


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second, other = (pretrain(10, seed).pack() for seed in (3, 3, 4))
    assert first == second != other


def test_features_are_standardised_over_scenes() -> None:
    pretrained = pretrain(20, 1)
    scenes = draw_scenes(500, 28, np.random.default_rng(9))
    found = features(Standardisation(28).apply(scenes.pictures), pretrained.weights)
    assert np.abs(found.mean(axis=0)).max() < 0.5
    assert np.median(found.std(axis=0)) == pytest.approx(1, abs=0.2)


def test_the_shipped_weights_see_more_than_chance() -> None:
    """A linear map of the features, fitted on some scenes, tells the contrast of others."""
    scenes = draw_scenes(1200, 28, np.random.default_rng(5))
    found = features(Standardisation(28).apply(scenes.pictures), shipped_weights())
    found = np.concatenate([found, np.ones((len(found), 1), np.float32)], axis=1)
    contrast = scenes.properties[:, 0]
    gram = found[:900].T @ found[:900] + 10 * np.eye(found.shape[1])
    told = found[900:] @ np.linalg.solve(gram, found[:900].T @ contrast[:900])
    assert np.corrcoef(told, contrast[900:])[0, 1] > 0.85
