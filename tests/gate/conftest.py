"""The gate that most tests of it share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gate_support import Rig, rig_in


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as made:
        yield made
