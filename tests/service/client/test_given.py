"""What a program may leave out or give in another form: token, passphrase, folder of keys, pixels; and what a 401 says."""

from __future__ import annotations

import inspect
import json
import pwd
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptml_client import AsyncClient, Client, KeyStore
from cryptml_client.keys.folder import default_folder
from cryptml_client.keys.given import key_store
from cryptml_client.transport import Transport

from cryptml.errors import ImageError, KeySetError, ServiceRefused, SettingError
from cryptml.images import picture_of
from tests.service.client.scripted import scripted

UNAUTHORISED = json.dumps(
    {"type": "urn:cryptml:problem:not-authenticated", "title": "Not authenticated", "detail": "send a token"}
).encode()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_401_says_what_to_do_next_by_what_was_sent(method: str) -> None:
    with scripted((401, UNAUTHORISED, {"Content-Type": "application/problem+json"})) as (url, _):
        said = []
        for token in (None, "a-token"):
            with Transport(url, 10, token) as transport, pytest.raises(ServiceRefused) as refused:
                transport.request(method, "/v1/models", limit=100)
            assert refused.value.status == 401
            said.append(str(refused.value))
    for word in ("none was sent", "--token-file", "CRYPTML_TOKEN", "token= in Python"):
        assert word in said[0]
    assert "revoked" in said[1]
    assert "none was sent" not in said[1]


def test_the_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CRYPTML_TOKEN", "of-the-environment")
    with scripted((401, UNAUTHORISED, {})) as (url, _):
        for token in (None, "another"):
            with Client(url, keys=tmp_path, token=token) as client, pytest.raises(ServiceRefused, match="revoked"):
                client.prepare()
        monkeypatch.delenv("CRYPTML_TOKEN")
        with Client(url, keys=str(tmp_path)) as client, pytest.raises(ServiceRefused, match="none was sent"):
            client.prepare()


def test_keys_are_a_folder_or_a_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    assert key_store(store) is store
    for given in (tmp_path, str(tmp_path)):
        with Client("http://127.0.0.1:1", keys=given) as client:
            assert client.key_folder == tmp_path
    monkeypatch.setenv("CRYPTML_PASSPHRASE", "")
    with pytest.raises(SettingError, match="is set, but empty"):
        Client("http://127.0.0.1:1", keys=tmp_path)
    monkeypatch.setenv("CRYPTML_PASSPHRASE", "of the environment")
    assert key_store(tmp_path)._passphrase is not None


def test_both_clients_take_the_same() -> None:
    one, other = (dict(inspect.signature(kind).parameters) for kind in (Client, AsyncClient))
    del other["in_flight"]
    assert other == one
    assert list(other) == list(one)


def test_a_picture_is_a_file_pixels_or_one_already() -> None:
    pixels = np.full((4, 6), 0.5)
    picture = picture_of(pixels)
    assert (picture.rows, picture.columns, picture_of(picture)) == (4, 6, picture)
    with pytest.raises(ImageError, match="floats are needed"):
        picture_of(np.zeros((4, 6), np.uint8))
    with pytest.raises(ImageError):
        picture_of("no-such-file.png")


def test_who_has_no_home_is_asked_for_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> Any:
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(KeySetError, match="has no home folder to keep keys in, and HOME is not set; name a folder"):
        default_folder()
    with pytest.raises(KeySetError, match="no home folder"):
        Client("http://127.0.0.1:1")
    monkeypatch.setenv("HOME", "/somewhere")
    assert default_folder() == Path("/somewhere/.local/share/cryptml/keys")


def test_a_folder_that_cannot_be_written_is_said_before_keys_are_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeySetError, match="cannot be written to .*, and none were made; name another folder"):
        KeyStore(tmp_path / "file" / "keys").require_writable()
    KeyStore(tmp_path / "new" / "keys").require_writable()
    assert not list((tmp_path / "new" / "keys").iterdir())
