"""A bundle that is built again beside a running service: it goes on with what it loaded, and the doctor says that it does."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from cryptml_client import Client, KeyStore
from cryptml_server.base import served_bundles
from cryptml_server.base.served_bundles import drop_bundles, keep_bundles, read_served
from cryptml_server.base.settings import Settings
from cryptml_server.operations.doctor import Deployment
from cryptml_server.operations.doctor.running import check_running

from benchmarks.machine import children
from cryptml.bundle.build import build_bundle
from cryptml.bundle.server import ServerBundle
from cryptml.errors import BundleError, SettingError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.networks import FloatArray, Network
from cryptml.splits import Split
from cryptml.verification.local_service import local_service
from tests.bundle.bundle_samples import sample_network
from tests.waiting import wait_for


def looked_at(bundle: Path, data: Path) -> list[tuple[str, str]]:
    return [(each.state, each.what) for each in check_running(Deployment(Settings(bundles=(bundle,), data=data)))]


@pytest.mark.encrypted
@pytest.mark.usefixtures("unmeasured_children")
def test_clients_old_and_new_are_answered_until_the_service_is_started_again(
    build_tiny: Callable[[str], Any], tiny: Network, tiny_regions: FloatArray, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(build_tiny("CCSCC").folder, tmp_path / "bundle"))
    data, first = tmp_path / "data", ServerBundle.load(bundle).digest
    right = tiny.logits(tiny_regions[:1])[0]

    def asked(client: Client) -> bool:
        return np.array_equal(client.predict_region(tiny_regions[0]).answer.logits, right)

    with (
        local_service([bundle], data) as service,
        Client(service.url, keys=KeyStore(tmp_path / "old"), trust_first_use=True) as old,
    ):
        assert asked(old)
        assert [state for state, _ in looked_at(bundle, data)] == ["ok"]
        second = build_bundle(tiny, Split("CCSCC"), bundle, backend=compile_integer_program, force=True).digest
        assert second != first
        ((state, what),) = looked_at(bundle, data)
        assert state == "warning"
        assert first[:16] in what
        assert second[:16] in what
        assert asked(old)
        (worker,) = children(service.pid)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: httpx.get(f"{service.url}/v1/health/ready").is_success, "another worker")
        assert asked(old), "the worker that was started again loads the circuit that the service serves"
        with Client(service.url, keys=KeyStore(tmp_path / "new"), accept_digest=first) as new:
            assert asked(new)
    assert looked_at(bundle, data) == [("ok", "none runs with this data folder")]
    assert not list(data.glob(f"{served_bundles.COPIES}*"))
    with local_service([bundle], data) as service:
        served = httpx.get(f"{service.url}/v1/models").json()["models"]
        assert [each["digest"] for each in served] == [second]
        assert [state for state, _ in looked_at(bundle, data)] == ["ok"]
        ((state, what),) = looked_at(tmp_path / "other", data)[:1]
        assert (state, "does not serve" in what) == ("warning", True)


def unable(*_: object, **__: object) -> ServerBundle:
    raise AssertionError("nothing is compiled")


def test_copies_are_those_of_the_bundle_and_go_with_the_service(tmp_path: Path) -> None:
    bundle, data = tmp_path / "bundle", tmp_path / "data"
    built = build_bundle(sample_network(), Split("CCCCC"), bundle, backend=unable)  # type: ignore[arg-type]
    data.mkdir()
    (data / served_bundles.COPIES / "left").mkdir(parents=True)
    (kept,) = keep_bundles([bundle], data)
    assert kept != bundle
    assert kept.is_relative_to(data)
    shutil.rmtree(bundle)
    assert ServerBundle.load(kept).digest == built.digest
    served = read_served(data)
    assert served is not None
    assert [(each.folder, each.model, each.digest) for each in served] == [(bundle, "sample", built.digest)]
    drop_bundles(data)
    assert list(data.iterdir()) == []
    assert read_served(data) is None


def test_where_no_native_code_may_be_the_folders_themselves_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle"
    build_bundle(sample_network(), Split("CCCCC"), bundle, backend=unable)  # type: ignore[arg-type]

    class NoExecution:
        f_flag = os.ST_NOEXEC

    monkeypatch.setattr(os, "statvfs", lambda _: NoExecution)
    assert keep_bundles([bundle], tmp_path) == (bundle,)


def test_a_bundle_that_is_exchanged_while_it_is_copied_is_copied_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, other, data = tmp_path / "bundle", tmp_path / "other", tmp_path / "data"
    data.mkdir()
    for folder in (bundle, other):
        build_bundle(sample_network(), Split("CCCCC"), folder, backend=unable)  # type: ignore[arg-type]
    copy, left = shutil.copyfile, [1]

    def exchanging(source: Path, target: Path) -> None:
        if Path(source).parent.name == "server" and left:
            left.clear()
            shutil.rmtree(bundle)
            other.rename(bundle)
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", exchanging)
    expected = ServerBundle.load(other).digest
    (kept,) = keep_bundles([bundle], data)
    assert ServerBundle.load(kept).digest == expected
    monkeypatch.setattr(shutil, "copyfile", lambda _, target: Path(target).write_bytes(b""))
    with pytest.raises(BundleError):
        keep_bundles([bundle], data)


@pytest.mark.parametrize("text", ["[]", "{", '{"bundles": [1]}'])
def test_a_record_that_is_none_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / served_bundles.RECORD).write_text(text)
    with pytest.raises(SettingError, match=r"served-bundles\.json"):
        read_served(tmp_path)
