"""Front ends by the kind that documents name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptml.networks.front_ends.backbone import Backbone
from cryptml.networks.front_ends.base import FrontEnd
from cryptml.networks.front_ends.deep import Deep
from cryptml.networks.front_ends.joined import Joined
from cryptml.networks.front_ends.row import Row
from cryptml.networks.front_ends.scattering import Scattering
from cryptml.networks.front_ends.squares import Squares
from cryptml.networks.front_ends.standardisation import Standardisation
from cryptml.networks.front_ends.views import Views

FRONT_ENDS = (Standardisation, Scattering, Deep, Joined, Views, Row, Backbone, Squares)
"""All that a client can run."""


def restore_front_end(data: Mapping[str, Any]) -> FrontEnd:
    """Read what a front end's ``to_json`` wrote; the caller has checked it against the schema.

    Raises:
        NetworkError: If a value is out of its bounds.
    """
    return next(each for each in FRONT_ENDS if each.kind == data["kind"]).from_json(data)


def require_present(front_end: FrontEnd) -> None:
    """Refuse a front end that this machine lacks the file of; before keys are made or a training begins.

    Raises:
        NetworkError: With what to do.
    """
    if isinstance(front_end, Backbone):
        front_end.require_installed()
