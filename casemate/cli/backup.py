"""``casemate backup`` and ``casemate restore``"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from casemate.cli.problems import CommandError
from casemate.cli.settings import initialised, settings


def backup(options: argparse.Namespace) -> int:
    """Write a backup, while the server runs or not."""
    from casemate.engine.envelope.errors import EnvelopeError
    from casemate.server.backup import BackupError, make_backup
    from casemate.server.composition import open_data
    from casemate.server.rotation import key_file_of
    from casemate.store.errors import StoreError

    config = initialised(options)
    file = Path(options.file).expanduser()
    try:
        opened = open_data(config)
        try:
            size = make_backup(opened, file)
        finally:
            opened.close()
    except (EnvelopeError, StoreError, BackupError) as error:
        raise CommandError(f"no backup was made: {error}") from None
    except OSError as error:
        raise CommandError(f"no backup was made: {error.filename or file}: {error.strerror}") from None
    key_file = key_file_of(config)
    kept = (
        f"the seal's key, {key_file},"
        if key_file is not None
        else f"the seal ({config.seal.partition(':')[0]})"
    )
    if config.blobs:
        print(f"The content of large objects is not in it: keep copies of {config.blobs} as well.")
    print(
        f"{file}: {size / 1e6:.1f} MB, sealed.\n"
        f"It does not hold {kept} without which nobody can restore it:\n"
        "keep a copy of that somewhere else, apart from the backups."
    )
    return 0


def restore(options: argparse.Namespace) -> int:
    """Make a data directory from a backup."""
    from casemate.engine.envelope.errors import EnvelopeError, WrongSeal
    from casemate.engine.envelope.seal_keyfile import KeyFileSeal
    from casemate.engine.envelope.seals import Seal, open_seal
    from casemate.server.backup import BackupError, read_header, restore_backup

    config = settings(options)
    file = Path(options.file).expanduser()
    key_file = None if options.key is None else Path(options.key).expanduser()
    try:
        header = read_header(file)
        seals: list[Seal] = []
        if key_file is not None:
            seals.append(KeyFileSeal.read(key_file))
        seals += [open_seal(spec) for spec in (config.seal, config.previous_seal) if spec]
        if not seals:
            raise CommandError(
                f"the backup was sealed by {header.seal_id}",
                "Give the key file of that time by --key FILE, or the seal by CASEMATE_SEAL or --config.",
            )
        # With another seal in the settings, a key file in the directory would have no part in anything.
        restore_backup(file, config.data, seals, None if config.seal else key_file)
    except WrongSeal as error:
        raise CommandError(
            f"nothing was restored: {error}", "Give the key file of that time by --key FILE, or that seal."
        ) from None
    except (EnvelopeError, BackupError) as error:
        raise CommandError(f"nothing was restored: {error}") from None
    except OSError as error:
        raise CommandError(
            f"nothing was restored: {error.filename or config.data}: {error.strerror}"
        ) from None
    made = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(header.created))
    print(f"{config.data} is as it was at {made}.\nCheck it (casemate doctor), then start the server.")
    return 0
