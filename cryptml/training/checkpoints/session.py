"""One training that may be interrupted, and what its checkpoints are of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptml.datasets import Dataset
from cryptml.errors import JournalError, NetworkError, counted
from cryptml.files import sha256
from cryptml.listening import saying
from cryptml.networks.architectures.registry import Architecture
from cryptml.training.checkpoints.store import Checkpoints, keeping, unfinished_folder
from cryptml.training.request import TrainingRequest
from cryptml.training.settings import TrainingSettings


@contextmanager
def unfinished(out: Path, *, resume: bool) -> Iterator[Checkpoints]:
    """Keep the state of a training beside its result until it is finished.

    Args:
        out: Of the result.
        resume: Whether to go on with what is there.

    Raises:
        JournalError: If something is there and ``resume`` is not asked for, or it cannot be gone on with.
        Interrupted: With what was kept.
    """
    checkpoints = Checkpoints(unfinished_folder(out), resume=resume)
    try:
        with saying(lambda: _kept(checkpoints)), keeping(checkpoints):
            yield checkpoints
        checkpoints.remove()
    except NetworkError:
        if not resume:  # it would come to the same again
            checkpoints.remove()
        raise
    finally:
        checkpoints.close()


def _kept(checkpoints: Checkpoints) -> str:
    epochs = checkpoints.interrupted()
    if not epochs:
        return "no epoch was finished yet, so nothing was kept; the same command begins again"
    return (
        f"{checkpoints.folder} keeps {counted(epochs, 'finished epoch')}{among(checkpoints)}; the same command with "
        "`resume` goes on from there"
    )


def among(checkpoints: Checkpoints) -> str:
    """Return whose the kept epochs are, where that is not of one training alone: teachers and folds have epochs too."""
    return "" if checkpoints.trainings < 2 else f" of {checkpoints.trainings} trainings, teachers' among them"


def head_of(
    request: TrainingRequest, architecture: Architecture, settings: TrainingSettings, data: Dataset
) -> Mapping[str, Any]:
    """Return all that the result of a training depends on, as JSON values by name.

    Raises:
        JournalError: If a design's file cannot be read any more.
    """
    try:
        design = sha256(Path(request.network).read_bytes()) if architecture.is_design else None
    except OSError as error:
        raise JournalError(f"{request.network} cannot be read ({error.strerror})") from error
    versions = {
        f"version of {name}": version(name) for name in ("cryptml", "torch", "brevitas", "numpy", "scikit-learn")
    }
    return {
        "network": architecture.spec,
        "design": design,
        "front end": json.dumps(architecture.front_end.to_json()),
        **settings.to_json(),
        "folds": request.folds,
        "repeats": request.repeats,
        "refit": request.refits(settings),
        "p_error": request.p_error,
        "adjustments": [each.to_json() for each in architecture.adjustments],
        "positive": data.positive_class,
        "classes": list(data.classes),
        "pictures": data.digest,
        "subsets": data.division,
        "patients": sha256(json.dumps([str(each) for each in data.patients]).encode()),
        **versions,
    }
