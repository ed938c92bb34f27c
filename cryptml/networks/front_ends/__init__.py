"""Public preprocessing, one file a kind."""

from cryptml.networks.front_ends.backbone import Backbone
from cryptml.networks.front_ends.base import FrontEnd
from cryptml.networks.front_ends.deep import Deep
from cryptml.networks.front_ends.joined import Joined
from cryptml.networks.front_ends.registry import FRONT_ENDS, require_present, restore_front_end
from cryptml.networks.front_ends.row import Row
from cryptml.networks.front_ends.scattering import Scattering
from cryptml.networks.front_ends.squares import Squares
from cryptml.networks.front_ends.standardisation import Standardisation
from cryptml.networks.front_ends.views import Views

__all__ = [
    "FRONT_ENDS",
    "Backbone",
    "Deep",
    "FrontEnd",
    "Joined",
    "Row",
    "Scattering",
    "Squares",
    "Standardisation",
    "Views",
    "require_present",
    "restore_front_end",
]
