"""What the routes delegate to."""

from __future__ import annotations

from dataclasses import dataclass

from cryptml_server.base.metrics import Metrics
from cryptml_server.base.models import ModelRegistry
from cryptml_server.jobs.service import JobService
from cryptml_server.keys.service import KeyService
from cryptml_server.tenancy.usage import UsageMeter
from cryptml_server.workers.pool import WorkerPool


@dataclass(frozen=True)
class Services:
    """The parts of a running service."""

    registry: ModelRegistry
    keys: KeyService
    pool: WorkerPool
    jobs: JobService
    meter: UsageMeter
    metrics: Metrics
