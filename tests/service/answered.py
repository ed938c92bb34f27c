"""How the service answers an error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptml_server.base.errors import ServerError
from cryptml_server.http.problems import describe_problem


def answered(error: ServerError) -> tuple[int, str]:
    """Return status and title."""
    document = describe_problem(error)
    return document["status"], document["title"]


def refusal(action: Callable[[], object]) -> tuple[int, str]:
    """Return status and title of what an action is refused with."""
    with pytest.raises(ServerError) as caught:
        action()
    return answered(caught.value)
