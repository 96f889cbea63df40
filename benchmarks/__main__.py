"""``python -m benchmarks [NAME ...]``: measures, prints, and updates the page."""

from __future__ import annotations

import sys
import time
from importlib import import_module

from benchmarks.report import Report, write

NAMES = (
    "parse",
    "programs",
    "imports",
    "hashing",
    "plan",
    "chain",
    "reuse",
    "tracking",
    "listing",
    "watching",
    "changes",
    "rest",
    "published",
    "transfers",
    "environments",
    "containers",
)


def main(wanted: list[str]) -> int:
    """Runs the benchmarks of these names, all of them by default; the exit code."""
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}; try {', '.join(NAMES)}.")
        return 2
    missed = 0
    for name in wanted or NAMES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        started = time.monotonic()
        report: Report = import_module(f"benchmarks.{name}").run()
        write(name, report)
        print(f"\n{report.markdown()}\n({time.monotonic() - started:.0f} s)\n", flush=True)
        missed += sum(not claim.met for claim in report.claims)
    print("Written to docs/performance.md.", f"{missed} claims missed." if missed else "")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
