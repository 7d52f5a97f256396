"""Laws of compiled functions: processes that ask at once compile once, and a plan without kernels compiles nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qlogad.jit import allowed, works

KERNEL = """
from qlogad.jit import compiled

@compiled
def inner(x):
    total = 0.0
    for n in range(len(x)):
        total += x[n] ** 3
    return total

@compiled
def outer(x):
    return inner(x) + inner(2 * x)
"""
ASK = """
import json, sys, time
from pathlib import Path
import numpy as np
from own import inner, outer
here, number = Path(sys.argv[1]), int(sys.argv[2])
(here / f"{sys.argv[3]}.ready").touch()
while len(list(here.glob("*.ready"))) < number:
    time.sleep(0.01)
value = outer(np.arange(3.0))
compiled = [sum(one.stats.cache_misses.values()) for one in (inner, outer)]
print(json.dumps({"value": value, "compiled": compiled}))
"""


@pytest.mark.sample(1)
@pytest.mark.parametrize("writable", [True, False])
def test_processes_that_ask_for_a_kernel_at_once_compile_it_once(tmp_path: Path, writable: bool) -> None:
    (tmp_path / "own.py").write_text(KERNEL)
    (tmp_path / "taken").write_text("a file where a folder should be")
    locks = tmp_path / ("locks" if writable else "taken")
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    env = {**os.environ, "PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(tmp_path / "kernels"), "QLOGAD_CACHE": str(locks)}
    count = 3
    asked = [
        subprocess.Popen([sys.executable, "-c", ASK, str(tmp_path), str(count), str(n)], env=env, stdout=subprocess.PIPE, text=True)
        for n in range(count)
    ]
    told = [json.loads(process.communicate()[0]) for process in asked]
    assert [process.returncode for process in asked] == [0] * count
    assert [one["value"] for one in told] == [81.0] * count
    compiled = [sum(one["compiled"][place] for one in told) for place in range(2)]
    assert compiled == [1, 1] if writable else min(compiled) >= 1


@pytest.mark.sample(1)
@pytest.mark.parametrize(("before", "after"), [("return 2 * x", "return 3 * x"), ("SHIFT = 1", "SHIFT = 5"), ("[1.0]", "[4.0]")])
def test_a_cached_kernel_is_as_new_as_what_it_calls(tmp_path: Path, before: str, after: str) -> None:
    inner = "import numpy as np\nfrom qlogad.jit import compiled\nSHIFT = 1\nTABLE = np.array([1.0])\n"
    inner += "@compiled\ndef part(x):\n    return 2 * x + SHIFT + TABLE[0]\n"
    (tmp_path / "other.py").write_text(
        "from own_inner import part\nfrom qlogad.jit import compiled\n@compiled\ndef whole(x):\n    return part(x)\n"
    )
    ask = "from other import whole; print(whole(1.0), sum(whole.stats.cache_misses.values()))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), "NUMBA_CACHE_DIR": str(tmp_path / "kernels")}

    def told() -> tuple[float, int]:
        run = subprocess.run([sys.executable, "-c", ask], env=env, check=True, capture_output=True, text=True)
        value, compiled = run.stdout.split()
        return float(value), int(compiled)

    (tmp_path / "own_inner.py").write_text(inner)
    assert told() == (4.0, 1)
    assert told() == (4.0, 0)
    edited = inner.replace(before, after)
    assert edited != inner
    (tmp_path / "own_inner.py").write_text(edited)
    value, compiled = told()
    assert value != 4.0
    assert compiled == 1


def test_what_is_not_allowed_stays_so_inside() -> None:
    assert works()
    with allowed(False):
        assert not works()
        with allowed(True):
            assert not works()
    assert works()


def test_a_plan_without_kernels_runs_in_torch_and_is_saved_so(tmp_path: Path) -> None:
    code = """
import sys, json
from dataclasses import replace
import torch
from qlogad import DeepLog, Quantum
from qlogad.backend.exact.planner import speeds_of, use
from qlogad.detect.detector import Detector
torch.set_num_threads(1)
if sys.argv[2] == "train":
    use({"cpu": replace(speeds_of(torch.device("cpu")), compiled=False)})
    detector = DeepLog(core=Quantum(wires=2, hidden=4), history=3, epochs=2, embedding=4)
    detector.fit([[0, 1, 2, 3] * 3] * 20, validation=[[0, 1, 2, 3] * 3] * 20)
    detector.save(sys.argv[1])
else:
    detector = Detector.load(sys.argv[1])
scores = detector.score_samples([[0, 1, 2, 3] * 2, [0, 2, 1, 3] * 2])
from qlogad.nn import whole_sequence
plans = [plan for plan in detector.plans() if plan["tables"]]
print(json.dumps([scores.tobytes().hex(), [plan["compiled"] for plan in plans], whole_sequence._fast.cache_info().currsize]))
"""
    told = []
    for what in ("train", "load"):
        command = [sys.executable, "-c", code, str(tmp_path / "model"), what]
        told.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    assert told[0] == told[1], "bit by bit, in a process that may compile"
    _, compiled, kernels = told[0]
    assert set(compiled) == {False}
    assert kernels == 0
