"""The loops of loops.py on a CUDA device, recorded once for each shape and replayed as one launch (CUDA graphs).

A step consists of dozens of small kernels that cost more to launch than to run; a replay launches all steps at once. A recording holds
its own memory, so recording is opt-in: `run(..., through=cuda_graphs)`. Rows of different lengths are run step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from qlogad.nn import loops
from qlogad.nn.loops import CellTrace, Kind, Live, Slopes, Tables, Trace, blocks

__all__ = ["backward", "blocks", "forward"]

KEPT = 16  # recordings kept; the oldest is dropped first
WARM_UP = 3  # runs before recording


def forward(kind: Kind, maps: Sequence[Tables], live: Live) -> tuple[CellTrace, list[Trace]]:
    """Run a cell from the zero state: see loops.py."""
    if live is not None:
        return loops.forward(kind, maps, live)
    found = _replayed(("forward", kind), lambda given: loops.forward(kind, given, None), maps)
    return cast(tuple[CellTrace, list[Trace]], found)


def backward(
    kind: Kind, maps: Sequence[Tables], traces: Sequence[Trace], states: CellTrace, live: Live, hidden: Tensor, cell: Tensor
) -> list[Slopes]:
    """The derivatives inside every map: see loops.py."""
    if live is not None:
        return loops.backward(kind, maps, traces, states, live, hidden, cell)

    def run(given: Any) -> list[Slopes]:
        some_maps, some_traces, some_states, *slopes = given
        return loops.backward(kind, some_maps, some_traces, some_states, None, *slopes)

    return cast(list[Slopes], _replayed(("backward", kind), run, [maps, traces, states, hidden, cell]))


class _Recording:
    def __init__(self, function: Callable[[Any], Any], given: Any) -> None:
        self._given = _mapped(torch.clone, given)
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                function(self._given)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._found = function(self._given)

    def __call__(self, given: Any) -> Any:
        for kept, new in zip(_tensors(self._given), _tensors(given), strict=True):
            kept.copy_(new)
        self._graph.replay()
        return _mapped(torch.clone, self._found)  # the next replay overwrites these tensors


_recordings: dict[Any, _Recording] = {}


def _replayed(name: tuple[str, Kind], function: Callable[[Any], Any], given: Any) -> Any:
    tensors = list(_tensors(given))
    key = (name, *((tensor.shape, tensor.dtype, tensor.device) for tensor in tensors))
    with torch.cuda.device(tensors[0].device):
        if key not in _recordings:
            while len(_recordings) >= KEPT:
                del _recordings[next(iter(_recordings))]
            _recordings[key] = _Recording(function, given)
        return _recordings[key](given)


def _tensors(tree: Any) -> Iterator[Tensor]:
    """The tensors in nested lists and tuples, from left to right."""
    if isinstance(tree, Tensor):
        yield tree
    elif tree is not None:
        for part in tree:
            yield from _tensors(part)


def _mapped(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """The same nested lists and tuples with a function applied to every tensor."""
    if tree is None or isinstance(tree, Tensor):
        return None if tree is None else function(tree)
    parts = [_mapped(function, part) for part in tree]
    return type(tree)(*parts) if hasattr(tree, "_fields") else parts
