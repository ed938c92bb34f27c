"""A network that answers about a whole picture and tells nothing of its parts: one probability, and no map.

Usage: cryptml train --dataset folder:PICTURES --network whole_pictures:whole --out whole (in this folder, or with it on PYTHONPATH)

The picture, 128 x 128 pixels as the network reads it, is cut into 16 squares. Public features of each go to the service encrypted; there
every square goes through the same neurons, and what comes back is the sum over all of them.
"""

from torch import nn

from cryptml.networks.architectures.head import pooled_head
from cryptml.networks.front_ends import Deep, Squares

ACROSS, SIDE = 4, 32
HIDDEN = 4
FRONT_END = Squares(ACROSS, Deep(SIDE, "square", cells=1))


def whole(classes: int = 2) -> nn.Sequential:
    """Four neurons, each for all squares: 64 programmable bootstraps."""
    return pooled_head(FRONT_END.shape[0], ACROSS**2, HIDDEN, classes)


whole.front_end = FRONT_END  # type: ignore[attr-defined]
whole.trained_as = "deep"  # type: ignore[attr-defined]
