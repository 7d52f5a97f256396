"""A circuit as text: wires run left to right as lines, gates stand in columns, a dot marks a control."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from qlogad.circuit.circuit import Angle, Circuit, Gate, z_each
from qlogad.circuit.gates import GATES
from qlogad.circuit.readout import is_projector

__all__ = ["draw", "to_svg"]

_CELL = (8, 17)  # width and height of a character in an SVG, in pixels
_SHOWN = 16  # largest number of readouts shown


def draw(circuit: Circuit, *, width: int = 120) -> str:
    """Draw the circuit as text, wrapped into blocks of at most `width` characters (unless one column is wider).

    Angles show `x0` for input 0 and `w0` for weight 0. Unless the readout is `<Z>` on every wire, the last line lists the readouts:
    expectation values of Pauli words, and probabilities of basis states.

    >>> print(draw(Circuit(2, (Gate("h", (0,)), Gate("crx", (0, 1), (Angle("weight", 0),))), ("ZI", "IZ"), 0, 1)))
    0: ──h────●──── ⟨Z⟩
              │
    1: ─────rx(w0)─ ⟨Z⟩
    """
    columns = [_column(gates, circuit.wires) for gates in _columns(circuit)]
    each = circuit.readout == z_each(circuit.wires)
    digits = len(str(circuit.wires - 1))
    heads = [f"{wire:>{digits}}: ─" for wire in range(circuit.wires)]
    blocks: list[str] = []
    chunks = list(_chunks(columns, width - len(heads[0]) - len(" ⟨Z⟩")))
    for number, chunk in enumerate(chunks, start=1):
        blocks.append(_block(heads, chunk, " ⟨Z⟩" if each and number == len(chunks) else ""))
    if not each:
        shown = [f"P({word})" if is_projector(word) else f"⟨{word}⟩" for word in circuit.readout]
        shown[_SHOWN:] = [f"... ({len(shown)} in all)"] if len(shown) > _SHOWN else []
        blocks.append("reads " + " ".join(shown))
    return "\n\n".join(blocks)


def to_svg(text: str) -> str:
    """A drawing as SVG, with characters aligned in any font.

    >>> to_svg("0: ─ ⟨Z⟩").count("<text")
    1
    """
    lines = text.split("\n")
    width, height = _CELL
    size = f'width="{width * (2 + max(map(len, lines)))}" height="{height * (len(lines) + 1)}"'
    places = " ".join(str(width * (1 + column)) for column in range(max(map(len, lines))))
    rows = [
        f'<text x="{places}" y="{height * (1 + row)}" xml:space="preserve">{escape(line)}</text>' for row, line in enumerate(lines)
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="monospace" font-size="13">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *rows, "</svg>"]) + "\n"


def _columns(circuit: Circuit) -> list[list[Gate]]:
    """Each gate in the first column where its span of wires is free."""
    columns: list[list[Gate]] = []
    free = [0] * circuit.wires  # the first free column of each wire
    for gate in circuit.gates:
        span = range(min(gate.wires), max(gate.wires) + 1)
        place = max(free[wire] for wire in span)
        if place == len(columns):
            columns.append([])
        columns[place].append(gate)
        for wire in span:
            free[wire] = place + 1
    return columns


def _column(gates: list[Gate], wires: int) -> list[str]:
    """The column's 2 W - 1 rows of text, all of one width: wire, gap, wire, ..."""
    cells = ["─" if row % 2 == 0 else " " for row in range(2 * wires - 1)]
    for gate in gates:
        low, high = min(gate.wires), max(gate.wires)
        for row in range(2 * low + 1, 2 * high):
            cells[row] = "┼" if row % 2 == 0 else "│"
        for wire, label in zip(gate.wires, _labels(gate), strict=True):
            cells[2 * wire] = label
    size = max(len(cell) for cell in cells)
    return [cell.center(size, "─" if row % 2 == 0 else " ") for row, cell in enumerate(cells)]


def _labels(gate: Gate) -> list[str]:
    kind = GATES[gate.name]
    angles = f"({', '.join(_angle(angle) for angle in gate.angles)})" if gate.angles else ""
    if gate.name == "swap":
        return ["×", "×"]
    if gate.name == "cx":
        return ["●", "⊕"]
    acting = gate.name[kind.controls :] + angles  # the first letter of "cx" and "crx" is the control
    return ["●"] * kind.controls + [acting] * (len(gate.wires) - kind.controls)


def _angle(angle: Angle) -> str:
    if angle.source is None:
        return f"{angle.shift:.4g}"
    scale = {1.0: "", -1.0: "-"}.get(angle.scale, f"{angle.scale:.4g}*")
    shift = f"{angle.shift:+.4g}" if angle.shift else ""
    return f"{scale}{'x' if angle.source == 'input' else 'w'}{angle.index}{shift}"


def _chunks(columns: list[list[str]], width: int) -> Iterator[list[list[str]]]:
    chunk: list[list[str]] = []
    used = 0
    for column in columns:
        size = len(column[0]) + 2
        if chunk and used + size > width:
            yield chunk
            chunk, used = [], 0
        chunk.append(column)
        used += size
    yield chunk


def _block(heads: list[str], columns: list[list[str]], tail: str) -> str:
    lines = []
    for row in range(2 * len(heads) - 1):
        if row % 2 == 0:
            lines.append(heads[row // 2] + "─".join(["", *(f"{column[row]}─" for column in columns)]) + tail)
        else:
            lines.append((" " * len(heads[0]) + " ".join(["", *(f"{column[row]} " for column in columns)])).rstrip())
    return "\n".join(lines)
