"""`python -m tests.interrupts [--limit N] [--seed S] [--workers W] [scenario ...]`: interrupt scenarios, all by
default.

Says what broke; status 1 where something did.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from tests.interrupts.campaign import campaign
from tests.interrupts.scenarios import SCENARIOS


def main() -> int:
    """Each scenario in a process of its own."""
    parser = argparse.ArgumentParser(prog="tests.interrupts")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tier", default="auto")
    parser.add_argument("--together", action="store_true", help="all in one process, which is faster")
    parser.add_argument("--only", type=int, nargs="*")
    parser.add_argument("--shown", type=int, default=10)
    parser.add_argument("scenario", nargs="*")
    given = parser.parse_args()
    names = given.scenario or list(SCENARIOS)
    if len(names) > 1 and not given.together:
        settings = [
            f"--{name}={getattr(given, name)}"
            for name in ("limit", "seed", "workers", "shown", "tier")
            if getattr(given, name) is not None
        ]
        return max(
            [
                subprocess.run([sys.executable, "-m", "tests.interrupts", *settings, name], check=False).returncode
                for name in names
            ]
        )
    broken = 0
    for name in names:
        report = campaign(SCENARIOS[name], given.limit, given.seed, given.workers, given.only, given.tier)
        print(report, flush=True)
        broken += len(report.failures)
        for failure in report.failures[: given.shown]:
            lines = failure.reason.strip().splitlines()
            print(f"  {failure.point} at {failure.place.replace(os.getcwd() + '/', '')}: {lines[-1][:400]}", flush=True)
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
