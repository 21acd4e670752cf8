"""From a command's options to the server's settings."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from casemate.cli.problems import CommandError
from casemate.server.config import Config
from casemate.server.config_file import SETTINGS, ConfigError, load


def settings(options: argparse.Namespace, throwaway: Callable[[], Path] | None = None) -> Config:
    """The checked settings. Raises CommandError (status 2) that lists all that is wrong."""
    given = vars(options)
    flags = {name: given[name] for name in SETTINGS if given.get(name) is not None}
    file = Path(options.config).expanduser() if options.config else None
    try:
        return load(flags, os.environ, file=file, throwaway=throwaway)
    except ConfigError as error:
        raise CommandError(
            "the settings cannot be used:\n" + "\n".join(f"  {problem}" for problem in error.problems),
            status=2,
        ) from None


def initialised(options: argparse.Namespace) -> Config:
    """The settings of a data directory that was started or prepared before. Raises CommandError otherwise."""
    config = settings(options)
    if not config.data.is_dir():
        raise CommandError(
            f"{config.data} is not a data directory",
            "Start the server once (casemate serve), or name its directory by --data DIR.",
        )
    if not config.database and not (config.data / "casemate.db").exists():
        raise CommandError(
            f"{config.data} holds no database",
            "Start the server once (casemate serve), or name its directory by --data DIR.",
        )
    return config


def as_running(config: Config) -> Config:
    """The settings with the clock of the server that runs on the data directory: one of --dev can be moved."""
    from dataclasses import replace

    from casemate.server.server_file import running

    server = running(config.data)
    return config if server is None else replace(config, dev=server.dev)
