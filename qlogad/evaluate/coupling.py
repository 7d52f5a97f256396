"""How well a circuit's two-qubit gates fit a device's coupling map."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from qlogad.errors import BackendError, DocumentError, UnknownName

if TYPE_CHECKING:
    from qlogad.circuit.circuit import Circuit

__all__ = ["check_device", "unfit_for"]


@lru_cache(maxsize=8)
def _pairs(device: str) -> tuple[tuple[int, int], ...]:
    """The pairs of qubits coupled by a device.

    Raises:
        BackendError: the name is not a device, or the device has all-to-all coupling.
    """
    from qlogad.backend.backend import open_backend

    target = getattr(open_backend(device), "target", None)
    coupling = getattr(getattr(target, "device", None), "coupling_map", None)
    if coupling is None:
        raise BackendError(f"'{device:.60}' has no coupling map; name a device such as 'ibm:fake_torino'")
    return tuple(sorted({(min(pair), max(pair)) for pair in coupling.get_edges()}))


def check_device(device: str, where: str, *, coupled: bool) -> None:
    """Check that the device opens and, if `coupled`, has a coupling map.

    Raises:
        DocumentError: it does not open or has none.
    """
    from qlogad.backend.backend import open_backend

    try:
        _pairs(device) if coupled else open_backend(device)
    except (UnknownName, BackendError) as error:
        raise DocumentError(f"{where}: {error} (write a device as in 'ibm:fake_torino')") from error


def unfit_for(circuit: Circuit, device: str) -> int:
    """The number of coupled wire pairs that do not fit a device's coupling map: 0 if the circuit needs no swaps.

    >>> from qlogad.circuit.design import Design
    >>> unfit_for(Design.load("real-amplitudes", "ansatz").build(4), "ibm:fake_manila")
    0
    """
    import rustworkx as rx

    wanted = sorted({(min(gate.wires), max(gate.wires)) for gate in circuit.gates if len(gate.wires) == 2})
    coupled = rx.PyGraph(multigraph=False)
    coupled.extend_from_edge_list(list(_pairs(device)))

    def fits(count: int) -> bool:
        graph = rx.PyGraph(multigraph=False)
        graph.extend_from_edge_list(wanted[:count])
        graph.remove_nodes_from([node for node in graph.node_indices() if not graph.degree(node)])
        return bool(rx.is_subgraph_isomorphic(coupled, graph, induced=False))

    missing = next(missing for missing in range(len(wanted) + 1) if fits(len(wanted) - missing))
    return missing + max(0, circuit.wires - coupled.num_nodes())
