"""What the commands take that ask a service, and the client that they ask with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryptml.cli.console import Stages, note
from cryptml.cli.options.acceptance import AcceptDigest, TrustFirstUse, person
from cryptml.cli.options.credentials import CaFile, PassphraseFile, ProxyAddress, TokenFile, read_passphrase, read_token

if TYPE_CHECKING:
    from cryptml_client import Client
    from cryptml_client.transport import Transport

REACH_SECONDS = 30.0


@dataclass(frozen=True)
class ReachOptions:
    """How services are reached that were used before."""

    token_file: TokenFile = None
    ca_file: CaFile = None
    proxy: ProxyAddress = None

    def transport(self, url: str) -> Transport:
        """Return a connection to a service, which is to be closed.

        Raises:
            CryptmlError: If one of the options cannot be used.
        """
        from cryptml_client.transport import Transport

        return Transport(url, REACH_SECONDS, read_token(self.token_file), ca_file=self.ca_file, proxy=self.proxy)


@dataclass(frozen=True)
class ConnectionOptions:
    """Which service and model, with which keys, and what vouches for them."""

    server: Annotated[str, typer.Option(help="Address of the service, such as http://127.0.0.1:8000.")]
    model: Annotated[str | None, typer.Option(help="Its name there, where there are several.")] = None
    keys: Annotated[Path | None, typer.Option(help="Folder of the keys; the user's data folder by default.")] = None
    passphrase_file: PassphraseFile = None
    token_file: TokenFile = None
    ca_file: CaFile = None
    proxy: ProxyAddress = None
    accept_digest: AcceptDigest = None
    trust_first_use: TrustFirstUse = False

    def connect(self, stages: Stages, **settings: Any) -> Client:
        """Return a client of the service, which is to be closed.

        Args:
            stages: Shows what takes time.
            settings: Of `Client`, by name, that no option here stands for.

        Raises:
            CryptmlError: As `Client`, or if a passphrase or token cannot be read.
        """
        from cryptml_client import Client, KeyStore

        return Client(
            self.server,
            model=self.model,
            keys=KeyStore(self.keys, read_passphrase(self.passphrase_file), notify=note),
            token=read_token(self.token_file),
            ca_file=self.ca_file,
            proxy=self.proxy,
            accept_digest=self.accept_digest,
            trust_first_use=self.trust_first_use,
            confirm=person(),
            progress=stages,
            **settings,
        )
