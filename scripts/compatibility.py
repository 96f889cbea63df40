"""Writes docs/compatibility.md from the table of SDK v1's names; a test holds them together."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import airflow_aml.azureml_compat  # noqa: F401 - what is served is found by looking
from airflow_aml.azureml_compat.names import FAMILIES, REFUSED_FAMILIES, all_names
from airflow_aml.azureml_compat.serving import NOT_YET, REFUSED_FOR_GOOD, SERVED, Entry, entry

PAGE = Path(__file__).resolve().parent.parent / "docs" / "compatibility.md"

INTRODUCTION = """\
# Names of SDK v1

{served} of {all} names are served, {later} are not served yet, {refused} will not be.

A name that is not served can be imported; it says so when it is used.
`airflow-aml check PATH` tells which of them a program uses, and where.
[From Azure ML v1 to Airflow](from-azure-ml.md) says how programs run.

This page is written by `python -m scripts.compatibility`.
"""
FAMILY_TEXT = """\
## Packages that can only be imported

Every name below them can be imported, and none is served.

| package | why | instead |
|---|---|---|
"""


def page() -> str:
    """The page, as it should be."""
    entries = [
        found
        for name, modules in all_names().items()
        if (found := entry(modules[0], name)) is not None
    ]
    count = Counter(found.status for found in entries)
    parts = [
        INTRODUCTION.format(
            served=count[SERVED],
            all=len(entries),
            later=count[NOT_YET],
            refused=count[REFUSED_FOR_GOOD],
        )
    ]
    for title, status in (
        ("Served", SERVED),
        ("Not served yet", NOT_YET),
        ("Will not be served", REFUSED_FOR_GOOD),
    ):
        rows = "\n".join(_row(found) for found in entries if found.status == status)
        parts.append(f"## {title}\n\n{_head(status)}\n{rows}\n")
    families = "\n".join(
        f"| `{family}` | {' | '.join(REFUSED_FAMILIES.get(family, ('not served yet', '')))} |"
        for family in sorted({*FAMILIES, *REFUSED_FAMILIES})
    )
    parts.append(f"{FAMILY_TEXT}{families}\n")
    return "\n".join(parts)


def _head(status: str) -> str:
    if status == SERVED:
        return "| name | imported from | difference |\n|---|---|---|"
    if status == NOT_YET:
        return "| name | imported from |\n|---|---|"
    return "| name | imported from | why | instead |\n|---|---|---|---|"


def _row(found: Entry) -> str:
    modules = ", ".join(f"`{module}`" for module in all_names()[found.name])
    cells = [f"`{found.name}`", modules]
    if found.status != NOT_YET:
        cells.append(found.note)
    if found.status == REFUSED_FOR_GOOD:
        cells.append(found.instead)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
