"""A client and a server made from nothing: what they hold and take, and an encrypted answer from one to the other.

Each process of the product runs in one of these environments, with nothing of this one. Packages come from the index, as for everybody;
where it cannot be reached this fails.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.installations import clean_environment, copy_sources, disk_bytes, install, packages
from cryptml.cli import main, split_profiler
from cryptml.networks import Network
from tests.conftest import BuildTiny
from tests.first_hour.comparing import require_same
from tests.first_hour.scripts import CLINIC, give
from tests.first_hour.session import session
from tests.installations.promises import (
    HEAVY,
    IMPORT_ALL,
    LATE,
    PACKAGES,
    ROOT,
    locked,
    normal,
    require_only_training_fails,
)

MOST_BYTES = {"client": 800_000_000, "server": 1_500_000_000}
STOP_SECONDS = 120
LEAVE_NO_TRACE = {"PYTHONDONTWRITEBYTECODE": "1"}
"""For what nobody does but a test: sizes are those after use."""

pytestmark = [pytest.mark.slow, pytest.mark.encrypted]


@dataclass(frozen=True)
class Installation:
    name: str
    environment: Path

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of this environment, outside of every checkout."""
        return subprocess.run(
            [str(self.environment / "bin" / command[0]), *command[1:]],
            cwd=self.environment.parent.parent,
            env=clean_environment(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def json(self, *command: str, **variables: str) -> Any:
        done = self.run(*command, **variables)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sources(tmp_path_factory.mktemp("installations") / "source")


@pytest.fixture(scope="module")
def client(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """By pip alone, with the line that docs/installing.md gives."""
    (line,) = re.findall(r"^python3 -m venv .*$", (ROOT / "docs" / "installing.md").read_text(), re.MULTILINE)
    python = tmp_path_factory.mktemp("bin") / "python3"
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(str(base))} "$@"\n')
    python.chmod(0o755)
    path = {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", line], cwd=sources, env=clean_environment(path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return Installation("client", sources / ".venv-client")


@pytest.fixture(scope="module")
def server(sources: Path) -> Installation:
    """By make, and so by uv where there is one."""
    return Installation("server", install("server", sources)[0])


@pytest.fixture(scope="module", params=["client", "server"])
def each(request: pytest.FixtureRequest) -> Installation:
    found: Installation = request.getfixturevalue(request.param)
    return found


@dataclass(frozen=True)
class Service:
    url: str
    token_file: Path


@pytest.fixture
def service(server: Installation, build_tiny: BuildTiny, tmp_path: Path) -> Iterator[Service]:
    """The server installation's own, for one tenant, with a bundle that the full environment built."""
    data = tmp_path / "data"
    settings = {"CRYPTML_DATA": str(data)}
    added = server.run("cryptml", "tenants", "add", "clinic", "--json", **settings)
    assert added.returncode == 0, added.stderr
    token_file = tmp_path / "token"
    token_file.write_text(json.loads(added.stdout)["token"])
    token_file.chmod(0o600)
    command = [str(server.environment / "bin" / "cryptml"), "serve", str(build_tiny("CCSSS").folder), "--port", "0"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=clean_environment({**settings, "CRYPTML_DRAIN_SECONDS": "5"}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:  # ends when the service does
            said.append(line)
            if found := re.search(r" at (http://\S+)$", line.rstrip()):
                yield Service(found[1], token_file)
                break
        else:
            pytest.fail("".join(said))
    finally:
        process.terminate()
        process.communicate(timeout=STOP_SECONDS)


def test_the_lock_and_cryptml_are_installed_and_nothing_else(each: Installation) -> None:
    found = {normal(name) for name in packages(each.environment)} - {"pip", "setuptools"}
    for_other_pythons = locked(each.name) - found
    assert found == (locked(each.name) | {"cryptml"}) - for_other_pythons
    assert for_other_pythons == set()
    assert [name for name in HEAVY if list(each.environment.glob(f"lib/python3*/site-packages/{name}"))] == []


def test_every_promised_module_is_imported(each: Installation) -> None:
    require_only_training_fails(each.json("python", str(IMPORT_ALL), *PACKAGES[each.name], **LEAVE_NO_TRACE))


def test_importing_the_client_loads_nothing_heavy(client: Installation) -> None:
    done = client.run(
        "python",
        "-c",
        "import sys; from cryptml_client import *; print(*{name.partition('.')[0] for name in sys.modules})",
    )
    assert done.returncode == 0, done.stderr
    assert "httpx" in done.stdout.split()
    assert set(done.stdout.split()) & {*LATE, "rich"} == set()


def test_every_command_explains_itself(each: Installation) -> None:
    program = """
import sys
import tempfile
from typer.main import get_command
from typer.testing import CliRunner
from cryptml.cli import main, split_profiler
for app in main.app, split_profiler.app:
    names = [[]]
    for name, command in get_command(app).commands.items():
        names += [[name], *([name, each] for each in getattr(command, "commands", ()))]
    for name in names:
        said = CliRunner().invoke(app, [*name, "--help"])
        assert said.exit_code == 0 and "Usage:" in said.stdout, (name, said.output, said.exception)
        print(*name)
"""
    done = each.run("python", "-c", program, **LEAVE_NO_TRACE)
    assert done.returncode == 0, done.stderr
    assert {"predict", "keys", "train", "serve", "tenants add", "verify"} <= set(done.stdout.splitlines())


COMMANDS = {
    "serve": ("cryptml", "serve", "nowhere"),
    "tenants": ("cryptml", "tenants", "list"),
    "demo": ("cryptml", "demo"),
    "train": ("cryptml", "train", "--dataset", "phantom", "--out", "new"),
    "build": ("cryptml", "build", "tiny", "--out", "new"),
    "evaluate": ("cryptml", "evaluate", "tiny", "--dataset", "phantom"),
    "audit": ("split-profiler", "audit", "tiny"),
}


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_command_that_needs_more_says_so_in_one_sentence(
    client: Installation, server: Installation, verb: str
) -> None:
    needs = {each.name: each.extra for each in (*main.VERBS, *split_profiler.VERBS) if each.extra is not None}
    make = {"server": "make server", "train": "make install", "all": "make install"}[needs[verb]]
    for installation in (client, server) if verb == "train" else (client,):
        done = installation.run(*COMMANDS[verb])
        assert done.returncode == 1
        said = " ".join(done.stderr.split())
        assert re.match(
            rf"error: \S+ {verb} needs the installation cryptml\[{needs[verb]}\], and this one leaves out ", said
        )
        assert f"; run {make} in the folder" in said
        assert done.stdout == ""


def test_the_client_has_an_encrypted_answer_of_the_service(
    client: Installation, service: Service, tiny: Network, tmp_path: Path
) -> None:
    """Keys, encryption, HTTP, evaluation, decryption: what comes is what the network says in the clear."""
    picture = tmp_path / "picture.png"
    pixels = np.random.default_rng(3).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(picture)
    answer = client.json(
        *("cryptml", "predict", str(picture), "--server", service.url, "--keys", str(tmp_path / "keys")),
        *("--token-file", str(service.token_file), "--trust-first-use", "--clear-check", "tiny", "--json"),
    )
    assert answer["matches_clear"] is True
    assert answer["split"] == "CCSSS"
    assert answer["upload_bytes"] > 1000
    logits = tiny.run(tiny.quantise(pixels[None].astype(np.float32) / 255))[0]
    assert answer["label"] == tiny.classes[int(np.argmax(logits))]
    listed = client.run("cryptml", "keys", "list", "--keys", str(tmp_path / "keys"))
    assert listed.returncode == 0, listed.stderr


@pytest.mark.timeout(600)
def test_a_clinic_with_a_client_and_a_token_has_its_first_hour(client: Installation, service: Service) -> None:
    """As its transcript says, which is a page of the documents."""
    port = int(service.url.rpartition(":")[2])
    with (
        tempfile.TemporaryDirectory() as top,
        session(give(CLINIC, Path(top), service.token_file.read_text()), client.environment / "bin", port) as one,
    ):
        one.environment.pop("PYTHONPATH", None)
        require_same(CLINIC, one)


def test_compiling_is_refused_in_one_sentence(client: Installation) -> None:
    program = """
from cryptml.errors import CircuitError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS
from cryptml.networks import load_network
from cryptml.splits import Segment
try:
    compile_integer_program(load_network("tiny"), Segment(0, 1), DEFAULT_COMPILER_SETTINGS)
except CircuitError as error:
    print(error)
"""
    done = client.run("python", "-c", program)
    assert done.returncode == 0, done.stderr
    assert re.match(
        r"compiling needs the package (torch|z3), which this installation leaves out; run make install", done.stdout
    )


@pytest.mark.parametrize("name", MOST_BYTES)
def test_the_size_after_use_is_within_its_bound(request: pytest.FixtureRequest, name: str) -> None:
    """Last, because what was imported for the answer has left its bytecode; by name, so that pytest does not move it forward."""
    installation: Installation = request.getfixturevalue(name)
    assert list(installation.environment.rglob("cryptml/fhe/__pycache__/concrete.*.pyc"))
    size = disk_bytes(installation.environment)
    assert 300_000_000 < size <= MOST_BYTES[name]
