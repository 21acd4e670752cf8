"""GenerateMac, VerifyMac. Source: "HMAC keys in AWS KMS"."""

from __future__ import annotations

from casemate.api import kms
from casemate.engine.keys import Material
from casemate.engine.keys.operations import is_mac, mac
from casemate.engine.keys.specs import GENERATE_VERIFY_MAC
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.kms.grant_tokens import check_tokens
from casemate.services.kms.key import Key
from casemate.services.kms.quotas import cryptographic
from casemate.services.kms.refusals import end_dry_run
from casemate.services.kms.targets import named_key


def _hmac_key(
    call: Call, key: Key, operation: str, req: kms.GenerateMacRequest | kms.VerifyMacRequest
) -> Material:
    key.must_be_usable(operation, GENERATE_VERIFY_MAC)
    key.must_take(req["MacAlgorithm"])
    check_tokens(call, req)
    assert key.material is not None
    return key.material


@kms.GenerateMac.reads(named_key, quota=cryptographic)
def generate_mac(call: Call, req: kms.GenerateMacRequest, key: Key) -> kms.GenerateMacResponse:
    """The HMAC of up to 4 096 bytes."""
    material = _hmac_key(call, key, "GenerateMac", req)
    if "DryRun" in req:
        end_dry_run(req)
    algorithm = req["MacAlgorithm"]
    return {"Mac": mac(material, algorithm, req["Message"]), "MacAlgorithm": algorithm, "KeyId": key.arn}


@kms.VerifyMac.reads(named_key, quota=cryptographic)
def verify_mac(call: Call, req: kms.VerifyMacRequest, key: Key) -> kms.VerifyMacResponse:
    """Whether it is the message's HMAC under the key; if not, KMSInvalidMacException."""
    material = _hmac_key(call, key, "VerifyMac", req)
    algorithm = req["MacAlgorithm"]
    if not is_mac(material, algorithm, req["Message"], req["Mac"]):
        raise AwsError("KMSInvalidMacException", "")
    if "DryRun" in req:
        end_dry_run(req)
    return {"KeyId": key.arn, "MacValid": True, "MacAlgorithm": algorithm}
