"""Controls: what must stand beside a quantum core before anything is said for its circuit. One function per control, by name.

`same-wrapper` asks whether the circuit earns its place, `same-total` whether a saving of weights is the circuit's, `frozen` whether
training the angles matters, `no-entanglement` whether entanglement does (`no-entanglement-matched`: at as many live weights), `dephased`
whether coherence does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from qlogad.errors import InputError, UnknownName
from qlogad.nn.core.core import Core
from qlogad.nn.core.quantum import Quantum
from qlogad.nn.core.same_total import SameTotal
from qlogad.nn.core.same_wrapper import SameWrapper

__all__ = [
    "control",
    "controls",
    "dephased",
    "frozen",
    "no_entanglement",
    "no_entanglement_matched",
    "same_total",
    "same_wrapper",
]


def same_wrapper(core: Quantum) -> Core:
    """The same linear maps in and out; the circuit becomes tanh of a diagonal affine map with at most its live weights."""
    return SameWrapper(of=core)


def same_total(core: Quantum) -> Core:
    """A classical cell, as large as the weights of the whole quantum network allow."""
    return SameTotal(of=core)


def frozen(core: Quantum) -> Core:
    """The circuit stays random; everything around it is trained."""
    return replace(core, frozen=True)


def no_entanglement(core: Quantum) -> Core:
    """The circuit without its gates on two and more wires, the CX of amplitude state preparation among them."""
    return replace(core, entangling=False)


def no_entanglement_matched(core: Quantum) -> Core:
    """A separable circuit that encodes as often as it needs for the circuit's number of live weights."""
    return replace(core, matched=True)


def dephased(core: Quantum) -> Core:
    """The circuit as a classical stochastic process of the same wiring: no phases between the layers; runs on `exact`."""
    return replace(core, dephased=True, backend="exact")


_CONTROLS: dict[str, Callable[[Quantum], Core]] = {
    function.__name__.replace("_", "-"): function
    for function in (dephased, frozen, no_entanglement, no_entanglement_matched, same_total, same_wrapper)
}


def controls() -> dict[str, str]:
    """The names of all controls with what each does.

    >>> list(controls())
    ['dephased', 'frozen', 'no-entanglement', 'no-entanglement-matched', 'same-total', 'same-wrapper']
    """
    return {name: (function.__doc__ or "").strip() for name, function in _CONTROLS.items()}


def control(name: str, core: Core) -> Core:
    """The control of that name for a quantum core.

    Raises:
        UnknownName: with the nearest known name.
        InputError: the core is not quantum.

    >>> control("frozen", Quantum(wires=2)).frozen
    True
    """
    if name not in _CONTROLS:
        raise UnknownName("control", name, _CONTROLS)
    if not isinstance(core, Quantum):
        raise InputError(f"control '{name}' is made from a quantum core, got kind = '{core.kind}'; say `like` a quantum contender")
    return _CONTROLS[name](core)
