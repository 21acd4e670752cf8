"""Sends a mail by SMTP. Whoever sends few imports none of it (casemate/engine/egress/mail.py)."""

from __future__ import annotations

import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

from casemate.engine.egress.mail import MailFailed, MailServer

_TIMEOUT: Final = 10.0
"""Seconds that the server has for each step."""


def send(server: MailServer, to: str, name: str, subject: str, text: str, id: str) -> None:  # noqa: A002
    """As ``Mail.send``."""
    try:
        message = _message(server, to, name, subject, text, id)
    except (ValueError, UnicodeError):
        raise MailFailed("it cannot be written as a mail", final=True) from None
    try:
        _deliver(server, message, to)
    except smtplib.SMTPRecipientsRefused as error:
        raise _refused(*next(iter(error.recipients.values()))[:1]) from None
    except smtplib.SMTPDataError as error:
        raise _refused(error.smtp_code) from None
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise MailFailed(type(error).__name__, final=False) from None


def _refused(code: int) -> MailFailed:
    return MailFailed(f"SMTP {code}", final=500 <= code < 600)


def _message(
    server: MailServer,
    to: str,
    name: str,
    subject: str,
    text: str,
    id: str,  # noqa: A002
) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(name, addr_spec=server.sender)
    message["To"] = Address(addr_spec=to)
    message["Subject"] = subject
    message["Message-ID"] = f"<{id}@{server.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message


def _deliver(server: MailServer, message: EmailMessage, to: str) -> None:
    context = ssl.create_default_context(cafile=server.authorities or None)
    if server.security == "tls":
        client: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=_TIMEOUT, context=context)
    else:
        client = smtplib.SMTP(server.host, server.port, timeout=_TIMEOUT)
    with client:
        if server.security == "starttls":
            # Without it nothing is sent: whoever strips it off reads nothing.
            client.starttls(context=context)
        if server.user:
            client.login(server.user, server.password)
        client.send_message(message, server.sender, [to])
