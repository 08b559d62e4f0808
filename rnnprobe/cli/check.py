"""`rnnprobe check`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnnprobe.cli.options import names_cell, say, verbosity
from rnnprobe.errors import AnswerIsNo, BadInput
from rnnprobe.recover import Overrides
from rnnprobe.views.findings import BY_NAME, BY_SUFFIX

if TYPE_CHECKING:
    from rnnprobe.checks import Checked, Specification
    from rnnprobe.checks.specification import Level


def _schema(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """Prints the JSON Schema of a specification, and nothing else."""
    if wanted:
        from rnnprobe.checks import schema

        click.echo(schema.text(), nl=False)
        ctx.exit(0)


@click.command()
@click.argument("paths", metavar="MODEL... SPEC", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="MODEL",
    help="Another model is the specification, and no SPEC is given.",
)
@click.option("--golden", is_flag=True, help="Also run the recorded inputs of [[golden]]; needs TensorFlow.")
@click.option(
    "--fail-on",
    type=click.Choice(("error", "warning")),
    default="error",
    show_default=True,
    help="From which level on a finding makes the check fail.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(tuple(BY_NAME)),
    help="How findings are written to stdout. [default: text]",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write them to a file as well: .txt, .json, .xml (JUnit), .md. May be repeated.",
)
@click.option("--force", is_flag=True, help="Replace the files if they exist.")
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_schema,
    help="Print the JSON Schema of a specification, for editors, and end.",
)
@names_cell
@verbosity
def command(
    paths: tuple[Path, ...],
    against: Path | None,
    golden: bool,
    fail_on: Level,
    form: str | None,
    as_json: bool,
    outputs: tuple[Path, ...],
    force: bool,
    overrides: Overrides,
    quiet: bool,
    verbose: bool,
) -> None:
    """Is each MODEL what the specification says? Exits with 1 where it is not.

    SPEC is a TOML file: `rnnprobe shapes MODEL --save spec.toml` writes one, to be edited. Only headers are read,
    unless a rule asks for values.

    \b
    Example:
      rnnprobe check model.ckpt-85340 spec.toml
      rnnprobe check new.keras --against old.keras
      rnnprobe check models/*.keras spec.toml --format github -o report.xml
      rnnprobe check --schema > rnnprobe.schema.json
    """
    if as_json and form not in (None, "json"):
        raise BadInput(f"--json and --format {form} can't both hold", hint="leave one of them out")
    models, spec = _split(paths, against)
    for output in outputs:
        _check_place(output, force, (*models, spec))
    wanted = _specification(spec, against, overrides)
    from rnnprobe import checks
    from rnnprobe.outputs import text

    checked = [checks.check(model, wanted, overrides, golden=golden) for model in models]
    if not quiet:
        say(dict.fromkeys(note for each in checked for note in each.notes))
    notes = [] if golden or not wanted.goldens else [f"{len(wanted.goldens)} [[golden]] not run: --golden runs them"]
    for output in outputs:
        text.write(output, BY_SUFFIX[output.suffix].render(checked, fail_on, notes), force=force)
    _print(checked, fail_on, "json" if as_json else form or "text", notes)
    _end(checked, fail_on)


def _split(paths: Sequence[Path], against: Path | None) -> tuple[tuple[Path, ...], Path]:
    """The models, and what they are held against."""
    if against is not None:
        if paths[-1].suffix == ".toml":
            raise BadInput("is a specification, and --against names another", path=paths[-1], hint="leave one out")
        return tuple(paths), against
    if len(paths) < 2:
        hint = "rnnprobe check MODEL SPEC, or rnnprobe check MODEL --against OTHER"
        raise BadInput("there is one path; expected a model and a specification", path=paths[0], hint=hint)
    return tuple(paths[:-1]), paths[-1]


def _check_place(output: Path, force: bool, sources: Sequence[Path]) -> None:
    """Refuses, before any work, what can't be written, or whose suffix tells no format."""
    from rnnprobe.outputs import text

    if output.suffix not in BY_SUFFIX:
        known = ", ".join(BY_SUFFIX)
        raise BadInput(f"the suffix {output.suffix!r} tells no format", path=output, hint=f"known are {known}")
    text.check(output, force=force, sources=sources)


def _specification(spec: Path, against: Path | None, overrides: Overrides) -> Specification:
    from rnnprobe import checks, formats, recover

    if against is None:
        return checks.read(spec)
    return checks.draft(recover.network(formats.read(against), overrides))


def _print(checked: Sequence[Checked], fail_on: Level, form: str, notes: Sequence[str]) -> None:
    import sys

    from rnnprobe.checks.reports import reports
    from rnnprobe.views import terminal
    from rnnprobe.views.screen import screen

    if form == "text":
        terminal.show(reports(checked, fail_on, notes), command="check", as_json=False)
        return
    encoding = screen(sys.stdout).encoding
    sys.stdout.write(BY_NAME[form].render(checked, fail_on, notes).encode(encoding, "replace").decode(encoding))


def _end(checked: Sequence[Checked], fail_on: Level) -> None:
    """Raises `AnswerIsNo` where the check fails."""
    failed = [each for each in checked if each.failures(fail_on)]
    if failed:
        first = failed[0].failures(fail_on)[0]
        more = sum(len(each.failures(fail_on)) for each in failed) - 1
        rest = f", and {more} more" if more else ""
        raise AnswerIsNo(f"{first.message}{rest}", path=failed[0].model)
