"""A clinic accepts a provider's model once, and a changed one is refused: over real HTTP, with real bundles."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptml_client import AcceptedBundles, Client, KeyStore, UnacceptedBundle
from cryptml_client.trust.pinning import FILE, Pinning, describe_bundle
from typer.testing import CliRunner

from cryptml.bundle import ClientBundle
from cryptml.bundle.build import build_bundle
from cryptml.bundle.manifest import grouped
from cryptml.bundle.server import ServerBundle
from cryptml.cli.main import app
from cryptml.errors import SettingError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.networks import Network
from cryptml.splits import Split
from cryptml.verification.local_service import local_service
from tests.conftest import TinyService

pytestmark = pytest.mark.encrypted

SERVICE = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def bundles(tiny: Network, tmp_path_factory: pytest.TempPathFactory) -> tuple[ClientBundle, ClientBundle]:
    """Two builds of one network: nothing differs but the random number in the manifest."""
    found = []
    for name in ("first", "second"):
        out = tmp_path_factory.mktemp("pinned") / name
        build_bundle(tiny, Split("CCCCC"), out, backend=compile_integer_program)
        found.append(ClientBundle.load(out / "client"))
    return found[0], found[1]


def accepted(tmp_path: Path) -> AcceptedBundles:
    return AcceptedBundles(tmp_path / FILE)


def test_the_first_use_is_refused_where_nobody_can_be_asked(tmp_path: Path, bundles: tuple[ClientBundle, ...]) -> None:
    first, _ = bundles
    with pytest.raises(
        UnacceptedBundle, match=rf"digest {grouped(first.digest)} was not accepted.*`accept_digest`"
    ) as refused:
        Pinning(accepted(tmp_path)).require_accepted(SERVICE, first)
    assert (refused.value.digest, refused.value.known) == (first.digest, None)
    assert accepted(tmp_path).entries() == []


@pytest.mark.parametrize("digits", [32, 40, 64])
def test_a_digest_that_was_compared_lets_one_bundle_in(
    tmp_path: Path, bundles: tuple[ClientBundle, ...], digits: int
) -> None:
    first, second = bundles
    given = grouped(first.digest[:digits]).upper()
    Pinning(accepted(tmp_path), accept_digest=given).require_accepted(SERVICE, first)
    Pinning(accepted(tmp_path)).require_accepted(SERVICE, first)
    for pinning in (
        Pinning(accepted(tmp_path), accept_digest=given),
        Pinning(accepted(tmp_path), trust_first_use=True),
    ):
        with pytest.raises(UnacceptedBundle):
            pinning.require_accepted(SERVICE, second)
    (entry,) = accepted(tmp_path).entries()
    assert (entry.digest, entry.how, entry.model) == (first.digest, "compared", "tiny")


def test_a_changed_bundle_is_refused_until_it_is_accepted(tmp_path: Path, bundles: tuple[ClientBundle, ...]) -> None:
    first, second = bundles
    Pinning(accepted(tmp_path), trust_first_use=True).require_accepted(SERVICE, first)
    with pytest.raises(
        UnacceptedBundle,
        match=f"has changed: its digest is {grouped(second.digest)}, accepted was {grouped(first.digest)}",
    ):
        Pinning(accepted(tmp_path), trust_first_use=True).require_accepted(SERVICE, second)
    Pinning(accepted(tmp_path), accept_digest=second.digest).require_accepted(SERVICE, second)
    assert [each.digest for each in accepted(tmp_path).entries()] == [second.digest]
    Pinning(accepted(tmp_path)).require_accepted(SERVICE, second)


def test_a_person_is_asked_with_what_was_accepted_before(tmp_path: Path, bundles: tuple[ClientBundle, ...]) -> None:
    first, second = bundles
    asked: list[tuple[str, str | None]] = []

    def person(says: bool) -> Callable[[ClientBundle, str | None], bool]:
        def confirm(bundle: ClientBundle, known: str | None) -> bool:
            asked.append((bundle.digest, known))
            return says

        return confirm

    with pytest.raises(UnacceptedBundle):
        Pinning(accepted(tmp_path), confirm=person(False)).require_accepted(SERVICE, first)
    Pinning(accepted(tmp_path), confirm=person(True)).require_accepted(SERVICE, first)
    Pinning(accepted(tmp_path), confirm=person(True)).require_accepted(SERVICE, first)
    Pinning(accepted(tmp_path), confirm=person(True)).require_accepted(SERVICE, second)
    assert asked == [(first.digest, None), (first.digest, None), (second.digest, first.digest)]


def test_services_and_models_are_apart(tmp_path: Path, bundles: tuple[ClientBundle, ...]) -> None:
    first, second = bundles
    Pinning(accepted(tmp_path), trust_first_use=True).require_accepted(SERVICE, first)
    Pinning(accepted(tmp_path), trust_first_use=True).require_accepted("https://other.example", second)
    assert accepted(tmp_path).forget(SERVICE, "another") == 0
    assert accepted(tmp_path).forget(SERVICE) == 1
    assert [each.service for each in accepted(tmp_path).entries()] == ["https://other.example"]


def test_a_service_that_renames_its_model_changes_it(tmp_path: Path, bundles: tuple[ClientBundle, ...]) -> None:
    """Where the client named none, the service chooses the name: another one is no first use."""
    first, second = bundles
    renamed = replace(second, model="another")
    Pinning(accepted(tmp_path), trust_first_use=True).require_accepted(SERVICE, first, named=False)
    with pytest.raises(UnacceptedBundle, match="has changed") as refused:
        Pinning(accepted(tmp_path), trust_first_use=True).require_accepted(SERVICE, renamed, named=False)
    assert refused.value.known == first.digest
    Pinning(accepted(tmp_path), trust_first_use=True).require_accepted(SERVICE, renamed, named=True)


def test_two_bundles_with_the_same_first_digits_are_not_exchanged(
    tmp_path: Path, bundles: tuple[ClientBundle, ...]
) -> None:
    first = bundles[0]
    twin = replace(first, digest=first.digest[:40] + "0" * 24)
    Pinning(accepted(tmp_path), accept_digest=first.digest[:40]).require_accepted(SERVICE, first)
    with pytest.raises(UnacceptedBundle, match="somebody made them so"):
        Pinning(accepted(tmp_path), accept_digest=first.digest[:40]).require_accepted(SERVICE, twin)


def test_a_comparison_replaces_a_first_use(tmp_path: Path, bundles: tuple[ClientBundle, ...]) -> None:
    Pinning(accepted(tmp_path), trust_first_use=True).require_accepted(SERVICE, bundles[0])
    Pinning(accepted(tmp_path), accept_digest=bundles[0].digest).require_accepted(SERVICE, bundles[0])
    assert [each.how for each in accepted(tmp_path).entries()] == ["compared"]


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64, "a" * 31, "a" * 65, "../../etc/passwd", "\n"])
def test_what_is_no_digest_is_refused(tmp_path: Path, digest: str) -> None:
    with pytest.raises(SettingError, match="is not a bundle's digest; give 32 to 64 hexadecimal digits"):
        Pinning(accepted(tmp_path), accept_digest=digest)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"format": "cryptml-accepted-bundles", "format_version": 2, "accepted": []}']
)
def test_a_damaged_file_of_accepted_bundles_accepts_nothing(
    tmp_path: Path, bundles: tuple[ClientBundle, ...], content: str
) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(SettingError, match="accepted bundles"):
        Pinning(accepted(tmp_path), trust_first_use=True).require_accepted(SERVICE, bundles[0])


def test_the_file_is_its_owners_alone(tmp_path: Path, bundles: tuple[ClientBundle, ...]) -> None:
    Pinning(accepted(tmp_path), trust_first_use=True).require_accepted(SERVICE, bundles[0])
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_a_client_sends_nothing_to_a_model_that_is_not_accepted(tiny_service: TinyService, tmp_path: Path) -> None:
    with Client(tiny_service.url, keys=KeyStore(tmp_path)) as client, pytest.raises(UnacceptedBundle):
        client.prepare()
    assert list(tmp_path.glob("*.keys")) == []
    with Client(tiny_service.url, keys=KeyStore(tmp_path), accept_digest=tiny_service.bundle.digest) as client:
        assert client.bundle.digest == tiny_service.bundle.digest
    with Client(f"{tiny_service.url}/", keys=KeyStore(tmp_path)) as client:
        assert client.bundle.digest == tiny_service.bundle.digest, "the address is the same however it is written"


def test_a_model_that_is_replaced_at_the_service_is_refused(tiny: Network, tmp_path: Path) -> None:
    """The same network built again, behind the same address: a client cannot know what else has changed."""
    from socket import socket

    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    keys = KeyStore(tmp_path / "keys")
    for number, expected in (("one", None), ("two", UnacceptedBundle)):
        built = build_bundle(tiny, Split("CCCCC"), tmp_path / number, backend=compile_integer_program)
        with local_service([built.folder], tmp_path / f"data-{number}", {"CRYPTML_PORT": str(port)}) as service:
            url = re.sub(r":\d+$", ":1", service.url)
            client = Client(service.url, keys=keys, trust_first_use=True)
            client._transport._url = url  # the port is another each time; the name of the service is what counts
            with client:
                if expected is None:
                    assert client.bundle.digest == built.digest
                else:
                    with pytest.raises(expected, match="has changed"):
                        _ = client.bundle


def test_the_description_says_what_a_person_compares(
    bundles: tuple[ClientBundle, ...], build_tiny: Callable[[str], ServerBundle]
) -> None:
    rows = dict(describe_bundle(ClientBundle.load(build_tiny("CCSSS").folder / "client")))
    assert rows["classes"] == "background, lesion"
    assert rows["layers that run here"] == "conv1, act1"
    assert "secret keys of 2048, 771 bits, p_error 2^-40" in rows["server segment 1"]
    assert rows["front end"].startswith("standardisation: a region of 8 x 8 pixels")
    assert dict(describe_bundle(bundles[0]))["spot checks"] == "none"


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output + (str(result.exception) if result.exception else "")


def test_commands_list_forget_and_show_digests(tiny_service: TinyService, tmp_path: Path) -> None:
    keys = ("--keys", str(tmp_path))
    digest = tiny_service.bundle.digest
    code, said = run("keys", "make", "--server", tiny_service.url, *keys)
    assert code == 1
    assert grouped(digest) in said
    assert run("keys", "make", "--server", tiny_service.url, *keys, "--accept-digest", grouped(digest))[0] == 0
    assert run("keys", "make", "--server", tiny_service.url, *keys)[0] == 0
    code, said = run("bundles", "list", *keys, "--json")
    assert [(each["model"], each["digest"]) for each in json.loads(said)] == [("tiny", digest)]
    assert grouped(digest[:32]) in run("bundles", "list", *keys)[1]
    assert grouped(digest) in run("bundles", "digest", str(tiny_service.bundle.folder))[1]
    assert run("bundles", "forget", tiny_service.url, *keys)[0] == 0
    assert "no model of" in run("bundles", "forget", tiny_service.url, *keys)[1]


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_a_person_at_a_terminal_is_shown_the_digest_and_asked(
    tiny_service: TinyService, tmp_path: Path, answer: str, code: int
) -> None:
    """In a real pseudo-terminal."""
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "cryptml", "keys", "make", "--server", tiny_service.url, "--keys", str(tmp_path)]
    process = subprocess.Popen(command, stdin=child, stdout=child, stderr=child, env={**os.environ, "COLUMNS": "120"})
    os.close(child)
    said, deadline = b"", time.monotonic() + 120
    answered = False
    while time.monotonic() < deadline:
        if select.select([parent], [], [], 0.5)[0]:
            try:
                said += os.read(parent, 65536)
            except OSError:
                break
        if not answered and b"[y/N]" in said:
            os.write(parent, f"{answer}\n".encode())
            answered = True
        if process.poll() is not None and not select.select([parent], [], [], 0.2)[0]:
            break
    os.close(parent)
    assert process.wait(30) == code
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode(errors="replace"))
    digits = grouped(tiny_service.bundle.digest)
    assert digits[:39] in shown
    assert digits[40:] in shown
    assert "Compare this digest" in shown
    assert "classes" in shown
