"""The designs that a search chooses from."""

from __future__ import annotations

import warnings
from dataclasses import fields
from typing import Any

from optuna.trial import BaseTrial, FixedTrial

from cryptml.errors import NetworkError, SettingError
from cryptml.networks.architectures.design import TABLES, ConvolutionDesign, Design
from cryptml.networks.front_ends import FrontEnd

POOLS = (1, 2, 4)
MOST_CONVOLUTIONS = 2
CHANNELS = (2, 24)
KERNELS = (2, 18)
STRIDES = (1, 10)
HIDDEN = (0, 48)
KEPT = (0.25, 0.5, 1.0)

_SHAPE = ("front_end", "pool", "convolutions")
"""Of a design: what is given, or drawn behind pictures alone; a draw of any other field has the field's name."""


def suggest(trial: BaseTrial, front_end: FrontEnd) -> Design:
    """Return a design for a front end.

    Raises:
        NetworkError: If what was drawn describes no network.
    """
    convolutions: list[ConvolutionDesign] = []
    pool = 1
    pictures = len(front_end.shape) == 3
    if pictures:
        pool = trial.suggest_categorical("pool", POOLS)
        for number in range(1, trial.suggest_int("convolutions", 1, MOST_CONVOLUTIONS) + 1):
            channels = trial.suggest_int(f"channels{number}", *CHANNELS)
            kernel = trial.suggest_int(f"kernel{number}", *KERNELS)
            convolutions.append(ConvolutionDesign(channels, kernel, trial.suggest_int(f"stride{number}", *STRIDES)))
    # Behind features, no hidden layer would be a linear network, whose weights any client can solve for.
    hidden = trial.suggest_int("hidden", HIDDEN[0] if pictures else 2, HIDDEN[1], step=2)
    return Design(
        front_end=front_end,
        pool=pool,
        convolutions=tuple(convolutions),
        hidden=hidden,
        votes=trial.suggest_categorical("votes", (False, True)) if hidden else False,
        table=trial.suggest_categorical("table", TABLES if pictures else ("rectifier", "triangle")),
        wavelets=trial.suggest_categorical("wavelets", (False, True))
        if pictures and front_end.shape[0] == 1
        else False,
        input_bits=trial.suggest_int("input_bits", 3, 6),
        weight_bits=trial.suggest_int("weight_bits", 3, 6),
        activation_bits=trial.suggest_int("activation_bits", 1, 4),
        rounded_bits=trial.suggest_int("rounded_bits", 3, 5),
        kept=trial.suggest_categorical("kept", KEPT),
    )


def parameters(design: Design) -> dict[str, Any]:
    """Return what makes `suggest` give a design.

    Raises:
        SettingError: If no search would choose it.
    """
    pictures = len(design.front_end.shape) == 3
    drawn: dict[str, Any] = {"pool": design.pool, "convolutions": len(design.convolutions)} if pictures else {}
    for number, each in enumerate(design.convolutions, 1):
        drawn |= {f"channels{number}": each.channels, f"kernel{number}": each.kernel, f"stride{number}": each.stride}
    drawn |= {each.name: getattr(design, each.name) for each in fields(design) if each.name not in _SHAPE}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # a value out of its range is no more than a warning there
            again = suggest(FixedTrial(drawn), design.front_end)
    except (ValueError, UserWarning, NetworkError) as error:
        raise SettingError(f"no search chooses this design ({error}); begin with one that keeps the bounds") from error
    if again != design:
        raise SettingError(f"no search chooses this design, but {again.summary}; begin with that")
    return drawn
