"""The documentation is sound, and the check notices when it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import check_docs


def findings(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> list[tuple[int, str]]:
    """What the check says about a page."""
    monkeypatch.setattr(check_docs, "PROJECT", folder)
    page = folder / "page.md"
    page.write_text(text)
    return list(check_docs.problems(page))


def test_documentation_of_this_project_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    """Every link of every page leads somewhere and every Python block parses."""
    assert check_docs.main() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("# A\n[x](gone.md)\n", 2, "there is no such file"),
        ("![picture](images/gone.png)\n", 1, "there is no such file"),
        ("# A heading\n[x](#another)\n", 2, "no such heading"),
        ("[x](../outside.md)\n", 1, "no such file"),
        ("text\n```python\nx = (\n```\n", 3, "does not parse"),
    ],
)
def test_problem_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, line: int, what: str
) -> None:
    """Each kind of problem is reported with its line."""
    [(number, problem)] = findings(monkeypatch, tmp_path, text)

    assert number == line
    assert what in problem


@pytest.mark.parametrize(
    "text",
    [
        "# A `code` heading\n[x](#a-code-heading)\n",
        "[x](https://example.org/gone)\n",
        "`[x](gone.md)`\n",
        "```\n[x](gone.md)\n```\n",
        "1. item\n\n   ```python\n   x = 1\n   ```\n",
        "[x](page.md#)\n",
    ],
)
def test_sound_page_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    """What is no problem is not reported."""
    assert findings(monkeypatch, tmp_path, text) == []
