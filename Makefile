# make demo    hear it work: nothing but Python and make is needed
# make test    everything that must hold, as CI runs it
# make help    the rest

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Real recordings for training, benchmarks and some tests; what needs them is skipped without.
SERD_DATA ?= $(wildcard ../shared/data)
export SERD_DATA
# Pretrained weights of MobileNetV2, below the data; without, Keras' own from its cache.
WEIGHTS ?= $(patsubst $(SERD_DATA)/%,%,$(wildcard $(SERD_DATA)/weights/mobilenet_v2_*.h5))
RUNS = $(patsubst %/run.json,%,$(wildcard runs/*/run.json runs/classical/*/run.json))

.PHONY: help demo test test-system soak check system-packages benchmark report clean

help:
	@grep -E '^# make|^[a-z%-]+:.*##' Makefile | sed -e 's/^# //' -e 's/:.*##/\t/' -e 's/^\([a-z]\)/\1/'

demo: .venv-demo/.done  ## real speech through the daemon to an MQTT subscriber
	@demo/run .venv-demo/bin

test: check  ## lint, types, layers, tests
	$(BIN)/pytest --durations=10 -m "not system"

test-system: system-packages $(VENV)/.done .venv-tflite/.done  ## the long trials
	$(BIN)/pytest --durations=10 -m system

soak: system-packages $(VENV)/.done  ## a day of sound with all that goes wrong, in ten to thirty minutes
	SOAK_HOURS=24 $(BIN)/pytest tests/test_soak.py

check: system-packages $(VENV)/.done .venv-tflite/.done  ## lint, types and layers only
	scripts/check $(BIN)

benchmark: $(VENV)/.done  ## speed, memory, segmentation
	$(BIN)/serd bench
	$(BIN)/python benchmarks/segmentation.py

train-%: $(VENV)/.done  ## from audio to models/NAME: make train-cnn, train-mlp, train-lstm …
	$(BIN)/serd-train reproduce $* \
	  $(if $(filter mobilenetv2 concatenated,$*),$(if $(WEIGHTS),--weights $(WEIGHTS)))

report: $(VENV)/.done  ## one page of all that is in runs/, and its rows in training/RESULTS.md
	$(BIN)/serd-train report $(RUNS) --results training/RESULTS.md

system-packages:
	scripts/system-packages

# Each environment is locked; its stamp is renewed when what it is made from changes.
.venv-demo/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install -q --disable-pip-version-check -c constraints.txt -e '.[broker]'
	@touch $@

$(VENV)/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[broker,prometheus,training,dev]'
	@touch $@

# tflite-runtime wants Python 3.11 and NumPy 1; without such a Python its tests are skipped.
.venv-tflite/.done: pyproject.toml
	@python=$$(command -v python3.11 || true); \
	if [ -z "$$python" ] && $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; \
	then python=$(PYTHON); fi; \
	if [ -n "$$python" ]; then \
	  $$python -m venv .venv-tflite && .venv-tflite/bin/pip install -q --disable-pip-version-check \
	    'tflite-runtime==2.14.0' 'numpy<2' pydantic; \
	else echo "no Python 3.11: tflite-runtime is not tested"; mkdir -p .venv-tflite; fi
	@touch $@

clean:  ## remove environments and caches
	rm -rf .venv .venv-demo .venv-tflite .cache .pytest_cache .mypy_cache .ruff_cache
