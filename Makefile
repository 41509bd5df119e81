# Two commands set everything up: `make demo` and `make test`. The rest is for people who work on Airbag.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
NAME ?=

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: demo
demo: $(VENV)/.demo binaries ## Show a bad release being rolled back (ARGS='--fault all --report out.json')
	@$(BIN)/airbag demo $(ARGS)

.PHONY: up
up: $(VENV)/.demo binaries ## Run the whole stack until Ctrl-C
	@$(BIN)/airbag up $(ARGS)

.PHONY: test
test: $(VENV)/.dev .cache/dvc/.ready binaries newest servers ## Run every test
	@$(BIN)/pytest -n 5 --dist worksteal $(ARGS) # mostly waiting, so more than one a core

.PHONY: test-compose
test-compose: $(VENV)/.dev engine ## Run docker-compose.yml on a real engine, with stand-ins for upstream images (root)
	@$(BIN)/pytest tests/compose -p no:xdist -s --timeout=1500 $(ARGS)

.PHONY: check
check: $(VENV)/.dev proto-check ## Format, lint, types, import rules, generated files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@sh -n demo/bootstrap.sh
	@sh -n demo/secrets.sh
	@$(BIN)/airbag rules build --check
	@$(BIN)/python -m grafana.src.build --check
	@$(BIN)/airbag check
	@$(MAKE) audit

# The services on the network that know vulnerabilities cannot be asked from everywhere: a release must, a check should.
.PHONY: audit
audit: $(VENV)/.dev ## Check what the image is made of: hashes, licences, known vulnerabilities (STRICT=1 for a release)
	@$(BIN)/python -m requirements.audit $(if $(STRICT),--strict) $(ARGS)

.PHONY: dashboards
dashboards: $(VENV)/.dev ## Write grafana/dashboards from grafana/src
	@$(BIN)/python -m grafana.src.build

# Its own servers can run side by side; a target is one server.
.PHONY: conformance
conformance: $(VENV)/.dev ## Compare a server with TF Serving's contract (TARGET= REST= MODELS=, or SERVER=; docs/conformance.md)
	@$(BIN)/pytest tests/conformance $(if $(TARGET)$(SERVER),-p no:xdist,-n 3 --dist worksteal) --timeout=900 \
		$(if $(TARGET),--target $(TARGET)) $(if $(REST),--rest $(REST)) $(if $(MODELS),--models $(MODELS)) \
		$(if $(SERVER_MODELS),--server-models $(SERVER_MODELS)) $(if $(CONFIG),--server-config $(CONFIG)) \
		$(if $(SERVER),--server '$(SERVER)') $(if $(DESTRUCTIVE),--destructive $(DESTRUCTIVE)) \
		$(if $(PATIENCE),--patience $(PATIENCE)) $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/.dev ## Fuzz the parser of TF Serving's metrics page (SECONDS=3600)
	@$(BIN)/python tests/fuzz/fuzz_native.py -max_total_time=$(or $(SECONDS),3600) $(ARGS)

.PHONY: bench
bench: $(VENV)/.dev binaries servers ## Run the benchmarks (NAME=one to run one)
	@set -e; for file in $(if $(NAME),bench/$(NAME).py,$(wildcard bench/[a-z]*.py)); do $(BIN)/python $$file; done

.PHONY: binaries
binaries: ## Install Prometheus and Alertmanager where they are missing
	@demo/bootstrap.sh binaries

.PHONY: newest
newest: binaries ## Unpack Debian's newest Prometheus and Alertmanager, VictoriaMetrics and kustomize for the tests
	@demo/bootstrap.sh newest

.PHONY: servers
servers: ## Install Redis, nginx, PostgreSQL, git and Chromium for the tests where they are missing
	@demo/bootstrap.sh servers

.PHONY: engine
engine: ## Install a container engine for test-compose where it is missing
	@demo/bootstrap.sh engine

.PHONY: secrets
secrets: ## Make the secrets and the model store that docker-compose.yml mounts; changes nothing that is there
	@demo/secrets.sh

.PHONY: lock
lock: $(VENV)/.dev ## Renew requirements/*.lock
	@$(BIN)/uv pip compile -q --upgrade $(LOCK) --extra dev requirements/build.in -o requirements/dev.lock
	@$(BIN)/uv pip compile -q $(LOCK) --extra demo requirements/build.in -c requirements/dev.lock -o requirements/demo.lock
	@$(BIN)/uv pip compile -q $(LOCK) --extra postgresql requirements/build.in -c requirements/dev.lock -o requirements/base.lock
	@$(BIN)/uv pip compile -q --upgrade $(COMPILE) requirements/proto.in -o requirements/proto.lock
	@$(BIN)/uv pip compile -q --upgrade $(COMPILE) requirements/dvc.in -o requirements/dvc.lock
COMPILE := --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock'
LOCK := $(COMPILE) pyproject.toml

$(BIN)/python:
	@demo/bootstrap.sh python $(VENV)

# $(1): which lock file
define install
	@echo "Installing Python packages from requirements/$(1).lock into $(VENV) (TensorFlow is large: a minute or two the first time)."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$(1).lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
endef

$(VENV)/.demo: requirements/demo.lock pyproject.toml | $(BIN)/python
	$(call install,demo)
	@touch $@

$(VENV)/.dev: requirements/dev.lock pyproject.toml | $(BIN)/python
	$(call install,dev)
	@touch $@ $(VENV)/.demo

# The generator needs an older protobuf than TensorFlow does, hence an environment of its own.
.cache/proto/.ready: requirements/proto.lock
	@mkdir -p .cache
	@demo/bootstrap.sh python .cache/proto
	@.cache/proto/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/proto.lock
	@touch $@

# DVC pins so much that it would hold back the versions of everything else, hence an environment of its own.
.cache/dvc/.ready: requirements/dvc.lock
	@mkdir -p .cache
	@demo/bootstrap.sh python .cache/dvc
	@.cache/dvc/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dvc.lock
	@touch $@

.PHONY: proto
proto: .cache/proto/.ready ## Generate airbag/serving/proto from its .proto file
	@PYTHON=.cache/proto/bin/python airbag/serving/proto/generate.sh

.PHONY: proto-check
proto-check: .cache/proto/.ready
	@PYTHON=.cache/proto/bin/python airbag/serving/proto/generate.sh .cache/proto/out
	@for file in tfs_pb2.py tfs_pb2.pyi; do cmp airbag/serving/proto/$$file .cache/proto/out/airbag/serving/proto/$$file || \
		{ echo "airbag: $$file is not what its .proto gives; run make proto"; exit 1; }; done

.PHONY: dist
dist: packages images ## Build what a release is made of, the images too, into dist/

.PHONY: packages
packages: $(VENV)/.dev ## Build wheel, source package, SBOM and their checksums into dist/
	@rm -rf $(DIST)
	@$(DATED) $(BIN)/python -m hatchling build --directory $(DIST)
	@$(MAKE) sbom
	@cd $(DIST) && sha256sum -- * > SHA256SUMS

.PHONY: sbom
sbom: $(VENV)/.dev ## Write the image's bill of materials (CycloneDX) into dist/
	@mkdir -p $(DIST)
	@$(DATED) $(BIN)/python -m requirements.sbom $(DIST)/tfs-airbag-$(VERSION).cdx.json

.PHONY: images
images: ## Build the images tfs-airbag and tfs-airbag-demo of this version (needs a Docker engine)
	@docker info >/dev/null 2>&1 || { echo "airbag: no Docker engine answers here (docker info), so no image was built"; exit 1; }
	@docker build $(BUILD_ARGS) --tag tfs-airbag:$(VERSION) .
	@docker build $(BUILD_ARGS) --target demo --tag tfs-airbag-demo:$(VERSION) .
	@mkdir -p $(DIST)
	@docker image inspect --format '{{index .RepoTags 0}} {{.Id}}' \
		tfs-airbag:$(VERSION) tfs-airbag-demo:$(VERSION) > $(DIST)/IMAGES
DIST := dist
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' airbag/__init__.py)
# Whoever builds this commit again gets the same bytes.
DATED = SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}

.PHONY: clean
clean: ## Remove environments, caches, run folders and dist/
	@rm -rf $(VENV) .cache .airbag $(DIST)
