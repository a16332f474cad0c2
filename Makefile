# Needs Python 3.11 or newer and a C compiler. Everything else goes into .venv and node_modules.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
# The locks are complete: what packages ask for is not looked up again, so that a newer release of one changes nothing.
LOCKED := $(PIP) --require-hashes --no-deps
SOURCES := $(shell find webapp/static/src -type f 2>/dev/null) webapp/static/build.mjs
CATALOGS := $(wildcard webapp/translations/*/LC_MESSAGES/messages.po)
SUITE ?=
ARGS ?=

# without it each of the many processes that tests start would compile the whole product anew
unexport PYTHONDONTWRITEBYTECODE

.DELETE_ON_ERROR:
.PHONY: run demo test soak ha-test check bench assets docs quality lock audit migration clean help

help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: .venv/.installed assets ## install what is missing and start everything
	@$(BIN)/syncline up

demo: .venv/.installed assets ## the same with two demo systems, in a data folder of its own
	@$(BIN)/syncline up --demo

.venv/.python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed. Install it, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@command -v cc >/dev/null || command -v gcc >/dev/null || { echo "A C compiler is needed (on Debian: apt-get install gcc libc6-dev python3-dev)." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "Python's venv module is needed (on Debian: apt-get install python3-venv)." >&2; exit 1; }
	@touch $@

.venv/.installed: .venv/.python pyproject.toml requirements.lock requirements-build.lock
	@echo "Installing Python packages; the first time this takes a minute or two."
	@$(LOCKED) -r requirements-build.lock
	@$(LOCKED) --no-build-isolation -r requirements.lock
	@$(PIP) --no-build-isolation --no-deps -e .
	@touch $@

.venv/.test: .venv/.installed requirements-test.lock
	@$(LOCKED) -r requirements.lock -r requirements-test.lock
	@touch $@

assets: webapp/static/dist/manifest.json $(CATALOGS:.po=.mo) ## build the front end and the translations

node_modules/.installed: package.json package-lock.json | .venv/.installed
	@echo "Installing front-end packages."
	@tools/npm.sh ci --silent
	@touch $@

webapp/static/dist/manifest.json: node_modules/.installed $(SOURCES)
	@echo "Building the front end."
	@tools/npm.sh run --silent build
	@touch $@

%.mo: %.po | .venv/.installed
	@$(BIN)/python -m webapp.translations compile >/dev/null
	@touch $@

FAST := -m "not kill and not browser and not soak and not attack"
FILES := --dist loadfile --no-loadscope-reorder
# one thread each: several processes share the machine
TEST := POLARS_MAX_THREADS=1 $(BIN)/pytest -n 4 $(FILES) --cases=some --durations=30 --durations-min=5

test: .venv/.test assets ## install what the tests need and run all but those of `make check`, on SQLite and on PostgreSQL
	@tools/system-packages.sh
	$(TEST) -m "not soak and not attack" --ignore=tests/house --ignore=tests/docs --connector-quality-check=connectors/quality.json
	$(TEST) $(FAST) --database=postgresql --ignore=tests/rules --ignore=tests/connectors --ignore=tests/house --ignore=tests/docs

attack: .venv/.test assets ## attack a console of its own: make attack ARGS="-k race"; docs/security/attack.md says with what
	@rm -rf build/attack/results
	@$(BIN)/pytest -n 2 --dist loadfile -m attack -rA --tb=short tests/attack $(ARGS); ended=$$?; $(BIN)/python -m tests.attack.results; exit $$ended

soak: .venv/.test assets ## run the tests that take minutes each
	@tools/system-packages.sh
	$(BIN)/pytest -m soak
	$(BIN)/pytest -n 2 $(FILES) $(FAST) --database=sqlite
	$(BIN)/pytest -n 2 $(FILES) $(FAST) --database=postgresql --database-tests=all

ha-test: .venv/.test assets ## let the machines of a cluster die in turn, in network namespaces (root; HAProxy, keepalived, nginx)
	@tools/system-packages.sh ha
	$(BIN)/pytest -n0 -x -s tests/ha

check: .venv/.test assets ## style, types, import contracts, templates, translations, documentation
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint --quiet --lint templates
	$(BIN)/python -m webapp.translations missing
	$(BIN)/pytest tests/house tests/docs tests/rules/test_reference.py

docs: .venv/.test ## write the parts of the documentation that are made from code
	@$(BIN)/python -m tests.rules.reference
	@$(BIN)/python -m tests.docs.reference

quality: .venv/.test assets ## test the connectors and write down what is found: make quality ARGS=tests/connectors/test_rest.py
	@tools/system-packages.sh
	$(if $(ARGS),,@rm -f connectors/quality.json)
	$(BIN)/pytest --connector-quality=connectors/quality.json $(if $(ARGS),$(ARGS),tests/connectors tests/entities/test_hub.py)

bench: .venv/.test assets ## measure: make bench SUITE=rules|sync|connectors|web|correlation|scale|capacity|w1 ARGS=...
	@$(BIN)/syncline bench $(SUITE) $(ARGS)

lock: .venv/.test ## write down the versions that are installed now, with the digests of their files
	@$(BIN)/python tools/lock.py

audit: .venv/.test ## known vulnerabilities and licences of what is locked; writes build/sbom.json and build/licences.md
	@$(BIN)/python tools/supply_chain.py
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner=off -r requirements.lock -r requirements-test.lock -r requirements-build.lock
	tools/npm.sh audit

migration: .venv/.installed ## write a revision of the database: make migration NAME="what changes"
	@$(BIN)/python -m webapp.migrations revision "$(NAME)"

clean: ## remove everything that is built or installed; data stay
	rm -rf .venv node_modules webapp/static/dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find webapp/translations -name '*.mo' -delete 2>/dev/null || true
