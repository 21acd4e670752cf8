"""CORS rules: which requests of other origins' pages a bucket answers. Source: "Elements of a CORS configuration",
"How does Amazon S3 evaluate the CORS configuration on a bucket?".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

METHODS = ("GET", "PUT", "HEAD", "POST", "DELETE")
MOST_RULES = 100

Rule = Mapping[str, Any]
"""As the API has it: AllowedOrigins, AllowedMethods, AllowedHeaders, ExposeHeaders, MaxAgeSeconds."""


def fits(pattern: str, text: str) -> bool:
    """Whether a pattern with at most one star covers a text."""
    head, star, tail = pattern.partition("*")
    if not star:
        return pattern == text
    return len(text) >= len(head) + len(tail) and text.startswith(head) and text.endswith(tail)


def matching(rules: Sequence[Rule], origin: str, method: str, headers: Sequence[str] = ()) -> Rule | None:
    """The first rule that allows the origin, the method and every header that a preflight asks for."""
    for rule in rules:
        if (
            method in rule["AllowedMethods"]
            and any(fits(each, origin) for each in rule["AllowedOrigins"])
            and all(_allows(rule, header) for header in headers)
        ):
            return rule
    return None


def _allows(rule: Rule, header: str) -> bool:
    return any(fits(each.lower(), header.lower()) for each in rule.get("AllowedHeaders", ()))


def head(rule: Rule, origin: str, asked: Sequence[str] = ()) -> list[tuple[str, str]]:
    """The headers of an answer to a request that the rule allows. asked: the headers that a preflight asks for."""
    everybody = "*" in rule["AllowedOrigins"]
    lines = [("Access-Control-Allow-Origin", "*" if everybody else origin)]
    if not everybody:
        lines.append(("Access-Control-Allow-Credentials", "true"))
    lines.append(("Access-Control-Allow-Methods", ", ".join(rule["AllowedMethods"])))
    if asked:
        lines.append(("Access-Control-Allow-Headers", ", ".join(asked)))
    if rule.get("ExposeHeaders"):
        lines.append(("Access-Control-Expose-Headers", ", ".join(rule["ExposeHeaders"])))
    if rule.get("MaxAgeSeconds") is not None:
        lines.append(("Access-Control-Max-Age", str(rule["MaxAgeSeconds"])))
    lines.append(("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"))
    return lines


def lines(headers: Sequence[tuple[str, str]]) -> bytes:
    """Headers as an answer has them."""
    return b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in headers)


def head_for(rules: Sequence[Rule], origin: str, method: str) -> bytes:
    """The header lines to add to the answer of a request; b'' for one that no rule allows."""
    rule = matching(rules, origin, method)
    return b"" if rule is None else lines(head(rule, origin))
