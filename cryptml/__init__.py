"""Private inference on split, quantised networks: part in the clear on the client, part encrypted on the server."""

__version__ = "0.1.0"
