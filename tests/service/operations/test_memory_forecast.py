"""What the doctor says of memory, against a real service whose workers hold as many key sets as they may."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptml_server.base.settings import Settings
from cryptml_server.operations.doctor import Deployment, computing
from cryptml_server.operations.doctor.computing import check_memory
from cryptml_server.operations.memory_forecast import forecast
from typer.testing import CliRunner

from benchmarks.machine import children
from cryptml.bundle import ClientBundle, ServerBundle
from cryptml.cli.main import app
from cryptml.errors import BundleError
from cryptml.networks.shipped import DEFAULT_SPLITS
from cryptml.processes.memory import peak_resident_bytes
from cryptml.verification.local_service import local_service
from tests.service.clinic import Clinic
from tests.waiting import wait_until_ready

pytestmark = [
    pytest.mark.encrypted,
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc to see processes"),
]

NEAR = 0.25
PATIENCE_SECONDS = 120
CACHED = 2


@pytest.fixture(scope="module")
def measured_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("tiny", "CCSSS", tmp_path_factory.mktemp("measured") / "tiny")


def build(network: str, split: str, out: Path, *options: str) -> Path:
    built = CliRunner().invoke(app, ["build", network, "--split", split, "--out", str(out), *options])
    assert built.exit_code == 0, built.output
    assert ("measuring the memory of segment" in built.output) == ("--no-measure" not in options)
    return out


def served_peak(bundle: Path, data: Path, key_sets: int) -> int:
    """Serve a bundle to so many clients with keys of their own, and return the most that all its processes held."""
    with (
        local_service([bundle], data, {"CRYPTML_CACHED_KEYS": str(CACHED)}) as service,
        httpx.Client(base_url=service.url, timeout=PATIENCE_SECONDS) as http,
    ):
        wait_until_ready(http)
        for number in range(key_sets):
            clinic = Clinic(ServerBundle.load(bundle), ClientBundle.load(bundle / "client").model)
            clinic.values[:] = clinic.circuit.reads.low + number % 2
            clinic.upload(http)
            answer = clinic.ask(http)
            assert answer.status_code == 200, answer.text
        (worker,) = children(service.pid)
        return peak_resident_bytes(service.pid) + peak_resident_bytes(worker)


def expected(bundle: Path, **settings: Any) -> int:
    return forecast(Settings(cached_keys=CACHED, workers=1, **settings), [ServerBundle.load(bundle)]).total_bytes


def test_the_forecast_for_tiny_is_near_what_is_held(measured_tiny: Path, tmp_path: Path) -> None:
    assert expected(measured_tiny) == pytest.approx(served_peak(measured_tiny, tmp_path / "data", CACHED + 1), rel=NEAR)


def test_the_forecast_for_large_keys_is_near_what_is_held(tmp_path: Path) -> None:
    bundle = build("reference", DEFAULT_SPLITS["reference"], tmp_path / "reference")
    (of_circuit,) = ServerBundle.load(bundle).memory or ()
    (step,) = ClientBundle.load(bundle / "client").server_steps
    assert of_circuit.key_set_bytes > step.circuit.parameters.expanded_key_bytes, "the theory's lower bound"
    assert of_circuit.key_set_bytes > 5 * step.circuit.parameters.evaluation_key_bytes, "what is sent is compressed"
    assert expected(bundle) == pytest.approx(served_peak(bundle, tmp_path / "data", CACHED), rel=NEAR)


def test_what_was_not_measured_is_a_lower_bound_and_said_to_be(
    build_tiny: Callable[[str], Any], measured_tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = build_tiny("CCSSS").folder
    assert ServerBundle.load(bundle).memory is None
    need = forecast(Settings(cached_keys=CACHED, workers=1), [ServerBundle.load(bundle)])
    assert not need.measured
    (step,) = ClientBundle.load(bundle / "client").server_steps
    assert need.worker_bytes - need.least_bytes == step.circuit.parameters.expanded_key_bytes
    full = forecast(Settings(cached_keys=CACHED, workers=1), [ServerBundle.load(measured_tiny)])
    assert full.measured
    assert need.worker_bytes < full.worker_bytes
    (finding,) = check_memory(Deployment(Settings(bundles=(bundle,), workers=1)))
    assert (finding.state, finding.instead) == (
        "warning",
        "build the bundles again with cryptml build, which measures",
    )
    assert "a lower bound" in finding.what
    assert "2 key sets" in finding.what
    (finding,) = check_memory(Deployment(Settings(bundles=(measured_tiny,), workers=1)))
    assert (finding.state, finding.instead) == ("ok", "")
    for share, state in ((1.1, "warning"), (0.9, "wrong")):
        monkeypatch.setattr(computing, "_memory_bytes", lambda share=share: int(share * full.total_bytes))
        (finding,) = check_memory(Deployment(Settings(bundles=(measured_tiny,), workers=1, cached_keys=CACHED)))
        assert (finding.state, finding.instead) == (state, "lower workers or cached_keys")


def test_workers_keys_bundles_and_bounds_count(measured_tiny: Path) -> None:
    one = ServerBundle.load(measured_tiny)
    (memory,) = one.memory or ()
    large = replace(one, memory=(replace(memory, key_set_bytes=10 << 30, circuit_bytes=1 << 30),))

    def need(*bundles: ServerBundle, **settings: Any) -> Any:
        return forecast(Settings(**{"workers": 1, "cached_keys": 1, **settings}), bundles)

    alone = need(one)
    assert need(one, cached_keys=5).worker_bytes == alone.worker_bytes + 4 * memory.key_set_bytes
    four = need(one, workers=4)
    assert four.total_bytes - four.web_bytes == 4 * alone.worker_bytes
    both = need(one, large, cached_keys=3)
    assert both.worker_bytes == need(large, cached_keys=3).worker_bytes + memory.circuit_bytes
    bounded = need(large, worker_bytes=12 << 30, cached_keys=3)
    assert bounded.total_bytes - bounded.web_bytes == 12 << 30
    assert need(large, worker_bytes=2 << 30).least_bytes > 2 << 30
    assert need().worker_bytes > 100 << 20, "a worker without circuits takes memory too"


def test_too_little_for_one_key_set_is_wrong(measured_tiny: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(measured_tiny, copy)
    path = copy / "server" / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["memory"][0]["key_set_bytes"] = 3 << 30
    path.write_text(json.dumps(manifest))
    settings = Settings(bundles=(copy,), workers=1, worker_bytes=1 << 30)
    findings = list(check_memory(Deployment(settings)))
    assert findings[0].state == "wrong"
    assert "raise worker_bytes" in findings[0].instead
    one = manifest["memory"][0]
    odd: list[Any] = [[], [{}], [{**one, "key_set_bytes": -1}], [{**one, "more": 1}]]
    for broken in odd:
        path.write_text(json.dumps({**manifest, "memory": broken}))
        with pytest.raises(BundleError):
            ServerBundle.load(copy)
