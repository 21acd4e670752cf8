"""Fixtures that several folders' tests share."""

from postgres_support import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]
