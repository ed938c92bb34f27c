"""How the service answers an error."""

from cryptml_server.base.errors import ServerError
from cryptml_server.http.problems import describe_problem


def answered(error: ServerError) -> tuple[int, str]:
    """Return status and title."""
    document = describe_problem(error)
    return document["status"], document["title"]
