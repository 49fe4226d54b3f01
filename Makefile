# `make help` lists everything; each target is one word and CI calls only these.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WHEELHOUSE := .cache/wheelhouse
STAMP := $(VENV)/.ready
CLUSTER_STAMP := $(VENV)/.cluster-ready
UV_FLAGS := --quiet --require-hashes
# What the real levels leave to test-full.
CORE = $(empty) and not long

# Each of the many processes of the tests would compile all our modules for itself.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help bench-beds bench-judge bench-soak mutants demo test test-real test-cluster cluster-up cluster-shell cluster-down cluster-control lint histories format bench lock schema generated-current test-full pictures clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements/lock.txt requirements/bootstrap.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Tidegate needs Python >= 3.11, $(PYTHON) is older; say make PYTHON=python3.11" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@$(BIN)/uv pip install $(UV_FLAGS) --python $(BIN)/python -r requirements/lock.txt
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python -e .
	@touch $@

$(CLUSTER_STAMP): $(STAMP) requirements/cluster.txt
	@$(BIN)/uv pip install $(UV_FLAGS) --python $(BIN)/python -r requirements/cluster.txt
	@touch $@

$(WHEELHOUSE)/.ready: $(STAMP) $(wildcard examples/isa_user/microservices/*/requirements.txt)
	@mkdir -p $(WHEELHOUSE)
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --only-binary :all: --no-deps \
	  --dest $(WHEELHOUSE) $(foreach file,$(wildcard examples/isa_user/microservices/*/requirements.txt),-r $(file))
	@touch $@

demo: $(STAMP) $(WHEELHOUSE)/.ready ## release a real service three times in the sandbox: first, good, bad
	@$(BIN)/python -m examples.demo --wheelhouse $(WHEELHOUSE)

test: $(STAMP) ## everything that needs only Python: unit, property, workflow, replay, CLI, sandbox
	@$(BIN)/python -m pytest -n auto --dist worksteal

test-real: $(CLUSTER_STAMP) ## against real API servers, registry, Prometheus and its like, built once by Go into a cache
	@$(BIN)/python -m tests.cluster.programs etcd kube-apiserver kube-controller-manager kube-scheduler kwok \
	  prometheus victoria-metrics vmauth thanos mimir registry conformance
	@$(BIN)/python -m pytest -m 'real$(CORE)' -n 2

test-cluster: $(CLUSTER_STAMP) $(WHEELHOUSE)/.ready ## whole clusters: real images, gateway, metrics (root on Linux)
	@$(BIN)/python -m tests.cluster.whole prepare
	@$(BIN)/python -m pytest -m 'cluster$(CORE)' tests/cluster/whole

cluster-up: $(CLUSTER_STAMP) $(WHEELHOUSE)/.ready ## two whole clusters for a person to try releases on
	@$(BIN)/python -m tests.cluster.whole up --wheelhouse $(WHEELHOUSE)

cluster-shell: $(STAMP) ## a shell in their hub, with kubeconfigs and tidegate ready
	@$(BIN)/python -m tests.cluster.whole shell

cluster-down: $(STAMP) ## end them, and what killed runs left
	@$(BIN)/python -m tests.cluster.whole down

cluster-control: $(CLUSTER_STAMP) ## two real control planes for a person to look at; Ctrl-C stops them
	@$(BIN)/python -m tests.cluster.control_planes

lint: $(STAMP) ## ruff, mypy strict, the arrows between folders
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(STAMP) ## write the code in its one form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP) $(WHEELHOUSE)/.ready ## one release in the sandbox, measured: goal beside figure, JSON too
	@$(BIN)/python -m benchmarks.release --wheelhouse $(WHEELHOUSE)
	@$(BIN)/python -m benchmarks.startup

bench-beds: $(CLUSTER_STAMP) ## how long real clusters take to be ready: goal beside figure
	@$(BIN)/python -m benchmarks.beds

bench-judge: $(STAMP) ## the judge and three incumbents on the same streams: goal beside figure (<= 10 min, 2 cores)
	@$(BIN)/python -m benchmarks.judge $(if $(FULL),--full)

bench-soak: $(STAMP) ## what 1,000 soaks ask of Prometheus, the API server and Temporal: goal beside figure (6 min)
	@$(BIN)/python -m benchmarks.soak

mutants: $(STAMP) ## flip every inequality of the judge: some test must see each (5 min)
	@$(BIN)/python -m tests.domain.judge.mutations

lock: $(STAMP) ## resolve pyproject.toml into requirements/*.txt
	@$(BIN)/uv pip compile --quiet pyproject.toml --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header -o requirements/lock.txt
	@$(BIN)/uv pip compile --quiet --group cluster --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header -o requirements/cluster.txt
	@echo 'uv==0.13.9' | $(BIN)/uv pip compile --quiet - --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header -o requirements/bootstrap.txt

schema: $(STAMP) ## write the JSON Schemas of tidegate.yaml and of sources of metrics
	@$(BIN)/tidegate schema > docs/tidegate.schema.json
	@$(BIN)/python -c 'import json; from domain.metrics.http_json import schema; print(json.dumps(schema(), indent=2))' \
	  > docs/metrics-source.schema.json

generated-current: lock schema ## fail when a generated file is not what its source makes
	@git diff --exit-code -- requirements docs/tidegate.schema.json docs/metrics-source.schema.json \
	  || { echo "generated files are not current: commit what make lock schema wrote" >&2; exit 1; }

histories: $(STAMP) ## record today's histories of the workflows; those that exist stay
	@$(BIN)/python -m tests.replay.record --all

pictures: $(STAMP) $(WHEELHOUSE)/.ready ## the pictures of the docs, of a real release (needs chromium)
	@$(BIN)/python -m docs.pictures.make --wheelhouse $(WHEELHOUSE)

test-full: ## all of it, also what is too long for CI; a part that cannot run here is a failure
	@CI=true $(MAKE) --no-print-directory lint generated-current test
	@CI=true $(MAKE) --no-print-directory test-real test-cluster CORE=
	@$(MAKE) --no-print-directory demo bench bench-beds mutants

clean: ## remove what make made here (caches outside the checkout stay)
	@rm -rf $(VENV) .cache build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .tidegate
