# `make run` and `make test` work on a fresh machine; everything else is a shorthand.
.DEFAULT_GOAL := help
.PHONY: docs run setup test test-all lint style format tiny bench bench-editors bench-evaluate bench-flow bench-sessions bench-rl check-gpu lock help clean extra-vllm extra-deepspeed extra-slurm extra-apps extra-docs extra-quant extra-fused
PY := .venv/bin/python
READY := .venv/.ready-core
# one worker per core; a file's tests stay together, so that what they share is made once; the longest files first (conftest.py)
PARALLEL := -n auto --maxprocesses=8 --dist loadfile --no-loadscope-reorder
args ?=

run: $(READY) ## the main job at tiny scale: train by GRPO, compare the three arms, table and report (args="seed=3")
	@$(PY) -m experiments.run $(args)

setup: $(READY) ## make .venv with everything a run needs, and the command `imageedit` (.venv/bin/imageedit)

# beside the tests, as one core would be idle for that minute; mistakes that it finds come last
WITH_TYPES = said=$$(mktemp); $(PY) -m mypy >$$said 2>&1 & \
	$(1); tests=$$?; wait $$!; types=$$?; [ $$types = 0 ] || cat $$said; rm -f $$said; [ $$tests$$types = 00 ]

test: $(READY) style ## lint, every test but the slow ones, and types
	@$(call WITH_TYPES,$(PY) -m pytest -q $(PARALLEL) -m "not slow" $(args))

test-all: $(READY) style ## lint, all tests, and types
	@$(call WITH_TYPES,$(PY) -m pytest -q $(PARALLEL) $(args))

lint: $(READY) style ## ruff (lint and format) and mypy (types), changing nothing
	@$(PY) -m mypy

style: $(READY)
	@$(PY) -m ruff check . && $(PY) -m ruff format --check --quiet . || { echo "error: 'make format' mends most of these" >&2; exit 1; }

format: $(READY) ## mend lint and format
	@$(PY) -m ruff check --fix . ; $(PY) -m ruff format .

bench: $(READY) ## measure the sandbox's speed on one core
	@OMP_NUM_THREADS=1 $(PY) -m benchmarks.perf.sandbox

bench-editors: $(READY) ## editing eight at a time against the diffusers pipeline in a loop
	@$(PY) -m experiments.benches.editors $(args)

bench-evaluate: $(READY) ## 10,000 items x 3 arms against a judge that answers after 50 ms, and again from the cache
	@$(PY) -m experiments.benches.evaluate $(args)

bench-flow: $(READY) ## Flow-GRPO's edits a second against the diffusers pipeline, and where a step's time goes
	@$(PY) -m experiments.benches.flow $(args)

bench-sessions: $(READY) ## session rollouts together against one after another, and where a step's time goes
	@$(PY) -m experiments.benches.sessions $(args)

bench-rl: $(READY) ## GRPO steps against TRL's trainer, shared against unshared prefixes, cost against work (minutes)
	@$(PY) -m experiments.benches.rl $(args)

docs: .venv/.ready-docs ## build the documentation site into site/; any warning is an error
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict && echo "documentation: $(CURDIR)/site/index.html (with search: $(PY) -m http.server -b 127.0.0.1 -d site)"

check-gpu: $(READY) ## what this machine's GPU does with the code, in at most eight minutes (args="parts=step_3b,parity")
	@$(PY) -m experiments.benches.gpu $(args)

tiny: $(READY) ## rebuild the tiny checkpoints of assets/tiny from nothing (hours)
	@$(PY) -m experiments.pretrain $(args)
	@$(PY) -m experiments.pretrain decomposer=tiny_sft $(args)
	@$(PY) -m experiments.pretrain editor=flux_kontext $(args)
	@$(PY) -m experiments.pretrain editor=qwen decomposer=tiny_sft $(args)
	@$(PY) -m experiments.pretrain rrm=tiny $(args)
	@$(PY) -m experiments.pretrain intent=tiny $(args)

extra-vllm: .venv/.ready-vllm ## add vLLM rollouts
extra-deepspeed: .venv/.ready-deepspeed ## add the DeepSpeed engine
extra-slurm: .venv/.ready-slurm ## add cluster launchers and search for sweeps
extra-apps: .venv/.ready-apps ## add the demo in a browser, the server, and further trackers
extra-docs: .venv/.ready-docs ## add what builds the documentation site
extra-quant: .venv/.ready-quant ## add editors with quantised weights
extra-fused: .venv/.ready-fused ## add fused kernels for training on CUDA

lock: ## rebuild the locks from requirements/*.in (UPGRADE=1 for newer versions)
	@bash scripts/setup.sh lock

clean: ## remove the environment and caches; outputs/ stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache && find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## list every target
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | sort | awk -F'\t' '{ printf "  make %-16s %s\n", $$1, $$2 }'

$(READY): requirements/lock-cpu.txt requirements/core.in scripts/setup.sh scripts/build_backend.py
	@bash scripts/setup.sh core
.venv/.ready-%: requirements/lock-cpu-%.txt $(READY)
	@bash scripts/setup.sh $*
