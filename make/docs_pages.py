"""Pages of the documentation that lie at the repository's root, and links between them and ``docs/``.

A link that leads to a file of the repository which is no page, such as a source file, becomes its path as code: the site stands alone.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

AT_THE_ROOT = {
    "ARCHITECTURE.md": "project/architecture.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
}
"""Files there, and where they are in the site. README.md is not among them: index.md has its place."""

LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")


def place(target: str) -> str | None:
    """Return where a path of the repository is in the site; None if it is not there."""
    if target in AT_THE_ROOT:
        return AT_THE_ROOT[target]
    if target == "README.md":
        return "index.md"
    return target.removeprefix("docs/") if target.startswith("docs/") else None


def relinked(text: str, path: str, site_path: str) -> str:
    """Return a page with its links as they are in the site.

    Args:
        text: Markdown.
        path: Of the page in the repository.
        site_path: Of the page in the site.
    """

    def replace(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), found["target"]))
        there = place(target)
        if there is None:
            return f"{found['text']} (`{target}`)" if found["text"].strip("`") != target else f"`{target}`"
        relative = posixpath.relpath(there, posixpath.dirname(site_path) or ".")
        return f"{found['image']}[{found['text']}]({relative}{found['anchor'] or ''})"

    return LINK.sub(replace, text)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root."""
    from mkdocs.structure.files import File

    root = Path(config.config_file_path).parent
    for name, site_path in AT_THE_ROOT.items():
        files.append(File.generated(config, site_path, content=(root / name).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Change a page's links."""
    del config, files
    own = {site_path: name for name, site_path in AT_THE_ROOT.items()}
    site_path = page.file.src_uri
    return relinked(markdown, own.get(site_path, f"docs/{site_path}"), site_path)
