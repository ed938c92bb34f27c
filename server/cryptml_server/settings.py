"""The service's settings, from arguments or from the environment (``CRYPTML_...``)."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What a deployment may choose; every limit is bounded.

    Attributes:
        bundles: Folders that ``cryptml build`` wrote.
        data: Where evaluation keys are stored; made where missing, readable by its owner alone.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        evaluation_seconds: An evaluation that takes longer is stopped.
        waiting_requests: Requests that may wait for the worker; further ones are told to come back.
        cached_keys: Deserialised evaluation keys kept in the worker's memory (hundreds of megabytes each); if not given, as many as
            one client of any served model needs, and 2 at least.
        stored_key_bytes: Evaluation keys kept on disk, all together.
        upload_seconds: Within which an upload of evaluation keys must end.
        threads: Of the worker, for one evaluation.
    """

    model_config = SettingsConfigDict(env_prefix="CRYPTML_", frozen=True)

    bundles: tuple[Path, ...] = Field(min_length=1, max_length=64)
    data: Path = Field(default_factory=lambda: user_data_path("cryptml") / "server")
    host: str = Field(default="127.0.0.1", min_length=1, max_length=255)
    port: int = Field(default=8000, ge=0, le=65535)
    evaluation_seconds: float = Field(default=900.0, gt=0, le=86_400)
    waiting_requests: int = Field(default=16, ge=0, le=10_000)
    cached_keys: int | None = Field(default=None, ge=1, le=64)
    stored_key_bytes: int = Field(default=20 << 30, ge=1 << 20)
    upload_seconds: float = Field(default=900.0, gt=0, le=86_400)
    threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=1024)
