"""Fixtures that several folders' tests share."""

from hypothesis import settings
from postgres_support import database, postgres_server, postgres_url
from seaweed_support import seaweed
from server_support import server, server_env

__all__ = ["database", "postgres_server", "postgres_url", "seaweed", "server", "server_env"]

# How long an example takes is the machine's affair.
settings.register_profile("casemate", deadline=None)
settings.load_profile("casemate")
