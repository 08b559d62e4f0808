"""The command line: a file for each command, imported when it is called.

`COMMANDS` is the registry: for each name, `rnnprobe/cli/<name>.py` holds a `click.Command` called `command`. A
command's body reads like the line of stages that it runs; errors are turned into exit statuses here and nowhere else.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from importlib import import_module
from typing import NoReturn

import click

from rnnprobe import __version__
from rnnprobe.errors import RnnprobeError
from rnnprobe.views.escape import plain

_UNWRITABLE = (errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EDQUOT, errno.EBADF)

COMMANDS: tuple[str, ...] = ("inspect", "weights", "shapes", "check", "trace", "verify", "show")


class _Commands(click.Group):
    """The commands, each imported only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"rnnprobe.cli.{cmd_name}").command
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="rnnprobe")
def rnnprobe() -> None:
    """Look inside recurrent-network checkpoints.

    \b
    rnnprobe inspect MODEL                what is in this file?
    rnnprobe weights MODEL                which columns are which gate, and what is in them?
    rnnprobe shapes MODEL                 every recurrent tensor, its dimensions in words
    rnnprobe check MODEL SPEC             is it what the specification says? for CI
    rnnprobe trace MODEL --input FILE     every state and gate at every step
    rnnprobe verify MODEL --input FILE    is that what the original computes?
    rnnprobe show TRACE                   a recorded trace, in the terminal
    """


def _say(error: RnnprobeError) -> None:
    click.echo(plain(f"rnnprobe: {error}"), err=True)
    for line in error.hint.splitlines():
        click.echo(f"  {plain(line)}", err=True)


def _terminate(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> NoReturn:
    """The console script: runs a command and exits with the status of `cli.md`."""
    signal.signal(signal.SIGTERM, _terminate)
    said: set[str] = set()
    try:
        status = rnnprobe.main(standalone_mode=False, obj=said) or 0
        sys.stdout.flush()
    except RnnprobeError as error:
        if "verbose" in said:
            traceback.print_exc()
        _say(error)
        status = error.status
    except click.ClickException as error:
        error.show()
        status = 2
    except SystemExit as end:
        # click ends with 1 when the reader of standard output is gone; errors of rnnprobe's own do not come this way.
        status = 141 if end.code == 1 else end.code
    except (click.Abort, KeyboardInterrupt):
        status = 130
    except MemoryError:
        click.echo("rnnprobe: out of memory", err=True)
        status = 4
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except Exception as error:  # noqa: BLE001 (the last resort: a traceback never reaches the user unasked)
        if "verbose" in said:
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno in _UNWRITABLE:
            click.echo(f"rnnprobe: standard output can't be written: {error.strerror}", err=True)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.exit(5)
        click.echo(plain(f"rnnprobe: a fault of rnnprobe's own: {type(error).__name__}: {error}"), err=True)
        click.echo("  please report it; -v shows the traceback", err=True)
        status = 70
    sys.exit(status)
