"""What ``import cryptml`` offers: from a data set to a service in four calls. Each does what the command of its name does.

Heavy packages are imported by the call that needs them, so that a clinic's installation has this module too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from cryptml.arguments import BuildArguments, ProfileArguments, ServeArguments, TrainArguments
from cryptml.networks import Network, load_network
from cryptml.splits import Split

if TYPE_CHECKING:
    from cryptml.building import Built
    from cryptml.listening import Listener
    from cryptml.training.pipeline import TrainingResult

__all__ = ["Network", "Split", "build", "load_network", "profile", "serve", "train"]


def train(
    dataset: str,
    out: Path | str,
    network: str = "reference",
    *,
    force: bool = False,
    resume: bool = False,
    listener: Listener | None = None,
    **options: Unpack[TrainArguments],
) -> TrainingResult:
    """Train a quantised network and write it with its model card; see `cryptml.search.fitting.train`.

    Args:
        dataset: Such as ``mias:PATH``, ``folder:PATH`` or ``phantom``.
        out: Folder for the network.
        network: An architecture's name, a design's ``.json`` file, or ``module:function``.
        force: Replace a network that is there.
        resume: Go on with a training of the same that was interrupted; begin where there is none.
        listener: Hears of decisions and progress; nobody does if None.
        options: See `cryptml.arguments.TrainArguments`: ``epochs``, ``folds``, ``seed`` and so on.

    Raises:
        CryptmlError: With what is wrong and what to do.
        TypeError: If there is no such option.
    """
    from cryptml.search.fitting import train as train_network
    from cryptml.training.request import TrainingRequest

    request = TrainingRequest(dataset, network, **options)
    return train_network(request, Path(out), force=force, resume=resume, listener=listener)


def profile(
    network: str | Path,
    out: Path | str,
    *,
    resume: bool = False,
    force: bool = False,
    listener: Listener | None = None,
    **options: Unpack[ProfileArguments],
) -> dict[str, Any]:
    """Measure every segment, compose every split and write the report; see `cryptml.profiler.request.profile`.

    Args:
        network: Folder of a trained network, or a shipped network's name.
        out: The report's file, JSON.
        resume: Continue a run that was interrupted.
        force: Replace a report that is there.
        listener: Hears which segment is measured, of how many, and about how long the rest takes; nobody does if None.
        options: See `cryptml.arguments.ProfileArguments`: ``repeats``, ``bandwidth_mbps`` and so on.

    Returns:
        The report, as its file holds it.

    Raises:
        CryptmlError: With what is wrong and what to do.
        TypeError: If there is no such option.
    """
    from cryptml.profiler.request import ProfileRequest
    from cryptml.profiler.request import profile as profile_network
    from cryptml.profiler.settings import told_to

    request = ProfileRequest(str(network), **options)
    with told_to(listener) as progress:
        return profile_network(request, Path(out), progress, resume=resume, force=force)


def build(
    network: str | Path,
    out: Path | str,
    split: Split | str | None = None,
    *,
    force: bool = False,
    listener: Listener | None = None,
    **options: Unpack[BuildArguments],
) -> Built:
    """Compile a split's server segments and write both halves of its bundle; see `cryptml.building.build`.

    Args:
        network: Folder of a trained network, or a shipped network's name.
        out: New folder for the bundle.
        split: One letter a layer, or ``auto`` with a ``report``; a shipped network's own, or all on the server, if None.
        force: Replace a bundle that is there.
        listener: Hears why an automatic split was chosen, and what is done; nobody does if None.
        options: See `cryptml.arguments.BuildArguments`: ``report``, ``constraints``, ``share_keys`` and so on.

    Raises:
        CryptmlError: With what is wrong and what to do.
        TypeError: If there is no such option.
    """
    from cryptml.building import BuildRequest
    from cryptml.building import build as build_split

    letters = split.letters if isinstance(split, Split) else split
    return build_split(BuildRequest(str(network), letters, **options), Path(out), force=force, listener=listener)


def serve(
    bundles: Path | str | Sequence[Path | str],
    *,
    announce: Callable[[str], None] | None = None,
    **settings: Unpack[ServeArguments],
) -> None:
    """Serve bundles over HTTP until SIGTERM or Ctrl-C; see ``cryptml serve``.

    Args:
        bundles: One folder that `build` wrote, or several.
        announce: Told once, in one line, what is served where; the logger ``cryptml`` if None.
        settings: See `cryptml.arguments.ServeArguments`: ``data``, ``port``, ``insecure_anonymous`` and so on; what is not given comes
            from the environment.

    Raises:
        CryptmlError: With what is wrong and what to do.
    """
    from cryptml_server.base.settings_sources import read_settings
    from cryptml_server.running import run_service

    folders = [bundles] if isinstance(bundles, str | Path) else bundles
    given = {**settings, "bundles": tuple(Path(each) for each in folders)}
    run_service(read_settings(given), announce if announce is not None else _announce)


def _announce(line: str) -> None:
    logging.getLogger("cryptml").info("%s", line)
