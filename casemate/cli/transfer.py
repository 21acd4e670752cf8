"""``casemate import`` and ``casemate export``: bundles of settings and secrets, from one place to another."""

from __future__ import annotations

import argparse
import sys

from casemate.cli.bundles import Bundle, Changes, Dotenv, Parameters, Secret, bundle, text_of, variables
from casemate.cli.problems import CommandError


def import_(options: argparse.Namespace) -> int:
    """Take over values from outside."""
    source = bundle(options.source, options, None)
    target = bundle(options.target, options, None)
    if not isinstance(target, Parameters | Secret):
        raise CommandError(f"{target.name} is not of this server", "Use casemate export to write there.", 2)
    return _transfer(source, target, options)


def export(options: argparse.Namespace) -> int:
    """Hand values out."""
    source = bundle(options.source, options, None)
    target = bundle(options.target, options, None)
    if not isinstance(source, Parameters | Secret):
        raise CommandError(f"{source.name} is not of this server", "Use casemate import to read there.", 2)
    return _transfer(source, target, options)


def _transfer(source: Bundle, target: Bundle, options: argparse.Namespace) -> int:
    values = source.read()
    if values is None:
        raise CommandError(f"{source.name} holds nothing")
    if isinstance(target, Dotenv):
        values = variables(values, source.name)
    # Of standard output nothing is there before.
    there = {} if options.target.endswith(":-") else target.read() or {}
    gone = frozenset(there.keys() - values.keys()) if options.delete else frozenset[str]()
    put = {
        name: value
        for name, value in values.items()
        if name not in there or text_of(there[name]) != text_of(value)
    }
    new = {name: value for name, value in {**there, **put}.items() if name not in gone}
    changes = Changes(new, put, gone)
    told = sys.stderr if options.target.endswith(":-") else sys.stdout
    for name in sorted(put.keys() | gone):
        print("-" if name in gone else "~" if name in there else "+", name, file=told)
    added = len(put.keys() - there.keys())
    would = "would be " if options.dry_run else ""
    print(
        f"{target.name}: {added} {would}added, {len(put) - added} {would}changed, {len(gone)} {would}deleted, "
        f"{len(values) - len(put)} the same",
        file=told,
    )
    if not options.dry_run and (put or gone):
        target.write(changes)
    return 0
