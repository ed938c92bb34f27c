"""A convolutional network with squares for activations under CKKS, by TenSEAL, as TenSEAL's own example for MNIST has it.

4 kernels of 7x7 at stride 3, square, 64 neurons, square, one logit a class. Both halves run in this process: nothing is sent, so its
times leave out what a network would add.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

import tenseal
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks.side_by_side.contender import Answered, Sizes
from cryptml.networks import Standardisation
from cryptml.networks.boundary import FloatArray
from cryptml.processes.answering import milliseconds_since

KERNEL, STRIDE, KERNELS, HIDDEN = 7, 3, 4, 64
DEGREE = 8192
MODULI = (31, 26, 26, 26, 26, 26, 26, 31)
"""218 bits together, the most that degree 8192 allows at 128-bit security (Homomorphic Encryption Standard, 2018, table 1)."""
SCALE = 2.0**26


class Square(nn.Module):
    """The activation that CKKS can compute."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the squares."""
        return x * x


def build(side: int, classes: int) -> nn.Sequential:
    """Return the untrained network for (batch, 1, side, side) standardised regions."""
    places = (side - KERNEL) // STRIDE + 1
    return nn.Sequential(
        nn.Conv2d(1, KERNELS, KERNEL, stride=STRIDE),
        Square(),
        nn.Flatten(),
        nn.Linear(KERNELS * places**2, HIDDEN),
        Square(),
        nn.Linear(HIDDEN, classes),
    )


class CkksContender:
    """See `Contender`.

    Args:
        weights: File with the trained parameters, safetensors.
        side: Of a region.
        classes: Number of logits.
    """

    def __init__(self, weights: str, side: int, classes: int) -> None:
        self._module = build(side, classes).eval()
        self._module.load_state_dict(load_file(weights))
        self._front_end = Standardisation(side)

    def prepare(self, cleanup: ExitStack) -> None:  # noqa: ARG002
        """See `Contender.prepare`."""
        context = tenseal.context(
            tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=DEGREE, coeff_mod_bit_sizes=list(MODULI)
        )
        context.global_scale = SCALE
        context.generate_galois_keys()
        public = context.serialize(save_secret_key=False, save_relin_keys=True, save_galois_keys=True)
        self._secret = context
        self._public = tenseal.context_from(public)
        conv, first, second = (self._module[place] for place in (0, 3, 5))
        self._kernels = conv.weight[:, 0].tolist()
        self._biases = conv.bias.tolist()
        self._dense = [(layer.weight.T.tolist(), layer.bias.tolist()) for layer in (first, second)]
        upload = self._encrypt(torch.zeros(1, 1, self._front_end.side, self._front_end.side))
        self.sizes = Sizes(keys=len(public), upload=len(upload), download=len(self._evaluate(upload)))

    def answer(self, region: FloatArray) -> Answered:
        """See `Contender.answer`."""
        picture = torch.from_numpy(self._front_end.apply(region[None]))
        stages = {}
        started = time.perf_counter()
        upload = self._encrypt(picture)
        stages["encrypt"] = milliseconds_since(started)
        started = time.perf_counter()
        download = self._evaluate(upload)
        stages["evaluate"] = milliseconds_since(started)
        started = time.perf_counter()
        logits = torch.tensor(tenseal.ckks_vector_from(self._secret, download).decrypt())
        stages["decrypt"] = milliseconds_since(started)
        with torch.no_grad():
            clear = self._module(picture)[0]
        return Answered(stages, logits.numpy(), clear.numpy())

    def server_peak_bytes(self) -> int | None:
        """See `Contender.server_peak_bytes`."""
        return None

    def _encrypt(self, picture: Tensor) -> bytes:
        """Return the ciphertext of a picture's windows, column by column."""
        encoded, self._windows = tenseal.im2col_encoding(self._secret, picture[0, 0].tolist(), KERNEL, KERNEL, STRIDE)
        ciphertext: bytes = encoded.serialize()
        return ciphertext

    def _evaluate(self, upload: bytes) -> bytes:
        """Run the network on a ciphertext, with public keys alone."""
        picture = tenseal.ckks_vector_from(self._public, upload)
        maps = [
            picture.conv2d_im2col(kernel, self._windows) + bias
            for kernel, bias in zip(self._kernels, self._biases, strict=True)
        ]
        x = tenseal.CKKSVector.pack_vectors(maps)
        for weight, bias in self._dense:
            x.square_()
            x = x.mm(weight) + bias
        serialised: bytes = x.serialize()
        return serialised
