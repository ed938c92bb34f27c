"""How a service ends, and connections that would hold it up: a process of its own, real sockets, real signals."""

from __future__ import annotations

import signal
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.bounds import ENDS_SECONDS
from tests.service.slow_service import Running, slow_service
from tests.waiting import has_ended, wait_until_ready


def ask_slowly(url: str, seconds: float, answers: list[httpx.Response | Exception]) -> threading.Thread:
    def ask() -> None:
        try:
            answers.append(httpx.post(f"{url}/v1/slow/{seconds}", timeout=60))
        except httpx.HTTPError as error:
            answers.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.7)
    return thread


def connected(running: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.port), timeout=10)


def broken(connection: socket.socket) -> bool:
    try:
        connection.sendall(b"a")  # a byte now and then gives no more time
    except OSError:
        return True
    return False


def answer_of(connection: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"}"):
        found += connection.recv(65536)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_at_work_is_finished_and_nothing_new_is_begun(tmp_path: Path, number: int) -> None:
    with slow_service(tmp_path, drain_seconds=30) as running, httpx.Client(base_url=running.url) as http:
        wait_until_ready(http)
        assert http.get("/v1/health/ready").json() == {"status": "ready"}
        workers = running.workers()
        assert len(workers) == 1
        answers: list[httpx.Response | Exception] = []
        asking = ask_slowly(running.url, 4, answers)
        running.tell(number)
        running.wait_for_line("told to end")
        ready = http.get("/v1/health/ready")
        assert (ready.status_code, ready.json()["title"]) == (503, "Draining")
        assert http.get("/v1/health/live").status_code == 200
        upload = http.put(f"/v1/models/tiny/evaluation-keys/{'0' * 64}", params={"segment": 0}, content=b"x")
        evaluation = http.post("/v1/models/tiny/segments/0/evaluations", content=b"x")
        for refused in (upload, evaluation):
            assert (refused.status_code, refused.json()["title"]) == (503, "Draining")
            assert int(refused.headers["retry-after"]) > 0
        assert http.get("/v1/models").status_code == 200, "reading goes on"
        asking.join()
        assert isinstance(answers[0], httpx.Response)
        assert answers[0].status_code == 200
        assert running.process.wait(20) == 0
        assert all(has_ended(pid) for pid in workers)


def test_a_service_at_rest_ends_at_once(tmp_path: Path) -> None:
    with slow_service(tmp_path, drain_seconds=3600) as running, connected(running):  # somebody who says nothing
        assert httpx.get(f"{running.url}/v1/health/live", timeout=ENDS_SECONDS).status_code == 200
        running.tell()
        assert running.process.wait(20) == 0


def test_what_is_at_work_without_a_request_is_finished_too(tmp_path: Path) -> None:
    with slow_service(tmp_path, drain_seconds=30) as running:
        assert httpx.post(f"{running.url}/v1/slow/0", headers={"later": "2"}).status_code == 200
        running.tell()
        assert running.process.wait(20) == 0
        assert running.wait_for_line("worked")


def test_what_does_not_finish_in_time_is_broken_off(tmp_path: Path) -> None:
    with slow_service(tmp_path, drain_seconds=1) as running:
        answers: list[httpx.Response | Exception] = []
        workers = running.workers()
        asking = ask_slowly(running.url, 120, answers)
        running.tell()
        assert running.process.wait(20) == 0
        running.wait_for_line("1 requests are broken off")
        asking.join()
        assert isinstance(answers[0], Exception) or answers[0].status_code >= 500
        assert all(has_ended(pid) for pid in workers)


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    with slow_service(tmp_path, drain_seconds=3600) as running:
        answers: list[httpx.Response | Exception] = []
        workers = running.workers()
        asking = ask_slowly(running.url, 120, answers)
        running.tell()
        running.wait_for_line("told to end")
        assert running.process.poll() is None
        running.tell()
        running.process.wait(20)
        asking.join()
        assert all(has_ended(pid) for pid in workers)


def test_half_open_connections_do_not_keep_others_out_and_are_ended(tmp_path: Path) -> None:
    def begin(running: Running, count: int) -> list[socket.socket]:
        many = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(count)]
        for each in many:
            each.sendall(b"POST /v1/slow/0 HTTP/1.1\r\nHost: 127.0.0.1\r\nX-")
        return many

    with slow_service(tmp_path, connections=100, head_seconds=10 * ENDS_SECONDS) as running:
        many = begin(running, 200)
        for _ in range(3):
            assert httpx.get(f"{running.url}/v1/health/live", timeout=ENDS_SECONDS).status_code == 200
        for each in many:
            each.close()
    with slow_service(tmp_path, connections=100, head_seconds=3) as running:
        many = begin(running, 90)
        deadline = time.monotonic() + ENDS_SECONDS
        left = list(many)
        while left and time.monotonic() < deadline:
            left = [each for each in left if not broken(each)]
            time.sleep(0.2)
        assert not left
        for each in many:
            each.close()
        assert httpx.get(f"{running.url}/v1/health/live", timeout=ENDS_SECONDS).status_code == 200


def test_a_second_head_and_the_rest_of_a_refused_body_have_their_time_too(tmp_path: Path) -> None:
    with slow_service(tmp_path, head_seconds=1, keep_alive_seconds=60) as running:
        refused = b"POST /v1/none HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"
        good = b"GET /v1/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        for first, then in ((good, b"GET /v1/health/live HT"), (refused, b"x"), (good + good[:20], b"")):
            with connected(running) as connection:
                connection.sendall(first)
                assert connection.recv(65536).startswith(b"HTTP/1.1 ")
                connection.sendall(then)
                started = time.monotonic()
                try:
                    while connection.recv(65536):
                        pass
                except ConnectionResetError:
                    pass
                assert time.monotonic() - started < ENDS_SECONDS
        with connected(running) as idle:
            idle.settimeout(2)
            idle.sendall(good)
            assert answer_of(idle).endswith(b"}")
            with pytest.raises(TimeoutError):
                idle.recv(1)  # an idle connection is kept for longer
            idle.sendall(good)
            assert answer_of(idle).startswith(b"HTTP/1.1 200")


def test_a_slow_body_is_not_a_slow_head(tmp_path: Path) -> None:
    with slow_service(tmp_path, head_seconds=1) as running, connected(running) as connection:
        connection.sendall(b"POST /v1/slow/0 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\n\r\n")
        for _ in range(4):
            time.sleep(0.6)
            connection.sendall(b"x")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_head_without_bound_is_refused(tmp_path: Path) -> None:
    with slow_service(tmp_path) as running:
        with connected(running) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 100_000)
            assert b" 4" in connection.recv(65536)[:16]
        assert httpx.get(f"{running.url}/v1/health/live", timeout=ENDS_SECONDS).status_code == 200


def test_without_tokens_a_host_that_cannot_be_read_is_not_this_machine(tmp_path: Path) -> None:
    wrong = (
        "[",
        "a b",
        "",
        "evil.example:99999",
        "localhost:99999",
        "[::1",
        "[127.0.0.1]",
        "::1",
        "u@localhost",
        "localhost/",
    )
    right = ("localhost", "LOCALHOST:1", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:8000", "localhost:")
    with slow_service(tmp_path) as running:

        def status(head: str) -> int:
            with connected(running) as connection:
                connection.sendall(f"GET /v1/models HTTP/1.{head}\r\n\r\n".encode())
                return int(connection.recv(65536).split()[1])

        assert {host: status(f"1\r\nHost: {host}") for host in right} == dict.fromkeys(right, 200)
        assert {host: status(f"1\r\nHost: {host}") for host in wrong} == dict.fromkeys(wrong, 421)
        assert status("0") == 421
        assert status("1\r\nHost: localhost\r\nHost: localhost") == 400
