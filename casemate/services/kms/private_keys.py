"""Where slow work with private keys is done: in a thread, so that nobody else's request waits for it.

Source of the times: decisions 25 and 26.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from threading import BoundedSemaphore
from typing import TypeVar

from casemate.engine.keys import Material, generate
from casemate.gate.call import Call

T = TypeVar("T")

_SLOW = frozenset({"RSA_3072", "RSA_4096", "ML_DSA_65", "ML_DSA_87"})
"""Specs whose private keys take 0.7 ms and more for each use."""

_AT_A_TIME = BoundedSemaphore(2)
"""So many RSA keys are made at a time in each worker, which takes a processor for up to some seconds each."""


def with_private_key(call: Call, material: Material, operation: str, data: bytes, do: Callable[[], T]) -> T:
    """What ``do`` gives, which uses the private key on the data. operation: what tells it from another use of the
    key on the same data within the request. What it raises is the request's refusal: it does not always come by
    here."""
    if material.spec.name not in _SLOW:
        return do()
    return call.before(f"{operation} {material.id} {sha256(data).hexdigest()}", do)


def generated(call: Call, spec: str) -> bytes:
    """New material of a spec, of which a request makes one at most. Raises UnavailableSpec."""
    if not spec.startswith("RSA_"):
        return generate(spec)
    return in_turn(call, f"new {spec}", lambda: generate(spec))


def in_turn(call: Call, name: str, do: Callable[[], T]) -> T:
    """What ``do`` gives, which makes an RSA key or checks one's primes. name: as ``Call.before`` has it."""

    def wait_and_do() -> T:
        with _AT_A_TIME:
            return do()

    return call.before(name, wait_and_do, waits=True)
