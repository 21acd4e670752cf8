"""The keys that KMS has besides symmetric ones, and those as far as their material goes: RSA, elliptic curves, HMAC,
ML-DSA, ML-KEM.

``specs`` is the table of kinds, usages and algorithms; ``material`` makes, checks, stores and loads; ``operations``
uses. Messages under symmetric keys are the envelope's (``casemate.engine.envelope.message``).

All algorithms are those of ``cryptography``, that is OpenSSL's. What it has not, nothing here has: SM2, ML-KEM-512,
the pre-hashed form of Ed25519.
"""

from __future__ import annotations

from casemate.engine.keys.errors import (
    BadEncryption,
    BadKeyMaterial,
    BadPublicKey,
    BadSignature,
    KeyMaterialError,
    UnavailableSpec,
    WrongLength,
    WrongMessageType,
)
from casemate.engine.keys.material import Material, generate, imported, load
from casemate.engine.keys.specs import SPECS, KeySpec

__all__ = [
    "SPECS",
    "BadEncryption",
    "BadKeyMaterial",
    "BadPublicKey",
    "BadSignature",
    "KeyMaterialError",
    "KeySpec",
    "Material",
    "UnavailableSpec",
    "WrongLength",
    "WrongMessageType",
    "generate",
    "imported",
    "load",
]
