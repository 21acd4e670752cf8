"""``make bench``: Casemate and its peers side by side, in one interleaved run; writes docs/benchmarks.md's table.

Each round measures every target once for each operation, so that a drift of the machine's speed falls on all
alike; medians over the rounds are shown. Nothing is asserted: what must hold is said in the docs, beside the table.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from targets import OPERATIONS, Target, all_targets

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "<!-- begin: written by make bench -->"
END = "<!-- end -->"


class Figures(NamedTuple):
    """One target's medians for one operation. rate: requests/s; p50, p99: ms; cpu: µs of CPU time a request."""

    rate: float
    p50: float
    p99: float
    cpu: float
    failures: int


def measure(target: Target, operation: str, files: Path, connections: int, seconds: float) -> Figures:
    """One run. The requests are written to a file once per target and operation."""
    path = files / f"{target.name}-{operation}.json"
    if not path.exists():
        path.write_text(json.dumps([request.decode("latin-1") for request in target.requests[operation]]))
    before = target.cpu_seconds()
    generator = [sys.executable, str(ROOT / "bench" / "load.py")]
    output = subprocess.run(
        [*generator, str(target.port), str(path), str(connections), str(seconds)],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    cpu = target.cpu_seconds() - before
    found = json.loads(output)
    return Figures(
        found["requests"] / found["seconds"],
        found["p50"],
        found["p99"],
        cpu / found["requests"] * 1e6,
        found["failures"],
    )


def median(runs: list[Figures]) -> Figures:
    return Figures(
        statistics.median(run.rate for run in runs),
        statistics.median(run.p50 for run in runs),
        statistics.median(run.p99 for run in runs),
        statistics.median(run.cpu for run in runs),
        sum(run.failures for run in runs),
    )


def table(
    targets: list[Target],
    figures: dict[tuple[str, str], Figures],
    idle: dict[str, float],
    args: argparse.Namespace,
) -> str:
    """The Markdown between the marks of docs/benchmarks.md."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    lines = [
        f"Measured on {now}: {platform.python_implementation()} {platform.python_version()}, "
        f"{platform.system()} on {_cpu_model()}, {args.connections} connections, medians of {args.rounds} rounds of "
        f"{args.seconds:g} s.",
        "",
        "| Operation | Server | requests/s | p50 ms | p99 ms | CPU µs a request | × nginx's CPU |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for operation in OPERATIONS:
        base = figures["nginx", operation].cpu
        for target in targets:
            found = figures[target.name, operation]
            failed = f" ({found.failures} failed)" if found.failures else ""
            lines.append(
                f"| {operation} | {target.name}{failed} | {found.rate:,.0f} | {found.p50:.2f} | {found.p99:.2f} "
                f"| {found.cpu:.1f} | {found.cpu / base:.1f} |"
            )
    lines += ["", "| Server | First answer s | Resident when idle MiB |", "|---|--:|--:|"]
    lines += [
        f"| {target.name} | {target.first_answer:.2f} | {idle[target.name]:.0f} |" for target in targets
    ]
    return "\n".join(lines)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--no-write", action="store_true", help="print the table, leave docs/benchmarks.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="casemate-bench-") as folder, all_targets() as targets:
        idle = {target.name: target.resident_mib() for target in targets}
        runs: dict[tuple[str, str], list[Figures]] = {}
        for number in range(args.rounds):
            for operation in OPERATIONS:
                for target in targets:
                    found = measure(target, operation, Path(folder), args.connections, args.seconds)
                    runs.setdefault((target.name, operation), []).append(found)
                    print(
                        f"round {number + 1} {operation:16} {target.name:9} {found.rate:10,.0f}/s "
                        f"p99 {found.p99:6.2f} ms {found.cpu:7.1f} µs",
                        flush=True,
                    )
        text = table(targets, {key: median(found) for key, found in runs.items()}, idle, args)
    print("\n" + text)
    if not args.no_write:
        page = ROOT / "docs" / "benchmarks.md"
        head, _, rest = page.read_text().partition(BEGIN)
        tail = rest.partition(END)[2]
        page.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}")


if __name__ == "__main__":
    main()
