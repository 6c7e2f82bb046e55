# One environment in .venv holds everything. `make demo` and `make test` each do all that they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8

# The pins: GPU if there is an NVIDIA driver, Mac if there is no Linux, else CPU.
PINS := $(shell if [ "$$(uname -s)" != Linux ]; then echo requirements/mac.txt; \
	elif command -v nvidia-smi >/dev/null 2>&1; then echo requirements/gpu.txt; \
	else echo requirements/cpu.txt; fi)
STAMP := $(VENV)/.installed-$(notdir $(PINS))

# uv does not read pip's settings. Where pip has been told of a folder of wheels, uv looks there too;
# elsewhere a CPU-only Linux machine gets torch's CPU build rather than the CUDA one.
FIND_LINKS := $(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null || echo "$$PIP_FIND_LINKS")
ifneq ($(FIND_LINKS),)
export UV_FIND_LINKS := $(FIND_LINKS)
else ifeq ($(PINS),requirements/cpu.txt)
export UV_TORCH_BACKEND := cpu
endif

.PHONY: install demo test test-all lint bench fuzz lock seed-model real-model clean
install: $(STAMP)

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)

$(STAMP): $(BIN)/uv $(PINS) pyproject.toml
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps -r $(PINS)
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	rm -f $(VENV)/.installed-*
	touch $@

demo: install
	$(BIN)/ratchet run configs/demo.toml

test: install
	$(BIN)/python -m pytest

test-all: install
	$(BIN)/python -m pytest -m ""

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/python -m benchmarks

fuzz: install
	$(BIN)/python -m benchmarks.fuzz_verifier --count 100000

seed-model: install
	$(BIN)/python -m models.seed_model --out models/arithmetic-seed

# Into the user's cache folder, or $RATCHET_MODELS; what is there is left as it is.
real-model: install
	$(BIN)/python -m models.real_model

COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --upgrade --python-version 3.11 --extra dev \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links
ANYWHERE := env -u UV_FIND_LINKS -u UV_TORCH_BACKEND
NO_BUILD := --override requirements/overrides.txt

# torch's CPU wheel carries a local version (+cpu) that other machines' wheels lack, hence the sed.
lock: $(BIN)/uv
	$(COMPILE) --extra cpu --python-platform x86_64-manylinux_2_28 $(NO_BUILD) -o requirements/cpu.txt
	MACOSX_DEPLOYMENT_TARGET=14.0 $(ANYWHERE) $(COMPILE) --python-platform aarch64-apple-darwin $(NO_BUILD) -o requirements/mac.txt
	$(ANYWHERE) $(COMPILE) --extra gpu --python-platform x86_64-manylinux_2_28 -o requirements/gpu.txt
	sed -i 's/+cpu$$//' requirements/*.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
