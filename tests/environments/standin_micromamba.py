"""Stands in for micromamba, of which no registry of packages has a binary: rattler does its work.

It takes the options and gives the answers that mamba's sources and documentation say, and no more:
``create`` of specs (dry, as JSON) or of an ``@EXPLICIT`` file, and ``run``. What it cannot show:
the wording of errors, and how long a real solve takes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import rattler
from rattler.exceptions import SolverError
from rattler.shell import ActivationVariables, activate

PLATFORMS = ["linux-64", "noarch"]


def parsed(arguments):
    parser = argparse.ArgumentParser("micromamba", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    create = verbs.add_parser("create", allow_abbrev=False)
    run = verbs.add_parser("run", allow_abbrev=False)
    for verb in (create, run):
        verb.add_argument("-r", "--root-prefix", type=Path)
        verb.add_argument("-p", "--prefix", type=Path, required=True)
    for flag in ("--dry-run", "--json", "--yes", "--quiet", "--always-copy", "--override-channels"):
        create.add_argument(flag, action="store_true")
    create.add_argument("-c", "--channel", action="append", default=[])
    create.add_argument("-f", "--file", type=Path)
    create.add_argument("specs", nargs="*")
    run.add_argument("command", nargs=argparse.REMAINDER)
    return parser.parse_args(arguments)


async def solved(asked):
    specs = [rattler.MatchSpec(each) for each in asked.specs]
    return await rattler.solve(asked.channel, specs, platforms=PLATFORMS)


async def listed(asked):
    """The packages that an explicit file lists, which must be what their checksums say."""
    first, *lines = asked.file.read_text().split()
    assert first == "@EXPLICIT", first
    found = []
    for line in lines:
        url, _, md5 = line.partition("#")
        channel, subdir, name = url.rsplit("/", 2)
        package, version, _ = name.rsplit("-", 2)
        spec = f"{package}=={version}"
        for record in await rattler.solve([channel], [spec], platforms=[subdir]):
            if record.url == url:
                assert record.md5.hex() == md5, f"{url} has another checksum"
                found.append(record)
    assert len(found) == len(lines), f"Could not find all of {lines}"
    return found


def link(record):
    return {
        "name": record.name.normalized,
        "version": str(record.version),
        "build_string": str(record.build),
        "url": record.url,
        "md5": record.md5.hex(),
        "sha256": record.sha256.hex(),
    }


def create(asked):
    try:
        records = asyncio.run(listed(asked) if asked.file else solved(asked))
    except SolverError as error:
        sys.exit(f"error    libmamba Could not solve for environment specs\n{error}")
    if not asked.dry_run:
        cache = asked.root_prefix / "pkgs"
        asyncio.run(rattler.install(records, asked.prefix, cache_dir=cache, show_progress=False))
    if asked.json:
        actions = {"LINK": [link(each) for each in records], "PREFIX": str(asked.prefix)}
        print(json.dumps({"actions": actions, "dry_run": asked.dry_run, "success": True}))


def run(asked):
    script = activate(asked.prefix, ActivationVariables(None, [])).script
    sys.exit(subprocess.call(["bash", "-c", f'{script}\nexec "$@"', "micromamba", *asked.command]))


def main():
    asked = parsed(sys.argv[1:])
    code = 0
    try:
        create(asked) if asked.verb == "create" else run(asked)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    # rattler's threads crash an interpreter that takes itself apart around them.
    os._exit(code)


if __name__ == "__main__":
    main()
