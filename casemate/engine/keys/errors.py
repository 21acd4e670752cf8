"""What can go wrong with a key's material. The texts name kinds of keys and lengths, never a secret."""

from __future__ import annotations


class KeyMaterialError(ValueError):
    """The parent of this package's errors."""


class UnavailableSpec(KeyMaterialError):
    """A key spec, or an algorithm of one, that this installation's ``cryptography`` does not carry."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not available")


class BadKeyMaterial(KeyMaterialError):
    """Bytes that are no key of the spec that they are said to be."""


class BadSignature(KeyMaterialError):
    """A signature that this key did not make of this message by this algorithm."""

    def __init__(self) -> None:
        super().__init__("the signature is not valid")


class BadEncryption(KeyMaterialError):
    """An RSA ciphertext, or an ML-KEM encapsulation, that cannot be opened. One text for every reason, so that it
    tells nothing about which part was wrong."""

    def __init__(self) -> None:
        super().__init__("the ciphertext is not valid")


class BadPublicKey(KeyMaterialError):
    """A peer's public key that is none, or not on the same curve."""

    def __init__(self) -> None:
        super().__init__("the public key is not valid")


class WrongMessageType(KeyMaterialError):
    """A message of a type that the algorithm does not take."""


class WrongLength(KeyMaterialError):
    """A digest, or a plaintext, of a length that the algorithm does not take."""
