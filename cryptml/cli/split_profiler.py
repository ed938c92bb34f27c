"""The command ``split-profiler``."""

from __future__ import annotations

from cryptml.cli.running import run_app
from cryptml.cli.verbs import Verb, create_app

ABOUT = "Look at every way to divide a network between client and server."

_FOLDER = "cryptml.cli.profiler"
VERBS = (
    Verb("list", f"{_FOLDER}.list_splits:list_command", "List every split with its segments."),
    Verb(
        "run",
        f"{_FOLDER}.run:run_command",
        "Measure every segment once, each in processes of its own, and compose every split from them.",
        "train",
    ),
    Verb("show", f"{_FOLDER}.show:show", "Show every split: composed anew for the given link, never measured again."),
    Verb(
        "choose",
        f"{_FOLDER}.choose:choose",
        "Print the fastest split that keeps every constraint, and why; exit 1 where none does, with the nearest miss.",
    ),
    Verb(
        "verify",
        f"{_FOLDER}.verify:verify",
        "Build, serve and ask each split over HTTP on this machine; client, service and worker in processes of their own.",
        "all",
    ),
    Verb(
        "audit",
        f"{_FOLDER}.audit:audit",
        "Attack server segments as a curious client could, and print what was recovered.",
        "train",
    ),
    Verb(
        "compare",
        f"{_FOLDER}.compare:compare",
        "Compare reports of machines, networks or versions, split by split and segment by segment.",
    ),
    Verb(
        "plan",
        f"{_FOLDER}.plan:plan",
        "Say how many machines keep 95 of 100 answers within a time, and what memory, disk and wire they take.",
        "server",
    ),
    Verb("html", f"{_FOLDER}.html:html", "Write a report as one self-contained page, which needs no network."),
)
app = create_app("split-profiler", VERBS, ABOUT)


@app.callback()
def main() -> None:
    """Look at every way to divide a network between client and server."""


def run() -> None:
    """Entry point."""
    run_app(app)
