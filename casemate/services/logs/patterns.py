"""Filter patterns as requests bring them."""

from __future__ import annotations

from casemate.engine.logs import FilterPattern, PatternError, compile_pattern
from casemate.services.logs.refusals import invalid


def checked_pattern(text: str) -> FilterPattern:
    """Raises InvalidParameterException."""
    try:
        return compile_pattern(text)
    except PatternError as error:
        raise invalid(f"Invalid filter pattern: {error}") from None
