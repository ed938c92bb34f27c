"""Public networks in ONNX files, which client and provider both hold: installed by their owners, run in a limited process."""

from cryptml.networks.backbones.store import BackboneStore, InstalledBackbone, Statistics

__all__ = ["BackboneStore", "InstalledBackbone", "Statistics"]
