"""What may be a header, for what comes another way and is treated as one: in a presigned URL's query, in a form."""

from __future__ import annotations

import re

_NOT_A_NAME = re.compile(rb"[^!#$%&'*+.^_`|~0-9a-z-]")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def may_be_header(name: bytes, value: bytes) -> bool:
    """Whether a header can hold it: answers would be no HTTP, or other answers, that showed what none can. name: in
    lower case."""
    return bool(name) and _NOT_A_NAME.search(name) is None and _CONTROL.search(value) is None
