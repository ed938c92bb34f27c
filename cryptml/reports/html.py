"""Profile reports as one HTML file that needs no network: plot, what-if sliders, tables and a comparison.

The page recomputes every split from its segments, so that a reader can ask for another bandwidth or round-trip time.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from cryptml.errors import InputError, SettingError
from cryptml.files import write_bytes
from cryptml.profiler.plan.report import load_report

SCRIPTS = ("model.js", "sharing.js", "widgets.js", "chart.js", "comparison.js", "profile.js")


def render_html(reports: Sequence[Mapping[str, Any]]) -> str:
    """Return a self-contained page of profile reports.

    The page carries a Content-Security-Policy that admits its own script and style by their hashes and nothing else: no
    connection, no image, no form. Text of the reports is embedded as JSON and reaches the page as text only.

    Args:
        reports: One or more profile reports, valid against their schema. With two or more the page also compares them; the
            first is the base.

    Raises:
        InputError: If there is no report.
    """
    if not reports:
        raise InputError("no profile report was given; give one, or several to compare them")
    style = _read("profile.css")
    # One function around all scripts: none of their names leaks, and a failure in one leaves the page not ready.
    script = '(() => {\n"use strict";\n' + "\n".join(_read(name) for name in SCRIPTS) + "})();\n"
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    # A template substitutes once: a placeholder inside a report stays the text that it is.
    return Template(_read("profile.html")).substitute(
        policy=policy, style=style, script=script, reports=embed_json(list(reports))
    )


def write_page(reports: Sequence[Path], out: Path, *, force: bool = False) -> None:
    """Write the page of one report, or of several with their comparison.

    Args:
        reports: Files that ``split-profiler run`` wrote.
        out: The page; its folder is made where it is missing.
        force: Replace a file that is there.

    Raises:
        InputError: If there is no report.
        ReportError: If a report cannot be read.
        SettingError: If the file exists and is not to be replaced.
    """
    if out.exists() and not force:
        raise SettingError(f"{out} exists; choose another file or pass `force` to replace it")
    page = render_html([load_report(path) for path in reports])
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, page.encode())


def embed_json(value: Any) -> str:
    """Return JSON that may stand inside a script element: ASCII only, no ``<``, ``>`` or ``&``, no NaN or infinity.

    Raises:
        ValueError: If a number is NaN or infinite.
    """
    # U+2028 and U+2029, which end a line in older scripts, are escaped with all that is not ASCII.
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _read(name: str) -> str:
    return files("cryptml.reports").joinpath("page").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Return the source expression of a Content-Security-Policy for one inline element."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
