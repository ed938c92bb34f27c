"""A Ray cluster: several machines of one operator; the only place where Ray is imported."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from typing import Any

from cryptml.errors import SettingError

ANSWER_SECONDS = 30.0
"""Within which a cluster must answer: Ray itself would try for two minutes, then end the process."""

CONNECT_SECONDS = 5.0

MOST_REASON = 200
"""Characters of an error of Ray in a message."""

HEALTH_COMMAND = [sys.executable, "-m", "ray.scripts.scripts", "health-check"]


def ray_library() -> Any:
    """Return the package ``ray``, untyped: it is optional.

    Raises:
        SettingError: If it is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise SettingError(
            f"the package ray cannot be imported ({error}); install cryptml[ray] here and on every machine of the cluster"
        ) from error


def connect(address: str) -> Any:
    """Join a cluster from this machine, which must be one of its nodes; return the package ``ray``, connected.

    Nothing that runs on the cluster prints here, nothing of this process's environment goes there, and what it starts there ends with it.

    Args:
        address: HOST:PORT of the head, or ``auto`` for the cluster of this machine.

    Raises:
        SettingError: If Ray is missing, or no cluster that can be joined answers there.
    """
    ray = ray_library()
    if ray.is_initialized():
        return ray
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # a call after the end must not start a cluster of its own
    _require_health(address)
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM) if in_main else None
    try:
        ray.init(
            address=address,
            namespace=f"cryptml-{uuid.uuid4().hex}",
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
        raise SettingError(
            f"the Ray cluster at {address} cannot be joined ({_first_line(error)}); start a node of it on this machine "
            "(ray start --address HOST:PORT), with the same versions of Python and of cryptml[ray]"
        ) from error
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, handler)  # Ray takes it
    return ray


def _require_health(address: str) -> None:
    """Ask for a cluster in a process of its own, which can be ended."""
    named = [] if address == "auto" else ["--address", address]
    try:
        if named:
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
        done = subprocess.run(
            [*HEALTH_COMMAND, *named],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=ANSWER_SECONDS,
            check=False,
        )
        healthy = done.returncode == 0
    except (subprocess.TimeoutExpired, OSError, ValueError, OverflowError):
        healthy = False
    if not healthy:
        raise SettingError(
            f"no Ray cluster answers at {address}; check the address, that ray start --head "
            "was run there, and the firewall"
        )


def last_line(error: Exception) -> str:
    """Return what an error of Ray says at its end, which names the cause."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()[:MOST_REASON]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:MOST_REASON]
