"""The administrator's access key on disk: AWS's own shared-credentials format, readable by its owner alone."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from casemate.server.durable_file import write_whole
from casemate.services.iam.identities import AccessKey

FILE_NAME = "credentials"
_PROFILE = "default"


class Administrator(NamedTuple):
    """The first account's administrator."""

    account: str
    key: AccessKey


def credentials_path(data: Path) -> Path:
    """Where the file is."""
    return data / FILE_NAME


def write_credentials(data: Path, administrator: Administrator) -> Path:
    """Write DATA/credentials (mode 0600), durably and as a whole."""
    path = data / FILE_NAME
    text = (
        f"# The administrator of account {administrator.account}, made by Casemate at its first start.\n"
        f"[{_PROFILE}]\n"
        f"aws_access_key_id = {administrator.key.id}\n"
        f"aws_secret_access_key = {administrator.key.secret}\n"
        f"aws_account_id = {administrator.account}\n"
    )
    write_whole(path, text.encode("ascii"))
    return path


def read_credentials(data: Path) -> Administrator:
    """The administrator that DATA/credentials names. Raises FileNotFoundError, and ValueError for another
    file's content."""
    import configparser  # here, because a server that only serves does not read them

    path = data / FILE_NAME
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="ascii"))
        profile = parser[_PROFILE]
        return Administrator(
            profile["aws_account_id"],
            AccessKey(profile["aws_access_key_id"], profile["aws_secret_access_key"]),
        )
    except (configparser.Error, KeyError, UnicodeDecodeError):
        # Without its cause, which would quote the file.
        raise ValueError(f"{path} does not hold the administrator's access key") from None
