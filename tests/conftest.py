"""Fixtures that several folders' tests share."""

from postgres_support import database, postgres_server, postgres_url
from server_support import server, server_env

__all__ = ["database", "postgres_server", "postgres_url", "server", "server_env"]
