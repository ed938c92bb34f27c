"""How a child process begins: a module, a socket to its owner, and what it may read of the environment."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import IO


def spawn(
    module: str,
    *arguments: str,
    threads: int,
    environment: Mapping[str, str] | None = None,
    output: IO[bytes] | None = None,
    new_session: bool = False,
) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start ``python -m module FD OWNER ARGUMENT...`` and return the process with this end of the socket FD.

    Args:
        module: Calls `cryptml.processes.answering.converse`, or `answer`.
        arguments: Behind the socket's number and this process's id.
        threads: Of native code in it (``OMP_NUM_THREADS``).
        environment: All of it but the threads; None for this process's own.
        output: Where what it prints goes; None for where this process's output goes.
        new_session: Whether signals to this process's group leave it alone.

    Raises:
        OSError: If it cannot be started.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno()), str(os.getpid()), *arguments],
                pass_fds=[theirs.fileno()],
                env={**(os.environ if environment is None else environment), "OMP_NUM_THREADS": str(threads)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                start_new_session=new_session,
            )
        except BaseException:
            ours.close()
            raise
    return process, Connection(ours.detach())
