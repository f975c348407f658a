# Every target sets up what it needs: nothing but Python (3.11 or newer) has to be there.

PYTHON ?= python3
TOOLS := .tools
UV := $(or $(shell command -v uv 2>/dev/null),$(TOOLS)/uv/bin/uv)
VENV ?= .venv
# Exact versions and hashes; see `make lock`.
LOCK ?= requirements/locked.txt
RUN = env VIRTUAL_ENV="$(abspath $(VENV))" PATH="$(abspath $(VENV))/bin:$$PATH"
NPM := $(shell command -v npm 2>/dev/null)
AZURITE := $(if $(NPM),$(TOOLS)/node_modules/.bin/azurite-blob)
APT := $(shell command -v apt-get 2>/dev/null)
REDIS := $(if $(shell command -v redis-server 2>/dev/null),,$(if $(APT),$(TOOLS)/redis/usr/bin/redis-server))
NGINX := $(if $(shell command -v nginx 2>/dev/null),,$(if $(APT),$(TOOLS)/nginx/usr/sbin/nginx))
SERVERS := $(AZURITE) $(REDIS) $(NGINX)
# The browser that looks at the documentation: one of the machine's, or Debian's.
CHROMIUM := $(firstword $(foreach name,chromium google-chrome chrome,$(shell command -v $(name) 2>/dev/null)))
BROWSER := $(if $(CHROMIUM),,$(if $(APT),$(TOOLS)/chromium/usr/lib/chromium/chromium))
# Tests wait for servers and processes for about half of their time.
PARALLEL := -n $(shell expr 2 '*' $$(getconf _NPROCESSORS_ONLN)) --dist loadfile
# A Python that is not there: say so, and fail in continuous integration.
MISSING = echo "*** NOT RUN: make $@ found no $(1). ***" >&2; test "$$CI" != true

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-newest test-lowest lint format lock bench bench-quick docs clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 18

demo: $(VENV)/.demo  ## run `obspec-utils demo`: read a NetCDF4 file from a slow server with every reader
	@$(RUN) obspec-utils demo

test: $(VENV)/.test $(SERVERS)  ## run the tests, but slow ones, in parallel, in a few minutes
	$(RUN) python -m pytest $(PARALLEL) -m "not slow" $(ARGS)

test-all: $(VENV)/.test $(SERVERS)  ## run all tests with branch coverage, then test-newest and test-lowest
	$(RUN) python -m pytest $(PARALLEL) --cov --cov-report=term $(ARGS)
	@$(MAKE) --no-print-directory test-newest
	@$(MAKE) --no-print-directory test-lowest

test-newest: $(VENV)/bin/python  ## run the tests with the newest Python on this machine and what is locked for it
	@set -- $$($(VENV)/bin/python tools/newest_python.py $(UV)); if [ $$# = 2 ]; then \
	  $(MAKE) --no-print-directory test VENV=$(TOOLS)/python$$1 UV_PYTHON=$$2; \
	else $(call MISSING,Python but $(VENV)); fi

test-lowest: $(UV)  ## run unit tests with the lowest versions that pyproject.toml allows, on Python 3.11
	@if $(UV) python find --quiet 3.11 >/dev/null || $(UV) python install --quiet 3.11; then \
	  $(MAKE) --no-print-directory test-unit VENV=$(TOOLS)/lowest LOCK=requirements/lowest.txt UV_PYTHON=3.11; \
	else $(call MISSING,Python 3.11); fi

.PHONY: test-unit
test-unit: $(VENV)/.unit $(SERVERS)
	$(RUN) python -m pytest $(PARALLEL) tests/unit tests/requests tests/processes $(ARGS)

lint: $(VENV)/.dev  ## check style, types and import rules
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) pyright
	$(RUN) lint-imports

format: $(VENV)/.dev  ## rewrite the code in the project's style
	$(RUN) ruff check --fix-only .
	$(RUN) ruff format .

bench: $(VENV)/.bench $(REDIS)  ## measure against 0.9.0 and the alternatives, and write docs/benchmarks
	$(RUN) python -m benchmarks $(ARGS)

bench-quick: $(VENV)/.bench $(REDIS)  ## measure a little of everything in about a minute
	$(RUN) python -m benchmarks --quick $(ARGS)

docs: $(VENV)/.docs $(BROWSER)  ## build the documentation into site/, and look at it in a browser
	$(RUN) NO_MKDOCS_2_WARNING=1 mkdocs build --strict
	$(RUN) CHROMIUM="$(or $(CHROMIUM),$(BROWSER))" python -m pytest -c tests/site/pytest.ini tests/site $(ARGS)

# One resolution for all groups and platforms; newer Pythons get newer packages. A second one with the lowest versions
# of what pyproject.toml requires at run time and in extras. Existing pins stay unless ARGS=--upgrade.
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url pyproject.toml
HASHED = $(COMPILE) --generate-hashes --all-extras
lock: $(UV)  ## lock the development environment anew: requirements/
	@mkdir -p $(TOOLS)
	$(HASHED) --group dev --group bench --group docs $(ARGS) -o requirements/locked.txt
	$(COMPILE) --all-extras --resolution lowest-direct --no-deps --upgrade -o $(TOOLS)/lowest.in
	$(HASHED) --group unit --constraints $(TOOLS)/lowest.in $(ARGS) -o requirements/lowest.txt

clean:  ## remove everything that was set up or built
	rm -rf .venv $(TOOLS) build dist site .coverage* .hypothesis .*_cache

$(VENV)/bin/python: | $(UV)
	@$(UV) venv --quiet --allow-existing $(VENV)

DEMO_EXTRAS = $(foreach extra,aiohttp cli fsspec plot,--extra $(extra))

# Install a group of pyproject.toml and the package itself, editable.
$(VENV)/.%: pyproject.toml $(LOCK) | $(VENV)/bin/python
	@$(UV) pip install --quiet --python $(VENV) --require-hashes --constraints $(LOCK) -r pyproject.toml \
	  $(if $(filter unit,$*),--all-extras) $(if $(filter demo,$*),$(DEMO_EXTRAS)) --group $*
	@$(UV) pip install --quiet --python $(VENV) --no-deps --editable .
	@touch $@

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

# The Redis server that the tests cache in, the nginx that they read from, and the browser that opens the documentation,
# as Debian packs them; likewise. Everything stays in a folder of its own, apt's lists too. $(1): the folder, $(2): the package, $(3): what needs it.
define APT_GET
	@mkdir -p $(TOOLS)/$(1)/lists/partial $(TOOLS)/$(1)/cache/archives/partial
	@{ apt-get $(call APT_HERE,$(1)) update \
	  && apt-get $(call APT_HERE,$(1)) install --download-only --no-install-recommends --yes $(2) \
	  && for package in $(TOOLS)/$(1)/cache/archives/*.deb; do dpkg-deb -x $$package $(TOOLS)/$(1) || exit 1; done; \
	} >$(TOOLS)/$(1)/log 2>&1 && rm -rf $(TOOLS)/$(1)/lists $(TOOLS)/$(1)/cache \
	  || echo "Could not get $(2) with apt-get ($(TOOLS)/$(1)/log): the tests of $(3) will be skipped." >&2
endef
APT_HERE = -q -o Debug::NoLocking=1 -o APT::Sandbox::User= -o Dir::State::lists=$(CURDIR)/$(TOOLS)/$(1)/lists \
  -o Dir::Cache=$(CURDIR)/$(TOOLS)/$(1)/cache
$(TOOLS)/redis/usr/bin/redis-server:
	$(call APT_GET,redis,redis-server,RedisCache)
$(TOOLS)/nginx/usr/sbin/nginx:
	$(call APT_GET,nginx,nginx,AiohttpStore over nginx)
$(TOOLS)/chromium/usr/lib/chromium/chromium:
	$(call APT_GET,chromium,chromium,the documentation's pages)
