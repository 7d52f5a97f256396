"""Circuit designs for listing, showing, planning and export."""

from __future__ import annotations

from dataclasses import dataclass
from os.path import isdir
from pathlib import Path
from typing import Any

from qlogad import documents, files, names, seeds
from qlogad.catalogue import analysis
from qlogad.circuit.circuit import MAX_WIRES
from qlogad.circuit.design import ROLES, Design, Role, role_of
from qlogad.circuit.draw import draw
from qlogad.circuit.encoding import Encoding, assemble
from qlogad.circuit.row import MAX_DEPTH, Takes
from qlogad.errors import InputError, UnknownName, WidthError

__all__ = ["Shown", "export", "plan"]

LIVE_UP_TO = 10  # wires: for wider circuits, counting live weights takes long


@dataclass(frozen=True)
class Shown:
    """The output of `qlogad show`: text for people, facts for programs."""

    text: str
    facts: dict[str, Any]


def size_of(kind: str, wires: int | None, depth: int | None) -> tuple[int, int]:
    """The number of wires and the depth of circuits to list."""
    if wires is not None and kind not in ROLES:
        raise InputError(f"only ansatz and encoding have wires, got '{kind}'; leave out --wires")
    if depth is not None and kind != "ansatz":
        raise InputError(f"only an ansatz has a depth, got '{kind}'; leave out --depth")
    wires, depth = 4 if wires is None else wires, 1 if depth is None else depth
    if not (1 <= wires <= MAX_WIRES and 0 <= depth <= MAX_DEPTH):
        raise InputError(f"circuits have 1 to {MAX_WIRES} wires and a depth of 0 to {MAX_DEPTH}, got {wires} and {depth}")
    return wires, depth


def width_of(name: str, role: Role, wires: int | None) -> int | None:
    """The requested width, or else the only one that a design allows."""
    return wires if wires is not None else Design.load(name, role).wires


def design_row(name: str, role: Role, wires: int, depth: int) -> dict[str, Any]:
    """A design's source and cost ("-" if it does not exist at this size), and for an encoding the features it takes."""
    design = Design.load(name, role)
    try:
        circuit = design.build(wires, depth)
        cost: dict[str, Any] = {"weights": circuit.weights} if role == "ansatz" else {"features": Encoding(design).features(wires)}
        cost |= {"two-qubit gates": circuit.two_qubit_gates}
    except WidthError:
        cost = dict.fromkeys(("weights" if role == "ansatz" else "features", "two-qubit gates"), "-")
    if role == "encoding":
        cost |= {"features on W wires": str(design.takes.features).replace("wires", "W"), "values": _values(design.takes)}
    return {"name": name, "wires": wires, **({"depth": depth} if role == "ansatz" else {}), **cost, "source": design.source}


def _values(takes: Takes) -> str:
    """The range of a feature as text."""
    limits = "any" if takes.range is None else " to ".join(str(limit).replace("wires", "W") for limit in takes.range)
    return f"integers, {limits}" if takes.integer else limits


def role_for(name: str, given: str | None) -> tuple[Role, str]:
    """The role of a design, and a note if it was a guess."""
    if given is not None:
        for role in ROLES:
            if role == given:
                return role, ""
        raise UnknownName("role", given, ROLES)
    if names.is_design_file(name):
        told = None if name.endswith(".qasm") else role_of(documents.read(name))
        told = told or next((role for role in ROLES if Path(name).resolve().parent.name == role), None)
        guess = (
            "note: the file does not say whether it is an ansatz or an encoding; read as an ansatz, use --role encoding otherwise"
        )
        return (told, "") if told else ("ansatz", guess)
    for role in ROLES:
        if name in names.designs(role):
            return role, ""
    if isdir(name) or name.endswith((".toml", ".qasm")) or "/" in name:
        names.design_path("ansatz", name)  # raises if something is wrong with the path
    others = [one for kind in names.KINDS for one in names.known(kind)]
    if name in others:
        raise InputError(f"'{name}' is not a circuit design, so it cannot be drawn; leave out --out, or see: qlogad list ansatz")
    everything = [*names.designs("ansatz"), *names.designs("encoding"), *others]
    raise UnknownName("design or other thing", name, everything)


def show_design(name: str, role: Role, note: str, wires: int, depth: int, analyse: bool) -> Shown:
    from qlogad.backend.exact.live_weights import live_weights

    design = Design.load(name, role)
    circuit = design.build(wires, depth)
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
        "two_qubit_gates": circuit.two_qubit_gates,
        "digest": circuit.digest(),
    }
    notes = [note] if note else []
    if role == "ansatz" and design.init == "identity-block":
        facts["init"] = design.init
        notes.append(
            "note: init = 'identity-block' appends the inverse of every layer, which doubles the gates and weights given by its rows"
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
    """How the exact engine would run a design as the four gates of a cell: predictions for every method, measurements of the chosen one.

    An ansatz is run with the encoding named in its file, an encoding with one layer of strongly-entangling.

    Args:
        name: of an ansatz or encoding, or a design file.
        wires: the circuit's width.
        depth: number of layers of an ansatz.
        reupload: repeat the encoding before every layer.
        rows: rows of a batch.
        calls: time steps.
        double: use float64.
        every: measure every method that fits in memory.
        role: "ansatz" or "encoding", for a file that could be either.

    Raises:
        UnknownName: there is no such design.
        DesignError: it does not exist at this width.
        BackendError: the engine cannot run it.
    """
    from qlogad.backend.exact import Exact
    from qlogad.catalogue import planning

    if role is None and not names.is_design_file(name) and name not in {*names.designs("ansatz"), *names.designs("encoding")}:
        raise UnknownName("design", name, [*names.designs("ansatz"), *names.designs("encoding")])
    found_role, _ = role_for(name, role)
    wires, _ = size_of(found_role, width_of(name, found_role, wires), None)
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
        path: its suffix selects the format.
        wires: the circuit's width.
        depth: for an ansatz: number of layers, 1 by default.
        drawer: "pennylane", or "qiskit", which needs the extra `draw`.
        role: as in `show`.

    Raises:
        UnknownName: there is no such design, or no such drawer.
        InputError: the path has another suffix.
        MissingExtra: the drawer needs a package that is not installed.
    """
    found, _ = role_for(name, role)
    circuit = Design.load(name, found).build(*size_of(found, width_of(name, found, wires), depth))
    if path.suffix not in (".svg", ".png", ".qasm"):
        raise InputError(f"a circuit can be written as .svg, .png or .qasm, got '{path.name}'")
    if not path.resolve().parent.is_dir():
        raise InputError(f"there is no folder '{path.parent}' to write '{path.name}' to; create it first")
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
