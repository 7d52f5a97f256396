"""Laws of distinct rows and micro-batches: nothing is lost, and a row's place depends on the row alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from qlogad import seeds
from qlogad.detect.batches import SLOTS, distinct, micro_batches


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), max_size=30))
def test_distinct_rows_rebuild_the_rows_in_order(rows: list[tuple[int, int, int]]) -> None:
    rows_EH = np.asarray(rows, dtype=np.int64).reshape(-1, 3)
    distinct_UH, place_E = distinct(rows_EH)
    assert [tuple(row) for row in distinct_UH] == sorted(set(rows))
    assert_array_equal(distinct_UH[place_E], rows_EH)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([-1.5, -0.0, 0.0, 1e-300, 1e300]), st.floats(-2, 2)), max_size=30))
def test_distinct_rows_of_numbers_rebuild_the_rows_in_order(rows: list[tuple[float, float]]) -> None:
    rows_EH = np.asarray(rows, dtype=np.float64).reshape(-1, 2)
    distinct_UH, place_E = distinct(rows_EH)
    assert [tuple(row) for row in distinct_UH] == sorted(set(rows))
    assert_array_equal(distinct_UH[place_E], rows_EH)


def test_two_zeros_are_one_row_in_one_slot() -> None:
    (_, slots_B, _), (_, other_B, _) = (next(micro_batches(np.array([[zero, 1.5]]), fill=0)) for zero in (0.0, -0.0))
    assert slots_B == other_B


@pytest.mark.parametrize("unit", [1, 0.25, -0.25])
def test_micro_batches_hold_every_history_once_in_its_own_slot(unit: float) -> None:
    histories_UH, _ = distinct(seeds.generator(0, "histories").integers(9, size=(2000, 4)) * unit)
    taken: list[int] = []
    slot_of: dict[tuple[int, ...], int] = {}
    for batch_SH, slots_B, rows_B in micro_batches(histories_UH, fill=8):
        assert batch_SH.shape == (SLOTS, 4)
        assert len(set(slots_B.tolist())) == len(slots_B)
        assert_array_equal(batch_SH[slots_B], histories_UH[rows_B])
        taken += rows_B.tolist()
        slot_of |= {tuple(histories_UH[row].tolist()): int(slot) for row, slot in zip(rows_B, slots_B, strict=True)}
    assert sorted(taken) == list(range(len(histories_UH)))
    for batch_SH, slots_B, _ in micro_batches(histories_UH[::7], fill=8):
        assert [slot_of[tuple(batch_SH[slot].tolist())] for slot in slots_B] == slots_B.tolist()
