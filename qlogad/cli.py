"""The command line: parses, calls, prints. Progress goes to stderr, results to stdout; exit code 0, 1 (failure) or 2 (bad input)."""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from collections.abc import Iterable, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, cast

import typer

from qlogad import escape
from qlogad.credentials import hidden
from qlogad.documents import settle_caches
from qlogad.errors import InputError, QlogadError, QlogadWarning, counted, did_you_mean, one_line, shown
from qlogad.escape import layout, terminal

if TYPE_CHECKING:
    from qlogad.experiment.watch import Watch
    from qlogad.hardware.campaign import Collected
    from qlogad.sweep.run import Onlooker
    from qlogad.sweep.study import Study

__all__ = ["app", "main"]

app = typer.Typer(
    name="qlogad",
    help="Quantum-classical experiments in log anomaly detection: one detector, two cores, the same features, the same judge.",
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Look at data sets.")
app.add_typer(data_app, name="data")
hardware_app = typer.Typer(help="Take a trained detector to a device.", no_args_is_help=True)
app.add_typer(hardware_app, name="hardware")

INTERRUPTED = 130  # the exit code after Ctrl-C
_UsageError: Any = typer.BadParameter.__mro__[1]  # click's, of which typer may carry a copy of its own
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key: --set judge.seeds=2")]
SetOfStudy = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key: --set trials=20")]


@app.command(epilog="Example: qlogad run experiments/quickstart.toml --set judge.seeds=2")
def run(
    experiment: Annotated[str, typer.Argument(help="An experiment file, or the name of a shipped one.")],
    overrides: Set = None,
    out: Annotated[Path, typer.Option(help="Where results folders lie.")] = Path("results"),
    workers: Annotated[int, typer.Option(min=0, max=4096, help="Worker processes; 0 means one for each core.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the finished cells of earlier runs.")] = False,
    storage: Annotated[
        str | None, typer.Option(help="postgresql://user@host/database: machines with a shared --out work on one run.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run an experiment; finished cells are kept, so a killed run continues."""
    from qlogad.experiment import Experiment
    from qlogad.jobs.attempts import next_step
    from qlogad.run import run as run_experiment

    with _Progress() as progress:
        loaded = Experiment.load(experiment, overrides or ())
        record = run_experiment(loaded, out, workers=workers, fresh=fresh, storage=storage, watch=cast("Watch", progress))
    _print(json.dumps(record.rows, indent=1) if as_json else record.text)
    _said(record.warnings)
    _print(f"report: {out / loaded.name / 'table.md'}", file=sys.stderr)
    if record.reused:
        _print(
            f"{record.reused} of {counted(record.cells, 'cell')} had finished in an earlier run and were reused; --fresh runs them again",
            file=sys.stderr,
        )
    for what, cause in record.failed.items():
        _print(f"failed: {what}: {cause}", file=sys.stderr)
    if record.failed:
        raise QlogadError(f"{counted(len(record.failed), 'cell')} failed: {next_step(next(iter(record.failed.values())))}")


def _said(warnings: Iterable[str]) -> None:
    for warning in warnings:
        _print(f"warning: {warning}", file=sys.stderr)


@app.command(epilog="Example: qlogad sweep quickstart --workers 2")
def sweep(
    study: Annotated[str, typer.Argument(help="A study file (*.sweep.toml), or the name of a shipped one.")],
    overrides: SetOfStudy = None,
    out: Annotated[Path, typer.Option(help="Where results folders lie.")] = Path("results"),
    workers: Annotated[int, typer.Option(min=0, max=4096, help="Worker processes; 0 means one for each core.")] = 1,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the trials of earlier calls.")] = False,
    storage: Annotated[
        str | None, typer.Option(help="A journal file, or postgresql://user@host/db: all who name the same one work together.")
    ] = None,
    winners: Annotated[
        int, typer.Option(min=0, max=1000, metavar="SEEDS", help="Then train the best trial, or the front, on so many fresh seeds.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Search designs and parameters on validation windows; finished trials are kept, so a killed sweep continues."""
    from qlogad.sweep import run as sweeping
    from qlogad.sweep.study import Study

    loaded = Study.load(study, overrides or ())
    with _Board() as board:
        found = sweeping.run(
            loaded, out, workers=workers or os.cpu_count() or 1, fresh=fresh, storage=storage, watch=cast("Onlooker", board)
        )
    if not winners:
        _print(json.dumps(found.rows, indent=1) if as_json else found.text)
        _said(found.warnings)
    _print(f"report: {found.folder / 'table.md'}", file=sys.stderr)
    if found.barren:
        raise QlogadError(f"no trial of {' and '.join(found.barren)} came through; see the causes in {found.folder / 'table.md'}")
    if winners:
        _winners(loaded, out, winners, workers, storage, as_json)


def _winners(study: Study, out: Path, seeds: int, workers: int, storage: str | None, as_json: bool) -> None:
    from qlogad.sweep.winners import rerun

    with _Board() as board:
        won = rerun(study, out, seeds=seeds, workers=workers or os.cpu_count() or 1, storage=storage, watch=cast("Onlooker", board))
    _print(json.dumps(won.rows, indent=1) if as_json else won.text)
    _said(won.warnings)
    for path in (won.experiment, *won.designs):
        _print(f"written: {path}", file=sys.stderr)


@app.command("list", epilog="Example: qlogad list ansatz --analyse --sort expressibility")
def list_(
    kind: Annotated[
        str, typer.Argument(help="datasets, detectors, backends, ansatz, encoding, controls, experiments, studies or objectives.")
    ],
    analyse: Annotated[bool, typer.Option("--analyse", help="Of ansatz or encoding: measure every circuit.")] = False,
    sort: Annotated[str, typer.Option(help="The column to sort by.")] = "name",
    wires: Annotated[int | None, typer.Option(help="Of ansatz or encoding: width of the circuits; 4 unless said.")] = None,
    depth: Annotated[int | None, typer.Option(help="Of ansatz: how often the layer is repeated; 1 unless said.")] = None,
    as_json: Json = False,
) -> None:
    """List what can be named in an experiment."""
    from qlogad.catalogue import listing

    if analyse:
        with _Progress() as progress:
            rows = listing.analysed(kind, wires=wires, depth=depth, sort=sort, progress=progress.preparing)
    else:
        rows = listing.rows(kind, wires=wires, depth=depth, sort=sort)
    _print_rows(rows, as_json)


@app.command(epilog="Example: qlogad show strongly-entangling --wires 4 --depth 2")
def show(
    name: Annotated[str, typer.Argument(help="An ansatz, encoding, detector or dataset, or a design file.")],
    role: Annotated[str | None, typer.Option(help="Of a file that would do as either: ansatz or encoding.")] = None,
    wires: Annotated[int | None, typer.Option(help="Width of the circuit; 4 unless said, or the only one that it takes.")] = None,
    depth: Annotated[int | None, typer.Option(help="Of an ansatz: how often the layer is repeated; 1 unless said.")] = None,
    analyse: Annotated[bool, typer.Option("--analyse", help="Measure it: expressibility, gradients, spectrum and more.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write it to a .svg, .png or .qasm file.")] = None,
    drawer: Annotated[str, typer.Option(help="With --out: pennylane or qiskit.")] = "pennylane",
    plan: Annotated[bool, typer.Option("--plan", help="How the exact engine runs it: methods, seconds, memory.")] = False,
    every: Annotated[bool, typer.Option("--all", help="With --plan: measure every method, not the chosen one alone.")] = False,
    reupload: Annotated[bool, typer.Option("--reupload", help="With --plan: the encoding before every layer.")] = False,
    rows: Annotated[int, typer.Option(min=1, max=1_000_000, help="With --plan: rows of a batch.")] = 64,
    calls: Annotated[int, typer.Option(min=1, max=10_000, help="With --plan: time steps.")] = 10,
    double: Annotated[bool, typer.Option("--double", help="With --plan: float64 instead of float32.")] = False,
    as_json: Json = False,
) -> None:
    """Draw a circuit design, count its weights and measure it; or list a detector's or dataset's keys."""
    from qlogad.catalogue import designs, listing

    if out is not None:
        designs.export(name, out, wires=wires, depth=depth, drawer=drawer, role=role)
        _print(f"written: {out}", file=sys.stderr)
    if plan:
        layers = 1 if depth is None else depth
        shown = designs.plan(
            name, wires=wires, depth=layers, reupload=reupload, rows=rows, calls=calls, double=double, every=every, role=role
        )
    else:
        shown = listing.show(name, wires=wires, depth=depth, analyse=analyse, role=role)
    _print(json.dumps(shown.facts, indent=1) if as_json else shown.text)


@app.command(epilog="Example: qlogad doctor")
def doctor(as_json: Json = False) -> None:
    """What is usable here: versions, devices, and a tested two-qubit circuit on each backend."""
    from qlogad.catalogue.doctor import examine

    with _Progress() as progress:
        rows = examine(progress.preparing)
    _print_rows(rows, as_json)
    if any(row["state"] == "broken" for row in rows):
        raise QlogadError("something that is installed does not work; see the lines marked 'broken'")


@app.command(epilog="Example: qlogad bench engine --out results")
def bench(
    what: Annotated[
        str,
        typer.Argument(
            help="machine (reading, epochs, circuits: minutes), engine (every method: an hour), backends (a minute), layer (against "
            "PennyLane's TorchLayer: seconds), sweep (trials per hour: minutes), warm-start (what relatives are worth: half an hour), "
            "parser (accuracy: seconds) or coverage (whether intervals hold what they say: minutes)."
        ),
    ] = "machine",
    out: Annotated[Path, typer.Option(help="Where results folders lie.")] = Path("results"),
    lines: Annotated[
        int, typer.Option(min=1000, max=10**8, help="machine: synthetic log lines for the reading benchmark.")
    ] = 200_000,
    repeats: Annotated[
        int, typer.Option(min=1, max=10_000, help="Repetitions of each step, the median counts; warm-start: pairs of studies.")
    ] = 5,
    peers: Annotated[
        Path | None,
        typer.Option(help="engine: a Python that has jax, tensorcircuit-ng and pennylane; parser: one that has drain3."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="parser: the folder of LogHub's samples [default: $QLOGAD_DATA/loghub_2k].")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="engine: a few small points, well under a minute.")] = False,
    as_json: Json = False,
) -> None:
    """Measure this machine as ratios in one run: lines per second, seconds per epoch, the exact engine, the backends."""
    if what == "engine":
        from qlogad.bench import engine

        folder = out / ("bench-engine-quick" if quick else "bench-engine")
        points = engine.Points(folder / "points.jsonl")
        with _Progress() as progress:
            engine.measure(points, engine.grid(quick=quick), progress.preparing, python=peers)
        path = engine.write(points, folder)
        _print(json.dumps(engine.tables(points), indent=1) if as_json else path.read_text())
    elif what == "backends":
        from qlogad.bench import backends

        with _Progress() as progress:
            measured = backends.measure(progress.preparing, repeats=repeats)
        path = backends.write(measured, out / "bench-backends")
        _print_rows(measured if as_json else backends.shown(measured), as_json)
    elif what == "layer":
        from qlogad.bench import layer

        with _Progress() as progress:
            steps = layer.measure(progress.preparing, repeats=repeats)
        path = layer.write(steps, out / "bench-layer")
        _print(json.dumps(steps, indent=1) if as_json else path.read_text())
    elif what == "sweep":
        from qlogad.bench import sweep

        trials = 24
        with _Progress() as progress:
            measured = sweep.measure(progress.preparing, trials=trials, repeats=repeats)
        path = sweep.write(measured, out / "bench-sweep", trials=trials, repeats=repeats)
        _print(json.dumps(measured, indent=1) if as_json else path.read_text())
    elif what == "warm-start":
        from qlogad.bench import warm_start

        with _Progress() as progress:
            pairs = warm_start.measure(out / "sweep-warm-start", pairs=repeats, progress=progress.preparing)
        path = warm_start.report(pairs, out / "sweep-warm-start")
        _print(json.dumps(pairs, indent=1) if as_json else path.read_text())
    elif what == "parser":
        from qlogad.bench import parser

        with _Progress() as progress:
            parsed = parser.measure(parser.samples(data), progress.preparing, python=peers)
        path = parser.write(parsed, out / "bench-parser")
        _print(json.dumps(parsed, indent=1) if as_json else path.read_text())
    elif what == "coverage":
        from qlogad.bench import coverage

        with _Progress() as progress:
            found = coverage.measure(progress.preparing)
        path = coverage.write(found, out / "bench-coverage")
        _print(json.dumps(found, indent=1) if as_json else path.read_text())
    elif what == "machine":
        from qlogad.bench.machine import measure, write

        with _Progress() as progress:
            rows = measure(lines=lines, repeats=repeats, progress=progress.preparing)
        path = write(rows, out / "bench")
        _print_rows(rows, as_json)
    else:
        known = ("machine", "engine", "backends", "layer", "sweep", "warm-start", "parser", "coverage")
        raise InputError(f"there is no benchmark {shown(what)}{did_you_mean(what, known)}; known: {', '.join(known)}")
    _print(f"report: {path}", file=sys.stderr)


@data_app.command(epilog="Example: qlogad data describe synthetic --set lines=20000")
def describe(
    name: Annotated[str, typer.Argument(help="A dataset, or an experiment file (its [data] table counts).")],
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Read a data set and say what is in it: lines, quarantine, templates, windows, labels, cuts."""
    from qlogad.catalogue import data

    with _Progress() as progress:
        facts = data.describe(name, overrides or (), progress.preparing)
    _print(json.dumps(facts, indent=1) if as_json else data.facts_text(facts))


_Result = Annotated[Path, typer.Argument(help="The results folder of a finished run.")]
_Contender = Annotated[str, typer.Option(help="Whose detector: a name of the table.")]
_Windows = Annotated[
    int,
    typer.Option(min=1, max=10**6, help="Test windows, half of them anomalies where there are enough, half near the threshold."),
]
_Choice = Annotated[int, typer.Option(min=0, help="The seed that windows are chosen with.")]
_Shots = Annotated[int | None, typer.Option(min=1, max=10**7, help="Of each row and measurement basis; else the backend's own.")]
_Mode = Annotated[str, typer.Option(help="closed: each round feeds the next; open: all rows at once.")]
_References = Annotated[int, typer.Option(min=0, max=10**4, help="Rows of known answer that go with every round.")]
_Seed = Annotated[int | None, typer.Option(min=0, help="Of the training; else the first.")]
_Cut = Annotated[str | None, typer.Option(help="Of the run; else the first.")]
_Threshold = Annotated[
    str, typer.Option(help="clean: as trained; recalibrated: each run also fixes one on validation windows it scores there.")
]
_Validation = Annotated[int, typer.Option(min=1, help="With --threshold recalibrated: so many validation windows.")]
_MaxSeconds = Annotated[float | None, typer.Option(help="Refuse more device time.")]
_MaxCost = Annotated[float | None, typer.Option(help="Refuse a higher price, in USD.")]


@hardware_app.command(
    epilog="Example: qlogad hardware plan results/quickstart --contender quantum --to ibm:fake_torino --shots 1024"
)
def plan(
    result: _Result,
    contender: _Contender,
    to: Annotated[str, typer.Option(help="A backend, such as ibm:fake_torino, ibm:torino or aer.")],
    windows: _Windows = 200,
    choice: _Choice = 0,
    shots: _Shots = None,
    mode: _Mode = "closed",
    references: _References = 3,
    threshold: _Threshold = "clean",
    validation: _Validation = 200,
    seed: _Seed = None,
    cut: _Cut = None,
    max_seconds: _MaxSeconds = None,
    max_cost: _MaxCost = None,
    as_json: Json = False,
) -> None:
    """What one pass on a device takes, before anything is submitted: jobs, rounds, depth, device time, price.

    The limits hold for all passes that submit would run.
    """
    from qlogad.hardware import plan
    from qlogad.hardware.windows import calibrating, chosen, trained

    found = trained(result, contender, seed=seed, cut=cut)
    detector, _, features = chosen(found, windows, choice=choice)
    backend = plan.with_shots(to, shots)
    planned = plan.plan(detector, features, backend, mode=plan.mode_of(mode), references=references)
    if plan.threshold_of(threshold, plan.mode_of(mode)) == "recalibrated":
        held, _ = calibrating(found, detector, validation, choice=choice)
        planned = planned.beside(plan.plan(detector, held, backend, references=references))
    whole = planned.times(planned.passes)
    plan.check_limits(whole, max_seconds=max_seconds, max_cost=max_cost)
    origin = {"contender": found.contender, "seed": found.seed, "cut": found.cut, "choice": choice}
    _print(json.dumps(origin | planned.facts(), indent=1) if as_json else planned.text)
    if planned.passes > 1:
        cost = f"{whole.cost.seconds:,.0f} s and {whole.cost.dollars:,.2f} USD"
        _print(f"this is one pass; submit runs {planned.passes} of them unless told (--repeats): {cost}", file=sys.stderr)
    _print(f"detector of {found.contender}, seed {found.seed}, cut {found.cut}; nothing was submitted", file=sys.stderr)


@hardware_app.command(
    epilog="Example: qlogad hardware submit results/quickstart --contender quantum --to aer:shots=1024 --to ibm:fake_manila --windows 20"
)
def submit(
    result: _Result,
    contender: _Contender,
    to: Annotated[
        list[str], typer.Option(help="A backend, such as ibm:fake_torino, ibm:torino or aer; or more of them, a rung each.")
    ],
    windows: _Windows = 200,
    choice: _Choice = 0,
    shots: _Shots = None,
    mode: _Mode = "closed",
    references: _References = 3,
    threshold: _Threshold = "clean",
    validation: _Validation = 200,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Runs of the whole pass; else 5 in a closed loop that samples, 1 otherwise.")
    ] = None,
    seed: _Seed = None,
    cut: _Cut = None,
    label: Annotated[str, typer.Option(help="Tells apart what is asked twice, on two days say.")] = "",
    wait: Annotated[float, typer.Option(min=0, max=10**7, help="Seconds to wait for each round's jobs.")] = 0.0,
    max_seconds: Annotated[float | None, typer.Option(help="Refuse more device time on any one backend.")] = None,
    max_cost: Annotated[float | None, typer.Option(help="Refuse a higher price on any one backend, in USD.")] = None,
    as_json: Json = False,
) -> None:
    """Score windows on a device, as far as that goes without waiting; `collect` goes on from there."""
    from qlogad.backend.ledger import Clock
    from qlogad.hardware import campaign, plan

    again = plan.threshold_of(threshold, plan.mode_of(mode)) == "recalibrated"
    found = campaign.submit_all(
        result,
        contender,
        [plan.with_shots(each, shots) for each in to],
        windows=windows,
        choice=choice,
        mode=plan.mode_of(mode),
        references=references,
        repeats=repeats,
        validation=validation if again else 0,
        seed=seed,
        cut=cut,
        label=label,
        max_seconds=max_seconds,
        max_cost=max_cost,
        clock=Clock(patience=wait),
    )
    for collected in found:
        print(collected.plan.text, file=sys.stderr)
    _print_campaigns(found, {}, result, as_json)


@hardware_app.command(epilog="Example: qlogad hardware collect results/quickstart --wait 600")
def collect(
    result: _Result,
    wait: Annotated[float, typer.Option(min=0, max=10**7, help="Seconds to wait for each round's jobs.")] = 0.0,
    again: Annotated[bool, typer.Option("--again", help="Submit lost jobs anew, which may cost again.")] = False,
    as_json: Json = False,
) -> None:
    """Go on with everything that was submitted; what is finished is replayed, without network or account."""
    from qlogad.backend.ledger import Clock
    from qlogad.hardware import campaign

    _print_campaigns(*campaign.collect(result, clock=Clock(patience=wait), again=again), result, as_json)


@hardware_app.command("report", epilog="Example: qlogad hardware report results/quickstart")
def ladder(result: _Result, as_json: Json = False) -> None:
    """The ladder from exact numbers to the device, from what was collected: ladder.md, ladder.csv and ladder.png. Asks no device."""
    from qlogad.hardware import ladder

    models, skipped = ladder.ladders(result)
    path = ladder.write(models, result)
    _print(json.dumps([model.facts() for model in models], indent=1) if as_json else path.read_text(encoding="utf-8"))
    _print(f"report: {path}", file=sys.stderr)
    _tell_skipped(skipped)


def _print_campaigns(found: Sequence[Collected], skipped: Mapping[str, str], result: Path, as_json: bool) -> None:
    """What campaigns gave; those that stopped or were skipped are a failure, those that wait are not."""
    from qlogad.hardware.campaign import not_begun

    _print_rows([*(one.facts() for one in found), *(not_begun(result, skipped) if skipped else ())], as_json)
    for one in found:
        for cause in dict.fromkeys(one.stopped):
            _print(f"{one.state}: {cause}", file=sys.stderr)
    _tell_skipped(skipped)
    if any(one.state == "stopped" for one in found):
        raise QlogadError(f"not every run has finished; go on from there with: qlogad hardware collect {result}")


def _tell_skipped(skipped: Mapping[str, str]) -> None:
    for name, cause in skipped.items():
        _print(f"skipped: {name}: {cause}", file=sys.stderr)
    if skipped:
        raise QlogadError(f"{counted(len(skipped), 'campaign')} cannot be shown; the others are above")


def _print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        _print(json.dumps(rows, indent=1))
        return

    _print(escape.table(rows, "simple"))


def _print(text: object = "", *, file: TextIO | None = None, flush: bool = False) -> None:
    """All that is printed: nothing in it drives the terminal."""
    print(layout(text), file=file, flush=flush)


class _Progress:
    """A line on stderr: a counter while preparing, a bar while cells run; every tenth part where stderr is no terminal."""

    def __enter__(self) -> _Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._bar.start()
        self._task = self._bar.add_task("starting", total=None)
        self._count = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def preparing(self, what: str, count: int) -> None:
        """Say how far a step of unknown length is."""
        self._bar.update(self._task, description=terminal(what), completed=count)

    def prepared(self, text: str) -> None:
        """Print what is known before training."""
        self._bar.console.print(layout(text), markup=False, highlight=False, soft_wrap=True) if not self._bar.disable else _print(
            text, file=sys.stderr
        )
        self._bar.reset(self._task, description="cells", total=None)

    def finished(self, what: str, total: int) -> None:
        """One more cell is done."""
        self._count += 1
        self._bar.update(self._task, description=terminal(what), completed=self._count, total=total)
        if self._bar.disable and self._count * 10 // total > (self._count - 1) * 10 // total:
            _print(f"{self._count}/{total} cells", file=sys.stderr, flush=True)


class _Board:
    """The standing of a sweep on stderr: a table that is drawn anew; every tenth part in one line where stderr is no terminal."""

    def __enter__(self) -> _Board:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True)
        self._live = Live(console=self._console, transient=True, auto_refresh=False) if self._console.is_terminal else None
        self._said = ""
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def _draw(self, text: str) -> None:
        from rich.text import Text

        if self._live:
            self._live.update(Text(layout(text), no_wrap=True), refresh=True)

    def preparing(self, what: str, count: int) -> None:
        """Say how far a step of unknown length is."""
        self._draw(f"{what}: {count}")

    def prepared(self, text: str) -> None:
        """Print what is known before the first trial."""
        self._console.print(layout(text), markup=False, highlight=False, soft_wrap=True)

    def standing(self, text: str, ended: int, total: int | None) -> None:
        """Show the best trials so far."""
        self._draw(text)
        line = text.split("\n", 1)[0]
        part = f"{line.split(':')[0]} {ended * 10 // (total or 1)}"
        if self._live is None and part != self._said:
            self._said = part
            _print(line, file=sys.stderr, flush=True)


def main() -> None:
    """The entry point: errors become one line and an exit code; --debug adds where they come from."""
    debug = "--debug" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--debug"]
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # of whatever the terminal's encoding has no letter for
    warnings.showwarning = _warned
    settle_caches()
    try:
        code = app(prog_name="qlogad", standalone_mode=False)
        if code == INTERRUPTED:  # what Typer makes of Ctrl-C
            raise KeyboardInterrupt
        sys.exit(code)
    except (Exception, KeyboardInterrupt) as error:
        text, code = _ended(error)
        if debug or text is None:
            _print(hidden("".join(traceback.format_exception(error))).rstrip(), file=sys.stderr)
        if text is not None:
            _print(text, file=sys.stderr)
        sys.exit(code)


def _ended(error: BaseException) -> tuple[str | None, int]:
    """What is said of an error, and the exit code; no words for one of our own mistakes."""
    if isinstance(error, _UsageError):
        message, command = error.format_message().rstrip("."), error.ctx.command_path if error.ctx else "qlogad"
        return f"error: {one_line(message[:1].lower() + message[1:])}; see: {command} --help", 2
    if isinstance(error, QlogadError):
        return f"error: {one_line(error)}", 2 if isinstance(error, InputError) else 1
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        same = "the same command without --fresh" if "--fresh" in sys.argv else "the same command"
        return f"interrupted; what was finished or submitted is kept, and {same} goes on from there", INTERRUPTED
    if isinstance(error, OSError):
        what = one_line(f"{error.strerror or error}: {error.filename}")
        return f"error: {what}; check the path, its permissions and the space left", 1
    return None, 1


def _warned(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None
) -> None:
    """A warning in one line."""
    kind = "" if issubclass(category, QlogadWarning) else f" ({category.__name__})"
    _print(f"warning: {one_line(message)}{kind}", file=sys.stderr)


if __name__ == "__main__":
    main()
