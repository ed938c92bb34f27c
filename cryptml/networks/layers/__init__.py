"""The integer program's layers, one file a kind."""

from cryptml.networks.layers.activation import Activation
from cryptml.networks.layers.base import MAX_TABLE_BITS, Layer
from cryptml.networks.layers.chain import extents, propagate_all, run_all
from cryptml.networks.layers.convolution import Convolution
from cryptml.networks.layers.linear import Linear
from cryptml.networks.layers.maximum import MaxPooling
from cryptml.networks.layers.pooling import SumPooling
from cryptml.networks.layers.registry import LAYER_KINDS, restore_layer
from cryptml.networks.layers.residual import Residual

__all__ = [
    "LAYER_KINDS",
    "MAX_TABLE_BITS",
    "Activation",
    "Convolution",
    "Layer",
    "Linear",
    "MaxPooling",
    "Residual",
    "SumPooling",
    "extents",
    "propagate_all",
    "restore_layer",
    "run_all",
]
