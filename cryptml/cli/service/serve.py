"""``cryptml serve``: answer encrypted requests."""

from __future__ import annotations

from cryptml.cli.console import out, say
from cryptml.cli.options.groups import with_option_groups
from cryptml.cli.options.service import ServiceOptions


@with_option_groups
def serve(options: ServiceOptions) -> None:
    """Serve bundles over HTTP until told to end; prints the address once its workers have tried every circuit and it listens.

    At SIGTERM or SIGINT it finishes what is at work, within drain_seconds, and begins nothing new; at a second one it leaves at once.

    Only tenants are answered: cryptml tenants add gives a client its token.
    What is not given is taken from the environment (CRYPTML_HOST, CRYPTML_PORT, CRYPTML_DATA, ...).
    """
    from cryptml_server.running import run_service

    def announce(line: str) -> None:
        say(line)
        out.file.flush()

    run_service(options.read(), announce)
