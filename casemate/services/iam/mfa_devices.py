"""CreateVirtualMFADevice, EnableMFADevice, ResyncMFADevice, DeactivateMFADevice, DeleteVirtualMFADevice,
GetMFADevice, ListMFADevices, ListVirtualMFADevices, TagMFADevice, UntagMFADevice, ListMFADeviceTags."""

from __future__ import annotations

import io
import time
from base64 import b32encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from casemate.api import iam
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.resource import Resource
from casemate.services.iam import mfa
from casemate.services.iam.entities import Link, MfaDevice, User
from casemate.services.iam.pages import Page
from casemate.services.iam.refusals import absent, conflict, exists, limit_exceeded
from casemate.services.iam.shapes import tag_list, user_shape, when
from casemate.services.iam.store import Entities
from casemate.services.iam.tag_rules import merged
from casemate.services.iam.tags import list_tags, tag, untag
from casemate.services.iam.targets import (
    NewTarget,
    Target,
    account_wide,
    named_device,
    new_device,
    own_user,
    when_tagged,
)


@iam.CreateVirtualMFADevice.writes(
    new_device, Need("iam:CreateVirtualMFADevice"), Need("iam:TagMFADevice", when_tagged)
)
def create_virtual_mfa_device(
    call: Call, req: iam.CreateVirtualMFADeviceRequest, target: NewTarget[MfaDevice]
) -> iam.CreateVirtualMFADeviceResponse:
    """A device that is nobody's yet; its seed is shown this once, as text and as a QR code for authenticator apps."""
    entities = call.part(Entities)
    device, seed = mfa.new_device(
        entities,
        call.tx,
        call.account,
        req["VirtualMFADeviceName"],
        req.get("Path", "/"),
        call.now,
        merged({}, req.get("Tags", [])),
    )
    if not entities.add(call.tx, device):
        raise exists(MfaDevice, device.name)
    text = b32encode(seed)
    shape: iam.VirtualMFADevice = {
        "SerialNumber": device.arn,
        "Base32StringSeed": text,
        "QRCodePNG": _qr_code(device, text.decode()),
    }
    if device.tags:
        shape["Tags"] = tag_list(device.tags)
    return {"VirtualMFADevice": shape}


def _qr_code(device: MfaDevice, seed: str) -> bytes:
    """otpauth://totp/Amazon%20Web%20Services:NAME@ACCOUNT as a picture, in PNG."""
    import segno

    issuer = quote("Amazon Web Services")
    label = f"{issuer}:{quote(device.name)}@{device.account}"
    picture = io.BytesIO()
    segno.make(f"otpauth://totp/{label}?secret={seed}&issuer={issuer}", micro=False).save(
        picture, kind="png", scale=4
    )
    return picture.getvalue()


def _codes(req: Mapping[str, Any]) -> tuple[str, str]:
    return req["AuthenticationCode1"], req["AuthenticationCode2"]


def _device(call: Call, serial: str) -> MfaDevice:
    found = named_device(call, {"SerialNumber": serial})
    if found.missing is not None:
        raise found.missing
    return found.entity


def _owned(call: Call, user: User, serial: str) -> MfaDevice:
    """The user's device. Raises NoSuchEntity."""
    device = _device(call, serial)
    if device.owner != user.id:
        raise absent(MfaDevice, serial)
    return device


@iam.EnableMFADevice.writes(own_user)
def enable_mfa_device(
    call: Call, req: iam.EnableMFADeviceRequest, target: Target[User]
) -> iam.EnableMFADeviceResponse:
    """Give a device to a user, who proves by two codes in a row that they hold it."""
    user, entities = target.entity, call.part(Entities)
    device = _device(call, req["SerialNumber"])
    if device.owner:
        raise AwsError("EntityAlreadyExists", "MFA Device is already in use.")
    if len(mfa.devices_of(entities, call.tx, call.account, user.id)) >= mfa.MOST_OF_USER:
        raise limit_exceeded("MFADevicesPerUser", mfa.MOST_OF_USER)
    mfa.give(entities, call.tx, device, user.id, _codes(req), time.time(), call.now)
    return {}


@iam.ResyncMFADevice.writes(own_user)
def resync_mfa_device(
    call: Call, req: iam.ResyncMFADeviceRequest, target: Target[User]
) -> iam.ResyncMFADeviceResponse:
    """Learn by two codes in a row how far a device's clock is off."""
    device = _owned(call, target.entity, req["SerialNumber"])
    mfa.settle(call.part(Entities), call.tx, device, _codes(req), time.time())
    return {}


@iam.DeactivateMFADevice.writes(own_user)
def deactivate_mfa_device(
    call: Call, req: iam.DeactivateMFADeviceRequest, target: Target[User]
) -> iam.DeactivateMFADeviceResponse:
    """Take a device from its user. It can be given anew."""
    mfa.take_back(call.part(Entities), call.tx, _owned(call, target.entity, req["SerialNumber"]))
    return {}


@iam.DeleteVirtualMFADevice.writes(named_device)
def delete_virtual_mfa_device(
    call: Call, req: iam.DeleteVirtualMFADeviceRequest, target: Target[MfaDevice]
) -> iam.DeleteVirtualMFADeviceResponse:
    """Delete a device that is nobody's."""
    if target.entity.owner:
        raise conflict("MFA VirtualDevice in use. Must deactivate first.")
    call.part(Entities).remove(call.tx, target.entity)
    return {}


@iam.GetMFADevice.reads(own_user)
def get_mfa_device(
    call: Call, req: iam.GetMFADeviceRequest, target: Target[User]
) -> iam.GetMFADeviceResponse:
    """Since when a user has a device."""
    user = target.entity
    device = _owned(call, user, req["SerialNumber"])
    return {
        "UserName": _shown_name(user),
        "SerialNumber": device.arn,
        "EnableDate": when(device.enabled),
    }


@iam.ListMFADevices.reads(own_user)
def list_mfa_devices(
    call: Call, req: iam.ListMFADevicesRequest, target: Target[User]
) -> iam.ListMFADevicesResponse:
    """A user's devices, by name."""
    user, page = target.entity, Page(call, req)
    found = call.part(Entities).referring(
        call.tx, MfaDevice, call.account, Link("user", user.id), page.after, page.limit + 1
    )
    devices, more = page.cut(found, lambda device: device.handle)
    shapes = [
        {"UserName": _shown_name(user), "SerialNumber": each.arn, "EnableDate": when(each.enabled)}
        for each in devices
    ]
    return {"MFADevices": shapes, **more}  # type: ignore[typeddict-item]


def _shown_name(user: User) -> str:
    """The root user's too, who has none."""
    return user.name or "root"


@iam.ListVirtualMFADevices.reads(account_wide)
def list_virtual_mfa_devices(
    call: Call, req: iam.ListVirtualMFADevicesRequest, target: Resource
) -> iam.ListVirtualMFADevicesResponse:
    """The account's devices, by name, with whose they are."""
    entities, page = call.part(Entities), Page(call, req)
    status = req.get("AssignmentStatus", "Any")
    found = [
        each
        for each in entities.page(call.tx, MfaDevice, call.account, page.after)
        if status == "Any" or bool(each.owner) is (status == "Assigned")
    ]
    devices, more = page.cut(found[: page.limit + 1], lambda device: device.handle)
    shapes = [_shape(call, entities, each) for each in devices]
    return {"VirtualMFADevices": shapes, **more}  # type: ignore[typeddict-item]


def _shape(call: Call, entities: Entities, device: MfaDevice) -> iam.VirtualMFADevice:
    shape: iam.VirtualMFADevice = {"SerialNumber": device.arn}
    if device.owner:
        shape["EnableDate"] = when(device.enabled)
        if device.owner == call.account:
            root: Any = {
                "UserId": call.account,
                "Arn": f"arn:aws:iam::{call.account}:root",
                "CreateDate": when(device.created),
            }
            shape["User"] = root
        else:
            shape["User"] = user_shape(entities.with_id(call.tx, User, call.account, device.owner))
    return shape


@iam.TagMFADevice.writes(named_device)
def tag_mfa_device(
    call: Call, req: iam.TagMFADeviceRequest, target: Target[MfaDevice]
) -> iam.TagMFADeviceResponse:
    """Add tags to a device, or replace those of the same keys."""
    tag(call, req, target.entity)
    return {}


@iam.UntagMFADevice.writes(named_device)
def untag_mfa_device(
    call: Call, req: iam.UntagMFADeviceRequest, target: Target[MfaDevice]
) -> iam.UntagMFADeviceResponse:
    """Remove tags from a device; keys that it does not have are no error."""
    untag(call, req, target.entity)
    return {}


@iam.ListMFADeviceTags.reads(named_device)
def list_mfa_device_tags(
    call: Call, req: iam.ListMFADeviceTagsRequest, target: Target[MfaDevice]
) -> iam.ListMFADeviceTagsResponse:
    """A device's tags by key."""
    found: iam.ListMFADeviceTagsResponse = list_tags(call, req, target.entity)
    return found
