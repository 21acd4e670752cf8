"""``casemate seal status`` and ``casemate seal rotate``"""

from __future__ import annotations

import argparse
import time

from casemate.cli.problems import CommandError
from casemate.cli.settings import initialised


def status(options: argparse.Namespace) -> int:
    """Which seal protects the keys, and whether the settings' seal is it. Exit status 1 when it is not."""
    from casemate.engine.envelope.errors import EnvelopeError
    from casemate.server.composition import MIGRATIONS
    from casemate.server.rotation import seals_of
    from casemate.server.sealing import status as sealed_by
    from casemate.server.sealing import unseal
    from casemate.store.database import open_store
    from casemate.store.errors import StoreError

    config = initialised(options)
    try:
        store = open_store(config.database_url, migrations=MIGRATIONS)
    except StoreError as error:
        raise CommandError(f"the database cannot be opened: {error}") from None
    try:
        sealed = sealed_by(store)
        if sealed is None:
            raise CommandError("there are no keys yet", "Start the server once (casemate serve).")
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(sealed.sealed))
        print(f"sealed by  {sealed.seal_id}\nsince      {when}")
        try:
            seals = seals_of(config)
            unseal(store, seals, time.time())
        except EnvelopeError as error:
            print(f"opens      no: {error}")
            return 1
        print("opens      yes" if seals[0].id == sealed.seal_id else "opens      yes, by previous_seal")
        return 0
    finally:
        store.close()


def rotate(options: argparse.Namespace) -> int:
    """Protect the root key by another seal: the one named by --to, the settings' one while they name a previous
    seal as well, else a new key file in place of the old."""
    from casemate.engine.envelope.errors import EnvelopeError
    from casemate.server.composition import MIGRATIONS
    from casemate.server.rotation import key_file_of, rotate_key_file, rotate_to
    from casemate.store.database import open_store
    from casemate.store.errors import StoreError

    config = initialised(options)
    try:
        store = open_store(config.database_url, migrations=MIGRATIONS)
        try:
            if options.to is not None or config.previous_seal:
                wanted = options.to or config.seal_spec
                text = f"The keys are now protected by {rotate_to(config, store, wanted)}.\n"
                if options.to is not None and options.to != config.seal_spec:
                    text += f"Before the next start, change the settings: seal = {options.to!r}\n"
                elif config.previous_seal:
                    text += "The setting previous_seal is not needed any more.\n"
                text += "Keep the old seal's key for as long as there are backups that need it."
            else:
                seal, old = rotate_key_file(config, store)
                text = (
                    f"The keys are now protected by {seal}, the key file {key_file_of(config)}.\n"
                    f"The old one is {old}; keep it for as long as there are backups that need it."
                )
        finally:
            store.close()
    except EnvelopeError as error:
        raise CommandError(f"the seal was not rotated: {error}") from None
    except StoreError as error:
        raise CommandError(
            f"the seal was not rotated: {error}", "`casemate seal status` tells how it stands."
        ) from None
    except OSError as error:
        raise CommandError(
            f"the seal was not rotated: {error.filename}: {error.strerror}",
            "`casemate seal status` tells how it stands.",
        ) from None
    print(text)
    return 0
