"""The runner of the documentation's examples finds, runs and fails as it should."""

from __future__ import annotations

from pathlib import Path

import pytest
from docs_support import PAGES, ROOT, BadPage, Example, examples, run


def test_only_marked_examples_are_found_with_their_lines() -> None:
    page = (
        "```bash\nnot run\n```\n\n<!-- run -->\n```python\nprint(1)\n```\n<!-- run -->\n\n```bash\nls\n```\n"
    )
    assert examples(page) == [Example(6, "python", "print(1)\n"), Example(11, "bash", "ls\n")]


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<!-- run -->\n", "line 1: <!-- run --> without an example"),
        ("<!-- run -->\ntext\n```bash\nls\n```\n", "line 1: <!-- run --> without an example"),
        ("<!-- run -->\n<!-- run -->\n```bash\nls\n```\n", "line 1: <!-- run --> without an example"),
        ("<!-- run -->\n```json\n{}\n```\n", "line 2: cannot run json"),
        ("<!-- run -->\n```\nls\n```\n", "line 2: cannot run an example without a language"),
        ("<!-- run -->\n```bash\nls\n", "line 2: the example does not end"),
    ],
)
def test_a_mark_that_marks_nothing_is_an_error(page: str, message: str) -> None:
    with pytest.raises(BadPage) as refusal:
        examples(page)
    assert str(refusal.value) == message


def test_examples_of_a_page_share_a_shell_and_a_folder(tmp_path: Path) -> None:
    page = [
        Example(1, "bash", "export WORD=shared\n"),
        Example(2, "python", "import os; open('made', 'w').write(os.environ['WORD'])\n"),
        Example(3, "bash", "cat made\n"),
    ]
    done = run(page, tmp_path, {})
    assert (done.returncode, done.stdout) == (0, "shared"), done.stderr


@pytest.mark.parametrize("language", ["bash", "python"])
def test_a_failing_example_stops_the_page(tmp_path: Path, language: str) -> None:
    failing = "false\n" if language == "bash" else "raise SystemExit('no')\n"
    done = run([Example(7, language, failing), Example(9, "bash", "echo reached\n")], tmp_path, {})
    assert done.returncode == 1
    assert done.stdout == ""
    assert "--- line 7" in done.stderr
    assert "--- line 9" not in done.stderr


def test_nothing_but_the_path_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "somebody's own")
    done = run(
        [Example(1, "bash", "echo ${AWS_SECRET_ACCESS_KEY-unset} $AWS_REGION\n")],
        tmp_path,
        {"AWS_REGION": "x"},
    )
    assert done.stdout == "unset x\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_marks_in_our_pages_are_sound(page: Path) -> None:
    examples(page.read_text(encoding="utf-8"))
