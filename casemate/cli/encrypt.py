"""``casemate encrypt`` and ``casemate decrypt``: files as messages of the AWS Encryption SDK, in constant memory."""

from __future__ import annotations

import argparse
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from casemate.cli.encryption_sdk import CACHED_SECONDS, FRAME_BYTES, LARGEST_FRAME, Caching, Kms, client
from casemate.cli.problems import CommandError
from casemate.cli.progress import Progress
from casemate.cli.whole_file import whole_file

SUFFIX = ".encrypted"
_STANDARD = "-"
_PRIVATE = 0o600
_RESERVED = "aws-crypto-"
_LARGEST = 2**63 - 1


class _Source(NamedTuple):
    """What is read. name: for the user; size: None where it is not known beforehand; mode: its permissions."""

    file: BinaryIO
    name: str
    size: int | None
    mode: int


_Convert = Callable[[_Source, BinaryIO, Progress], None]


def encrypt(options: argparse.Namespace) -> int:
    """Encrypt each file under data keys of a KMS key."""
    context = _context(options.encryption_context)
    caching = _caching(options, messages=options.cache_messages, size=options.cache_bytes)
    suffix = options.suffix or SUFFIX
    targets = _targets(options, lambda name: name + suffix)
    kms = Kms(options)
    materials = _made(lambda: kms.encrypting(options.key_id, caching))

    def convert(source: _Source, target: BinaryIO, progress: Progress) -> None:
        from aws_encryption_sdk import Algorithm

        stream = client().stream(
            mode="encrypt",
            source=source.file,
            source_length=source.size,
            materials_manager=materials,
            encryption_context=context,
            algorithm=Algorithm[options.algorithm_suite],
            frame_length=FRAME_BYTES,
        )
        _copy(stream, target, progress)

    return _each(options, targets, kms, convert)


def decrypt(options: argparse.Namespace) -> int:
    """Decrypt each file, once all of it is known to be as it was encrypted."""
    required = _context(options.encryption_context)
    caching = _caching(options)
    suffix = options.suffix or SUFFIX
    targets = _targets(
        options,
        lambda name: (
            name[: -len(suffix)] if name.endswith(suffix) and name != suffix else name + ".decrypted"
        ),
    )
    kms = Kms(options)
    materials = _made(lambda: kms.decrypting(options.key_id, caching))

    def convert(source: _Source, target: BinaryIO, progress: Progress) -> None:
        stream = client(allow_no_commitment=options.allow_no_commitment).stream(
            mode="decrypt", source=source.file, materials_manager=materials, max_body_length=LARGEST_FRAME
        )
        found = stream.header.encryption_context
        for name, value in required.items():
            if found.get(name) != value:
                raise CommandError(f"its encryption context is not {name}={value}")
        _copy(stream, target, progress)
        # Says so when the end was not reached; a `with` would swallow that.
        stream.close()
        if source.file.read(1):
            raise CommandError("something follows the encrypted message")

    return _each(options, targets, kms, convert)


def _copy(stream: Any, target: BinaryIO, progress: Progress) -> None:
    while chunk := stream.read(FRAME_BYTES):
        target.write(chunk)
        progress.add(len(chunk))


def _made(make: Callable[[], Any]) -> Any:
    """What the SDK makes of the keys that were named."""
    from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError
    from botocore.exceptions import BotoCoreError

    try:
        return make()
    except (AWSEncryptionSDKClientError, BotoCoreError) as error:
        raise CommandError(str(error)) from None


def _each(
    options: argparse.Namespace, targets: list[tuple[str, Path | None]], kms: Kms, convert: _Convert
) -> int:
    """Convert one file after the other; those that fail are told, and leave nothing behind. The exit status."""
    from botocore.exceptions import BotoCoreError

    failed = 0
    for name, target in targets:
        kms.error = {}
        try:
            with _opened(name) as source, Progress(source.name, source.size, quiet=options.quiet) as progress:
                if target is None:
                    _to_standard_output(options, source, convert, progress)
                else:
                    _to_file(target, source, convert, progress, replace=options.force)
        except Exception as error:
            # Whatever the SDK raises for a message from a stranger.
            failed += 1
            print(f"casemate: {name}: {_told(error, kms)}", file=sys.stderr)
            if isinstance(error, BotoCoreError):
                # No server, or no credentials: the next one would wait for the same.
                break
    return 1 if failed else 0


def _told(error: Exception, kms: Kms) -> str:
    if isinstance(error, CommandError):
        return str(error)
    if isinstance(error, FileExistsError):
        return f"{error.filename2 or error.filename} is there already (--force replaces it)"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return kms.reason(error)


@contextmanager
def _opened(name: str) -> Iterator[_Source]:
    if name == _STANDARD:
        yield _Source(sys.stdin.buffer, "standard input", None, _PRIVATE)
        return
    with open(name, "rb") as file:
        status = os.fstat(file.fileno())
        size = status.st_size if stat.S_ISREG(status.st_mode) else None
        yield _Source(file, name, size, stat.S_IMODE(status.st_mode) & 0o777)


def _to_file(path: Path, source: _Source, convert: _Convert, progress: Progress, *, replace: bool) -> None:
    if os.path.lexists(path):
        if not replace:
            raise FileExistsError(None, None, str(path))
        if path.exists() and os.path.samestat(path.stat(), os.fstat(source.file.fileno())):
            raise CommandError("a file cannot be its own output")
    with whole_file(path, source.mode, replace=replace) as target:
        convert(source, target, progress)


def _to_standard_output(
    options: argparse.Namespace, source: _Source, convert: _Convert, progress: Progress
) -> None:
    out = sys.stdout.buffer
    if options.command == "encrypt":
        if sys.stdout.isatty() and not options.force:
            raise CommandError("an encrypted message is binary: name a file by --output, or redirect it")
        convert(source, out, progress)
        return
    # Nothing is let out before the message's end, which tells that nothing was taken away or added.
    with tempfile.TemporaryFile() as kept:
        convert(source, kept, progress)
        kept.seek(0)
        shutil.copyfileobj(kept, out, FRAME_BYTES)


# --- options


def _targets(options: argparse.Namespace, renamed: Callable[[str], str]) -> list[tuple[str, Path | None]]:
    """Each input with where its output goes; None: standard output."""
    names: list[str] = options.file
    if len(names) > 1 and _STANDARD in names:
        raise CommandError("standard input (-) can only be the one input", status=2)
    output: str | None = options.output
    if output is None:
        return [
            (name, None if name == _STANDARD else Path(name).with_name(renamed(Path(name).name)))
            for name in names
        ]
    if output == _STANDARD or not Path(output).is_dir():
        if len(names) > 1:
            raise CommandError("several files need a directory that exists as --output", status=2)
        return [(names[0], None if output == _STANDARD else Path(output))]
    if names == [_STANDARD]:
        raise CommandError("standard input has no name for a file in a directory", status=2)
    return [(name, Path(output) / renamed(Path(name).name)) for name in names]


def _context(pairs: list[str]) -> dict[str, str]:
    context: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals or name in context or name.startswith(_RESERVED):
            raise CommandError(
                f"{pair!r} is not a pair of an encryption context, as tenant=blue, of a name of its own "
                f"that does not begin with {_RESERVED}",
                status=2,
            )
        context[name] = value
    return context


def _caching(
    options: argparse.Namespace, messages: str | None = None, size: str | None = None
) -> Caching | None:
    """None unless one of the limits was given."""
    if options.cache_age is None and messages is None and size is None:
        return None
    age = CACHED_SECONDS
    if options.cache_age is not None:
        from casemate.cli.dev import seconds_in

        age = seconds_in(options.cache_age)
        if not age:
            raise CommandError("--cache-age must be above 0", status=2)
    return Caching(
        age,
        _limit("--cache-messages", messages, 2**32),
        _limit("--cache-bytes", size, _LARGEST),
    )


def _limit(name: str, text: str | None, most: int) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise CommandError(f"{name} takes a number from 1 to {most}", status=2)
    return int(text)
