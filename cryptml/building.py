"""From a network to the bundle that is deployed: which split, which compiler settings, both halves on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptml.bundle.build import build_bundle
from cryptml.bundle.client import ClientBundle
from cryptml.bundle.server import ServerBundle
from cryptml.errors import ReportError, SettingError, counted
from cryptml.exposure.facts import WEIGHTED_SUM, segment_exposure
from cryptml.exposure.statement import exposed_by, exposed_text
from cryptml.fhe.backends.registry import load_backend
from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS, CompilerSettings, Rounding
from cryptml.files import require_writable
from cryptml.listening import Listener, SilentListener, saying
from cryptml.networks import load_network
from cryptml.networks.network import Network
from cryptml.networks.shipped import DEFAULT_SPLITS
from cryptml.profiler.measure.worker_memory import measuring
from cryptml.profiler.plan.choice import Constraints, choosable, choose
from cryptml.profiler.plan.circuit_settings import settings_in
from cryptml.profiler.plan.report import Report, link_of, load_report, require_network
from cryptml.splits import Segment, Split

AUTOMATIC = "auto"
"""In the place of a split's letters: the one that a profile recommends."""


@dataclass(frozen=True)
class BuildRequest:
    """What to deploy.

    Attributes:
        network: Folder of a trained network, or a shipped network's name.
        split: C or S for each layer, or `AUTOMATIC`; a shipped network's own, or all on the server, if None.
        report: A profile of the network: its settings are taken for each segment, and with `AUTOMATIC` its split.
        constraints: That an automatic split keeps.
        bandwidth_mbps: Of the wire that an automatic split is chosen for; the report's if None.
        rtt_ms: Its round-trip time; the report's if None.
        backend: ``integer`` or ``concrete-ml``.
        architecture: ``module:function`` of a network of one's own, which ``concrete-ml`` imports and runs.
        p_error: Probability that one programmable bootstrap fails; 2^-40, or the report's, if None.
        rounding: Of what tables read; approximate if None.
        share_keys: One key set for all server segments instead of one for each.
        spot_checks: Synthetic regions with the intervals of their answers, which clients get; each exposes an answer.
        measure: Whether each circuit is measured in a worker's memory.
    """

    network: str
    split: str | None = None
    report: Path | None = None
    constraints: Constraints = field(default_factory=Constraints)
    bandwidth_mbps: float | None = None
    rtt_ms: float | None = None
    backend: str = "integer"
    architecture: str | None = None
    p_error: float | None = None
    rounding: Rounding | None = None
    share_keys: bool = False
    spot_checks: int = 16
    measure: bool = True


@dataclass(frozen=True)
class Built:
    """A bundle that was built.

    Attributes:
        folder: With ``client/`` and ``server/``.
        network: That it holds.
        split: Of it.
        bundle: Its server half, read back and checked.
        spot_checks: How many the client half holds; None where the network gives no defined answer about synthetic regions.
    """

    folder: Path
    network: Network
    split: Split
    bundle: ServerBundle
    spot_checks: int | None


def build(request: BuildRequest, out: Path, *, force: bool = False, listener: Listener | None = None) -> Built:
    """Compile the server segments of a split and write ``out/client`` and ``out/server``.

    Args:
        request: What to deploy.
        out: A new folder.
        force: Replace a bundle that is there.
        listener: Hears why an automatic split was chosen, and what is done.

    Raises:
        BundleError: If ``out`` exists, or holds something else than a bundle.
        CircuitError: If a segment does not compile, or no key set serves all that are to share one.
        NetworkError: If there is no such network.
        ReportError: If the report is another network's, or no split keeps the constraints.
        SettingError: If what is asked for does not go together.
        SplitError: If the split does not fit the network.
        Interrupted: At Ctrl-C or SIGTERM; nothing is kept.
    """
    listener = listener if listener is not None else SilentListener()
    network = load_network(request.network)
    report = _report(request)
    settings, measured = _settings(request, report)
    split = Split(_letters(request, report, len(network), listener)).require_length(len(network))
    require_writable(out.absolute().parent, SettingError)
    exposed = exposed_by(network, split, request.constraints.queries)
    if exposed:
        listener.note(exposed_text(exposed))
    if request.split != AUTOMATIC:
        _require_secret(network, split, exposed, request.constraints)
        _require_allowed(network, split, request.constraints.allow_recovery, listener)
    if not split.server_segments:
        listener.note("nothing is encrypted with this split: clients hold the whole network, and no service is needed")
    what = f"compiling {counted(len(split.server_segments), 'server segment')} of {network.name}, split {split}"
    kept = f"nothing of the build was kept, and {out} is as it was; the same command begins again"
    with saying(kept), listener.stage(what):
        bundle = build_bundle(
            network,
            split,
            out,
            backend=load_backend(request.backend, request.network, request.architecture),
            settings=settings,
            chosen=measured,
            share_keys=request.share_keys,
            spot_checks=request.spot_checks,
            force=force,
            measure=measuring(network, os.cpu_count() or 1, listener.remark) if request.measure else None,
        )
    checks = ClientBundle.load(out / "client").spot_checks
    return Built(out, network, split, bundle, None if checks is None else len(checks))


def _require_secret(network: Network, split: Split, exposed: Mapping[str, str], constraints: Constraints) -> None:
    """Refuse a split that was named and exposes what was to stay secret, where anything was said of that.

    Raises:
        SettingError: If it does, with the layers.
        ReportError: If a layer is named that there is none of.
    """
    if constraints.keep_secret is None and not constraints.expose:
        return
    rows = [{"name": layer.name, "parameters": layer.parameters} for layer in network.layers]
    lost = [f"{name} ({exposed[name]})" for name in constraints.secret(rows) if name in exposed]
    if lost:
        raise SettingError(
            f"split {split} exposes what is to stay secret: {'; '.join(lost)}; choose another split, or name the layers as `expose`"
        )


def _require_allowed(network: Network, split: Split, allowed: int | None, listener: Listener) -> None:
    """Refuse a split of which tables of a weighted sum each are all that keeps a server segment, unless that is accepted.

    Raises:
        SettingError: If it is not, with the number of queries to accept.
    """
    for segment in split.server_segments:
        found = segment_exposure(network, segment)
        if found.attack != WEIGHTED_SUM or found.queries is None:
            continue
        if found.queries < (allowed or found.queries + 1):
            raise SettingError(
                f"segment {segment} of {network.name} is a weighted sum a table, and no more tables than answers: about "
                f"{found.queries:,} queries recover it; accept that with `allow_recovery` {found.queries}, or choose a network with more "
                "tables"
            )
        listener.note(
            f"about {found.queries:,} queries recover segment {segment} of {network.name}: give tenants a query budget below that"
        )


def _report(request: BuildRequest) -> Report | None:
    """Return the profile that is to be followed.

    Raises:
        ReportError: If there is none, or it is another network's.
        SettingError: If something is given beside it that it decides.
    """
    if request.report is None:
        if request.split == AUTOMATIC:
            raise ReportError("`split` auto needs `report`, a file of split-profiler run")
        return None
    document = load_report(request.report)
    require_network(document, request.network)
    at = document["configuration"]["p_error"]
    if request.p_error is not None and request.p_error != at:
        raise SettingError(
            f"`p_error` is {request.p_error:g} but the report was measured at {at:g}; profile at the other"
        )
    if request.rounding is not None:
        raise SettingError("a report's costs are those of its own compiler settings; leave out `rounding`, or `report`")
    if request.backend != "integer":
        raise SettingError("a report holds the compiler settings of `backend` integer; leave out one of them")
    return document


def _settings(
    request: BuildRequest, report: Report | None
) -> tuple[CompilerSettings, Mapping[Segment, CompilerSettings]]:
    """Return the settings of segments, and those of segments for which a report has others."""
    if report is not None:
        return CompilerSettings(report["configuration"]["p_error"]), settings_in(report)
    if request.rounding is not None and request.backend != "integer":
        raise SettingError("`rounding` is of `backend` integer; leave out one of them")
    settings = DEFAULT_COMPILER_SETTINGS if request.p_error is None else CompilerSettings(request.p_error)
    return replace(settings, rounding=request.rounding or settings.rounding), {}


def _letters(request: BuildRequest, report: Report | None, layers: int, listener: Listener) -> str:
    if request.split == AUTOMATIC and report is not None:
        if request.share_keys:
            raise SettingError(
                "a split is chosen by its costs with a key set for each segment; leave out `share_keys`, or give the letters "
                "of the split that split-profiler choose names"
            )
        return _recommended(request, report, listener)
    given = request.constraints
    of_exposure = Constraints(
        keep_secret=given.keep_secret, expose=given.expose, queries=given.queries, allow_recovery=given.allow_recovery
    )
    if given != of_exposure or (request.bandwidth_mbps, request.rtt_ms) != (None, None):
        raise SettingError("bounds on time, memory, bytes and round trips choose a split; use them with `split` auto")
    return request.split if request.split is not None else DEFAULT_SPLITS.get(request.network, "S" * layers)


def _recommended(request: BuildRequest, report: Report, listener: Listener) -> str:
    """Return the split that a profile recommends.

    Raises:
        ReportError: If no split keeps the constraints.
    """
    link = link_of(report, request.bandwidth_mbps, request.rtt_ms)
    choice = choose(report, choosable(report, link, request.constraints), request.constraints)
    if choice.split is None:
        nearest = choice.nearest["split"] if choice.nearest else "none"
        broken = "; ".join(f"{name}: {words}" for name, words in choice.excess.items())
        hint = ""
        if "keep-secret" in choice.excess:
            hint = "; name layers that clients may learn as `expose`, or accept their recovery with `allow_recovery`"
        raise ReportError(f"no split keeps every constraint; the nearest miss is {nearest} ({broken}){hint}")
    for reason in choice.reasons:
        listener.remark(reason)
    return str(choice.split["split"])
