"""A profile measured by the two nodes of a real cluster: shared out, lost, resumed, refused where machines differ."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cryptml.cli.split_profiler import app
from cryptml.networks import Network
from cryptml.networks.storage import save_network
from cryptml.profiler.measure.machine import describe_machine
from cryptml.profiler.plan.report import load_report
from tests.ray_cluster import TwoNodes, two_nodes
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.encrypted,
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc to see processes"),
]
runner = CliRunner()


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    with two_nodes() as found:
        yield found


def test_two_machines_share_the_segments_and_a_lost_one_is_resumed(
    nodes: TwoNodes, smaller_tables: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, report = tmp_path / "three", tmp_path / "profile.json"
    save_network(smaller_tables, folder, architecture=None)
    options = ["--repeats", "1", "--threads", "1", "--no-trials", "--ray-address", nodes.address]
    command = ["run", str(folder), "--out", str(report), *options]
    journal = tmp_path / "profile.json.unfinished"

    with monkeypatch.context() as patch:
        patch.setattr(
            "cryptml.profiler.measure.ray_machines.describe_machine", lambda: {**describe_machine(), "cpu": "other"}
        )
        refused = runner.invoke(app, command)
    assert refused.exit_code == 1
    assert "is not like this one (cpu " in str(refused.exception)
    assert "different machines measured" in str(refused.exception)
    assert not journal.exists()

    def kill() -> None:
        wait_for(lambda: journal.exists() and '"measured ' in journal.read_text(), "a measurement")
        os.kill(next(iter(nodes.actors("NodeMachine"))), signal.SIGKILL)

    killing = threading.Thread(target=kill)
    killing.start()
    lost = runner.invoke(app, command)
    killing.join()
    assert lost.exit_code == 1
    assert "was lost while it measured segment" in str(lost.exception)
    before = journal.read_text()
    assert not report.exists()

    resumed = runner.invoke(app, [*command, "--resume"], catch_exceptions=False)
    assert resumed.exit_code == 0, resumed.output
    assert not journal.exists()
    assert before.count('"measured ') >= 1
    document = load_report(report)
    assert [entry["server"]["status"] for entry in document["segments"]] == ["measured"] * 6
    assert document["configuration"]["cluster"] is True
    by = [entry["server"]["machine"] for entry in document["segments"]]
    assert len(set(by)) == 2
    assert {entry["origin"] for entry in document["splits"]} == {"measured", "composed"}
    shown = runner.invoke(app, ["show", str(report)], catch_exceptions=False)
    assert shown.exit_code == 0
    assert "2 alike: " in resumed.output
    wait_for(lambda: not nodes.actors("NodeMachine"), "actors to end")
