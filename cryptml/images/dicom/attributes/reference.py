"""``python -m cryptml.images.dicom.attributes.reference`` prints what is done with attributes: ``docs/dicom-attributes.md``."""

from __future__ import annotations

import sys

from cryptml.images.dicom.attributes.table import GUARDED_GROUPS, TABLE, Treatment
from cryptml.images.dicom.names import name_of
from cryptml.images.dicom.syntaxes import LOSSY, SYNTAXES

_HEADINGS = {
    Treatment.APPLIED: "Applied, after the standard",
    Treatment.CHECKED: "Checked: some values are read, others refuse the file",
    Treatment.REFUSED: "Refused: a value refuses the file",
    Treatment.WITHOUT_EFFECT: "Without effect on the picture",
}


def markdown() -> str:
    """Return the document: one table a treatment, and the transfer syntaxes."""
    groups = ", ".join(f"{group:04X}" for group in GUARDED_GROUPS)
    lines = [
        "# What is done with DICOM attributes",
        "",
        "A DICOM file is read after an allow-list. Each attribute that could change what is displayed is applied after the standard (PS3.3",
        "and PS3.5), or a value of it refuses the file by the attribute's name. An attribute without a value is as if it were missing. An",
        f"attribute of the groups {groups} that stands in no table below refuses the file too, and so does such a functional group:",
        "what this reader does not know may change the picture. Other groups say nothing of pixels but what is listed here.",
        "",
        "## Transfer syntaxes",
        "",
        "Others are refused by name. JPEG of 12 bits, colour of more than 8 bits and palettes are refused in all of them.",
        "",
        "| transfer syntax | UID | values |",
        "|---|---|---|",
        *(f"| {syntax.name} | {syntax} | {_exactness(syntax)} |" for syntax in SYNTAXES),
    ]
    for treatment, heading in _HEADINGS.items():
        rows = [row for row in TABLE if row.treatment is treatment]
        lines += ["", f"## {heading}", "", "| attribute | what is done |", "|---|---|"]
        lines += [f"| {name_of(row.tag).replace('an attribute', row.keyword)} | {row.meaning} |" for row in rows]
    return "\n".join(lines) + "\n"


def _exactness(syntax: str) -> str:
    return "as the compression left them" if syntax in LOSSY else "exact"


if __name__ == "__main__":
    sys.stdout.write(markdown())
