"""The operator's SMTP server, and mails by it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

Security = Literal["starttls", "tls", "none"]

PORTS: Final[dict[Security, int]] = {"starttls": 587, "tls": 465, "none": 25}


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """The operator's SMTP server. security: TLS from the start, by STARTTLS, or none; user, password: '' without a
    login; sender: whom mails are from; url: what the links in mails begin with, this server as readers reach it;
    authorities: a PEM file of whom to trust, '' for the machine's."""

    host: str
    port: int
    sender: str
    url: str
    security: Security = "starttls"
    user: str = ""
    password: str = field(default="", repr=False)
    authorities: str = ""


class MailFailed(Exception):
    """A mail that was not taken. final: it never will be."""

    def __init__(self, why: str, *, final: bool) -> None:
        super().__init__(why)
        self.final = final


@dataclass(frozen=True, slots=True)
class Mail:
    """What sends mails, if there is anything. server: None where none is configured."""

    server: MailServer | None = None

    def send(self, *, to: str, name: str, subject: str, text: str, id: str) -> None:  # noqa: A002
        """Send a mail. Waits for the network. name: the sender's, shown with the address; id: the same for the same
        mail, however often it is sent. Raises MailFailed."""
        if self.server is None:
            raise MailFailed("no SMTP server is configured", final=False)
        # Here, because few servers send mails, and it takes a while to import.
        from casemate.engine.egress.smtp import send

        send(self.server, to, name, subject, text, id)
