"""Networks: integer layers and boundaries, their storage; conversion and architectures below need torch and Brevitas."""

from cryptml.networks.boundary import Boundary, FloatArray
from cryptml.networks.extent import Extent, IntArray
from cryptml.networks.front_ends import Deep, FrontEnd, Row, Scattering, Standardisation, Views
from cryptml.networks.network import Network, probabilities
from cryptml.networks.storage import load_network, resolve_network, save_network, shipped_networks

__all__ = [
    "Boundary",
    "Deep",
    "Extent",
    "FloatArray",
    "FrontEnd",
    "IntArray",
    "Network",
    "Row",
    "Scattering",
    "Standardisation",
    "Views",
    "load_network",
    "probabilities",
    "resolve_network",
    "save_network",
    "shipped_networks",
]
