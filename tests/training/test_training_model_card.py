"""The card says what a reader must know."""

from __future__ import annotations

import dataclasses

from cryptml import training
from cryptml.datasets.base import Dataset
from cryptml.networks import Standardisation
from cryptml.networks.rounding.clamping import Clamping
from cryptml.training import (
    CrossValidation,
    DataDescription,
    Fidelity,
    ModelCard,
    RoundingEffect,
    TrainedNetwork,
    TrainingSettings,
    describe_layers,
    evaluate,
    render_model_card,
)

FIDELITY = Fidelity(
    2.0**-40, (RoundingEffect("act1", 0.9912, 0.00123, 0.004),), 0.0004, (Clamping("act1", 1, 0.0002, 0.003),)
)


def card_of(trained: TrainedNetwork, dataset: Dataset) -> ModelCard:
    evaluation = evaluate(trained.network, dataset)
    settings = TrainingSettings(seed=17)
    return ModelCard(
        name="tiny",
        adjustments=(),
        architecture="tiny",
        front_end=Standardisation(8),
        layers=describe_layers(trained.network),
        data=DataDescription.of(dataset),
        command="cryptml train --network tiny --seed 17\n",
        settings=settings,
        fidelity={"test": FIDELITY},
        figures={"test": evaluation},
        cross_validation=CrossValidation(
            5, evaluation, evaluation, settings, RoundingEffect("act1", 0.9876, 0.0021, 0.005), 2.0**-48
        ),
        versions={"torch": "2.3.1", "cryptml": "1.0|2"},
        date="2024-05-01",
    )


def test_everything_is_on_the_card(trained: TrainedNetwork, phantoms: Dataset) -> None:
    card = card_of(trained, phantoms)
    text = render_model_card(card)
    figures = card.figures["test"].image_level
    for expected in (
        "# tiny\n\nArchitecture `tiny`, trained on 2024-05-01.",
        "Research use only, not a medical device.",
        "| act1 | activation | 2 x 4 x 4 | 2 |",
        "phantom: 800 pictures of 400 patients, 8 x 8 pixels. Synthetic texture",
        "The positive class is lesion.",
        "AUC of lesion with its 95 % percentile bootstrap interval, resampled per patient.",
        "| subset | background | lesion |",
        "```sh\ncryptml train --network tiny --seed 17\n```",
        "| seed | 17 |",
        f"| test, integer program | picture | 800 | {figures.auc:.3f} | {figures.auc_low:.3f} to {figures.auc_high:.3f} |",
        "| 5-fold cross-validation per patient, integer program | patient | 400 |",
        "| 5-fold cross-validation per patient, float teacher | picture | 800 |",
        "In simulations at p_error 9.1e-13, by the first layer that reads accumulators on the server",
        "| act1 | 99.12% | 0.0012 | 0.0040 |",
        "| input | 0.040% | clipped by the client |\n| act1 | 0.020% | in 0.30% of the pictures |",
        "In 5-fold cross-validation, on 800 pictures that networks had not seen, at p_error 3.6e-15, all layers on the server: "
        "same label 98.76%, AUC changes by 0.0021 in the mean, 0.0050 at most.",
        "| cryptml | 1.0\\|2 |\n| torch | 2.3.1 |",
    ):
        assert expected in text
    assert text.endswith("|\n")


def test_layers_add_up(trained: TrainedNetwork) -> None:
    layers = describe_layers(trained.network)
    assert [layer.name for layer in layers] == [layer.name for layer in trained.network.layers]
    assert sum(layer.parameters for layer in layers) == trained.network.parameters
    assert sum(layer.bootstraps for layer in layers) == 2 * 4 * 4 + 4 * 2 * 2


def test_what_was_not_measured_is_left_out(trained: TrainedNetwork, phantoms: Dataset) -> None:
    card = card_of(trained, phantoms)
    by_picture = dataclasses.replace(card.figures["test"], patient_level=None)
    text = render_model_card(dataclasses.replace(card, cross_validation=None, figures={"validation": by_picture}))
    assert "cross-validation" not in text
    assert "| patient |" not in text
    assert "| validation, integer program | picture |" in text


def test_where_patients_are_not_known_the_card_says_pictures(trained: TrainedNetwork, phantoms: Dataset) -> None:
    pictures = dataclasses.replace(
        phantoms, patients_known=False, patients=tuple(f"{place}" for place in range(len(phantoms)))
    )
    text = render_model_card(card_of(trained, pictures))
    assert "phantom: 800 pictures, patients not known, 8 x 8 pixels" in text
    assert "resampled per picture. No figures per patient: patients are not known." in text
    assert "| 5-fold cross-validation per picture, integer program | picture | 800 |" in text
    assert "| patient |" not in text


def test_refused_intervals_say_why(trained: TrainedNetwork, phantoms: Dataset) -> None:
    text = render_model_card(card_of(trained, phantoms.take(range(32))))
    assert "| none: " in text
    assert ", fewer than 10 |" in text


def test_known_sets_are_cited_and_unknown_ones_are_not_claimed(phantoms: Dataset) -> None:
    mias = DataDescription.of(dataclasses.replace(phantoms.subset("test"), name="mias"))
    assert "Suckling" in mias.source
    assert "1994" in mias.source
    assert "Research use only" in mias.source
    assert list(mias.counts) == ["test"]
    assert "user" in DataDescription.of(dataclasses.replace(phantoms, name="mine")).source


def test_public_names_are_explicit_and_exist() -> None:
    assert training.__all__ == sorted(training.__all__)
    assert all(hasattr(training, name) for name in training.__all__)
