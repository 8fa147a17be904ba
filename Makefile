# Everything a person does with this tree. `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin
CLIENT := ./clients/python
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
.DEFAULT_GOAL := help
.PHONY: help setup demo up test encoder check fix migration train evaluate bench browser clean

help: ## list what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: .venv/.test ## a virtual environment with everything a developer needs

demo: .venv/.demo encoder ## the whole way on this machine, with sample media (ONCE=1 ends by itself, MEDIA=DIR sends your own)
	@$(BIN)/unmask demo $(if $(ONCE),--once) $(if $(MEDIA),--media "$(MEDIA)")

up: .venv/.demo encoder ## run Unmask on this machine, with embedded PostgreSQL and Redis
	@$(BIN)/unmask up

test: .venv/.test browser encoder ## every test; needs no GPU, no Docker, no internet beyond the package registries
	@$(BIN)/python -m pytest $(ARGS)

# the user's cache is the stamp: this is over at once where the encoder is there. Without it all else goes on.
encoder: | .venv/.demo ## the image encoder, once a machine, into the user's cache
	@$(BIN)/unmask encoder fetch >/dev/null \
	  || echo "no image encoder: tests that need it are skipped, and full detector releases cannot serve"

check: .venv/.test ## formatting, lint, types, import contracts, Compose schema
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

fix: .venv/.test ## format, and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

migration: .venv/.test ## a new revision from the difference to the tables: make migration NAME="what changes"
	$(BIN)/python -m cli.revision "$(NAME)"

train: .venv/.test ## train a detector: make train RECIPE=recipes/quick.toml DATA=DIR OUT=DIR
	$(BIN)/unmask train "$(RECIPE)" --data "$(DATA)" --out "$(OUT)" $(ARGS)

evaluate: .venv/.test ## figures of a release: make evaluate RELEASE=DIR DATA=DIR OUT=DIR
	$(BIN)/unmask evaluate "$(RELEASE)" "$(DATA)" --out "$(OUT)" $(ARGS)

bench: .venv/.test ## the benchmarks, as ratios taken in one run
	$(BIN)/python -m benchmarks.pipeline $(ARGS)

browser: ## Debian's Chromium for the browser tests; without it, or the right to install it, they are skipped
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y chromium >/dev/null; } \
	  || echo "no Chromium: browser tests will be skipped"

clean: ## remove what the other targets made
	rm -rf .venv .unmask build *.egg-info $(CLIENT)/build $(CLIENT)/src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Unmask needs Python 3.11 or newer (PYTHON=python3.11 make …)")'
	$(PYTHON) -m venv .venv

# our own client is a distribution of its own: no extra names it, so that pip never looks for it anywhere but here
.venv/.demo: pyproject.toml $(CLIENT)/pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable $(CLIENT) --editable '.[demo]'
	@touch $@

# torch and torchvision first and by name: their matched pair is chosen here, not by whatever depends on them
.venv/.test: pyproject.toml $(CLIENT)/pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) torch torchvision
	$(PIP) --editable $(CLIENT) --editable '.[test]'
	@touch $@ .venv/.demo
