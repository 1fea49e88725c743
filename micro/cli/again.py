"""After an interrupt: the very command that goes on."""

from __future__ import annotations

from collections.abc import Sequence

import click


def go_on(group: click.Group, words: Sequence[str], interrupt: BaseException | None = None) -> str:
    """What to type after a command was interrupted: itself with --resume where something was begun that this takes up, and
    otherwise itself."""
    from micro.cli.terminal import command_line
    from micro.runs.folder import NOT_BEGUN

    given = list(words)
    out = None if NOT_BEGUN in getattr(interrupt, "__notes__", ()) else _out_of(group, given)
    if out is not None and _begun(out):
        given = [word for word in given if word != "--force"]
        given += [] if "--resume" in given else ["--resume"]
        return f"go on with: {command_line(*given)}"
    return f"nothing was kept, start again with: {command_line(*given)}"


def _begun(out: str) -> bool:
    from micro.runs.folder import can_resume

    return can_resume(out)


def _out_of(group: click.Group, words: Sequence[str]) -> str | None:
    """--out of a command that takes --resume; None of others, and of words that are no command."""
    try:
        with group.make_context("keras-kd", list(words), resilient_parsing=True) as outer:
            left = [*outer._protected_args, *outer.args]
            if not left:
                return None
            name, command, rest = group.resolve_command(outer, left)
            if command is None or not any(option.name == "resume" for option in command.params):
                return None
            with command.make_context(name, rest, parent=outer, resilient_parsing=True) as inner:
                return inner.params.get("out")
    except (click.ClickException, click.exceptions.Exit):
        return None
