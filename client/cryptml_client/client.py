"""The client of a service: bundle, keys, predictions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType

from cryptml.bundle import ClientBundle
from cryptml.errors import CryptmlError, ServiceError, ServiceRefused, SettingError
from cryptml.images import Image, Region, central_region, crop, picture_of
from cryptml.networks.boundary import FloatArray
from cryptml.runtime import Answer, run_split
from cryptml_client.evaluator import RemoteEvaluator
from cryptml_client.fetching import fetch_bundle
from cryptml_client.http.tokens import token_of_environment
from cryptml_client.jobs import JobBook
from cryptml_client.keys.given import key_store
from cryptml_client.keys.store import KeyStore
from cryptml_client.prediction import Prediction, outcomes
from cryptml_client.preparing import PreparedKeys
from cryptml_client.progress import Progress, Silent
from cryptml_client.transport import Transport
from cryptml_client.trust.pinning import FILE as ACCEPTED_FILE
from cryptml_client.trust.pinning import AcceptedBundles, Confirm, Pinning
from cryptml_client.trust.spot_checking import SpotCheckFailed, SpotChecking

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

    Example::

        client = Client("https://service.example", accept_digest=digest)  # the token comes from CRYPTML_TOKEN
        prediction = client.predict("picture.dcm")
        print(prediction.label, prediction.probabilities)

    Args:
        url: Of the service.
        model: Its name there; may be left out where the service has one.
        keys: Folder of the key sets, or a `KeyStore`; the user's data folder by default. A folder's passphrase is that of the variable
            ``CRYPTML_PASSPHRASE``, if it is set.
        timeout_seconds: For each request, from the look-up of the service's name to the last byte of its answer;
            for a job, to wait for its end.
        token: That the provider gave; None for that of the variable ``CRYPTML_TOKEN``, or none where it is not set.
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
        keys: KeyStore | Path | str | None = None,
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
        token = token if token is not None else token_of_environment()
        self._keys = key_store(keys)
        self._transport = Transport(
            url, timeout_seconds, token, ca_file=ca_file, patience_seconds=patience_seconds, proxy=proxy
        )
        self._timeout = timeout_seconds
        self._background = background
        self._preparing = threading.RLock()
        self._native = threading.Lock()
        self._model = model
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
        self._prepared = PreparedKeys(self._transport, self._keys, self._progress)
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
            NetworkError: If it reads pictures through a backbone that is not installed here.
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
        return self._prepared.evaluation_key_bytes

    @property
    def prepared(self) -> bool:
        """Whether `prepare` has run: predictions need nothing but the evaluations."""
        return len(self._prepared.circuits) == len(self.bundle.server_steps)

    def prepare(self) -> None:
        """Make or find the keys and upload their evaluation half, so that predictions can be timed alone.

        Raises:
            CircuitError: If the service offers parameters below 128-bit security.
            KeySetError: If a key file is damaged or locked.
            ServiceError: If the upload fails.
        """
        with self._preparing:
            self._prepared.prepare(self.bundle)

    def predict(self, image: Path | str | Image | FloatArray, region: Region | None = None) -> Prediction:
        """Return the answer for one picture.

        Args:
            image: A file that `cryptml.images.load_image` reads; a picture read already; or its (rows, columns) pixels in [0, 1].
            region: What to look at; the largest centred square if None.

        Raises:
            ImageError: If picture or region is unusable; nothing has been sent then.
            CryptmlError: As `prepare`, or if the service fails.
        """
        picture = picture_of(image)
        return self.predict_region(crop(picture, region or central_region(picture), self.bundle.front_end.side))

    def predict_region(self, region: FloatArray, *, jobs: JobBook | None = None) -> Prediction:
        """Return the answer for (side, side) float32 pixels in [0, 1], already cropped and reduced.

        Args:
            region: The pixels.
            jobs: Remembers the jobs of a client with ``background``, for a program that goes on where this one ended.

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
            answer, evaluator = self._ask(region, jobs)
        named = self.bundle.positive
        positive = None if named is None else (named, float(answer.probabilities[self.bundle.classes.index(named)]))
        sent, received = evaluator.upload_bytes, evaluator.download_bytes
        classes = tuple(self.bundle.classes)
        return Prediction(answer, self.bundle.split.letters, sent, received, asked, positive, classes)

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

    def _ask(self, region: FloatArray, jobs: JobBook | None = None) -> tuple[Answer, RemoteEvaluator]:
        try:
            return self._ask_once(region, jobs)
        except ServiceRefused as refusal:
            now = time.monotonic()
            if refusal.kind != UNKNOWN_KEYS or now - self._sent_again < SENT_AGAIN_SECONDS:
                raise
            self._sent_again = now
        self.prepare()  # the service forgot the keys; it gets them once more
        return self._ask_once(region, jobs)

    def _ask_once(self, region: FloatArray, jobs: JobBook | None) -> tuple[Answer, RemoteEvaluator]:
        evaluator = self._evaluator(jobs)
        return run_split(self.bundle, region, evaluator), evaluator

    def predict_regions(
        self,
        regions: Iterable[FloatArray],
        *,
        in_flight: int = 4,
        jobs: Callable[[int], JobBook] | None = None,
        waiting: Callable[[ServiceError], None] | None = None,
    ) -> Iterator[Prediction | CryptmlError]:
        """Yield the answers for many regions in their order, several of them on their way at once.

        A service that goes away is waited for as long as the client's patience lasts; a region whose connection broke is asked about
        again, and may count twice against a quota.

        Args:
            regions: (side, side) float32 pixels in [0, 1] each; read as they are needed.
            in_flight: That are asked about at once, 1 to `MOST_IN_FLIGHT`.
            jobs: Gives what remembers the jobs of a region, by its place from 0; see `predict_region`.
            waiting: Told why, each time that the service is waited for.

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

        def question(place: int, region: FloatArray) -> Callable[[], Prediction]:
            ask = (
                partial(self.predict_region, region)
                if jobs is None
                else partial(self.predict_region, region, jobs=jobs(place))
            )
            return partial(self._transport.persist, ask, waiting)

        yield from outcomes((question(place, region) for place, region in enumerate(regions)), in_flight)

    def _evaluator(self, jobs: JobBook | None) -> RemoteEvaluator:
        return RemoteEvaluator(
            self._transport,
            self.bundle.model,
            self._prepared.circuits,
            self._prepared.digests,
            native=self._native,
            jobs=self._progress if self._background else None,
            job_seconds=self._timeout,
            book=jobs,
        )
