"""What is deployed for one network and one split: a client part and a server part, never mixed.

Loading imports neither torch nor a compiler; `cryptml.bundle.build` does, and is imported by who builds.
"""

from cryptml.bundle.client import ClientBundle, ClientStep, ServerStep
from cryptml.bundle.server import ServerBundle

__all__ = ["ClientBundle", "ClientStep", "ServerBundle", "ServerStep"]
