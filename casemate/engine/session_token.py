"""Session tokens: all that a session is, sealed into the token that its holder sends along.

Nothing is stored of a session, so whoever has the key can check its token: any worker, any machine. A token is
URL-safe base64, without padding, of: format 1 | what ``WrappingKey.wrap`` makes of (secret 30 | the rest, as JSON,
deflated). It is bound to its format; whoever holds it can neither read nor change it.
"""

from __future__ import annotations

import json
import secrets
import zlib
from base64 import b32decode, b32encode, b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from casemate.engine.envelope.derivation import KeyHolder
from casemate.engine.envelope.hierarchy import RootKey

LONGEST_TOKEN: Final = 4096
"""Characters."""

PACKED_LIMIT: Final = 2048
"""Bytes that session policies, their ARNs and session tags may take once they are packed."""

_FORMAT: Final = b"\x01"
_PURPOSE: Final = "session token"
_SECRET_BYTES: Final = 30
_OVERHEAD: Final = 46
"""Bytes that the format and the wrapping add."""
_MOST_INFLATED: Final = 1 << 18

Kind = Literal["user", "root", "role", "federated-user"]
Claims = Mapping[str, str | Sequence[str]]


class BadToken(ValueError):
    """A session token that is none of this key's, or was altered. One error for every reason."""

    def __init__(self) -> None:
        super().__init__("the session token is not valid")


class TooLarge(ValueError):
    """Session policies and tags that do not fit into a token. percent: how much of what does they take."""

    def __init__(self, percent: int) -> None:
        super().__init__(f"the session policies and tags take {percent} percent of what is allowed")
        self.percent = percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a token holds.

    access_key_id: ``ASIA...``; secret: the secret access key; kind: whether it is of a user or the root user
    themselves, of a role, or of a user's federated user; account: 12 digits; name, id: of the user or role in IAM,
    who must still have that id ('' for the root user); session: the name that the caller chose; issued, expires:
    seconds since the epoch; policy: the inline session policy; policy_arns: managed session policies; tags: session
    tags; transitive: the keys of those that go on to the next session of a chain; source_identity: '' when nobody
    told one; mfa: when the caller proved a second factor; provider: the identity provider as aws:FederatedProvider
    names it; claims: the condition keys, in lower case, that its token or assertion gave.
    """

    access_key_id: str
    secret: str = field(repr=False)
    kind: Kind
    account: str
    name: str
    id: str
    issued: int
    expires: int
    session: str = ""
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive: tuple[str, ...] = ()
    source_identity: str = ""
    mfa: int | None = None
    provider: str = ""
    claims: Claims = field(default_factory=dict)

    @property
    def packed_percent(self) -> int | None:
        """How much of what is allowed its policies and tags take, in percent, rounded up. None: it has none."""
        if self.policy is None and not self.policy_arns and not self.tags:
            return None
        packed = _deflated([self.policy, self.policy_arns, self.tags])
        return -(-len(packed) * 100 // PACKED_LIMIT)


def new_access_key_id(account: str) -> str:
    """A random id of temporary credentials. The account is in it, as it is in AWS's: its 16 characters of base32 are
    a bit that is set, the account in 40, and 39 random ones."""
    number = 1 << 79 | int(account) << 39 | secrets.randbits(39)
    return "ASIA" + b32encode(number.to_bytes(10, "big")).decode()


def account_of(access_key_id: str) -> str | None:
    """The account that is in an id of temporary credentials; None when there is none."""
    if not access_key_id.startswith("ASIA") or len(access_key_id) != 20:
        return None
    try:
        number = int.from_bytes(b32decode(access_key_id[4:]), "big")
    except ValueError:
        return None
    account = number >> 39 & (1 << 40) - 1
    return f"{account:012d}" if number >> 79 and account < 10**12 else None


def new_secret() -> str:
    """A random secret access key of 40 characters."""
    return b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


class SessionTokens(KeyHolder):
    """Seals and opens tokens, by the root key's key for them."""

    __slots__ = ("_key",)

    def __init__(self, root: RootKey) -> None:
        self._key = root.wrapping_key(_PURPOSE)

    def seal(self, session: Session, smallest: int = 0) -> str:
        """The session's token. smallest: make it so many characters long at least. Raises TooLarge."""
        percent = session.packed_percent
        if percent is not None and percent > 100:
            raise TooLarge(percent)
        content = b64decode(session.secret) + _deflated(_members(session))
        # What follows the end of a deflated stream is ignored.
        content += bytes(max(0, -(-smallest * 3 // 4) - _OVERHEAD - len(content)))
        token = _text(_FORMAT + self._key.wrap(content, _PURPOSE, _FORMAT))
        if len(token) > LONGEST_TOKEN:
            raise TooLarge(-(-len(token) * 100 // LONGEST_TOKEN))
        return token

    def open(self, token: str) -> Session:
        """The session whose token this is, expired or not. Raises BadToken."""
        if len(token) > LONGEST_TOKEN:
            raise BadToken
        try:
            raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
            # One text for each token: base64 has bits at its end that say nothing.
            if raw[:1] != _FORMAT or _text(raw) != token:
                raise BadToken
            content = self._key.unwrap(raw[1:], _PURPOSE, _FORMAT)
        except ValueError:
            raise BadToken from None
        secret = b64encode(content[:_SECRET_BYTES]).decode()
        members = json.loads(zlib.decompressobj(-15).decompress(content[_SECRET_BYTES:], _MOST_INFLATED))
        return _session(secret, *members)


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _deflated(value: Any) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return packer.compress(json.dumps(value, separators=(",", ":")).encode()) + packer.flush()


def _members(session: Session) -> list[Any]:
    """All but the secret, in the order of ``_session``'s parameters."""
    return [
        *(session.access_key_id, session.kind, session.account, session.name, session.id),
        *(session.issued, session.expires, session.session),
        *(session.policy, session.policy_arns, session.tags, session.transitive),
        *(session.source_identity, session.mfa, session.provider, session.claims),
    ]


def _session(
    secret: str,
    access_key_id: str,
    kind: Kind,
    account: str,
    name: str,
    id: str,  # noqa: A002 - the member's name
    issued: int,
    expires: int,
    session: str,
    policy: str | None,
    policy_arns: list[str],
    tags: dict[str, str],
    transitive: list[str],
    source_identity: str,
    mfa: int | None,
    provider: str,
    claims: dict[str, str | list[str]],
) -> Session:
    return Session(
        access_key_id=access_key_id,
        secret=secret,
        kind=kind,
        account=account,
        name=name,
        id=id,
        issued=issued,
        expires=expires,
        session=session,
        policy=policy,
        policy_arns=tuple(policy_arns),
        tags=tags,
        transitive=tuple(transitive),
        source_identity=source_identity,
        mfa=mfa,
        provider=provider,
        claims=claims,
    )
