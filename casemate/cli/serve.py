"""``casemate serve``"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from casemate.cli.problems import CommandError
from casemate.cli.settings import settings

if TYPE_CHECKING:
    from casemate.server.config import Config
    from casemate.server.credentials_file import Administrator
    from casemate.server.run import Started


def serve(options: argparse.Namespace) -> int:
    """Serve until told to stop."""
    made: list[Path] = []

    def throwaway() -> Path:
        # mkdtemp makes it 0700
        made.append(Path(tempfile.mkdtemp(prefix="casemate-dev-")))
        return made[-1]

    try:
        config = settings(options, throwaway)
        _run(config, options.ready_fd)
    finally:
        for directory in made:
            shutil.rmtree(directory, ignore_errors=True)
    return 0


def _run(config: Config, ready_fd: int | None) -> None:
    # Nothing that starting makes is garbage; the server turns the collector on again once it is ready.
    gc.disable()
    from casemate.engine.envelope.errors import EnvelopeError
    from casemate.server.data_lock import DataInUse
    from casemate.server.run import CannotListen, run
    from casemate.server.seed import SeedError
    from casemate.server.supervisor import WorkersKeepDying
    from casemate.store.errors import StoreError

    def ready(started: Started) -> None:
        print(start_text(config, started), flush=True)
        if ready_fd is not None:
            with os.fdopen(ready_fd, "w") as file:
                file.write(json.dumps(started.server._asdict()) + "\n")

    try:
        run(config, ready)
    except SeedError as error:
        raise CommandError(str(error), "Nothing was written.", status=2) from None
    except DataInUse as error:
        raise CommandError(
            str(error), "Stop it first, or give this one a directory of its own by --data DIR."
        ) from None
    except CannotListen as error:
        raise CommandError(str(error)) from None
    except EnvelopeError as error:
        raise CommandError(
            f"the keys cannot be opened: {error}",
            "Check the settings seal and previous_seal; `casemate doctor` tells more.",
        ) from None
    except (StoreError, WorkersKeepDying) as error:
        raise CommandError(str(error), "`casemate doctor` tells more.") from None
    except OSError as error:
        raise CommandError(f"{error.filename or config.data}: {error.strerror}") from None
    finally:
        gc.enable()


def start_text(config: Config, started: Started) -> str:
    """What a person wants to know of a server that has just started."""
    server = started.server
    kind = " for tests (--dev)" if server.dev else ""
    lines = [f"Casemate {server.version} serves{kind}."]
    if server.endpoint is not None:
        lines.append(f"  HTTP       {server.endpoint}")
    if server.tls_endpoint is not None:
        lines.append(f"  HTTPS      {server.tls_endpoint}")
    if server.metrics_endpoint is not None:
        lines.append(f"  metrics    {server.metrics_endpoint}")
    lines.append(f"  data       {config.data}")
    if started.administrator is not None:
        lines += ["", *administrator_text(config, started.administrator)]
    lines += ["", "Point a shell's AWS tools at it:", f'  eval "$({_command()} env{_data_option(config)})"']
    return "\n".join(lines)


def administrator_text(config: Config, administrator: Administrator) -> list[str]:
    """The new administrator. The secret only for a person at a terminal: elsewhere output is kept, as logs."""
    from casemate.server.credentials_file import FILE_NAME

    key = administrator.key
    lines = [
        f"The administrator of the new account {administrator.account}:",
        f"  AWS_ACCESS_KEY_ID      {key.id}",
    ]
    if sys.stdout.isatty():
        lines.append(f"  AWS_SECRET_ACCESS_KEY  {key.secret}   (shown this once)")
    lines.append(f"The secret is in {config.data / FILE_NAME} (mode 0600).")
    return lines


def _command() -> str:
    """This command as it was called: a shell elsewhere may not have it in its PATH."""
    return sys.argv[0] if sys.argv[0].endswith("/casemate") else "casemate"


def _data_option(config: Config) -> str:
    import shlex

    from casemate.server.config_file import default_data

    if config.data == default_data(os.environ):
        return ""
    return f" --data {shlex.quote(str(config.data))}"
