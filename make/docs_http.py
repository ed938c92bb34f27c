"""A page of the documentation: the HTTP interface, from ``docs/openapi.json``, made when the site is built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

DOCUMENT = "openapi.json"
METHODS = ("get", "head", "post", "put", "patch", "delete")


def cell(text: str) -> str:
    """Return a text as it stands in a table's cell."""
    return " ".join(text.split()).replace("|", "\\|") or "-"


def table(heading: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table, empty without rows."""
    if not rows:
        return ""
    lines = [heading, tuple("---" for _ in heading), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines) + "\n"


def operation(document: dict[str, Any], method: str, path: str) -> str:
    """Return the section of one request."""
    told = document["paths"][path][method]
    parameters = [resolved(document, each) for each in told.get("parameters", [])]
    answers = {status: resolved(document, each) for status, each in told["responses"].items()}
    return "\n".join(
        (
            f"## {method.upper()} {path}\n",
            str(told.get("description") or told.get("summary", "")) + "\n",
            table(
                ("parameter", "in", "required", "meaning"),
                [
                    (
                        f"`{each['name']}`",
                        each["in"],
                        "yes" if each.get("required") else "no",
                        cell(each.get("description", "")),
                    )
                    for each in parameters
                ],
            ),
            table(
                ("status", "meaning", "media type"),
                [
                    (
                        status,
                        cell(each.get("description", "")),
                        cell(", ".join(f"`{kind}`" for kind in each.get("content", {}))),
                    )
                    for status, each in answers.items()
                ],
            ),
        )
    )


def resolved(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return a part of the document, or what it refers to."""
    if "$ref" not in part:
        return part
    found: Any = document
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)


def page(document: dict[str, Any]) -> str:
    """Return the page, Markdown."""
    parts = [
        "# HTTP interface\n",
        "Made from [openapi.json](../openapi.json), which a test holds to the code; a service gives the same at `/openapi.json`.\n",
        str(document["info"].get("description", "")) + "\n",
    ]
    parts += [
        operation(document, method, path)
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item
    ]
    return "\n".join(parts)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    from mkdocs.structure.files import File

    document = json.loads((Path(config.docs_dir) / DOCUMENT).read_text())
    files.append(File.generated(config, "reference/http.md", content=page(document)))
    return files
