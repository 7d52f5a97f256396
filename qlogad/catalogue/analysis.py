"""The analysis behind `show --analyse` and `list --analyse`, cached under the digest of the analysed circuits.

Each result is one file in the user's cache folder (`documents.cache_folder`), written as soon as it is computed, so a killed run loses at
most one design. A file that does not match its digest is computed again.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from qlogad import documents, files, names, seeds
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.design import Design, Role
from qlogad.circuit.encoding import Encoding, assemble
from qlogad.errors import DesignError, InputError, ResultError, WidthError, did_you_mean, shown
from qlogad.import_closure import code

__all__ = ["COLUMNS", "analyse", "check_column", "summary", "table", "text"]

Facts = dict[str, Any]
Progress = Callable[[str, int], None]

PAIRS, SAMPLES = 5_000, 200  # of states; of gradients
WIDEST = 12  # wires: 10,000 states of wider circuits may not fit in memory
WIDTHS = (2, 4, 6, 8)  # for measuring the decay of gradients
_REFERENCE = "strongly-entangling"  # the ansatz used to analyse an encoding


def analyse(name: str, role: Role, *, wires: int, depth: int, folder: Path | None = None) -> Facts:
    """All measures of qlogad.evaluate.circuits for one design, from the cache if possible.

    An ansatz is analysed on |0...0>, except that live weights, light cones, spectrum and surrogate use the encoding named in its file.
    An encoding is analysed alone, except that spectrum and surrogate use one layer of strongly-entangling after it.

    Args:
        name: of a design, or its file.
        role: "ansatz" or "encoding".
        wires: the width; gradients are measured at several widths.
        depth: number of layers of an ansatz.
        folder: the cache; by default `documents.cache_folder()`.

    Raises:
        UnknownName: there is no such design.
        DesignError: it does not exist at this width.
    """
    if not 1 <= wires <= WIDEST:
        raise InputError(f"the analysis samples {2 * PAIRS:,} states and takes 1 to {WIDEST} wires, got {wires}")
    design = Design.load(name, role)
    bare = design.build(wires, depth if role == "ansatz" else 1)
    pair = (design.check.encoding, name, wires, depth) if role == "ansatz" else (name, _REFERENCE, wires, 1)
    whole = assemble(*pair)
    builds = {width: circuit for width in WIDTHS if (circuit := _built(design, width, depth)) is not None}
    key = documents.digest(code((__name__,)), bare, whole, list(builds.values()), PAIRS, SAMPLES)
    path = (folder or documents.cache_folder()) / "analysis" / f"{key}.json"
    found = _read(path)
    if found is None:
        found = json.loads(json.dumps(_measure(design, bare, whole, builds)))
        with suppress(OSError):  # if the folder is not writable, only the cache is lost
            files.write_facts(path, found)
    return found


def _built(design: Design, wires: int, depth: int) -> Circuit | None:
    with suppress(DesignError):
        return design.build(wires, depth) if design.role == "ansatz" else None
    return None


def _read(path: Path) -> Facts | None:
    """A result if it was written completely, else None."""
    try:
        return files.read_facts(path)
    except ResultError:
        return None


def _measure(design: Design, bare: Circuit, whole: Circuit, builds: dict[int, Circuit]) -> Facts:
    from qlogad.backend.exact.live_weights import live_weights
    from qlogad.evaluate import circuits as measures

    def random(what: str) -> Any:
        return seeds.generator(0, "analysis", what)

    encoding = Encoding.of(design.check.encoding, design) if design.role == "ansatz" else None
    states_ND = measures.random_states(bare, 2 * PAIRS, random("states"))
    expressed = measures.kl_to_haar(states_ND)
    once = design.build(bare.wires, 1).weights - design.build(bare.wires, 0).weights if design.role == "ansatz" else 0
    linear, closed = measures.surrogate(whole, random("surrogate")), measures.closed_form(whole)
    facts: Facts = {
        "circuit_depth": bare.depth,
        "gates": len(bare.gates),
        "two_qubit_gates": bare.two_qubit_gates,
        "gate_counts": dict(sorted(Counter(gate.name for gate in bare.gates).items())),
        "weights": bare.weights,
        "weights_per_layer": once,
        "inputs": whole.inputs,
        "live_weights": live_weights(whole, random("live"), encoding=encoding),
        "live_weights_with_x_and_z": live_weights(whole.alive(), random("alive"), encoding=encoding),
        "expressibility": expressed.value,
        "expressibility_spread": expressed.spread,
        "expressibility_floor": expressed.floor,
        "entangling": float(measures.meyer_wallach(states_ND).mean()),
        "light_cones": {
            word: {"wires": len(cone.wires), "weights": len(cone.weights), "inputs": len(cone.inputs)}
            for word, cone in ((word, measures.light_cone(whole, word)) for word in whole.readout)
        },
        "spectrum": [[[frequency, times] for frequency, times in each.items()] for each in measures.spectrum(whole)],
        "surrogate": {"kind": linear.kind, "features": linear.features, "error": linear.error, "verified": linear.verified},
        "closed_form": [one.text for one in closed] if closed else None,
    }
    if bare.weights:
        ends = replace(bare, readout=("Z" + "I" * (bare.wires - 1), "Z" * bare.wires))
        value_KP, error_KP = measures.variance(measures.gradients(ends, random("gradients"), samples=SAMPLES))
        facts["gradient_variance"] = {
            name: {"value": float(value_P.max()), "error": float(error_P[value_P.argmax()])}
            for name, value_P, error_P in zip(("local", "global"), value_KP, error_KP, strict=True)
        }
        facts["gradient_by_width"] = measures.plateau(builds.__getitem__, list(builds), random("plateau"), samples=SAMPLES)
    return facts


def summary(name: str, facts: Facts) -> Facts:
    """One row of the table of `qlogad list ansatz --analyse`."""
    none = {"value": 0.0, "error": 0.0}
    gradient = facts.get("gradient_variance", {"local": none, "global": none})
    return {
        "name": name,
        "weights": facts["weights"],
        "live": facts["live_weights"],
        "depth": facts["circuit_depth"],
        "gates": facts["gates"],
        "two-qubit": facts["two_qubit_gates"],
        "expressibility": round(facts["expressibility"], 4),
        "entangling": round(facts["entangling"], 4),
        "gradient local": _rounded(**gradient["local"]),
        "gradient global": _rounded(**gradient["global"]),
        "features": facts["surrogate"]["features"],
        "closed form": "yes" if facts["closed_form"] else "no",
    }


COLUMNS = (
    "name",
    "weights",
    "live",
    "depth",
    "gates",
    "two-qubit",
    "expressibility",
    "entangling",
    "gradient local",
    "gradient global",
    "features",
    "closed form",
)


def table(role: Role, *, wires: int, depth: int, sort: str, progress: Progress) -> list[Facts]:
    """Every design of a role that exists at this width, analysed and sorted; the smallest first.

    Raises:
        InputError: there is no such column.
    """
    check_column(sort, COLUMNS)
    rows = []
    for number, name in enumerate(names.designs(role)):
        progress(f"analysing {name}", number)
        try:
            rows.append(summary(name, analyse(name, role, wires=wires, depth=depth)))
        except WidthError:  # it does not exist for this number of wires
            continue
    return sorted(rows, key=lambda row: row[sort])


def check_column(name: str, known: Sequence[str]) -> None:
    """Refuse to sort by an unknown column."""
    if name not in known:
        raise InputError(f"there is no column {shown(name)}{did_you_mean(name, known)}; known: {', '.join(known)}")


def text(facts: Facts) -> str:
    """The facts as text."""
    lines = [
        f"depth {facts['circuit_depth']}, {facts['gates']} gates, {facts['two_qubit_gates']} of two qubits: "
        + ", ".join(f"{count} {name}" for name, count in facts["gate_counts"].items()),
        f"weights: {facts['weights']}, {facts['weights_per_layer']} a layer; live with <Z>: {facts['live_weights']}, "
        f"with <X> and <Z>: {facts['live_weights_with_x_and_z']}",
        f"expressibility (divergence from Haar, {PAIRS:,} pairs): {facts['expressibility']:.4f}, one draw +- "
        f"{facts['expressibility_spread']:.4f}; sampling floor {facts['expressibility_floor']:.4f}, not to be ranked below",
        f"entangling capability (Meyer-Wallach): {facts['entangling']:.3f}",
    ]
    if "gradient_variance" in facts:
        found = facts["gradient_variance"]
        local, whole = (_with_error(**found[name]) for name in ("local", "global"))
        lines.append(f"gradient variance from {SAMPLES} samples, largest of the weights: local Z {local}, global Z {whole}")
        for row in facts["gradient_by_width"]:
            names_of = ("local", "global", "local_mean", "global_mean")
            one, two, three, four = (_with_error(row[name], row[f"{name}_error"]) for name in names_of)
            lines.append(f"  {row['wires']} wires: first weight that moves a readout {one} and {two}, mean {three} and {four}")
    for word, cone in facts["light_cones"].items():
        lines.append(f"light cone of <{word}>: {cone['wires']} wires, {cone['weights']} weights, {cone['inputs']} inputs")
    for each, inputs in _grouped(facts["spectrum"]):
        shown = ", ".join(f"{frequency:g} ({times})" for frequency, times in each[:12])
        more = f", ... {len(each)} in all" if len(each) > 12 else ""
        lines.append(f"spectrum of {inputs}, frequency (multiplicity): {shown}{more}")
    linear = facts["surrogate"]
    proof = "too many to fit" if linear["error"] is None else f"fitted to {linear['error']:.0e}"
    lines.append(f"exactly linear in {linear['features']:,} trigonometric features of its gate angles ({linear['kind']}; {proof})")
    if facts["closed_form"]:
        lines += [
            "closed form, a product of single-wire means (of one input each: cosines):",
            *(f"  {one}" for one in facts["closed_form"]),
        ]
    return "\n".join(lines)


def _rounded(value: float, error: float) -> float:
    """A number rounded to the digit of its standard error.

    >>> _rounded(0.19345, 0.0163)
    0.19
    """
    return round(value, -math.floor(math.log10(error))) if error > 0 else value


def _with_error(value: float, error: float) -> str:
    """A number and its standard error, to two digits of the error.

    >>> _with_error(0.19345, 0.0163)
    '0.193 +- 0.016'
    """
    if error <= 0:
        return f"{value:.3g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} +- {error:.{digits}f}"


def _grouped(spectra: list[list[list[float]]]) -> list[tuple[list[list[float]], str]]:
    """Group equal spectra, each with the inputs that have it."""
    groups: dict[str, tuple[list[list[float]], list[str]]] = {}
    for number, each in enumerate(spectra):
        groups.setdefault(json.dumps(each), (each, []))[1].append(f"x{number}")
    return [(each, ", ".join(inputs)) for each, inputs in groups.values()]
