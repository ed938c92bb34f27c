"""Three networks for MNIST, the field's yardstick: a weighted sum a digit behind public features, read by one table or by two.

Usage: cryptml train --dataset mnist:PATH --network mnist_networks:both --out both (in this folder, or with it on PYTHONPATH)

No layer but the last is decrypted, and a table stands before each of its values; all learned layers are on the server.
"""

from torch import nn

from cryptml.networks.architectures.head import linear_head
from cryptml.networks.front_ends import Deep, Joined, Scattering

SIDE = 28
BITS = 4
TABLES = 2
"""Of each digit's sum, but for `fast`."""


DEEP = Deep(SIDE)
WAVELETS = Scattering(SIDE, octaves=3, directions=8, cells=2, harmonics=2)
BOTH = Joined(SIDE, (DEEP, WAVELETS))


def fast(classes: int = 10) -> nn.Sequential:
    """448 features of convolutions that learned from synthetic scenes alone; 10 tables."""
    return linear_head(DEEP.shape[0], classes, BITS)


def deep(classes: int = 10) -> nn.Sequential:
    """The same; 20 tables."""
    return linear_head(DEEP.shape[0], classes, BITS, TABLES)


def both(classes: int = 10) -> nn.Sequential:
    """808 features, with wavelet moduli beside them; 20 tables."""
    return linear_head(BOTH.shape[0], classes, BITS, TABLES)


for function, front_end in ((fast, DEEP), (deep, DEEP), (both, BOTH)):
    function.front_end = front_end  # type: ignore[attr-defined]
    function.trained_as = "line"  # type: ignore[attr-defined]
