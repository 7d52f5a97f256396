"""What a backend is: a place where circuits run, given weights once and inputs many times.

Weights are shared by a whole batch, by the G circuits of a cell and by every time step; `bind` is where that work is done once.
The file's name is the backend's name: "exact", "pennylane", "pennylane:lightning.qubit" (what follows the colon is its target).
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
    """A circuit with its weights: call it as often as there are time steps."""

    def __call__(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Tensor:
        """The readouts mean_GNK in [-1, 1], differentiable in weights and inputs.

        Args:
            inputs_GNI: (1 or G, N, I), radians; one set of inputs for all G circuits, or one each. N may be 0.
            rows: a name for each of the N rows, where sampling should not depend on their order.

        Raises:
            BackendError: the inputs do not fit, are not finite, or need more memory than there is.
        """

    def estimate(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Estimate:
        """The same readouts with their standard error and cost; without gradients."""

    def form(self, rows: int, kernel: Kernel | None = None) -> Form | None:
        """The circuit as weight-only tables, for a whole-sequence kernel of so many rows; None, as by default, where there are none.

        Args:
            rows: of all steps together.
            kernel: what the kernel takes; where a loop over the steps is predicted to be quicker, there are no tables.
        """
        return None


@runtime_checkable
class Backend(Protocol):
    """A place where circuits run. A concrete backend names this class as its base and takes its target as first argument."""

    name: str
    abilities: Abilities
    checks: ClassVar[tuple[Check, ...]] = (Check(),)  # what `qlogad doctor` tries

    @classmethod
    def asks_account(cls, target: str) -> bool:
        """Whether that target may use an account of the user's, told by its name alone. Where in doubt, and as by default: True."""
        return True

    @abstractmethod
    def bind(self, circuit: Circuit, weights_GP: Tensor, *, key: Key = DEFAULT_KEY, calls: int = CALLS) -> Bound:
        """Do the work that depends on weights alone, once.

        Args:
            circuit: what to run.
            weights_GP: (G, P), radians: G circuits of one structure, side by side. Its dtype is the precision.
            key: where randomness comes from.
            calls: about how many calls will follow, the time steps: a hint.

        Raises:
            BackendError: the weights do not fit the circuit, or the backend cannot run it.
        """

    def jobs(self) -> Target | None:
        """What takes its rows as jobs that can be planned and recorded; None where it runs none, as by default."""
        return None

    def plans(self) -> list[dict[str, Any]]:
        """What it has decided for itself and numbers may depend on, by a rounding, as JSON; nothing where it decides nothing."""
        return []

    def adopt(self, plans: Sequence[Mapping[str, Any]]) -> None:
        """Decide as an earlier run did, so that its numbers come back; `plans` are of any backend of this name."""
        return

    @classmethod
    def read_circuit(cls, circuit: object, *, encoding: bool, **options: Any) -> tuple[Circuit, str]:
        """A circuit of the framework that this backend is called after, as ours, and its name; `encoding`: its parameters are features.

        Raises:
            DesignError: it is no circuit that can be read, as by default.
        """
        raise DesignError(f"backend '{cls.name}' reads no {type(circuit).__name__} as a circuit; export it as OpenQASM 3")


def open_backend(spec: str) -> Backend:
    """The backend of a name, "exact" or "pennylane:lightning.qubit" say.

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
    """Whether a backend may use an account of the user's, by its name alone.

    >>> asks_account("exact"), asks_account("ibm:fake_manila"), asks_account("ibm:torino,shots=1024")
    (False, False, True)

    Raises:
        UnknownName: there is no such backend.
        MissingExtra: it needs a package that is not installed.
    """
    name, _, target = spec.partition(":")
    return bool(names.find("backend", name).asks_account(target))


def check_weights(circuit: Circuit, weights_GP: Tensor, *, dephased: bool = False) -> None:
    """Refuse weights that do not fit the circuit, and dephased circuits where the backend cannot run them."""
    if circuit.dephased and not dephased:
        raise BackendError("this backend runs no dephased circuits; use the backend 'exact'")
    _check_tensor("weights", weights_GP)
    if weights_GP.ndim != 2 or weights_GP.shape[1] != circuit.weights or not len(weights_GP):
        raise BackendError(f"weights of shape (G, {circuit.weights}) with G >= 1 expected, got {tuple(weights_GP.shape)}")
    if weights_GP.dtype not in {torch.float32, torch.float64}:
        raise BackendError(f"weights are float32 or float64, got {weights_GP.dtype}; call .float() or .double()")
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
            "inputs are not all finite; look for NaN in the features, then in the weights of what comes before the circuit, or scale them"
        )


def tied(mean_GNK: Tensor, weights_GP: Tensor, inputs_GNI: Tensor) -> Tensor:
    """The readouts, with derivatives of zero in weights and inputs where they depend on neither, or there are none."""
    wanted = torch.is_grad_enabled() and (weights_GP.requires_grad or inputs_GNI.requires_grad)
    tied = mean_GNK.requires_grad and mean_GNK.numel() > 0
    return mean_GNK + 0 * (weights_GP.sum() + inputs_GNI.sum()) if wanted and not tied else mean_GNK


def _check_tensor(what: str, values: object) -> None:
    if not isinstance(values, Tensor):
        raise BackendError(f"{what} are a torch tensor, got {type(values).__name__}; use torch.as_tensor")


def _finite(values: Tensor) -> bool:
    """Whether all values are finite. A CUDA device is not waited for: it fails by itself where they are not."""
    if values.is_cuda:
        torch._assert_async(torch.isfinite(values).all(), "weights or inputs of a circuit are not all finite")
        return True
    return math.isfinite(values.detach().sum().item()) or bool(torch.isfinite(values).all())  # a sum may overflow
