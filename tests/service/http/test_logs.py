"""The log of a service in a process of its own: an id in every line, one line a request, nothing of a client's in it."""

from __future__ import annotations

import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptml_server.base.metrics import Metrics
from cryptml_server.http.logs import RequestLog
from starlette.responses import Response
from starlette.testclient import TestClient

from benchmarks.sockets import free_port
from tests.service.slow_service import Running, slow_service

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) [a-z0-9_.]+ \[[A-Za-z0-9._-]{1,64}\] .+"
)


def documents(running: Running) -> list[dict[str, Any]]:
    return [json.loads(line) for line in list(running.lines) if line.startswith("{")]


def line_of(running: Running, identity: str) -> dict[str, Any]:
    running.wait_for_line(f'"message": "request", "request_id": "{identity}"')
    found = [each for each in documents(running) if each["request_id"] == identity and each["message"] == "request"]
    assert len(found) == 1
    return found[0]


def test_a_request_has_one_line_with_what_is_known_of_it(tmp_path: Path) -> None:
    with slow_service(tmp_path, log_format="json") as running, httpx.Client(base_url=running.url) as http:
        answer = http.post("/v1/slow/0?token=hidden", content=b"secret" * 100, headers={"X-Request-Id": "clinic-1.a_B"})
        assert answer.headers["x-request-id"] == "clinic-1.a_B"
        line = line_of(running, "clinic-1.a_B")
        assert {name: line[name] for name in ("method", "route", "status", "bytes_in", "level", "logger")} == {
            "method": "POST",
            "route": "/v1/slow/{seconds}",
            "status": 200,
            "bytes_in": 600,
            "level": "INFO",
            "logger": "cryptml_server.http.logs",
        }
        assert line["bytes_out"] == len(answer.content)
        assert 0 < line["ms"] < 10_000
        http.get("/v1/models", headers={"X-Request-Id": "with-tenant"})
        assert re.fullmatch(r"[0-9a-f]{16}|anonymous", line_of(running, "with-tenant")["tenant"])
        refused = http.get("/v1/models/of-the-client")
        identity = refused.headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{32}", identity)
        assert refused.json()["request_id"] == identity
        line = line_of(running, identity)
        assert (line["route"], line["status"], line["problem"]) == ("/v1/models/{model}", 404, "unknown-model")
        everything = "\n".join(running.lines)
        assert not any(each in everything for each in ("hidden", "secret", "of-the-client"))


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a/b", 'a"b', "ä", "a\\nb"])
def test_an_id_that_is_not_fit_for_a_log_is_replaced(given: str) -> None:
    client = TestClient(RequestLog(Response("x"), Metrics()))
    found = client.get("/", headers={b"X-Request-Id": given.encode()}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", found)


def test_what_nobody_expected_is_logged_once_with_the_id(tmp_path: Path) -> None:
    with slow_service(tmp_path, log_format="json") as running:
        answer = httpx.get(f"{running.url}/v1/broken/hidden", headers={"X-Request-Id": "unlucky-one"})
        assert (answer.status_code, answer.json()["title"]) == (500, "Internal error")
        assert answer.json()["request_id"] == answer.headers["x-request-id"] == "unlucky-one"
        assert line_of(running, "unlucky-one")["problem"] == "internal-error"
        errors = [each for each in documents(running) if each["level"] == "ERROR"]
        assert [(each["request_id"], each["message"]) for each in errors] == [
            ("unlucky-one", "unexpected RuntimeError")
        ]
        assert "RuntimeError: unlucky" in errors[0]["exc_info"]
        assert not any(line.startswith("Traceback") for line in running.lines)
        assert "hidden" not in "\n".join(running.lines)


def test_a_client_that_hung_up_was_not_answered(tmp_path: Path) -> None:
    port = free_port()
    with slow_service(tmp_path, log_format="json", metrics_port=port) as running:
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
            connection.sendall(
                b"POST /v1/slow/0 HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: hasty\r\nContent-Length: 100\r\n\r\nbegun"
            )
        line = line_of(running, "hasty")
        assert (line["status"], line["bytes_in"], line["level"]) == (0, 5, "INFO")
        counted = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert 'cryptml_requests_total{method="POST",route="/v1/slow/{seconds}",status="0"} 1.0' in counted
        assert not any(each["level"] == "ERROR" for each in documents(running))


def test_text_lines_have_one_form_and_probes_are_for_debugging(tmp_path: Path) -> None:
    with slow_service(tmp_path) as running:
        httpx.get(f"{running.url}/v1/health/live", headers={"X-Request-Id": "probe"})
        httpx.get(f"{running.url}/v1/models", headers={"X-Request-Id": "asked"})
        line = running.wait_for_line("[asked] request")
        assert " INFO cryptml_server.http.logs [asked] request method=GET route=/v1/models status=200 ms=" in line
        assert LINE.fullmatch(line)
        assert not any("[probe]" in each for each in running.lines)
    with slow_service(tmp_path / "debug", log_level="debug") as running:
        httpx.get(f"{running.url}/v1/health/live", headers={"X-Request-Id": "probe"})
        assert " DEBUG " in running.wait_for_line("[probe] request")
        assert all(LINE.fullmatch(each) for each in running.lines if not each.startswith("listening"))
    with slow_service(tmp_path / "quiet", log_level="error") as running:
        httpx.get(f"{running.url}/v1/models", headers={"X-Request-Id": "asked"})
        time.sleep(0.3)
        assert [each for each in running.lines if not each.startswith("listening")] == []


def test_the_servers_own_lines_have_the_same_form(tmp_path: Path) -> None:
    with slow_service(tmp_path, log_format="json") as running:
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
            connection.sendall(b"nonsense\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 400")
        assert json.loads(running.wait_for_line("Invalid HTTP"))["logger"] == "uvicorn.error"
        running.tell()
        running.process.wait(20)
        assert all(line.startswith(("{", "listening")) for line in running.lines)
