# Every target sets up what it needs: nothing but Python (3.11 or newer) has to be there.

PYTHON ?= python3
TOOLS := .tools
UV := $(or $(shell command -v uv 2>/dev/null),$(TOOLS)/uv/bin/uv)
SYNC := $(UV) sync --quiet --frozen
RUN := $(UV) run --quiet --no-sync
# Tests wait for servers and processes for about half of their time.
PARALLEL := -n $(shell expr 2 '*' $$(getconf _NPROCESSORS_ONLN)) --dist loadfile
NPM := $(shell command -v npm 2>/dev/null)
AZURITE := $(if $(NPM),$(TOOLS)/node_modules/.bin/azurite-blob)
APT := $(shell command -v apt-get 2>/dev/null)
REDIS := $(if $(shell command -v redis-server 2>/dev/null),,$(if $(APT),$(TOOLS)/redis/usr/bin/redis-server))

export UV_PROJECT_ENVIRONMENT ?= .venv

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint format bench bench-quick docs clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 16

demo: $(UV)  ## read a NetCDF4 file from an object server with every reader
	@$(SYNC) --group demo --inexact
	@$(RUN) python -m examples.quickstart

test: $(UV) $(AZURITE) $(REDIS)  ## run the tests, in parallel, in a few minutes
	@$(SYNC) --group test --inexact
	$(RUN) python -m pytest $(PARALLEL) $(ARGS)

test-all: $(UV) $(AZURITE) $(REDIS)  ## run all tests with branch coverage
	@$(SYNC) --group test --inexact
	$(RUN) python -m pytest $(PARALLEL) --cov --cov-report=term $(ARGS)

lint: $(UV)  ## check style, types and import rules
	@$(SYNC) --group dev --inexact
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) pyright
	$(RUN) lint-imports

format: $(UV)  ## rewrite the code in the project's style
	@$(SYNC) --group dev --inexact
	$(RUN) ruff check --fix-only .
	$(RUN) ruff format .

bench: $(UV) $(REDIS)  ## measure against 0.9.0 and the alternatives, and write docs/benchmarks
	@$(SYNC) --group bench --inexact
	$(RUN) python -m benchmarks $(ARGS)

bench-quick: $(UV) $(REDIS)  ## measure a little of everything in about a minute
	@$(SYNC) --group bench --inexact
	$(RUN) python -m benchmarks --quick $(ARGS)

docs: $(UV)  ## build the documentation into site/
	@$(SYNC) --group docs --inexact
	$(RUN) mkdocs build --strict

clean:  ## remove everything that was set up or built
	rm -rf .venv $(TOOLS) build dist site .coverage* .hypothesis .*_cache

# Without ensurepip (some distributions' Python) venv fails and pip, if it is there, installs into a folder.
$(TOOLS)/uv/bin/uv:
	@mkdir -p $(TOOLS)
	@$(PYTHON) -m venv $(TOOLS)/uv 2>/dev/null && $(TOOLS)/uv/bin/python -m pip install --quiet --disable-pip-version-check uv \
	  || { rm -rf $(TOOLS)/uv; $(PYTHON) -m pip install --quiet --disable-pip-version-check --target $(TOOLS)/uv uv; } \
	  || { echo "Could not install uv: $(PYTHON) has neither venv nor pip. Install uv and run make again." >&2; exit 1; }

# The Azure Blob Storage emulator that the tests read from; without it its tests are skipped, and say so.
$(TOOLS)/node_modules/.bin/azurite-blob:
	@npm install --silent --no-audit --no-fund --prefix $(TOOLS) azurite@3.37.0 \
	  || echo "Could not install azurite with npm: the tests that read from Azure will be skipped." >&2

# The Redis server that the tests cache in, as Debian packs it; likewise. Everything stays in the folder, apt's lists too.
APT_HERE = -q -o Debug::NoLocking=1 -o APT::Sandbox::User= -o Dir::State::lists=$(CURDIR)/$(TOOLS)/redis/lists \
  -o Dir::Cache=$(CURDIR)/$(TOOLS)/redis/cache
$(TOOLS)/redis/usr/bin/redis-server:
	@mkdir -p $(TOOLS)/redis/lists/partial $(TOOLS)/redis/cache/archives/partial
	@{ apt-get $(APT_HERE) update \
	  && apt-get $(APT_HERE) install --download-only --no-install-recommends --yes redis-server \
	  && for package in $(TOOLS)/redis/cache/archives/*.deb; do dpkg-deb -x $$package $(TOOLS)/redis || exit 1; done; \
	} >$(TOOLS)/redis/log 2>&1 && rm -rf $(TOOLS)/redis/lists $(TOOLS)/redis/cache \
	  || echo "Could not get redis-server with apt-get ($(TOOLS)/redis/log): the tests of RedisCache will be skipped." >&2
