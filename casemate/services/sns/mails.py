"""What subscribers by e-mail read. Source: "Email notifications", "Subscription confirmation"."""

from __future__ import annotations

from typing import Final

CONFIRMATION: Final = "AWS Notification - Subscription Confirmation"
ENDED: Final = "AWS Notification - Unsubscribe Confirmation"
NOTIFICATION: Final = "AWS Notification Message"
SENDER: Final = "AWS Notifications"
"""The sender's name, of topics without a DisplayName."""


def confirmation(topic: str, link: str) -> tuple[str, str]:
    """Subject and text of the mail by which a subscription is confirmed."""
    text = (
        f"You have chosen to subscribe to the topic:\n{topic}\n\n"
        f"To confirm this subscription, visit this link:\n{link}\n\n"
        "If you have not asked for it, there is nothing to do: no further mail follows.\n"
    )
    return CONFIRMATION, text


def ended(topic: str, link: str) -> tuple[str, str]:
    """Subject and text of the last mail."""
    text = (
        f"Your subscription to the topic below has been ended:\n{topic}\n\n"
        f"If this was a mistake, visit this link within three days to subscribe again:\n{link}\n"
    )
    return ENDED, text


def notification(body: str, link: str) -> str:
    """The text of a mail with a message."""
    return (
        f"{body}\n\n--\n"
        f"If you wish to stop receiving notifications from this topic, visit this link to unsubscribe:\n{link}\n"
    )
