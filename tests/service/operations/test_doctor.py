"""What the doctor finds: each check on something sound and on something broken; all findings, no traceback."""

from __future__ import annotations

import json
import resource
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptml_server.base.settings import Settings
from cryptml_server.database import Database
from cryptml_server.database.administration import open_database
from cryptml_server.operations.administration import Administration
from cryptml_server.operations.doctor import CHECKS, Deployment, Finding, computing, examine, network, storage
from cryptml_server.tenancy.tenants import TenantStore
from typer.testing import CliRunner

from benchmarks.sockets import free_port
from cryptml.cli.main import app
from tests.service.key_pairs import make_pair
from tests.service.slow_service import slow_service

runner = CliRunner()


def found(check: Callable[[Deployment], Any], **settings: Any) -> list[Finding]:
    return list(check(Deployment(Settings(**settings))))


def states(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(each.check, each.state) for each in findings]


@pytest.mark.encrypted
def test_a_sound_deployment_is_ok(build_tiny: Any, tmp_path: Path) -> None:
    bundle, data = build_tiny("CCSCC").folder, tmp_path / "data"
    data.mkdir(mode=0o700)
    open_database(Settings(data=data)).close()
    command = ["doctor", str(bundle), "--data", str(data), "--port", str(free_port())]
    result = runner.invoke(app, [*command, "--json"], catch_exceptions=False)
    findings = {each["check"]: each for each in json.loads(result.stdout)["findings"]}
    assert result.exit_code == 0, result.stdout
    names = "settings bundles data disk database durability clock worker memory cores tls port metrics"
    assert set(names.split()) <= set(findings)
    assert all(each["state"] != "wrong" for each in findings.values())
    assert "a lower bound" in findings["memory"]["what"]
    assert "loads" in findings["worker"]["what"]
    shown = runner.invoke(app, command, catch_exceptions=False)
    assert shown.exit_code == 0
    assert "check" in shown.stdout
    assert "what to do" in shown.stdout


@pytest.mark.encrypted
def test_everything_that_is_wrong_is_said_at_once(build_tiny: Any, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(build_tiny("CCSCC").folder, damaged)
    victim = next(each for each in sorted((damaged / "server").rglob("*")) if each.is_file() and each.suffix != ".json")
    victim.write_bytes(b"x" + victim.read_bytes()[1:] + b"y")
    certificate, _ = make_pair(tmp_path)
    _, other = make_pair(tmp_path, "other")
    file = tmp_path / "settings.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file.write_text(
            f'bundles = ["{damaged}", "{tmp_path / "none"}"]\nport = {taken.getsockname()[1]}\ndata = "/proc/none"\n'
            f'tls_certificate = "{certificate}"\ntls_key = "{other}"\nmetrics_host = "0.0.0.0"\nmetrics_port = {free_port()}\n'
            'connections = 65536\ndatabase = "postgresql+psycopg://nobody@127.0.0.1:1/none"\nworkers = 1000\nthreads = 1000\n'
        )
        result = runner.invoke(app, ["doctor", "--settings", str(file), "--json"], catch_exceptions=False)
    assert result.exit_code == 1
    findings = [(each["check"], each["state"]) for each in json.loads(result.stdout)["findings"]]
    assert findings.count(("bundles", "wrong")) == 2
    wrong = {"data", "database", "tls", "port"}
    assert wrong <= {name for name, state in findings if state == "wrong"}
    assert {("cores", "warning"), ("metrics", "warning")} <= set(findings)
    assert "Traceback" not in result.output


def test_settings_that_cannot_be_used_are_all_that_is_said(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("workers = 0\nprot = 1\n")
    result = runner.invoke(app, ["doctor", "--settings", str(file), "--json"], catch_exceptions=False)
    (finding,) = json.loads(result.stdout)["findings"]
    assert (result.exit_code, finding["check"], finding["state"]) == (1, "settings", "wrong")
    assert "workers" in finding["what"]
    assert "prot" in finding["what"]


def test_a_check_that_fails_takes_no_other_along(tmp_path: Path) -> None:
    def check_luck(_: Deployment) -> Any:
        raise RuntimeError("secret")

    findings = examine(Settings(data=tmp_path, workers=1, threads=1), (check_luck, computing.check_cores))
    assert states(findings) == [("luck", "wrong"), ("cores", "ok")]
    assert "secret" not in findings[0].what


def test_the_data_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert states(found(storage.check_data, data=folder, stored_key_bytes=1 << 20)) == [("data", "ok"), ("disk", "ok")]
    assert not folder.exists(), "nothing is made"
    folder.mkdir(mode=0o755)
    open_to_all, disk = found(storage.check_data, data=folder, stored_key_bytes=1 << 60)
    assert (open_to_all.state, open_to_all.instead) == ("warning", f"chmod 700 {folder}")
    assert disk.state == "warning"
    folder.chmod(0o700)
    assert found(storage.check_data, data=folder)[0].state == "ok"


def test_an_embedded_database(tmp_path: Path) -> None:
    assert states(found(storage.check_database, data=tmp_path)) == [("database", "ok")]
    assert list(tmp_path.iterdir()) == [], "nothing is made"
    opened = open_database(Settings(data=tmp_path))
    assert states(found(storage.check_database, data=tmp_path)) == [
        ("database", "ok"),
        ("durability", "ok"),
        ("clock", "ok"),
    ]
    assert TenantStore(opened).list() == [], "what was written is taken back"
    opened.close()
    (tmp_path / "cryptml.db").write_bytes(b"no database" * 100)
    assert "wrong" in {each.state for each in examine(Settings(data=tmp_path)) if each.check == "database"}


def test_tenants_and_budgets_that_bound_nothing(build_tiny: Any, tmp_path: Path) -> None:
    bundle, data = build_tiny("CCSCC"), tmp_path / "data"
    settings = {"bundles": (bundle.folder,), "data": data}
    assert found(storage.check_tenants, **settings) == []
    database = open_database(Settings(data=data))
    assert states(found(storage.check_tenants, **settings)) == [("tenants", "warning")]
    administration = Administration(database)
    administration.add("clinic", {})
    assert states(found(storage.check_tenants, **settings)) == [("tenants", "ok")]
    administration.set_budgets("clinic", "tiny", {(2, 3): 10})
    assert states(found(storage.check_tenants, **settings)) == [("tenants", "ok")]
    administration.set_budgets("clinic", "tinny", {(2, 3): 10})
    administration.set_budgets("clinic", "tiny", {(0, 3): 10})
    (finding,) = found(storage.check_tenants, **settings)
    assert finding.state == "warning"
    assert "clinic: tinny 2-3, clinic: tiny 0-3" in finding.what
    database.close()


def test_another_database(postgresql: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    address = postgresql()
    (finding,) = found(storage.check_database, database=address)
    assert (finding.state, finding.instead) == ("wrong", "stop the service, run cryptml database upgrade")
    opened = Database(address)
    opened.upgrade()
    assert {each.state for each in found(storage.check_database, database=address)} == {"ok"}
    assert TenantStore(opened).list() == []
    opened.close()
    ahead = time.time() + 100
    monkeypatch.setattr(time, "time", lambda: ahead)
    assert ("clock", "warning") in states(found(storage.check_database, database=address))


@pytest.mark.parametrize(("days", "state"), [(90, "ok"), (10, "warning"), (-1, "wrong")])
def test_a_certificate_is_valid_for_a_time(tmp_path: Path, days: float, state: str) -> None:
    certificate, key = make_pair(tmp_path, days=days)
    (finding,) = found(network.check_tls, tls_certificate=certificate, tls_key=key)
    assert finding.state == state


def test_who_can_reach_the_service_in_the_clear() -> None:
    assert found(network.check_tls)[0].state == "ok"
    assert found(network.check_tls, host="0.0.0.0")[0].state == "warning"


def test_what_several_services_share(tmp_path: Path) -> None:
    (alone,) = found(storage.check_object_store, data=tmp_path)
    assert alone.state == "ok"
    (shared,) = found(storage.check_object_store, data=tmp_path, object_store=f"file://{tmp_path}/objects")
    assert (shared.state, list(tmp_path.glob("objects/probe/*"))) == ("ok", [])
    (tmp_path / "file").write_text("in the way")
    (broken,) = found(storage.check_object_store, data=tmp_path, object_store=f"file://{tmp_path}/file")
    assert broken.state == "wrong"
    assert found(computing.check_cluster, data=tmp_path) == []


def test_ports(tmp_path: Path) -> None:
    port = free_port()
    assert states(found(network.check_port, port=port)) == [("port", "ok")]
    with slow_service(tmp_path) as running:
        (finding,) = found(network.check_port, port=running.port)
        assert (finding.state, "answers" in finding.what) == ("ok", True)
    assert found(network.check_port, host="no such host")[0].state == "wrong"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        assert found(network.check_metrics, port=port, metrics_port=number)[0].state == "wrong"
    assert found(network.check_metrics, port=port, metrics_port=port)[0].state == "wrong"
    assert found(network.check_metrics, port=port, metrics_port=free_port())[0].state == "ok"


def test_files_cores_and_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    assert found(network.check_open_files, connections=512)[0].state == "wrong"
    assert found(network.check_open_files, connections=16)[0].state == "ok"
    assert found(computing.check_cores, workers=1000, threads=2)[0].state == "warning"
    limit = tmp_path / "memory.max"
    limit.write_text("max\n")
    monkeypatch.setattr(computing, "CGROUP", limit)
    assert found(computing.check_memory)[0].state == "ok"


def test_every_check_says_what_it_is_for() -> None:
    assert all((each.__doc__ or "").endswith(".") and each.__name__.startswith("check_") for each in CHECKS)
