# `make` lists the targets. Everything is set up from this project's own files.

SHELL := /bin/bash
PYTHON ?= python3
EXTRA ?= cpu
VENV := .venv
UV = $(shell command -v uv || echo .uv/bin/uv)
DEMO ?= demo

.PHONY: help install demo demo-train demo-kd test test-quick chaos lint format docs bench lock clean
help:
	@echo "make demo    curate real videos with real models on this machine's processors (about 10 minutes, 7 GB)"
	@echo "make demo-train  train on what make demo made, and score it (a few minutes)"
	@echo "make demo-kd  features, teacher, student and an evaluation on top of the two (a few minutes)"
	@echo "make test    run all tests (about 15 minutes on two free cores) and print the coverage"
	@echo "make test-quick  run the pure and small tests (about two minutes)"
	@echo "make chaos   kill processes, nodes, disks and clocks at random, and compare (about half an hour; CHAOS_SEED=1 and more)"
	@echo "make install set up .venv only; EXTRA=gpu VENV=.venv-gpu for GPUs"
	@echo "make lint    formatting, lint, types and import contracts"
	@echo "make format  format the code"
	@echo "make docs    build the guides and the API reference into site/"
	@echo "make bench   measure; compare with bench/RESULTS.md"
	@echo "make lock    resolve requirements/*.lock; UPGRADE=--upgrade takes the newest versions"

install: $(VENV)/.installed

demo: $(VENV)/.installed
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python -m curation.demo --output $(DEMO)

demo-train: $(VENV)/.installed
	@[ -d $(DEMO)/shards ] || { echo "make demo-train: no $(DEMO)/shards; run \`make demo\` first" >&2; exit 2; }
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python -m training.demo.vidla_demo --shards $(DEMO)/shards --output $(DEMO)/vidla

demo-kd: $(VENV)/.installed
	@[ -d $(DEMO)/vidla/best ] || $(MAKE) --no-print-directory demo-train
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python -m training.demo.vidlankd_demo \
		--shards $(DEMO)/shards --vidla $(DEMO)/vidla/best --output $(DEMO)/kd

# ARGS narrows a run: make test ARGS="tests/shards -k tar". Coverage is printed for the whole suite only.
test: $(VENV)/.installed
ifeq ($(strip $(ARGS)),)
	@echo "== all tests: about 15 minutes on two free cores (make test-quick takes about two)"
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python -m pytest -q -n 2 --dist loadfile --max-worker-restart 0 -m "not ray and not engine" \
		--cov --cov-report=
	@echo "== the tests that start Ray or vLLM, one after another"
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python -m pytest -q -m "ray or engine" --cov --cov-append --cov-report=
	@echo "== statements covered by tests in this process, the ten least covered modules, and the total"
	@$(VENV)/bin/coverage report --sort=cover --skip-empty | sed -n -e '1,12p' -e '/^TOTAL/p'
else
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python -m pytest $(ARGS)
endif

test-quick: $(VENV)/.installed
	@echo "== the pure and small tests: about two minutes on two free cores"
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python -m pytest -q -n 2 --dist loadfile --max-worker-restart 0 \
		-m "not ray and not engine and not slow" --durations=5 $(ARGS)

# CHAOS_SEED, CHAOS_KILLS and CHAOS_VIDEOS set the faults; the log names each of them.
chaos: $(VENV)/.installed
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python -m pytest -q -s -m "chaos or ray" tests/chaos $(ARGS)

lint: $(VENV)/.installed
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

docs: $(VENV)/.installed
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet
	@echo "== open site/index.html"

format: $(VENV)/.installed
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: $(VENV)/.installed
	@for script in media in_flight rewrite runner finished scale selection scores export attention loss checkpoint loader learns learns.report kd_losses kd_gradients kd_step tokenize transfer; do $(VENV)/bin/python -m bench.$$script || exit 1; done

# The lock names every package with its hash; `sync` removes what it does not name.
$(VENV)/.installed: requirements/$(EXTRA).lock pyproject.toml
	@echo "== installing the packages of requirements/$(EXTRA).lock into $(VENV) (several gigabytes)"
	@command -v uv >/dev/null || [ -x .uv/bin/uv ] || { echo "== installing uv into .uv"; \
		$(PYTHON) -m venv .uv && .uv/bin/pip install --quiet --disable-pip-version-check 'uv>=0.8'; }
	@[ -x $(VENV)/bin/python ] || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	$(UV) pip sync --quiet --python $(VENV) --require-hashes requirements/$(EXTRA).lock
	$(UV) pip install --quiet --python $(VENV) --no-deps --editable .
	@touch $@

# Versions stay as they are where they can; UPGRADE=--upgrade takes the newest.
lock:
	$(UV) pip compile --quiet pyproject.toml --universal --python-version 3.11 --extra cpu --group dev \
		--override requirements/cpu.override --generate-hashes --no-header $(UPGRADE) -o requirements/cpu.lock
	$(UV) pip compile --quiet pyproject.toml --universal --python-version 3.11 --extra gpu --extra s3 --group dev \
		--generate-hashes --no-header $(UPGRADE) -o requirements/gpu.lock

clean:
	rm -rf $(VENV) .uv
