"""Run a benchmark, by default `machine`. Each compares within one run, because only ratios carry over to other machines.

Example: qlogad bench engine --out results
"""

from __future__ import annotations

from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

from typer.core import TyperGroup

from qlogad import names
from qlogad.cli import printing
from qlogad.cli.commands import SETTINGS, Command, command
from qlogad.cli.fields import parameters
from qlogad.cli.options import Json, Out
from qlogad.cli.progress import Progress

__all__ = ["verb"]


class Benchmarks(TyperGroup):
    """A command for every benchmark; its help imports none of them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert `machine` if no benchmark is named."""
        named = args and (not args[0].startswith("-") or args[0] in SETTINGS["help_option_names"])
        return super().parse_args(ctx, args if named else ["machine", *args])

    def get_command(self, ctx: Any, cmd_name: str) -> Command:
        """The command of one benchmark, whose options are its fields.

        Raises:
            UnknownName: there is no such benchmark.
        """
        cls = names.find("benchmark", cmd_name)

        def run(*, out: Path, as_json: bool, **options: Any) -> None:
            with Progress() as progress:
                found = cls(**options).run(out, progress.preparing)
            printing.result(found.facts, found.text, as_json)
            printing.note(f"report: {found.report}")

        shared = [
            Parameter("out", Parameter.KEYWORD_ONLY, default=Path("results"), annotation=Out),
            Parameter("as_json", Parameter.KEYWORD_ONLY, default=False, annotation=Json),
        ]
        run.__signature__ = Signature([*parameters(cls), *shared])  # type: ignore[attr-defined]
        return command(cmd_name, run, names.headline("benchmark", cmd_name), f"qlogad bench {cmd_name} --out results")

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the benchmarks, one line each."""
        with formatter.section("Benchmarks"):
            formatter.write_dl([(name, names.headline("benchmark", name)) for name in names.known("benchmark")])


verb = Benchmarks(
    name="bench",
    rich_markup_mode=None,
    context_settings=SETTINGS,
    subcommand_metavar="[BENCHMARK] [OPTIONS]...",
    options_metavar="",
)
