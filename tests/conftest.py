"""Fixtures that several folders' tests share."""

from postgres_support import database, postgres_server, postgres_url

__all__ = ["database", "postgres_server", "postgres_url"]
