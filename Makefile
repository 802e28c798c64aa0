# Two commands matter: `make demo` and `make test`. Both make their own virtual environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install demo test fuzz check format lock clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml requirements.lock
	@sh tools/need.sh $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[openvino,demo,parquet,convert,dev]'
	@touch $@

demo: install
	$(BIN)/edge-runtime demo

# One worker more than two cores: half of the suite's time is spent waiting for processes that it started.
test: install
	@sh tools/need.sh $(PYTHON) mosquitto mosquitto_sub socat openssl systemd-analyze mkfs.ext4 mkfs.vfat mcopy fusefat
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

# Damaged bytes for every parser, for MINUTES in all; the suite does the same for five seconds.
MINUTES ?= 10
SEED ?= 1
fuzz: install
	$(BIN)/python tests/fuzz/fuzz_run.py --minutes $(MINUTES) --seed $(SEED)

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) var
