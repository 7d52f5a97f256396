"""What there is: names with one line each, a design drawn and counted, a data set described."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from qlogad import documents, names, seeds
from qlogad.errors import DesignError, InputError, UnknownName, did_you_mean

__all__ = ["Shown", "analysed", "describe", "export", "facts_text", "plan", "rows", "show"]

LIVE_UP_TO = 10  # wires: the live weights of wider circuits take long to count
_KINDS: dict[str, str] = {
    "datasets": "dataset",
    "detectors": "detector",
    "backends": "backend",
    "ansatz": "ansatz",
    "encoding": "encoding",
    "controls": "control",
    "experiments": "experiment",
}

_WIDTH = 4  # wires at which costs are listed


@dataclass(frozen=True)
class Shown:
    """Something shown: text for people, facts for machines."""

    text: str
    facts: dict[str, Any]


def rows(kind: str) -> list[dict[str, Any]]:
    """Name and one line for everything of a kind; nothing heavy is imported for it.

    Raises:
        UnknownName: the kind is not one of datasets, detectors, backends, ansatz, encoding, controls, experiments.
    """
    if kind not in _KINDS:
        raise UnknownName("kind of thing to list", kind, _KINDS)
    if kind in ("ansatz", "encoding"):
        files = names.designs(cast(Literal["ansatz", "encoding"], kind))
        return [_design_row(name, cast(Literal["ansatz", "encoding"], kind)) for name in files]
    if kind == "experiments":
        paths = sorted(names.data_folder("experiments").glob("*.toml"))
        return [{"name": path.stem, "question": documents.read(path).get("question", "")} for path in paths]
    if kind == "controls":
        from qlogad.nn import controls

        return [{"name": name, "what": what} for name, what in controls.controls().items()]
    of = cast(names.Kind, _KINDS[kind])
    return [{"name": name, "what": _headline(of, name)} for name in names.known(of)]


def analysed(kind: str, *, wires: int, depth: int, sort: str, progress: Callable[[str, int], None]) -> list[dict[str, Any]]:
    """Every ansatz or encoding with its measures, sorted by a column.

    Raises:
        InputError: nothing else can be analysed, or there is no such column.
    """
    from qlogad.experiment import analysis

    for role in _ROLES:
        if kind == role:
            return analysis.table(role, wires=wires, depth=depth, sort=sort, progress=progress)
    raise InputError(f"only ansatz and encoding can be analysed, got '{kind}'; leave out --analyse")


def _design_row(name: str, role: Literal["ansatz", "encoding"]) -> dict[str, Any]:
    """A design's source and its cost at 4 wires and depth 1."""
    from qlogad.circuit.design import Design

    design = Design.load(name, role)
    try:
        circuit = design.build(_WIDTH)
    except DesignError:
        found: tuple[int | str, ...] = ("-", "-")
    else:
        counted = circuit.weights if role == "ansatz" else circuit.inputs
        found = (counted, sum(len(gate.wires) == 2 for gate in circuit.gates))
    return {
        "name": name,
        f"{'weights' if role == 'ansatz' else 'inputs'} at {_WIDTH} wires": found[0],
        "two-qubit gates": found[1],
        "source": design.source,
    }


def _headline(kind: names.Kind, name: str) -> str:
    """The first line of the file's docstring, read from the source text."""
    folder = Path(names.__file__).parent / names.KINDS[kind][0]
    module = name.replace("-", "_")
    for path in (folder / f"{module}.py", folder / module / "__init__.py"):
        if path.is_file():
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            return text.split("\n", 1)[0]
    return "from another package"


def show(name: str, *, wires: int, depth: int, analyse: bool = False) -> Shown:
    """A design drawn and counted, and analysed on request; or the keys of a detector or a dataset.

    Raises:
        UnknownName: nothing is called so.
        DesignError: the design does not exist at this width.
    """
    role = _role(name)
    if role is not None:
        return _show_design(name, role, wires, depth, analyse)
    for kind in ("detector", "dataset"):
        if name in names.known(kind):
            return _show_keys(name, kind)
    everything = [*names.designs("ansatz"), *names.designs("encoding"), *names.known("detector"), *names.known("dataset")]
    raise UnknownName("design, detector or dataset", name, everything)


def _role(name: str) -> Literal["ansatz", "encoding"] | None:
    """What kind of design a name or a file is; a file is an encoding where its folder is called so."""
    if name.endswith(".toml") and Path(name).is_file():
        return "encoding" if Path(name).resolve().parent.name == "encoding" else "ansatz"
    return next((role for role in _ROLES if name in names.designs(role)), None)


_ROLES: tuple[Literal["ansatz", "encoding"], ...] = ("ansatz", "encoding")


def _show_design(name: str, role: Literal["ansatz", "encoding"], wires: int, depth: int, analyse: bool) -> Shown:
    from qlogad.backend.exact.jacobian import live_weights
    from qlogad.circuit.design import Design, Encoding, assemble
    from qlogad.circuit.draw import draw

    design = Design.load(name, role)
    circuit = design.build(wires, depth if role == "ansatz" else 1)
    pairs = sum(len(gate.wires) == 2 for gate in circuit.gates)
    facts: dict[str, Any] = {
        "name": design.name,
        "role": role,
        "source": design.source,
        "wires": wires,
        "depth": depth if role == "ansatz" else 1,
        "inputs": circuit.inputs,
        "weights": circuit.weights,
        "gates": len(circuit.gates),
        "two_qubit_gates": pairs,
        "digest": circuit.digest(),
    }
    note = ""
    if role == "ansatz" and circuit.weights and wires <= LIVE_UP_TO:
        whole = assemble(design.check.encoding, name, wires, depth)
        encoding = Encoding.load(design.check.encoding)
        live, alive = (live_weights(one, seeds.generator(0, "live weights"), encoding=encoding) for one in (whole, whole.alive()))
        facts |= {"live_weights": live, "live_weights_with_x_and_z": alive}
        if live < circuit.weights:
            note = (
                f"note: {circuit.weights - live} of {circuit.weights} weights are dead for <Z> behind {design.check.encoding}; "
                f"with the alive variant, readout = 'x+z', {alive} are live"
            )
    lines = [f"{design.name}: {design.source}", "", draw(circuit), ""]
    lines += [f"{key.replace('_', ' ')}: {value}" for key, value in facts.items() if key not in ("name", "source")]
    lines += [note] if note else []
    if analyse:
        from qlogad.experiment import analysis

        facts["analysis"] = analysis.analyse(name, role, wires=wires, depth=depth)
        lines += ["", analysis.text(facts["analysis"])]
    return Shown("\n".join(lines), facts)


def plan(
    name: str,
    *,
    wires: int,
    depth: int,
    reupload: bool = False,
    rows: int = 64,
    calls: int = 10,
    double: bool = False,
    every: bool = False,
) -> Shown:
    """How the exact engine would run a design as the four gates of a cell: every method, predicted, the chosen one measured.

    An ansatz runs behind the encoding its file names, an encoding before one layer of strongly-entangling.

    Args:
        name: of an ansatz or encoding, or a design file.
        wires: the circuit's width.
        depth: how often an ansatz' layer is repeated.
        reupload: the encoding comes before every layer.
        rows: the batch.
        calls: the time steps.
        double: in float64.
        every: measure all methods that fit.

    Raises:
        UnknownName: there is no such design.
        DesignError: it does not exist at this width.
        BackendError: the engine does not run it.
    """
    from qlogad.backend.exact import Exact
    from qlogad.circuit.design import Design, assemble
    from qlogad.experiment import planning

    role = _role(name)
    if role is None:
        raise UnknownName("design", name, [*names.designs("ansatz"), *names.designs("encoding")])
    pair = (Design.load(name, role).check.encoding, name) if role == "ansatz" else (name, "strongly-entangling")
    layers = depth if role == "ansatz" else 1
    if wires > Exact.abilities.max_wires:
        raise InputError(f"the exact engine runs up to {Exact.abilities.max_wires} wires, got {wires}")
    found = planning.table(assemble(*pair, wires, layers, reupload=reupload), rows=rows, calls=calls, double=double, every=every)
    title = (
        f"{pair[1]} behind {pair[0]}{', re-uploaded' if reupload else ''}: {wires} wires, depth {layers}; a training step of "
        f"{planning.GROUPS} circuits, {rows} rows, {calls} calls, float{64 if double else 32}, one thread"
    )
    return Shown(planning.text(found, title), {"name": name, "wires": wires, "depth": layers, "plan": found})


def export(name: str, path: Path, *, wires: int, depth: int, drawer: str = "pennylane") -> None:
    """Write a design as a drawing (.svg, .png) or as OpenQASM 3 (.qasm).

    Args:
        name: of an ansatz or encoding, or a design file.
        path: its ending says what to write.
        wires: the circuit's width.
        depth: how often the layer is repeated.
        drawer: "pennylane", or "qiskit", which needs the extra `draw`.

    Raises:
        UnknownName: there is no such design, or no such drawer.
        InputError: the path ends otherwise.
        MissingExtra: the drawer needs a package that is not installed.
    """
    from qlogad.circuit.design import Design

    role = _role(name)
    if role is None:
        raise UnknownName("design", name, [*names.designs("ansatz"), *names.designs("encoding")])
    circuit = Design.load(name, role).build(wires, depth if role == "ansatz" else 1)
    if path.suffix not in (".svg", ".png", ".qasm"):
        raise InputError(f"a circuit is written as .svg, .png or .qasm, got '{path.name}'")
    if not path.resolve().parent.is_dir():
        raise InputError(f"there is no folder '{path.parent}' to write '{path.name}' into; make it first")
    if path.suffix == ".qasm":
        from qlogad.backend.qiskit import to_qasm

        documents.write_atomic(path, to_qasm(circuit) + "\n")
    elif drawer == "pennylane":
        from qlogad.backend.pennylane import draw

        draw(circuit, path)
    elif drawer == "qiskit":
        from qlogad.backend import qiskit

        qiskit.draw(circuit, path)
    else:
        raise UnknownName("drawer", drawer, ("pennylane", "qiskit"))


def _show_keys(name: str, kind: Literal["detector", "dataset"]) -> Shown:
    cls = names.find(kind, name)
    keys = []
    for field in fields(cls):
        default: Any = "required"
        if field.default is not MISSING:
            default = documents.plain(field.default)
        elif field.default_factory is not MISSING:
            default = documents.plain(field.default_factory())
        keys.append(
            {
                "key": field.name,
                "default": default,
                "type": field.type.__name__ if isinstance(field.type, type) else str(field.type).removeprefix("typing."),
            }
        )
    from tabulate import tabulate

    table = tabulate(keys, headers="keys", tablefmt="simple", disable_numparse=True)
    about = inspect.getdoc(cls) or ""
    return Shown(f"{name}: {_headline(kind, name)}\n\n{about}\n\n{table}", {"name": name, "kind": kind, "keys": keys})


def describe(name: str, overrides: Sequence[str], progress: Callable[[str, int], None]) -> dict[str, Any]:
    """What is in a data set: every line accounted for, templates, windows, labels and what each cut would give."""
    from qlogad.experiment.experiment import Data, Experiment
    from qlogad.experiment.ground import open_source, splits
    from qlogad.logs.drain import Drain

    if name in names.known("dataset"):
        table: dict[str, Any] = {"dataset": name}
        for assignment in overrides:
            table = documents.override(table, assignment.removeprefix("data."))
        content = {"data": table, "contender": [{"name": "new-event", "detector": "new-event"}]}
        data = Experiment.from_document(content, where="data describe").data
    elif name.endswith(".toml") or name in {path.stem for path in names.data_folder("experiments").glob("*.toml")}:
        data = Experiment.load(name, overrides).data
    else:
        hint = did_you_mean(name, names.known("dataset"))
        raise InputError(
            f"'{name}' is neither a dataset nor an experiment file{hint}; known datasets: {', '.join(names.known('dataset'))}"
        )
    assert isinstance(data, Data)
    source = open_source(data, lambda lines: progress("lines read", lines))
    events, windows, intake = source.events, source.windows, source.events.intake
    time_E = events.time_E[np.isfinite(events.time_E)]
    facts: dict[str, Any] = {
        "dataset": data.dataset,
        "lines": intake.lines,
        "understood": intake.records,
        "blank": intake.blank,
        "quarantined": len(intake.quarantine),
        "quarantine reasons": intake.reasons(),
        "first quarantined lines": [item.line for item in intake.quarantine[:10]],
        "from": _stamp(time_E.min()) if len(time_E) else "no times",
        "to": _stamp(time_E.max()) if len(time_E) else "no times",
        "sessions": len(events.sessions),
        "distinct masked messages": len(events.texts),
        "windows": f"{len(windows)} by {source.window.by}",
        "windows of unknown label, left out": source.unknown,
        "anomalous windows": int((windows.label_W == 1).sum()),
        "kinds": {
            str(kind): int(count)
            for kind, count in zip(*np.unique(windows.kind_W[windows.label_W == 1], return_counts=True), strict=True)
        },
        "digest": events.digest,
    }
    if not events.parsed:
        texts = (events.texts[code] for code in events.text_E)
        parser = Drain(**documents.plain(data.parser)).fit(texts)
        facts["templates (parser fitted on everything)"] = len(parser.templates)
    for split in splits(data, source):
        label = {part: windows.label_W[getattr(split, part)] for part in ("train", "validation", "test", "in_flight")}
        facts[f"cut {split.name}"] = {part: f"{len(v)} windows, {int((v == 1).sum())} anomalous" for part, v in label.items()}
    return facts


def _stamp(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(float(seconds), UTC).strftime("%Y-%m-%d %H:%M:%S")


def facts_text(facts: dict[str, Any]) -> str:
    """Facts as lines for people."""
    lines = []
    for key, value in facts.items():
        if isinstance(value, dict):
            lines.append(f"{key}:" if value else f"{key}: none")
            lines += [f"  {name or '(no kind given)'}: {item}" for name, item in value.items()]
        else:
            lines.append(f"{key}: {', '.join(map(str, value)) or 'none' if isinstance(value, list) else value}")
    return "\n".join(lines)
