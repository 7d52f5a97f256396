# Two commands matter: `make demo` and `make test`. Everything runs in .venv, built from the exact pins in .ci/pins.txt.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
export OMP_NUM_THREADS := 1

.PHONY: install demo test test-elsewhere test-real test-slow test-gpu test-postgresql test-braket lint format bench clean

install: $(STAMP)

$(STAMP): .ci/pins.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("qlogad needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r .ci/pins.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

demo: install  ## the built-in synthetic log, a classical detector and its quantum twin, one table
	$(BIN)/qlogad run experiments/quickstart.toml

test: install  ## every law that needs no real logs, no GPU and no patience
	$(BIN)/pytest -n auto --dist worksteal --durations=20

# What other machines do otherwise: the instructions that BLAS, torch and numba choose, and how many cores and threads there are.
AVX2 := OPENBLAS_CORETYPE=Haswell MKL_CBWR=AVX2 ATEN_CPU_CAPABILITY=avx2 NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES=+avx2,+fma
OLDEST := OPENBLAS_CORETYPE=Prescott MKL_CBWR=COMPATIBLE ATEN_CPU_CAPABILITY=default NUMBA_CPU_NAME=generic

test-elsewhere: install  ## the laws of `make test` as on other machines: four workers with two threads and AVX2; then one old core; an hour
	env $(AVX2) OMP_NUM_THREADS=2 $(BIN)/pytest -n 4
	env $(OLDEST) taskset --cpu-list 0 $(BIN)/pytest -n 1

test-real: install  ## the laws on real logs below $$QLOGAD_DATA
	$(BIN)/pytest -n auto -m real

test-slow: install  ## exhaustive versions
	$(BIN)/pytest -n auto --dist worksteal -m slow

test-gpu: install  ## the laws that need a CUDA device
	$(BIN)/pytest -m gpu

test-postgresql: install  ## the laws of studies on a PostgreSQL server, which they start themselves (as another user where this one is root)
	$(BIN)/pytest -n 2 -m postgresql

test-braket: .venv-braket/.installed  ## the laws of Amazon Braket, whose SDK asks for an older cloudpickle than joblib
	.venv-braket/bin/python -m pytest -n auto -m braket

.venv-braket/.installed: $(STAMP) .ci/pins-braket.txt  # these packages before those of .venv
	rm -rf .venv-braket
	$(PYTHON) -m venv .venv-braket
	.venv-braket/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r .ci/pins-braket.txt
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$(.venv-braket/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/beneath.pth
	touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install  ## ratios and rates of this machine, to results/bench
	$(BIN)/qlogad bench

clean:
	rm -rf .venv .venv-braket .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
