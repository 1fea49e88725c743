"""The command that says what is installed, what will not work, and how to mend it."""

from __future__ import annotations

import dataclasses
from itertools import groupby

import click

from micro.cli.terminal import as_json, print_json

TITLES = {
    "python": "Python",
    "package": "Packages",
    "extra": "Extras",
    "host": "This host",
    "tool": "Toolchains",
    "import": "Imports",
}


@click.command(short_help="Show what is installed and what is amiss")
@click.option("--deep", is_flag=True, help="Also import TensorFlow and the like, which takes a while.")
@as_json
def doctor(deep: bool, as_json: bool) -> int:
    """Show versions, extras, toolchains and the host, what will not work with them, and how to mend it.

    Nothing is imported unless --deep is given, so that it answers where TensorFlow is broken or missing. Exit code 1 where
    something is amiss that every run needs; toolchains and extras that are missing are named, and are no fault.

    \b
    Example:
      keras-kd doctor
      keras-kd doctor --deep --json
    """
    from micro.cli.installation import findings

    found = list(findings(deep))
    broken = [each for each in found if each.level == "error"]
    if as_json:
        print_json({"works": not broken, "findings": [dataclasses.asdict(each) for each in found]})
        return int(bool(broken))
    for kind, group in groupby(found, key=lambda each: each.kind):
        click.echo(f"{TITLES[kind]}:")
        for each in group:
            click.echo(
                f"  {'-' if each.level == 'missing' else '!' if each.level == 'error' else ' '} {each.name}: {each.found}"
            )
    lacking = [each for each in found if each.level == "missing"]
    for title, some in (("Amiss, and needed by every run:", broken), ("Will not work here, if you need it:", lacking)):
        if some:
            click.echo(title)
        for each in some:
            click.echo(f"  {each.trouble}; to mend it: {each.mend}")
    if not broken:
        click.echo("All that runs need is here." if deep else "All that runs need is here; --deep also imports it.")
    return int(bool(broken))
