"""The documentation's marked examples run, against a real server."""

from __future__ import annotations

from pathlib import Path

import pytest
from docs_support import PAGES, ROOT, examples, run
from server_support import Server

WITH_EXAMPLES = [page for page in PAGES if examples(page.read_text(encoding="utf-8"))]


@pytest.mark.timeout(300)  # dozens of commands, each a process that takes half a second of CPU time
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path, server: Server) -> None:
    env = {**server.env, "CASEMATE_DATA": str(server.data)}
    done = run(examples(page.read_text(encoding="utf-8")), tmp_path, env)
    assert done.returncode == 0, f"{page.name} fails after its last mark:\n{done.stdout}\n{done.stderr}"


def test_readme_and_getting_started_have_examples() -> None:
    assert {page.name for page in WITH_EXAMPLES} >= {"README.md", "getting-started.md"}
