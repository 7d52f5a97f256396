"""What there is: names with one line each, a design drawn and counted, a data set described."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from os.path import isdir
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from qlogad import documents, escape, files, names, seeds
from qlogad.circuit.circuit import MAX_WIRES
from qlogad.circuit.design import MAX_DEPTH, ROLES, Design, Encoding, Role, Takes, assemble, role_of
from qlogad.circuit.draw import draw
from qlogad.errors import DataError, InputError, UnknownName, WidthError, did_you_mean
from qlogad.experiment import analysis
from qlogad.experiment.analysis import check_column

if TYPE_CHECKING:
    from qlogad.experiment.experiment import Contender

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
    "studies": "study",
    "objectives": "objective",
}


@dataclass(frozen=True)
class Shown:
    """Something shown: text for people, facts for machines."""

    text: str
    facts: dict[str, Any]


def rows(kind: str, *, wires: int | None = None, depth: int | None = None, sort: str = "name") -> list[dict[str, Any]]:
    """Name and one line for everything of a kind, sorted by a column; nothing heavy is imported for it.

    Args:
        kind: datasets, detectors, backends, ansatz, encoding, controls, experiments, studies or objectives.
        wires: of ansatz and encoding alone: the width their costs are counted at, 4 unless said.
        depth: of ansatz alone: how often the layer is repeated, 1 unless said.
        sort: the column.

    Raises:
        UnknownName: there is no such kind.
        InputError: there is no such column, or circuits of that size, or the kind has no wires.
    """
    if kind not in _KINDS:
        raise UnknownName("kind of thing to list", kind, _KINDS)
    found = _rows(kind, *_size(kind, wires, depth))
    if kind in ROLES and sort in analysis.COLUMNS and sort not in found[0]:
        raise InputError(f"the column '{sort}' is measured; add --analyse")
    check_column(sort, list(found[0]))
    return sorted(found, key=lambda row: (isinstance(row[sort], str), row[sort]))  # numbers, then words and what there is not


def _size(kind: str, wires: int | None, depth: int | None) -> tuple[int, int]:
    """Wires and depth of the circuits to list."""
    if wires is not None and kind not in ROLES:
        raise InputError(f"only ansatz and encoding have wires, got '{kind}'; leave out --wires")
    if depth is not None and kind != "ansatz":
        raise InputError(f"only an ansatz has a depth, got '{kind}'; leave out --depth")
    wires, depth = 4 if wires is None else wires, 1 if depth is None else depth
    if not (1 <= wires <= MAX_WIRES and 0 <= depth <= MAX_DEPTH):
        raise InputError(f"circuits have 1 to {MAX_WIRES} wires and a depth of 0 to {MAX_DEPTH}, got {wires} and {depth}")
    return wires, depth


def _width(name: str, role: Role, wires: int | None) -> int | None:
    """The width that is asked for, or the only one that a design takes."""
    return wires if wires is not None else Design.load(name, role).wires


def _rows(kind: str, wires: int, depth: int) -> list[dict[str, Any]]:
    for role in ROLES:
        if kind == role:
            return [_design_row(name, role, wires, depth) for name in names.designs(role)]
    if kind in ("experiments", "studies"):
        shipped = names.documents("experiment" if kind == "experiments" else "study")
        return [{"name": name, "question": documents.read(path).get("question", "")} for name, path in shipped.items()]
    if kind == "objectives":
        from qlogad.experiment.objectives import OBJECTIVES

        return [{"name": name, "aim": one.direction, "what": one.what} for name, one in OBJECTIVES.items()]
    if kind == "controls":
        from qlogad.nn import controls

        return [{"name": name, "what": what} for name, what in controls.controls().items()]
    of = cast(names.Kind, _KINDS[kind])
    return [{"name": name, "what": _headline(of, name)} for name in names.known(of)]


def analysed(
    kind: str, *, sort: str = "name", progress: Callable[[str, int], None], wires: int | None = None, depth: int | None = None
) -> list[dict[str, Any]]:
    """Every ansatz or encoding with its measures, sorted by a column.

    Raises:
        InputError: nothing else can be analysed, or there is no such column.
    """
    for role in ROLES:
        if kind == role:
            wires, depth = _size(kind, wires, depth)
            return analysis.table(role, wires=wires, depth=depth, sort=sort, progress=progress)
    raise InputError(f"only ansatz and encoding can be analysed, got '{kind}'; leave out --analyse")


def _design_row(name: str, role: Role, wires: int, depth: int) -> dict[str, Any]:
    """A design's source and its cost, "-" where it does not exist at this size; of an encoding, the features it is given."""
    design = Design.load(name, role)
    try:
        circuit = design.build(wires, depth)
        cost: dict[str, Any] = {"weights": circuit.weights} if role == "ansatz" else {"features": Encoding(design).features(wires)}
        cost |= {"two-qubit gates": sum(len(gate.wires) == 2 for gate in circuit.gates)}
    except WidthError:
        cost = dict.fromkeys(("weights" if role == "ansatz" else "features", "two-qubit gates"), "-")
    if role == "encoding":
        cost |= {"features on W wires": str(design.takes.features).replace("wires", "W"), "values": _values(design.takes)}
    return {"name": name, "wires": wires, **({"depth": depth} if role == "ansatz" else {}), **cost, "source": design.source}


def _values(takes: Takes) -> str:
    """The values of a feature in words."""
    limits = "any" if takes.range is None else " to ".join(str(limit).replace("wires", "W") for limit in takes.range)
    return f"integers, {limits}" if takes.integer else limits


def _headline(kind: names.Kind, name: str) -> str:
    """The first line of the file's docstring, read from the source text."""
    folder = Path(names.__file__).parent / names.KINDS[kind][0]
    module = name.replace("-", "_")
    for path in (folder / f"{module}.py", folder / module / "__init__.py"):
        if path.is_file():
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            return text.split("\n", 1)[0]
    return "from another package"


def show(name: str, *, wires: int | None = None, depth: int | None = None, analyse: bool = False, role: str | None = None) -> Shown:
    """A design drawn and counted, and analysed on request; or the keys of a detector or a dataset.

    Args:
        name: of an ansatz, encoding, detector or dataset, or a design file.
        wires: the circuit's width.
        depth: of an ansatz alone: how often the layer is repeated, 1 unless said.
        analyse: measure the circuit.
        role: "ansatz" or "encoding", for a file that would do as either; by default what its content says, then its folder's name.

    Raises:
        UnknownName: nothing is called so.
        DesignError: the file is no design, or does not exist at this width.
    """
    if role is None and not names.is_design_file(name):
        for kind in ("detector", "dataset"):
            if name in names.known(kind):
                return _show_keys(name, kind)
    found, note = _role(name, role)
    return _show_design(name, found, note, *_size(found, _width(name, found, wires), depth), analyse)


def _role(name: str, given: str | None) -> tuple[Role, str]:
    """What kind of design a name or a file is, and a note where that was a guess."""
    if given is not None:
        for role in ROLES:
            if role == given:
                return role, ""
        raise UnknownName("role", given, ROLES)
    if names.is_design_file(name):
        told = None if name.endswith(".qasm") else role_of(documents.read(name))
        told = told or next((role for role in ROLES if Path(name).resolve().parent.name == role), None)
        guess = "note: nothing in the file says whether it is an ansatz or an encoding; --role encoding reads it as the other"
        return (told, "") if told else ("ansatz", guess)
    for role in ROLES:
        if name in names.designs(role):
            return role, ""
    if isdir(name) or name.endswith((".toml", ".qasm")) or "/" in name:
        names.design_path("ansatz", name)  # says what is wrong with the path
    others = [*names.known("detector"), *names.known("dataset")]
    if name in others:
        raise InputError(f"'{name}' is no circuit design, so there is nothing to draw; leave out --out, or see: qlogad list ansatz")
    everything = [*names.designs("ansatz"), *names.designs("encoding"), *others]
    raise UnknownName("design, detector or dataset", name, everything)


def _show_design(name: str, role: Role, note: str, wires: int, depth: int, analyse: bool) -> Shown:
    from qlogad.backend.exact.jacobian import live_weights

    design = Design.load(name, role)
    circuit = design.build(wires, depth)
    pairs = sum(len(gate.wires) == 2 for gate in circuit.gates)
    facts: dict[str, Any] = {
        "name": design.name,
        "role": role,
        "source": design.source,
        "wires": wires,
        "depth": depth,
        **({"features": Encoding(design).features(wires)} if role == "encoding" else {}),
        "inputs": circuit.inputs,
        "weights": circuit.weights,
        "gates": len(circuit.gates),
        "two_qubit_gates": pairs,
        "digest": circuit.digest(),
    }
    notes = [note] if note else []
    if role == "ansatz" and design.init == "identity-block":
        facts["init"] = design.init
        notes.append(
            "note: init = 'identity-block' follows every layer by its undoing: twice the gates and weights that its rows give"
        )
    if role == "ansatz" and circuit.weights and wires <= LIVE_UP_TO:
        whole = assemble(design.check.encoding, name, wires, depth)
        encoding = Encoding.load(design.check.encoding)
        live, alive = (live_weights(one, seeds.generator(0, "live weights"), encoding=encoding) for one in (whole, whole.alive()))
        facts |= {"live_weights": live, "live_weights_with_x_and_z": alive}
        if live < circuit.weights:
            notes.append(
                f"note: {circuit.weights - live} of {circuit.weights} weights are dead for <Z> behind {design.check.encoding}; "
                f"with the alive variant, readout = 'x+z', {alive} are live"
            )
    lines = [f"{design.name}: {design.source}", "", draw(circuit), ""]
    lines += [f"{key.replace('_', ' ')}: {value}" for key, value in facts.items() if key not in ("name", "source")]
    lines += notes
    if analyse:
        facts["analysis"] = analysis.analyse(name, role, wires=wires, depth=depth)
        lines += ["", analysis.text(facts["analysis"])]
    return Shown("\n".join(lines), facts)


def plan(
    name: str,
    *,
    depth: int,
    wires: int | None = None,
    reupload: bool = False,
    rows: int = 64,
    calls: int = 10,
    double: bool = False,
    every: bool = False,
    role: str | None = None,
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
        role: "ansatz" or "encoding", where a file would do as either.

    Raises:
        UnknownName: there is no such design.
        DesignError: it does not exist at this width.
        BackendError: the engine does not run it.
    """
    from qlogad.backend.exact import Exact
    from qlogad.experiment import planning

    if role is None and not names.is_design_file(name) and name not in {*names.designs("ansatz"), *names.designs("encoding")}:
        raise UnknownName("design", name, [*names.designs("ansatz"), *names.designs("encoding")])
    found_role, _ = _role(name, role)
    wires, _ = _size(found_role, _width(name, found_role, wires), None)
    pair = (Design.load(name, found_role).check.encoding, name) if found_role == "ansatz" else (name, "strongly-entangling")
    layers = depth if found_role == "ansatz" else 1
    if wires > Exact.abilities.max_wires:
        raise InputError(f"the exact engine runs up to {Exact.abilities.max_wires} wires, got {wires}")
    found = planning.table(assemble(*pair, wires, layers, reupload=reupload), rows=rows, calls=calls, double=double, every=every)
    title = (
        f"{pair[1]} behind {pair[0]}{', re-uploaded' if reupload else ''}: {wires} wires, depth {layers}; a training step of "
        f"{planning.GROUPS} circuits, {rows} rows, {calls} calls, float{64 if double else 32}, one thread"
    )
    return Shown(planning.text(found, title), {"name": name, "wires": wires, "depth": layers, "plan": found})


def export(
    name: str, path: Path, *, wires: int | None = None, depth: int | None = None, drawer: str = "pennylane", role: str | None = None
) -> None:
    """Write a design as a drawing (.svg, .png) or as OpenQASM 3 (.qasm).

    Args:
        name: of an ansatz or encoding, or a design file.
        path: its ending says what to write.
        wires: the circuit's width.
        depth: of an ansatz alone: how often the layer is repeated, 1 unless said.
        drawer: "pennylane", or "qiskit", which needs the extra `draw`.
        role: as in `show`.

    Raises:
        UnknownName: there is no such design, or no such drawer.
        InputError: the path ends otherwise.
        MissingExtra: the drawer needs a package that is not installed.
    """
    found, _ = _role(name, role)
    circuit = Design.load(name, found).build(*_size(found, _width(name, found, wires), depth))
    if path.suffix not in (".svg", ".png", ".qasm"):
        raise InputError(f"a circuit is written as .svg, .png or .qasm, got '{path.name}'")
    if not path.resolve().parent.is_dir():
        raise InputError(f"there is no folder '{path.parent}' to write '{path.name}' into; make it first")
    if path.suffix == ".qasm":
        from qlogad.backend.qiskit import to_qasm

        files.write(path, to_qasm(circuit) + "\n")
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

    table = escape.table(keys, "simple")
    about = "\n\n".join(text for text in (inspect.getdoc(inspect.getmodule(cls)), inspect.getdoc(cls), table) if text)
    return Shown(f"{name}: {about}", {"name": name, "kind": kind, "keys": keys})


def describe(name: str, overrides: Sequence[str], progress: Callable[[str, int], None]) -> dict[str, Any]:
    """What is in a data set: every line accounted for, templates, windows, labels and what each cut would give."""
    from qlogad.experiment.experiment import Experiment
    from qlogad.experiment.ground import open_source, splits
    from qlogad.logs.drain import Drain

    if name in names.known("dataset"):
        table: dict[str, Any] = {"dataset": name}
        for assignment in overrides:
            table = documents.override(table, assignment.removeprefix("data."))
        content = {"data": table, "contender": [{"name": "new-event", "detector": "new-event"}]}
        data, contenders = Experiment.from_document(content, where="data describe").data, {}
    elif name.endswith(".toml") or name in names.documents("experiment"):
        experiment = Experiment.load(name, overrides)
        data, contenders = experiment.data, {contender.name: _made_of(contender) for contender in experiment.contenders}
    else:
        hint = did_you_mean(name, names.known("dataset"))
        raise InputError(
            f"'{name}' is neither a dataset nor an experiment file{hint}; known datasets: {', '.join(names.known('dataset'))}"
        )
    source = open_source(data, lambda lines: progress("lines read", lines), judged=False)
    events, windows, intake = source.events, source.windows, source.events.intake
    time_E = events.time_E[np.isfinite(events.time_E)]
    facts: dict[str, Any] = {
        "dataset": data.dataset,
        "lines": intake.lines,
        "understood": intake.records,
        "blank": intake.blank,
        "quarantined": len(intake.quarantine),
        "quarantine reasons": intake.reasons(),
        "first quarantined lines": sorted(item.line for item in intake.quarantine)[:10],
        **({"warnings": list(intake.warnings)} if intake.warnings else {}),
        "from": _stamp(time_E.min()) if len(time_E) else "no times",
        "to": _stamp(time_E.max()) if len(time_E) else "no times",
        "sessions": len(events.sessions),
        "distinct masked messages": len(events.texts),
        "windows": f"{len(windows)} by {source.window.by}",
        "windows of unknown label": source.unknown,
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
    facts |= {"contenders": contenders} if contenders else {}
    try:
        found = splits(data, source)
    except DataError as error:
        return facts | {"cuts": f"none: {error}"}
    for split in found:
        label = {part: windows.label_W[getattr(split, part)] for part in ("train", "validation", "test", "in_flight")}
        facts[f"cut {split.name}"] = {part: f"{len(v)} windows, {int((v == 1).sum())} anomalous" for part, v in label.items()}
    return facts


def _made_of(contender: Contender) -> str:
    """A contender in a few words: its detector, and what it has of a grid."""
    like = f", like {contender.like}" if contender.like else ""
    control = f", {contender.control}" if contender.control else ""
    varied = ", ".join(f"{key} = {value}" for key, value in (contender.grid or {}).items() if key != "control")
    return f"{contender.detector}{like}{control}{': ' if varied else ''}{varied}"


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
