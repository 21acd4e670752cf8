"""STS: who the caller is, and temporary credentials: of roles, of users, of those whom they vouch for."""

from __future__ import annotations

from casemate.services.sts import caller, messages, roles, root, saml, user_sessions, web_identity

__all__ = ["caller", "messages", "roles", "root", "saml", "user_sessions", "web_identity"]
