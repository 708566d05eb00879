# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: native lint

native: ## build the C library into the checkout
	cmake -S native -B build/native -DCMAKE_BUILD_TYPE=Release -DSIR_WERROR=ON $(CMAKE_FLAGS)
	cmake --build build/native --parallel
	cmake --install build/native --prefix .

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
