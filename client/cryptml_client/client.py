"""The client of a service: bundle, keys, predictions."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from cryptml.bundle import ClientBundle, ServerStep
from cryptml.errors import CryptmlError, ServiceRefused, SettingError
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.images import Image, Region, central_region, crop, load_image
from cryptml.networks.boundary import FloatArray
from cryptml.runtime import Answer, run_split
from cryptml_client.evaluator import RemoteEvaluator
from cryptml_client.fetching import fetch_bundle
from cryptml_client.keys.store import KeyStore
from cryptml_client.prediction import Prediction, outcome_of
from cryptml_client.progress import Progress, Silent
from cryptml_client.transport import Transport
from cryptml_client.trust.pinning import FILE as ACCEPTED_FILE
from cryptml_client.trust.pinning import AcceptedBundles, Confirm, Pinning
from cryptml_client.trust.spot_checking import SpotCheckFailed, SpotChecking
from cryptml_client.uploading import KeyUpload

MOST_IN_FLIGHT = 256
PATIENCE_SECONDS = 60.0
UNKNOWN_KEYS = "unknown-evaluation-keys"
SENT_AGAIN_SECONDS = 60.0
"""Between two times that a service gets keys again which it says that it does not know: each is up to gigabytes."""


class Client:
    """Asks a service about pictures that the service never sees.

    The bundle is fetched and checked at the first use; keys are made or found, and their evaluation half uploaded, before the
    first prediction. Safe to share between threads.

    A bundle that was not used before, or is another than before, is refused unless one of ``accept_digest``, ``trust_first_use`` and
    ``confirm`` lets it in; what was let in is written down beside the keys.

    Args:
        url: Of the service.
        model: Its name there; may be left out where the service has one.
        keys: Where key sets are kept; the user's data folder by default.
        timeout_seconds: For each request, from the look-up of the service's name to the last byte of its answer;
            for a job, to wait for its end.
        token: That the provider gave; None for a service that asks for none.
        progress: Told of stages that take long.
        ca_file: Certificates (PEM) of those who may vouch for the service; the usual ones if None.
        patience_seconds: For which what may help itself is tried again: a busy service, a connection that broke.
        background: Whether the service is to answer evaluations as jobs: they survive broken connections, and its restarts.
        proxy: Address of a proxy on the way, ``none`` for none; None for what the environment says: see `cryptml_client.http.proxies`.
        accept_digest: Of the one bundle that may be used, as the provider told it; see `cryptml_client.trust.pinning`.
        trust_first_use: Whether a bundle is accepted unseen where there was none of that model and service before.
        confirm: Asks a person about a bundle that is not accepted yet.
        spot_checks: Share of all requests, 0 to 0.9, that are about regions with known answers; they count against quotas.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        keys: KeyStore | None = None,
        timeout_seconds: float = 900.0,
        token: str | None = None,
        progress: Progress | None = None,
        ca_file: Path | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        background: bool = False,
        proxy: str | None = None,
        accept_digest: str | None = None,
        trust_first_use: bool = False,
        confirm: Confirm | None = None,
        spot_checks: float = 0.0,
    ) -> None:
        self._transport = Transport(
            url, timeout_seconds, token, ca_file=ca_file, patience_seconds=patience_seconds, proxy=proxy
        )
        self._timeout = timeout_seconds
        self._background = background
        self._preparing = threading.RLock()
        self._native = threading.Lock()
        self._model = model
        self._keys = keys if keys is not None else KeyStore()
        self._pinning = Pinning(
            AcceptedBundles(self._keys.folder / ACCEPTED_FILE),
            accept_digest=accept_digest,
            trust_first_use=trust_first_use,
            confirm=confirm,
        )
        self._spot_checking = SpotChecking(spot_checks)
        self._failure_written = False
        self._progress: Progress = progress if progress is not None else Silent()
        self._bundle: ClientBundle | None = None
        self._circuits: dict[int, ClientCircuit] = {}
        self._digests: dict[int, str] = {}
        self._key_sets: list[KeySet] = []
        self._sent_again = -SENT_AGAIN_SECONDS

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def give_up_jobs(self) -> None:
        """Let whoever waits for a job delete it instead, for good."""
        self._transport.leaving.set()

    @property
    def bundle(self) -> ClientBundle:
        """The service's client bundle, checked.

        Raises:
            ServiceError: If it cannot be fetched.
            BundleError: If it is damaged or contradicts itself; `UnacceptedBundle` if it is not accepted.
            SettingError: If it holds no spot checks, and there are to be some.
        """
        with self._preparing:
            if self._bundle is None:
                with self._progress.stage("fetching the client bundle"):
                    bundle = fetch_bundle(self._transport, self._model)
                self._pinning.require_accepted(self._transport.address, bundle, named=self._model is not None)
                self._spot_checking.require_possible(bundle.spot_checks)
                self._bundle = bundle
            return self._bundle

    @property
    def key_folder(self) -> Path:
        """Where the keys are kept."""
        return self._keys.folder

    @property
    def evaluation_key_bytes(self) -> int:
        """Size of this client's evaluation keys all together, once `prepare` has run."""
        return sum(len(key_set.evaluation_keys) for key_set in self._key_sets)

    @property
    def prepared(self) -> bool:
        """Whether `prepare` has run: predictions need nothing but the evaluations."""
        return len(self._circuits) == len(self.bundle.server_steps)

    def prepare(self) -> None:
        """Make or find the keys and upload their evaluation half, so that predictions can be timed alone.

        Raises:
            CircuitError: If the service offers parameters below 128-bit security.
            KeySetError: If a key file is damaged or locked.
            ServiceError: If the upload fails.
        """
        with self._preparing:
            sharing: dict[str, list[ServerStep]] = {}
            for step in self.bundle.server_steps:
                sharing.setdefault(step.circuit.key_set, []).append(step)
            self._key_sets = [self._prepare_key_set(steps) for steps in sharing.values()]

    def predict(self, image: Path | str | Image, region: Region | None = None) -> Prediction:
        """Return the answer for one picture.

        Args:
            image: A file that `cryptml.images.load_image` reads, or a picture read already.
            region: What to look at; the largest centred square if None.

        Raises:
            ImageError: If picture or region is unusable; nothing has been sent then.
            CryptmlError: As `prepare`, or if the service fails.
        """
        picture = image if isinstance(image, Image) else load_image(Path(image))
        return self.predict_region(crop(picture, region or central_region(picture), self.bundle.front_end.side))

    def predict_region(self, region: FloatArray) -> Prediction:
        """Return the answer for (side, side) float32 pixels in [0, 1], already cropped and reduced.

        Raises:
            SpotCheckFailed: If a spot check fails before it, or has failed: then nothing is asked any more.
            CryptmlError: As `prepare`, or if the service fails.
        """
        with self._preparing:
            if not self.prepared:
                self.prepare()
        checks = self.bundle.spot_checks
        asked = 0
        with self._progress.stage("asking the service"):
            try:
                while self._spot_checking.due() and checks is not None:
                    self._spot_checking.check(checks, lambda known: self._ask(known)[0].integers)
                    asked += 1
            except SpotCheckFailed:
                self._write_down_failure()
                raise
            answer, evaluator = self._ask(region)
        named = self.bundle.positive
        positive = None if named is None else (named, float(answer.probabilities[self.bundle.classes.index(named)]))
        sent, received = evaluator.upload_bytes, evaluator.download_bytes
        return Prediction(answer, self.bundle.split.letters, sent, received, asked, positive)

    def _write_down_failure(self) -> None:
        """Once; in vain where the folder cannot be written."""
        with self._preparing:
            if not self._failure_written:
                self._failure_written = True
                with suppress(SettingError):
                    self._pinning.refuse(self._transport.address, self.bundle)

    @property
    def spot_checks_passed(self) -> int:
        """Spot checks that the service has passed so far."""
        return self._spot_checking.passed

    def _ask(self, region: FloatArray) -> tuple[Answer, RemoteEvaluator]:
        try:
            return self._ask_once(region)
        except ServiceRefused as refusal:
            now = time.monotonic()
            if refusal.kind != UNKNOWN_KEYS or now - self._sent_again < SENT_AGAIN_SECONDS:
                raise
            self._sent_again = now
        self.prepare()  # the service forgot the keys; it gets them once more
        return self._ask_once(region)

    def _ask_once(self, region: FloatArray) -> tuple[Answer, RemoteEvaluator]:
        evaluator = self._evaluator()
        return run_split(self.bundle, region, evaluator), evaluator

    def predict_regions(
        self, regions: Iterable[FloatArray], *, in_flight: int = 4
    ) -> Iterator[Prediction | CryptmlError]:
        """Yield the answers for many regions in their order, several of them on their way at once.

        Args:
            regions: (side, side) float32 pixels in [0, 1] each; read as they are needed.
            in_flight: That are asked about at once, 1 to `MOST_IN_FLIGHT`.

        Yields:
            An answer, or the error that took its place: one that fails does not keep the others from theirs.

        Raises:
            SettingError: If that many cannot be in flight.
            CryptmlError: As `prepare`.
        """
        if not 1 <= in_flight <= MOST_IN_FLIGHT:
            raise SettingError(f"{in_flight} pictures cannot be in flight; give 1 to {MOST_IN_FLIGHT}")
        if not self.prepared:
            self.prepare()
        with ThreadPoolExecutor(in_flight, thread_name_prefix="cryptml") as threads:
            waiting: deque[Future[Prediction]] = deque()
            try:
                for region in regions:
                    waiting.append(threads.submit(self.predict_region, region))
                    if len(waiting) >= in_flight:
                        yield outcome_of(waiting.popleft())
                while waiting:
                    yield outcome_of(waiting.popleft())
            finally:
                for each in waiting:
                    each.cancel()

    def _evaluator(self) -> RemoteEvaluator:
        return RemoteEvaluator(
            self._transport,
            self.bundle.model,
            self._circuits,
            self._digests,
            native=self._native,
            jobs=self._progress if self._background else None,
            job_seconds=self._timeout,
        )

    def _prepare_key_set(self, steps: list[ServerStep]) -> KeySet:
        """Make or find the key set of the circuits that share it, and see to it that the service has its evaluation half."""
        step, total = steps[0], len(self.bundle.server_steps)
        numbers = ", ".join(str(each.index + 1) for each in steps)
        name = f"segment{'s' if len(steps) > 1 else ''} {numbers} of {total}"
        with self._progress.stage(f"opening keys for {name}"):
            key_set = self._keys.load(step.circuit)
        if key_set is None:
            with self._progress.stage(f"making keys for {name}"):
                key_set = KeySet.generate(step.circuit)
                self._keys.save(step.circuit, key_set)
        for each in steps:
            self._circuits[each.index] = ClientCircuit(each.circuit, key_set)
            self._digests[each.index] = key_set.digest
        upload = KeyUpload(self._transport, self.bundle.model, step, key_set, self._progress)
        if not upload.is_stored():
            with self._progress.stage(f"uploading evaluation keys for {name}"):
                upload.send()
        return key_set
