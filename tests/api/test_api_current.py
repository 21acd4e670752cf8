"""The generated modules in casemate/api/ are what the pinned botocore's models give."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.model import OperationModel, Shape
from generate_api import SERVED, TARGET, UnsupportedModel, generate

from casemate.gate.operation import Operation


@pytest.mark.parametrize("service", SERVED)
def test_a_committed_module_is_current(service: str) -> None:
    committed = (TARGET / f"{service}.py").read_text(encoding="utf-8")
    assert committed == generate(service), f"casemate/api/{service}.py is not current: run `make api`"


def test_every_module_is_of_a_served_service() -> None:
    modules = {path.stem for path in TARGET.glob("*.py")} - {"__init__"}
    assert modules == set(SERVED)
