"""``casemate init``"""

from __future__ import annotations

import argparse

from casemate.cli.problems import CommandError
from casemate.cli.serve import administrator_text
from casemate.cli.settings import settings


def init(options: argparse.Namespace) -> int:
    """Prepare the data directory as a first start would, without serving."""
    from casemate.engine.envelope.errors import EnvelopeError
    from casemate.server.composition import open_data
    from casemate.server.data_lock import DataInUse, lock_data
    from casemate.server.first_start import first_start, is_seeded, prepare_data
    from casemate.server.seed import SeedError, read_seed
    from casemate.store.errors import StoreError

    config = settings(options)
    try:
        seed = read_seed(config.seed) if config.seed else None
        prepare_data(config)
        lock = lock_data(config.data)
        try:
            opened = open_data(config, seed)
            try:
                administrator = first_start(opened)
                seeded = administrator is not None and is_seeded(opened, administrator)
            finally:
                opened.close()
        finally:
            lock.release()
    except SeedError as error:
        raise CommandError(str(error), "Nothing was written.", status=2) from None
    except DataInUse as error:
        raise CommandError(str(error), "A server that runs is initialised already.") from None
    except (EnvelopeError, StoreError) as error:
        raise CommandError(str(error), "Check the settings seal and database.") from None
    except OSError as error:
        raise CommandError(f"{error.filename or config.data}: {error.strerror}") from None
    if administrator is None:
        print(f"{config.data} was initialised before; its administrator and its keys stay.")
        return 0
    print(f"{config.data} is ready.")
    if seeded:
        print(f"The administrator of its account {administrator.account} is the seed's.")
    else:
        print("\n".join(administrator_text(config, administrator)))
    return 0
