"""Write the features of ``cryptml pretrain`` as an ONNX file, as whoever publishes a network would, for ``cryptml backbones install``.

Usage: python examples/export_backbone.py WEIGHTS.safetensors BACKBONE.onnx [SIDE]

The file takes regions that are standardised by their own mean and deviation: scaling=standard.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn


class Features(nn.Module):
    """Averages of the maps of three convolutions, each behind a rectifier and halved before the next."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        for place in range(3):
            weight = weights[f"weight{place}"]
            convolution = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], padding=weight.shape[2] // 2)
            convolution.load_state_dict({"weight": weight, "bias": weights[f"bias{place}"]})
            self.convolutions.append(convolution)
        self.halved = nn.AvgPool2d(2)
        self.averages = nn.AdaptiveAvgPool2d(2)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (batch, 448) for (batch, 1, side, side)."""
        maps, found = pictures, []
        for place, convolution in enumerate(self.convolutions):
            maps = torch.relu(convolution(maps if place == 0 else self.halved(maps)))
            found.append(self.averages(maps).flatten(1))
        return torch.cat(found, dim=1)


def main(weights: str, out: str, side: str = "32") -> None:
    """Export; the batch may have any size."""
    features = Features(load_file(weights)).eval()
    shown = torch.zeros(1, 1, int(side), int(side))
    torch.onnx.export(
        features,
        (shown,),
        out,
        input_names=["regions"],
        output_names=["features"],
        dynamic_axes={"regions": {0: "batch"}, "features": {0: "batch"}},
        opset_version=17,
    )
    print(f"{out}: {Path(out).stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
