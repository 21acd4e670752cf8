"""SoftHSM2, for tests: tokens of one folder, for this process and those it starts."""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PIN = "738291-kms"
_PLACES = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/softhsm/libsofthsm2.so"),
)


class SoftHsm:
    """module: the library's path; conf: the file that SOFTHSM2_CONF names."""

    def __init__(self, module: str, conf: Path) -> None:
        self.module = module
        self.conf = conf

    def make_token(self, label: str, pin: str = PIN) -> None:
        command = [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            label,
            "--pin",
            pin,
            "--so-pin",
            "9999",
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=30)


@contextmanager
def softhsm(folder: Path, *tokens: str) -> Iterator[SoftHsm]:
    """With tokens of these labels, whose user's PIN is ``PIN``."""
    found = next((place for place in _PLACES if place.exists()), None)
    if found is None:
        pytest.fail("SoftHSM2 is not installed: these tests need Debian's package softhsm2")
    (folder / "tokens").mkdir()
    conf = folder / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    with pytest.MonkeyPatch.context() as patch:
        # One that this process has loaded already has other tokens.
        unload = importlib.import_module("pkcs11").unload
        unload(str(found))
        patch.setenv("SOFTHSM2_CONF", str(conf))
        hsm = SoftHsm(str(found), conf)
        for token in tokens:
            hsm.make_token(token)
        yield hsm
        unload(str(found))
