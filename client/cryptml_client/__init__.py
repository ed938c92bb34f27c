"""The clinic's side: keys that never leave it, client segments in the clear, everything else encrypted."""

from cryptml_client.asynchronous import AsyncClient
from cryptml_client.client import Client
from cryptml_client.keys.store import KeyStore
from cryptml_client.prediction import Prediction
from cryptml_client.progress import Progress
from cryptml_client.scan import Scan, TileAnswer
from cryptml_client.trust.pinning import AcceptedBundles, UnacceptedBundle
from cryptml_client.trust.spot_checking import SpotCheckFailed

__all__ = [
    "AcceptedBundles",
    "AsyncClient",
    "Client",
    "KeyStore",
    "Prediction",
    "Progress",
    "Scan",
    "SpotCheckFailed",
    "TileAnswer",
    "UnacceptedBundle",
]
