"""The command line: one group, which ends in one line and exit code 2 on anything that the user can put right."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any, NoReturn

import click

from micro.cli.again import go_on
from micro.errors import MicroError, Terminated
from micro.support.interrupts import ended_by_sigterm

# Imports make hundreds of thousands of objects that stay: how many new ones the garbage collector waits for.
NEW_OBJECTS = 50_000

# Exit code of a fault of this program: EX_SOFTWARE of sysexits.h.
INTERNAL = 70

# What the commands are for, in the order in which a user meets them, and where each is.
SECTIONS = {
    "This computer": {"doctor": "doctor.doctor", "studio": "studio.studio"},
    "From recordings to a model": {
        "record": "live.record",
        "look": "look.look",
        "init": "runs.init",
        "run": "runs.run",
        "search": "scale.search",
        "fleet": "scale.fleet",
        "diagnose": "diagnose.diagnose",
    },
    "What a finished run is worth": {
        "test": "examination.test_run",
        "score": "runs.score",
        "explain": "examination.explain",
        "compare": "examination.compare",
        "sensitivity": "runs.sensitivity",
    },
    "Firmware of a run, and devices in use": {
        "new-firmware": "firmware.new_firmware",
        "emulate": "firmware.emulate",
        "new-benchmark": "benchmark.new_benchmark",
        "boards": "boards.boards",
        "monitor": "scale.monitor",
        "update": "firmware.update",
        "show-record": "records.show_record",
    },
    "A model by itself": {
        "convert": "models.convert",
        "inspect": "models.inspect",
        "check": "boards.check",
        "verify": "models.verify",
        "emit": "models.emit",
        "aot": "models.aot",
        "stream": "models.stream",
        "weights": "records.weights",
    },
}
COMMANDS = {name: place for section in SECTIONS.values() for name, place in section.items()}


class _Imported(MutableMapping[str, click.Command]):
    """The commands by their names, each imported when it is looked up: a command pays for its own options alone."""

    def __init__(self, places: dict[str, str]) -> None:
        self.places = places

    def __getitem__(self, name: str) -> click.Command:
        module, command = self.places[name].split(".")
        found = getattr(importlib.import_module(f"micro.cli.{module}"), command)
        assert isinstance(found, click.Command)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self.places

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def __setitem__(self, name: str, command: click.Command) -> NoReturn:
        raise TypeError("commands have their places in COMMANDS")

    def __delitem__(self, name: str) -> NoReturn:
        raise TypeError("commands have their places in COMMANDS")


class _Commands(click.Group):
    """A group whose commands end in one line and exit code 2 on anything that the user can put right, and are listed by what
    they are for, in the order of `SECTIONS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(map(len, self.commands))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), str(self.commands[name].short_help)) for name in commands])

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        _import_quickly()
        try:
            with ended_by_sigterm():
                result = super().main(args, prog_name, standalone_mode=False, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            sys.exit(0)
        except click.ClickException as error:
            _fail(error.format_message())
        except (click.Abort, KeyboardInterrupt) as error:
            # Click gives the interrupt itself as the cause.
            interrupt = error.__cause__ or error
            terminated = isinstance(interrupt, Terminated)
            words = sys.argv[1:] if args is None else list(args)
            said = "ended by SIGTERM" if terminated else "interrupted"
            # An import that was cut short may have left a logging handler half made, which logging would complain of at exit.
            logging.raiseExceptions = False
            _fail(f"{said}; {go_on(self, words, interrupt)}", code=143 if terminated else 130)
        if standalone_mode:
            sys.exit(result if isinstance(result, int) else 0)
        return result

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise click.Abort from interrupt  # Click's own way writes an empty line first
        except BrokenPipeError:
            # Whoever read has gone, as `head` does: nothing is left to say, and nothing must be flushed at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            if isinstance(error, (MicroError, ValueError, OSError)):
                raise click.ClickException(_words(error)) from None
            _fail(
                f"internal error: {type(error).__name__}: {error}; keras-kd --debug {ctx.invoked_subcommand} ... shows the "
                "traceback, please report it",
                code=INTERNAL,
            )


def _import_quickly() -> None:
    """Collect garbage seldom, and have pydantic not search all installed packages for plugins, of which a config needs none."""
    gc.set_threshold(NEW_OBJECTS)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def _words(error: Exception) -> str:
    """What went wrong; of an error of the operating system the file first, and no number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _fail(message: str, code: int = 2) -> NoReturn:
    click.echo(f"Error: {' '.join(message.split())}", err=True)
    sys.exit(code)


@click.group(cls=_Commands, commands=_Imported(COMMANDS), context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show Python's traceback on errors.")
@click.version_option(package_name="keras-kd")
def main(debug: bool) -> None:
    """Distill Keras models onto microcontrollers: train, quantize, verify, emit.

    \b
    With no recordings at hand, on a simulated machine:
      keras-kd run --out runs/demo --watch

    \b
    With recordings, a folder for each state of the machine:
      keras-kd look pump/*/*.csv --out pump.toml
      keras-kd run pump.toml --out runs/pump --watch
      keras-kd test runs/pump new/*/*.csv
      keras-kd explain runs/pump monday.csv
      keras-kd new-firmware runs/pump --board cmake --out pump-firmware

    \b
    With a Keras model of your own:
      keras-kd convert model.keras --calibration x.npy --out converted

    \b
    To complete commands, options and files with Tab, for this shell (zsh_source and fish_source for others):
      eval "$(_KERAS_KD_COMPLETE=bash_source keras-kd)"

    Exit codes: 0 success; 1 the answer is no (it does not fit, it drifted, a machine failed); 2 an error in the input, named
    in one line; 3 with --strict an unusable result; 70 an internal error; 130 interrupted, 143 ended by SIGTERM.
    """
    from micro.support.silence import hush_tensorflow, only_our_warnings, quiet_loggers

    hush_tensorflow()
    quiet_loggers()
    if not debug:
        only_our_warnings()
