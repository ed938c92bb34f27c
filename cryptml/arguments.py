"""The options of what ``import cryptml`` offers, by name; each may be left out, and is as the attribute of its request then.

A type checker and an editor know them from here. Tests hold them to the requests and to the service's settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from cryptml.fhe.settings import Rounding
    from cryptml.profiler.plan.choice import Constraints


class TrainArguments(TypedDict, total=False):
    """Options of `cryptml.api.train`, attributes of `cryptml.training.request.TrainingRequest`.

    What is not given is as the network was tuned.

    Attributes:
        seed: Of everything random, 0 to 2^32 - 1.
        epochs: Most passes over the training set, 1 to 10000.
        teacher: Whether a float teacher is trained first, to learn from.
        teacher_kind: ``convolutional``, ``committee``, ``kernel`` or ``panel``.
        views: Variants of each picture to choose from, itself among them, 1 to 1024.
        positive: The class that probabilities are said of; of two classes the second if not given, of more none.
        augmentation: What variants may differ in: ``symmetries``, ``mirror``, ``shift`` or ``none``; the data set's own if not given.
        similarity: Weight of a convolutional teacher's features beside its outputs, 0 to 100.
        lowered_bits: Bits that weights and activations begin wider, and lose, 0 to 6.
        p_error: Probability that one programmable bootstrap fails in circuits whose answers are simulated; trains the same.
        folds: Of a cross-validation beside the training, per patient where known; 0 for none.
        repeats: How often it is done, with the seed and those after it, 1 to 100.
        refit: Whether the network itself is trained on all pictures; where it keeps its last epoch and there are folds, if None.
        patients_from_name: Of ``folder:PATH``: a regular expression whose first group is the patient in a file's name.
        name: What services and clients call the network, 1 to 64 lower-case letters, digits and dashes; that of the folder if None.
        max_evaluate_ms: Most that one evaluation may take with all layers on the server; the network is changed until it fits.
        as_is: Change nothing of a network of one's own; refuse it where it does not build.
        profiles: Reports measured on the machine whose time counts; the recorded ones if none.
    """

    seed: int
    epochs: int | None
    teacher: bool | None
    teacher_kind: str | None
    views: int | None
    positive: str | None
    augmentation: str | None
    similarity: float | None
    lowered_bits: int | None
    p_error: float
    folds: int
    repeats: int
    refit: bool | None
    patients_from_name: str | None
    name: str | None
    max_evaluate_ms: float | None
    as_is: bool
    profiles: Sequence[Path]


class ProfileArguments(TypedDict, total=False):
    """Options of `cryptml.api.profile`, attributes of `cryptml.profiler.request.ProfileRequest`.

    Attributes:
        repeats: Samples of each stage but making keys, after a first one; 3 if not given.
        segment_timeout: Seconds for compiling, and for measuring, a segment; 1800 if not given.
        segment_memory_mb: Of each measuring process, 10^6 bytes; no limit if None.
        estimate_above: Seconds; segments with a longer expected evaluation are estimated from one like them. All are measured if None.
        max_failure: Probability, at most, that a whole answer holds a wrong table entry, with any split; 2^-30 if None.
        p_error: Probability that one programmable bootstrap fails, instead of the bound's.
        threads: Of the server; all cores if None.
        trials: Whether other compiler settings and divisions of threads are tried; they are if not given.
        bandwidth_mbps: Of the link that the report is composed for, 10^6 bits a second; 100 if not given.
        rtt_ms: Its round-trip time, milliseconds; 20 if not given.
        ray_address: ``HOST:PORT`` of a Ray cluster's head, or ``auto``; this machine if None.
    """

    repeats: int
    segment_timeout: float
    segment_memory_mb: float | None
    estimate_above: float | None
    max_failure: float | None
    p_error: float | None
    threads: int | None
    trials: bool
    bandwidth_mbps: float
    rtt_ms: float
    ray_address: str | None


class BuildArguments(TypedDict, total=False):
    """Options of `cryptml.api.build`, attributes of `cryptml.building.BuildRequest`.

    Attributes:
        report: A profile of the network: its settings are taken for each segment, and with the split ``auto`` its split.
        constraints: That an automatic split keeps.
        bandwidth_mbps: Of the link that an automatic split is chosen for, 10^6 bits a second; the report's if None.
        rtt_ms: Its round-trip time, milliseconds; the report's if None.
        backend: ``integer`` or ``concrete-ml``; ``integer`` if not given.
        architecture: ``module:function`` of a network of one's own, which ``concrete-ml`` imports and runs.
        p_error: Probability that one programmable bootstrap fails; 2^-40, or the report's, if None.
        rounding: Of what tables read; approximate if None.
        share_keys: One key set for all server segments instead of one for each.
        spot_checks: Synthetic regions with the intervals of their answers, which clients get, 0 to 256; each exposes an answer. 16 if not
            given.
        measure: Whether each circuit is measured in a worker's memory; it is if not given.
    """

    report: Path | None
    constraints: Constraints
    bandwidth_mbps: float | None
    rtt_ms: float | None
    backend: str
    architecture: str | None
    p_error: float | None
    rounding: Rounding | None
    share_keys: bool
    spot_checks: int
    measure: bool


class ServeArguments(TypedDict, total=False):
    """Options of `cryptml.api.serve`, settings of the service; what is not given comes from the environment, or is the default.

    ``cryptml settings`` prints defaults and bounds, with more about each.

    Attributes:
        data: Folder of evaluation keys and of the embedded database.
        database: Address of another database.
        object_store: Where evaluation keys are that several services share.
        insecure_anonymous: Answer whoever asks, without tokens; on this machine alone.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        tls_certificate: PEM file; with ``tls_key`` the service speaks https.
        tls_key: PEM file of the certificate's key.
        connections: At once.
        head_seconds: Within which the head of a request must come.
        keep_alive_seconds: For which a connection is kept for a next request.
        drain_seconds: For what is at work when the service is told to end.
        metrics_port: That answers Prometheus; none if not given.
        metrics_host: Address of ``metrics_port``.
        log_format: ``text`` or ``json``.
        log_level: Least level that is logged.
        evaluation_seconds: An evaluation that takes longer is stopped.
        waiting_requests: That may wait for a worker.
        waiting_jobs: That may wait.
        job_hours: For which a job that ended is kept.
        cached_keys: Evaluation keys kept in each worker's memory.
        stored_key_bytes: Of evaluation keys on disk, all together.
        unused_key_days: After which evaluation keys that nobody used are deleted.
        upload_seconds: Within which an upload must end.
        workers: Processes that evaluate.
        worker_bytes: Memory of each worker.
        threads: Of each worker.
        executor: Where workers run: ``local``, or ``ray`` for the machines of a cluster.
        ray_address: ``HOST:PORT`` of the Ray cluster's head, or ``auto``.
    """

    data: Path | str
    database: str | None
    object_store: str | None
    insecure_anonymous: bool
    host: str
    port: int
    tls_certificate: Path | str | None
    tls_key: Path | str | None
    connections: int
    head_seconds: float
    keep_alive_seconds: int
    drain_seconds: float
    metrics_port: int | None
    metrics_host: str
    log_format: Literal["text", "json"]
    log_level: Literal["debug", "info", "warning", "error"]
    evaluation_seconds: float
    waiting_requests: int
    waiting_jobs: int
    job_hours: float
    cached_keys: int | None
    stored_key_bytes: int
    unused_key_days: float
    upload_seconds: float
    workers: int
    worker_bytes: int | None
    threads: int | None
    executor: Literal["local", "ray"]
    ray_address: str | None
