"""Reads the setting of the SMTP server."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from casemate.engine.egress.exchange import read_url
from casemate.engine.egress.mail import PORTS, MailServer, Security

_NEEDED = {"host", "sender", "url"}
_OPTIONAL = {"port", "security", "user", "password_file", "authorities"}
_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII
)
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}", re.ASCII)
_OWN = ("127.0.0.1", "::1", "localhost")


def mail_server(table: Mapping[str, Any], base: Path, secret_in: Callable[[Path], str]) -> MailServer:
    """host, sender and url; port, security, user with password_file, and authorities where they are not the ordinary
    ones. base: what relative paths start from; secret_in: reads a file that nobody else can. Raises ValueError,
    OSError."""
    if not _NEEDED <= set(table) <= _NEEDED | _OPTIONAL:
        raise ValueError
    texts = {name: value for name, value in table.items() if name != "port"}
    if not all(isinstance(value, str) and value for value in texts.values()):
        raise ValueError
    security = texts.get("security", "starttls")
    if security not in PORTS or ("user" in texts) != ("password_file" in texts):
        raise ValueError
    security = cast("Security", security)
    port = table.get("port", PORTS[security])
    if type(port) is not int or not 0 < port < 65_536:
        raise ValueError
    if not _HOST.fullmatch(texts["host"]) or not _ADDRESS.fullmatch(texts["sender"]):
        raise ValueError
    if security == "none" and "user" in texts and texts["host"] not in _OWN:
        # The password would be read by whoever is between.
        raise ValueError
    authorities = ""
    if "authorities" in texts:
        authorities = str(base / Path(texts["authorities"]).expanduser())
        ssl.create_default_context(cafile=authorities)
    password = ""
    if "password_file" in texts:
        password = secret_in(base / Path(texts["password_file"]).expanduser())
        if not password:
            raise ValueError
    return MailServer(
        host=texts["host"],
        port=port,
        sender=texts["sender"],
        url=_url(texts["url"]),
        security=security,
        user=texts.get("user", ""),
        password=password,
        authorities=authorities,
    )


def _url(text: str) -> str:
    read_url(text)
    parts = urlsplit(text)
    if parts.username is not None or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise ValueError
    return text.rstrip("/")
