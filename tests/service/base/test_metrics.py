"""What Prometheus is told: real scrapes of a service in a process of its own; labels that nobody can multiply."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path

import httpx
import pytest
from cryptml_server import Settings, create_app
from cryptml_server.base.metrics import MOST_REASONS, Metrics
from cryptml_server.base.models import Circuit
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.sockets import free_port
from cryptml.errors import SettingError
from tests.service.slow_service import LISTENS, slow_service

CIRCUIT = Circuit("tiny", 0, (2, 5), Path(), "0" * 64, "1" * 64, (1, 2), (1, 2))


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float | None:
    return samples(text).get((f"cryptml_{name}", frozenset(labels.items())))


def shown(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_a_service_tells_what_it_has_done(tmp_path: Path) -> None:
    port = free_port()
    with slow_service(tmp_path, metrics_port=port) as running, httpx.Client(base_url=running.url) as http:
        for _ in range(3):
            assert http.get("/v1/models").status_code == 200
        for number in range(20):
            http.get(f"/v1/models/secret-{number}")
            http.get(f"/of-the-clients-own/{number}?token={number}")
            http.request(f"ODD{number}", "/v1/models")
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert value(text, "requests_total", route="/v1/models", method="GET", status="200") == 3
        assert value(text, "requests_total", route="/v1/models/{model}", method="GET", status="404") == 20
        assert value(text, "requests_total", route="unknown", method="GET", status="404") == 20
        assert value(text, "request_seconds_count", route="/v1/models", method="GET") == 3
        assert value(text, "refusals_total", reason="unknown-model") == 20
        assert value(text, "requests_waiting") == 0
        assert value(text, "workers_alive") == 1
        assert (value(text, "stored_keys"), value(text, "stored_key_bytes")) == (0, 0)
        assert value(text, "draining") == 0
        assert (value(text, "resident_bytes", process="service") or 0) > 10_000_000
        assert (value(text, "resident_bytes", process="worker-0") or 0) > 1_000_000
        assert "secret" not in text
        assert "clients-own" not in text
        assert "ODD" not in text
        assert len(samples(text)) < 300
        (worker,) = running.workers()
        os.kill(worker, signal.SIGKILL)
        assert http.get("/v1/health/live").status_code == 200
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200


def test_the_port_is_free_again_when_the_service_has_ended(tmp_path: Path) -> None:
    port = free_port()
    with slow_service(tmp_path, metrics_port=port) as running:
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
        running.tell()
        assert running.process.wait(20) == 0
    with Metrics().serving("127.0.0.1", port):
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = rf"metrics on 127.0.0.1 port {port} \(Address already in use\)"
        with pytest.raises(SettingError, match=said), Metrics().serving("127.0.0.1", port):
            pass
    with pytest.raises(SettingError, match="cannot listen for metrics"), Metrics().serving("no such host", 1):
        pass
    with Metrics().serving("127.0.0.1", None):
        pass


def test_a_service_whose_metrics_port_is_taken_ends_with_one_sentence(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        slow_service(
            tmp_path, awaited="SettingError: cannot listen for metrics", metrics_port=taken.getsockname()[1]
        ) as running,
    ):
        assert running.process.wait(30) == 1
        assert not [line for line in running.lines if line.startswith(LISTENS)]
        assert not running.workers()


def test_stages_evaluations_losses_uploads_and_jobs_are_counted() -> None:
    metrics = Metrics()
    metrics.evaluated(CIRCUIT, 0.3)
    metrics.evaluated(CIRCUIT, 3000.0)
    metrics.stage("receive", "tiny", 0.2)
    metrics.stage("wait", "tiny", 0.02)
    metrics.worker_lost()
    metrics.uploaded(1000)
    metrics.uploaded(24)
    metrics.job_finished("done")
    text = shown(metrics)
    assert value(text, "evaluation_seconds_bucket", model="tiny", segment="2-5", le="0.5") == 1
    assert value(text, "evaluation_seconds_bucket", model="tiny", segment="2-5", le="900.0") == 1
    assert value(text, "evaluation_seconds_count", model="tiny", segment="2-5") == 2
    assert value(text, "stage_seconds_sum", stage="receive", model="tiny") == 0.2
    assert value(text, "stage_seconds_count", stage="evaluate", model="tiny") == 2
    assert value(text, "workers_lost_total") == 1
    assert value(text, "uploaded_bytes_total") == 1024
    assert value(text, "jobs_finished_total", outcome="done") == 1
    with pytest.raises(ValueError, match="use one of receive, wait, evaluate"):
        metrics.stage("other", "tiny", 1.0)


def test_what_is_watched_is_asked_at_each_scrape_and_a_failure_takes_nothing_else_along() -> None:
    metrics = Metrics()
    states = {"queued": 2.0, "running": 1.0}
    metrics.watch("jobs", "Jobs by state.", lambda: states, label="state")

    def fail() -> float:
        raise OSError

    metrics.watch("gone", "Cannot be had.", fail)
    metrics.watch("there", "Can be had.", lambda: 7)
    text = shown(metrics)
    assert value(text, "jobs", state="queued") == 2
    assert value(text, "there") == 7
    assert "cryptml_gone" not in text
    states["queued"] = 5
    assert value(shown(metrics), "jobs", state="queued") == 5


def test_kinds_of_refusals_are_bounded() -> None:
    metrics = Metrics()
    for number in range(10 * MOST_REASONS):
        metrics.refused(f"kind-{number}")
    text = shown(metrics)
    assert len(re.findall(r"^cryptml_refusals_total\{", text, re.MULTILINE)) == MOST_REASONS + 1
    assert value(text, "refusals_total", reason="other") == 9 * MOST_REASONS


def test_two_services_in_one_process_count_apart(tmp_path: Path) -> None:
    one, two = (create_app(Settings(data=tmp_path / name)) for name in ("one", "two"))
    one.state.metrics.uploaded(5)
    assert value(shown(two.state.metrics), "uploaded_bytes_total") == 0
