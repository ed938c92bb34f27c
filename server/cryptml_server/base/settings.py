"""The service's settings, from arguments or from the environment (``CRYPTML_...``)."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Literal

from platformdirs import user_data_path
from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DATABASE_FILE = "cryptml.db"


class Settings(BaseSettings):
    """What a deployment may choose; every limit is bounded.

    Each field says what it means; ``cryptml settings`` prints all of them.
    """

    model_config = SettingsConfigDict(env_prefix="CRYPTML_", frozen=True)

    bundles: tuple[Path, ...] = Field(default=(), max_length=64, description="Folders that cryptml build wrote.")
    data: Path = Field(
        default_factory=lambda: user_data_path("cryptml") / "server",
        description="Where evaluation keys and the embedded database are, of one service; made where missing, readable by its owner alone.",
    )
    database: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        repr=False,
        description="Address of the database; a file in data if not given, PostgreSQL as postgresql+psycopg://USER@HOST/NAME.",
    )
    object_store: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        repr=False,
        description="Where evaluation keys are that several services share, as fsspec writes it: s3://BUCKET/KEYS; the data "
        "folder of each is then a cache of it.",
    )
    insecure_anonymous: bool = Field(
        default=False, description="Answer whoever asks, without tokens; only where host is this machine itself."
    )
    host: str = Field(default="127.0.0.1", min_length=1, max_length=255, description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    tls_certificate: Path | None = Field(
        default=None,
        description="PEM file of the certificate, those of its authorities behind it; with tls_key the service speaks https.",
    )
    tls_key: Path | None = Field(
        default=None, description="PEM file of the certificate's private key, without a passphrase."
    )
    connections: int = Field(
        default=512,
        ge=16,
        le=65_536,
        description="Connections at once; one that has no request at work makes room for a new one.",
    )
    head_seconds: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="Within which the head of a request must come; its connection is closed then.",
    )
    keep_alive_seconds: int = Field(
        default=15, ge=1, le=3600, description="For which a connection is kept for a next request."
    )
    drain_seconds: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="What is at work when the service is told to end has so long to finish; nothing new is begun meanwhile.",
    )
    metrics_port: int | None = Field(
        default=None, ge=1, le=65535, description="Port that answers Prometheus; none if not given."
    )
    metrics_host: str = Field(
        default="127.0.0.1", min_length=1, max_length=255, description="Address of metrics_port; it asks for no token."
    )
    log_format: Literal["text", "json"] = Field(default="text", description="Of each line on stderr; text or json.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="Least level that is logged: debug, info (a line for each request), warning or error.",
    )
    evaluation_seconds: float = Field(
        default=900.0, gt=0, le=86_400, description="An evaluation that takes longer is stopped."
    )
    waiting_requests: int = Field(
        default=16,
        ge=0,
        le=10_000,
        description="Requests that may wait for a worker; further ones are told to come back.",
    )
    waiting_jobs: int = Field(
        default=1000, ge=0, le=1_000_000, description="Jobs that may wait; further ones are told to come back."
    )
    job_hours: float = Field(
        default=48.0, ge=0.01, le=8784, description="For which a job that ended is kept with its result."
    )
    cached_keys: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Deserialised evaluation keys kept in each worker's memory (hundreds of megabytes each); if not given, as many "
        "as one client of any served model needs, and 2 at least.",
    )
    stored_key_bytes: int = Field(
        default=20 << 30, ge=1 << 20, description="Evaluation keys kept on disk, all together."
    )
    unused_key_days: float = Field(
        default=90.0, ge=1 / 24, le=36_500, description="Evaluation keys that were not used for so long are deleted."
    )
    upload_seconds: float = Field(
        default=900.0,
        gt=0,
        le=86_400,
        description="Within which an upload of evaluation keys, or an encrypted input, must end.",
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="Processes that evaluate, each one request at a time, each with keys of its own in memory.",
    )
    worker_bytes: int | None = Field(
        default=None,
        ge=1 << 30,
        description="Memory of each worker; one that wants more is ended and replaced. No bound if not given.",
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Of each worker; if not given, the machine's cores divided among them, and 1 with executor ray.",
    )
    executor: Literal["local", "ray"] = Field(
        default="local",
        description="Where workers run: local, on this machine, or ray, on the machines of a Ray cluster, threads CPUs each.",
    )
    ray_address: str | None = Field(
        default=None,
        max_length=300,
        pattern=r"^(auto|(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+):[0-9]{1,5})$",
        description="HOST:PORT of the head of the Ray cluster that this machine is a node of, or auto to find it; with executor ray alone.",
    )

    @model_validator(mode="after")
    def _require_loopback(self) -> Settings:
        """Refuse to answer everybody on an address that others can reach."""
        if self.insecure_anonymous and not is_loopback(self.host):
            raise ValueError(
                f"insecure_anonymous answers whoever asks, and {self.host} may be reached by others; listen on 127.0.0.1, or "
                "leave it out and give each client a token (cryptml tenants add)"
            )
        return self

    @model_validator(mode="after")
    def _require_one_service(self) -> Settings:
        """Refuse an embedded database outside the data folder, which is what keeps a second service from it."""
        if self.database is not None and self.database.startswith("sqlite"):
            raise ValueError(
                "database is an SQLite file, which is of one service: leave it out, and the file lies in data; services that share "
                "one want PostgreSQL"
            )
        return self

    @model_validator(mode="after")
    def _require_both(self) -> Settings:
        """Refuse half of what TLS takes."""
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together; give both, or neither")
        return self

    @model_validator(mode="after")
    def _require_address(self) -> Settings:
        """Refuse a cluster without an address, or an address that nothing is asked of."""
        if self.executor == "ray" and self.ray_address is None:
            raise ValueError("executor ray needs ray_address, HOST:PORT of the cluster's head, or auto")
        if self.executor != "ray" and self.ray_address is not None:
            raise ValueError(
                f"ray_address is given, but executor is {self.executor}; make that ray, or leave the address out"
            )
        return self

    @property
    def threads_each(self) -> int:
        """Threads of each worker."""
        if self.threads is None and self.executor == "ray":
            return 1
        return self.threads or max(1, (os.cpu_count() or 1) // self.workers)

    @property
    def database_file(self) -> Path | None:
        """The embedded database in the data folder; None where another is given."""
        return None if self.database else self.data / DATABASE_FILE

    @property
    def database_url(self) -> str:
        """The database's address."""
        return self.database or f"sqlite:///{self.data / DATABASE_FILE}"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
