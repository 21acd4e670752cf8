"""A mail server with STARTTLS and a login, for the tests of SNS's mails."""

from __future__ import annotations

import asyncio
import queue
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, NamedTuple

from aiosmtpd.smtp import SMTP, AuthResult
from issuer_support import Certificate

USER, PASSWORD = "casemate", "a mail server's password"


class Mailed(NamedTuple):
    """sender, to: of the envelope; encrypted: whether it came by TLS."""

    sender: str
    to: list[str]
    message: EmailMessage
    encrypted: bool

    @property
    def text(self) -> str:
        content = self.message.get_content()
        assert isinstance(content, str)
        return content.replace("\r\n", "\n")

    @property
    def link(self) -> str:
        """The one that it has."""
        (found,) = [line for line in self.text.split("\n") if line.startswith("http")]
        return found


class Mailbox:
    """Takes mails. answers: what it says to the next ones, b"" to take them; that once they are used up."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.mails: queue.Queue[Mailed] = queue.Queue()
        self.refused: queue.Queue[str] = queue.Queue()
        self.port = 0

    def next(self) -> Mailed:
        return self.mails.get(timeout=30)

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        answer = self.answers.pop(0) if self.answers else ""
        if answer:
            self.refused.put(answer)
            return answer
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.put(Mailed(envelope.mail_from, envelope.rcpt_tos, message, session.ssl is not None))
        return "250 OK"


@contextmanager
def mail_server(certificate: Certificate) -> Iterator[Mailbox]:
    mailbox = Mailbox()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key_file)

    def check(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        known = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=known)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)

    def connected() -> SMTP:
        return SMTP(
            mailbox,
            hostname="localhost",
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=check,
            loop=loop,
        )

    server = loop.run_until_complete(loop.create_server(connected, "127.0.0.1", 0))
    mailbox.port = server.sockets[0].getsockname()[1]
    thread.start()
    try:
        yield mailbox
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
