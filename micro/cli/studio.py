"""The command that serves the studio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from micro.cli.terminal import as_json, print_json

if TYPE_CHECKING:
    from micro.studio.serve import Address

FOLDER = "keras-kd-studio"


@click.command(short_help="Do all of this in a browser, on this machine")
@click.option(
    "--folder",
    type=click.Path(file_okay=False),
    default=FOLDER,
    show_default=True,
    help="Where recordings, configs and runs are kept.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Of 127.0.0.1; the last one or a free one by default."
)
@click.option("--browser/--no-browser", default=True, show_default=True, help="Whether to open the address.")
@click.option(
    "--list", "list_jobs", is_flag=True, help="List the folder's commands and how they ended, and serve nothing."
)
@as_json
def studio(folder: str, port: int, browser: bool, list_jobs: bool, as_json: bool) -> None:
    """Serve the studio: drop recordings into a page, train, watch, and download the firmware.

    It answers this machine alone, at an address with a token, and sends nothing anywhere. All that it does are commands of this
    program, which it shows, on files in its folder. What it has started goes on when it is closed; started again it shows it.

    \b
    Example:
      keras-kd studio --folder hall-3
      keras-kd studio --folder hall-3 --list
    """
    from micro.support.extras import required

    if list_jobs:
        _list(folder, as_json)
        return
    required("starlette", "studio")
    required("uvicorn", "studio")
    from micro.studio.serve import serve

    def tell(address: Address) -> None:
        if as_json:
            print_json({"address": str(address), "folder": str(Path(folder).resolve())})
        else:
            click.echo(
                f"The studio of {Path(folder).resolve()} is at\n  {address}\nCtrl-C closes it; what runs goes on."
            )
        if browser:
            import webbrowser

            webbrowser.open(str(address))

    try:
        serve(folder, port, tell)
    except KeyboardInterrupt:
        if not as_json:
            click.echo("\nThe studio is closed.")


def _list(folder: str, as_json: bool) -> None:
    """The jobs of a folder, the newest last."""
    from micro.studio.jobs import all_jobs
    from micro.studio.workspace import Workspace

    space = Workspace(Path(folder).resolve())
    if not space.jobs.is_dir():
        raise click.ClickException(f"{folder} is no folder of a studio; keras-kd studio --folder {folder} makes one")
    found = list(reversed(all_jobs(space)))
    if as_json:
        print_json([job.to_plain() for job in found])
    for job in () if as_json else found:
        click.echo(f"{job.id}  {job.state:<8} {job.command}")
    if not found and not as_json:
        click.echo("no command has been started yet")
