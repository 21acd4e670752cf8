"""``casemate fsck``"""

from __future__ import annotations

import argparse

from casemate.cli.problems import CommandError
from casemate.cli.settings import initialised


def fsck(options: argparse.Namespace) -> int:
    """Print what is wrong with the objects; exit status 1 when something is that was not put right."""
    from casemate.engine.envelope.errors import EnvelopeError
    from casemate.server.composition import open_data
    from casemate.services.s3.bodies import Bodies
    from casemate.services.s3.checking import Check
    from casemate.store.blobs import open_blobs
    from casemate.store.errors import StoreError

    config = initialised(options)
    left = 0
    try:
        opened = open_data(config)
        try:
            check = Check(
                opened.store,
                opened.keyring,
                Bodies(open_blobs(config.blobs_place)),
                contents=not options.quick,
                repair=options.repair,
            )
            for found in check.run():
                print(f"{'repaired' if found.repaired else 'PROBLEM':8} {found.what}")
                left += not found.repaired
        finally:
            opened.close()
    except (EnvelopeError, StoreError) as error:
        raise CommandError(f"the objects cannot be checked: {error}") from None
    counted = check.counted
    print(
        f"{counted.versions} versions of objects in {counted.buckets} buckets, {counted.bytes / 1e6:.1f} MB: "
        + (f"{left} problem{'s' if left > 1 else ''}." if left else "all is well.")
    )
    return 1 if left else 0
