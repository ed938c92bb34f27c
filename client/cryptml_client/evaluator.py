"""Server segments over HTTP: encrypt, send, receive, decrypt."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

from cryptml.bundle import ServerStep
from cryptml.errors import RangeError, ServiceError, ServiceRefused
from cryptml.fhe.client import ClientCircuit
from cryptml.fhe.parameters import OVERHEAD_BYTES
from cryptml.files import sha256
from cryptml.networks.extent import IntArray
from cryptml.runtime import Timings
from cryptml_client.http.answers import OCTETS
from cryptml_client.jobs import JobBook, RemoteJob
from cryptml_client.progress import Progress
from cryptml_client.transport import Transport

UNKNOWN_JOB = "unknown-job"


class RemoteEvaluator:
    """Evaluates server segments on a service, for one prediction.

    Args:
        transport: To the service.
        model: Its name there.
        circuits: By segment index, with this client's keys.
        key_digests: By segment index, of the evaluation keys that the service stores.
        native: Held while native code encrypts or decrypts, which is not safe in several threads.
        jobs: What is told of the progress of jobs; None for evaluations that are waited for in one request.
        job_seconds: For which a job is waited for.
        book: Of the jobs, if another program is to find them; without it they are deleted when nobody waits for them any more.
    """

    def __init__(
        self,
        transport: Transport,
        model: str,
        circuits: Mapping[int, ClientCircuit],
        key_digests: Mapping[int, str],
        *,
        native: threading.Lock,
        jobs: Progress | None = None,
        job_seconds: float = 900.0,
        book: JobBook | None = None,
    ) -> None:
        self._transport = transport
        self._model = model
        self._circuits = circuits
        self._key_digests = key_digests
        self._native = native
        self._jobs = jobs
        self._job_seconds = job_seconds
        self._book = book
        self.upload_bytes = 0
        self.download_bytes = 0

    def evaluate(self, step: ServerStep, values: IntArray, timings: Timings) -> IntArray:
        """See `cryptml.runtime.SegmentEvaluator.evaluate`."""
        circuit = self._circuits[step.index]
        with self._native:
            started = time.perf_counter()
            ciphertext = circuit.encrypt(values)
            timings.add("encrypt", started)

        started = time.perf_counter()
        result, headers = self._ask(step, ciphertext)
        elapsed = (time.perf_counter() - started) * 1000
        evaluated = min(elapsed, _evaluation_ms(headers.get("server-timing", "")))
        timings.stages["server_evaluate"] = timings.stages.get("server_evaluate", 0.0) + evaluated
        timings.stages["network"] = timings.stages.get("network", 0.0) + elapsed - evaluated
        self.upload_bytes += len(ciphertext)
        self.download_bytes += len(result)

        with self._native:
            started = time.perf_counter()
            answer = circuit.decrypt(result)
            timings.add("decrypt", started)
        if not circuit.takes(values):  # said after the service was asked: whether it is asked tells it nothing
            raise RangeError(
                f"segment {step.circuit.segment} was handed values that its circuit does not take; look at the picture, or have the "
                "provider build with `backend` integer"
            )
        return answer

    def _ask(self, step: ServerStep, ciphertext: bytes) -> tuple[bytes, Mapping[str, str]]:
        path = f"/v1/models/{self._model}/segments/{step.index}/evaluations"
        headers = {
            "Content-Type": "application/octet-stream",
            "CryptML-Circuit": sha256(step.circuit.client_specs),
            "CryptML-Evaluation-Keys": self._key_digests[step.index],
        }
        limit = step.circuit.parameters.output_bytes + OVERHEAD_BYTES
        if self._jobs is None:
            return self._transport.request(
                "POST", path, content=ciphertext, headers=headers, limit=limit, kind=OCTETS, counts=True
            )
        found = self._book.find(step.index) if self._book is not None else None
        if found is not None:
            try:
                return self._fetch(RemoteJob(self._transport, {"job": found}), self._jobs, limit)
            except ServiceRefused as refusal:
                if refusal.kind != UNKNOWN_JOB:
                    raise  # it is there no more: it expired, or its answer was fetched
        job = RemoteJob.submit(self._transport, path, ciphertext, headers)
        if self._book is not None:
            self._book.note(step.index, job.name)
        return self._fetch(job, self._jobs, limit)

    def _fetch(self, job: RemoteJob, progress: Progress, limit: int) -> tuple[bytes, Mapping[str, str]]:
        """Wait for a job, and leave it at the service only where another program can find it: neither fetched nor refused."""
        left = False
        try:
            job.wait(progress, self._job_seconds)
            return job.result(limit)
        except (ServiceRefused, RangeError):
            raise
        except BaseException:
            left = self._book is not None
            raise
        finally:
            if not left:
                with suppress(ServiceError):
                    job.delete()


def _evaluation_ms(server_timing: str) -> float:
    """Return what the service says that the evaluation took, 0 where it says nothing."""
    found = re.search(r"\bevaluate;dur=(\d{1,12}(?:\.\d{1,9})?)", server_timing[:1000])
    return float(found[1]) if found else 0.0
