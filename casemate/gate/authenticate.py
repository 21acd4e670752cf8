"""Step 3: who calls. The signature says which access key it claims; the directory has the secret to check it."""

from __future__ import annotations

import re
import time

from casemate.gate import signature
from casemate.gate.auth_errors import auth_error
from casemate.gate.call import Call
from casemate.gate.identity import Directory, Identity, unknown_caller
from casemate.gate.router import Route

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]{2,10}){1,3}-[0-9]{1,2}")
_known_regions: set[str] = set()
