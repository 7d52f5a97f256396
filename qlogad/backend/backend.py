"""The backend interface: runs circuits, with weights bound once and inputs given many times.

Weights are shared by a whole batch, by the G circuits of a cell and by every time step; `bind` does their work once.
The file's name is the backend's name: "exact", "pennylane", "pennylane:lightning.qubit" (the part after the colon is its target).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from qlogad import names
from qlogad.backend.abilities import CALLS, DEFAULT_KEY, Abilities, Estimate, Key, Rows
from qlogad.backend.check import Check
from qlogad.circuit.circuit import Circuit
from qlogad.errors import BackendError, DesignError

if TYPE_CHECKING:
    from qlogad.backend.form import Form, Kernel
    from qlogad.backend.target import Target

__all__ = ["Backend", "Bound", "asks_account", "check_finite", "check_inputs", "check_weights", "open_backend", "tied"]


@runtime_checkable
class Bound(Protocol):
    """A circuit with bound weights, called once per time step."""

    def __call__(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Tensor:
        """The readouts mean_GNK in [-1, 1], differentiable in weights and inputs.

        Args:
            inputs_GNI: (1 or G, N, I), radians; one set of inputs for all G circuits, or one each. N may be 0.
            rows: a name for each of the N rows, to make sampling independent of their order.

        Raises:
            BackendError: the inputs do not fit, are not finite, or need more memory than there is.
        """

    def estimate(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Estimate:
        """The same readouts with their standard error and cost; without gradients."""

    def form(self, rows: int, kernel: Kernel | None = None) -> Form | None:
        """The circuit as weight-only tables for a whole-sequence kernel, or None (the default) if it has none.

        Args:
            rows: number of rows of all steps together.
            kernel: the cost of the kernel; None is returned if a loop over the steps is predicted to be faster.
        """
        return None


@runtime_checkable
class Backend(Protocol):
    """Runs circuits. A concrete backend names this class as its base and takes its target as first argument."""

    name: str
    abilities: Abilities
    checks: ClassVar[tuple[Check, ...]] = (Check(),)  # run by `qlogad doctor`

    @classmethod
    def asks_account(cls, target: str) -> bool:
        """Whether a target may use an account of the user, judged by its name alone. True by default and in doubt."""
        return True

    @abstractmethod
    def bind(self, circuit: Circuit, weights_GP: Tensor, *, key: Key = DEFAULT_KEY, calls: int = CALLS) -> Bound:
        """Bind weights: do the work that depends on them alone once.

        Args:
            circuit: the circuit to run.
            weights_GP: (G, P), radians: G circuits of one structure, side by side. Its dtype is the precision.
            key: key of the random numbers.
            calls: hint: about how many calls will follow (time steps).

        Raises:
            BackendError: the weights do not fit the circuit, or the backend cannot run it.
        """

    def jobs(self) -> Target | None:
        """The target that takes its rows as jobs, which can be planned and recorded; None (the default) if it has none."""
        return None

    def plans(self) -> list[dict[str, Any]]:
        """The backend's choices that may affect the rounding of results, as JSON; empty if it has none."""
        return []

    def adopt(self, plans: Sequence[Mapping[str, Any]]) -> None:
        """Repeat the choices of an earlier run to reproduce its numbers; `plans` come from a backend of the same name."""
        return

    @classmethod
    def read_circuit(cls, circuit: object, *, encoding: bool, **options: Any) -> tuple[Circuit, str]:
        """Convert a circuit of this backend's framework; returns it with its name. `encoding`: its parameters are features.

        Raises:
            DesignError: it cannot be converted (by default, always).
        """
        raise DesignError(f"backend '{cls.name}' cannot read a {type(circuit).__name__} as a circuit; export it as OpenQASM 3")


def open_backend(spec: str) -> Backend:
    """Open a backend by name, such as "exact" or "pennylane:lightning.qubit".

    Raises:
        UnknownName: there is no such backend.
        MissingExtra: it needs a package that is not installed.
        BackendError: it has no such target.
    """
    name, _, target = spec.partition(":")
    backend = names.find("backend", name)
    opened: Backend = backend(target) if target else backend()
    return opened


def asks_account(spec: str) -> bool:
    """Whether a backend may use an account of the user, judged by its name alone.

    >>> asks_account("exact"), asks_account("ibm:fake_manila"), asks_account("ibm:torino,shots=1024")
    (False, False, True)

    Raises:
        UnknownName: there is no such backend.
        MissingExtra: it needs a package that is not installed.
    """
    name, _, target = spec.partition(":")
    return bool(names.find("backend", name).asks_account(target))


def check_weights(circuit: Circuit, weights_GP: Tensor, *, dephased: bool = False) -> None:
    """Refuse weights that do not fit the circuit, and dephased circuits that the backend cannot run."""
    if circuit.dephased and not dephased:
        raise BackendError("this backend cannot run dephased circuits; use the backend 'exact'")
    _check_tensor("weights", weights_GP)
    if weights_GP.ndim != 2 or weights_GP.shape[1] != circuit.weights or not len(weights_GP):
        raise BackendError(f"weights of shape (G, {circuit.weights}) with G >= 1 expected, got {tuple(weights_GP.shape)}")
    if weights_GP.dtype not in {torch.float32, torch.float64}:
        raise BackendError(f"weights must be float32 or float64, got {weights_GP.dtype}; call .float() or .double()")
    check_finite(weights_GP)


def check_finite(weights: Tensor) -> None:
    """Refuse weights that are not finite."""
    if not _finite(weights):
        raise BackendError("weights are not all finite; has training diverged? try a lower learning rate")


def check_inputs(circuit: Circuit, weights_GP: Tensor, inputs_GNI: Tensor) -> None:
    """Refuse inputs that do not fit the circuit and its weights."""
    _check_tensor("inputs", inputs_GNI)
    shape = tuple(inputs_GNI.shape)
    if len(shape) != 3 or shape[2] != circuit.inputs or shape[0] not in {1, len(weights_GP)}:
        raise BackendError(f"inputs of shape (1 or {len(weights_GP)}, N, {circuit.inputs}) expected, got {shape}")
    if inputs_GNI.dtype != weights_GP.dtype or inputs_GNI.device != weights_GP.device:
        got, want = f"{inputs_GNI.dtype} on {inputs_GNI.device}", f"{weights_GP.dtype} on {weights_GP.device}"
        raise BackendError(f"inputs are {got} but weights are {want}; use .to(weights)")
    if not _finite(inputs_GNI):
        raise BackendError(
            "inputs are not all finite; check for NaN in the features, then in the weights of the layers before the circuit, or scale them"
        )


def tied(mean_GNK: Tensor, weights_GP: Tensor, inputs_GNI: Tensor) -> Tensor:
    """Connect readouts to the autograd graph of weights and inputs, with zero derivatives if they depend on neither."""
    wanted = torch.is_grad_enabled() and (weights_GP.requires_grad or inputs_GNI.requires_grad)
    tied = mean_GNK.requires_grad and mean_GNK.numel() > 0
    return mean_GNK + 0 * (weights_GP.sum() + inputs_GNI.sum()) if wanted and not tied else mean_GNK


def _check_tensor(what: str, values: object) -> None:
    if not isinstance(values, Tensor):
        raise BackendError(f"{what} must be a torch tensor, got {type(values).__name__}; use torch.as_tensor")


def _finite(values: Tensor) -> bool:
    """Whether all values are finite. On CUDA this does not synchronize: a device-side assertion fails later instead."""
    if values.is_cuda:
        torch._assert_async(torch.isfinite(values).all(), "weights or inputs of a circuit are not all finite")
        return True
    return math.isfinite(values.detach().sum().item()) or bool(torch.isfinite(values).all())  # a sum may overflow
