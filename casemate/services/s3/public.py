"""Whether a bucket's or an access point's policy gives the public access, by S3's own condition keys too. Source:
"The meaning of 'public'" in "Blocking public access to your Amazon S3 storage"."""

from __future__ import annotations

import re

from casemate.engine.policy import public
from casemate.engine.policy.public import is_constant

_ACCESS_POINTS = re.compile(r"arn:aws[a-z-]*:s3:[a-z0-9-]*:[0-9]{12}:accesspoint/\*")


def is_public(document: str) -> bool:
    """Whether a policy, which has been checked, is public."""
    return public.is_public(document, _OWN)


def _are_of_an_account(value: str) -> bool:
    """All access points of an account, or one of them."""
    return _ACCESS_POINTS.fullmatch(value) is not None or is_constant(value)


_OWN = {
    "s3:dataaccesspointaccount": is_constant,
    "s3:dataaccesspointarn": _are_of_an_account,
    "s3:x-amz-server-side-encryption-aws-kms-key-id": is_constant,
}
