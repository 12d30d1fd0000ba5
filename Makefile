# kdvector: `make help` lists what there is.
#
# PG_CONFIG names the PostgreSQL to build against and to install into. Values are looked up when they are
# used, not when this file is read: bootstrap may just have installed what they name.

PG_CONFIG ?=
DESTDIR ?=
BENCH ?=
SCALE ?= 1
CLIENTS ?=
export PG_CONFIG DESTDIR

target = $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
python = $(target)/venv/bin/python

.DEFAULT_GOAL := build
.PHONY: build install uninstall installcheck test test-all test-long test-clients fuzz demo demo-psql demo-clean bench bench-life bench-plans bench-recall bench-filters clean help

build: ## build the release library (the default)
	scripts/build.sh

install: ## install both extensions into the PostgreSQL of PG_CONFIG [DESTDIR=...]
	@scripts/build.sh --if-outdated
	scripts/install.sh install

uninstall: ## remove what install put there
	scripts/install.sh uninstall

installcheck: ## run the SQL and isolation tests against a running server (PGHOST, PGPORT, PGUSER as usual)
	scripts/regress.sh
	scripts/isolation.sh

test: ## build and run every test; the last line counts them
	scripts/bootstrap.sh tests
	$(python) scripts/run_tests.py

test-all: ## the tests on every PostgreSQL that is at hand, 15, 16 and 18 at least
	scripts/bootstrap.sh tests hnsw
	$(python) scripts/test_majors.py

test-long: ## the same with hours of crashes, interruptions and load; for a release
	scripts/bootstrap.sh tests
	$(python) scripts/run_tests.py --long

test-clients: ## run the test suites of client libraries and ORMs [CLIENTS="--against pgvector django"]
	scripts/bootstrap.sh clients $(if $(filter pgvector --publish,$(CLIENTS)),hnsw)
	@scripts/build.sh --if-outdated
	$(python) tests/clients/run.py $(CLIENTS)

fuzz: ## fuzz all that reads bytes from clients and disks, target by target [SECONDS=600]
	scripts/fuzz.sh $(or $(SECONDS),600)

demo: ## one million vectors, then images: the main job shown on a private server
	scripts/bootstrap.sh base
	scripts/build.sh
	$(python) examples/demo.py run

demo-psql: ## open psql on the demo's server (runs until you quit)
	@$(python) examples/demo.py psql

demo-clean: ## remove the demo's server and its data
	@$(python) examples/demo.py clean

bench: ## how fast, question by question, against the machine and all peers [SCALE=0.1 BENCH="--only exact"]
	scripts/bootstrap.sh bench hnsw recall
	scripts/build.sh
	$(python) bench/run.py --scale $(SCALE) $(BENCH)

bench-life: ## what inserts, updates, VACUUM and growth cost [BENCH="--quick --only inserts"]
	scripts/bootstrap.sh bench $(if $(findstring --hnsw,$(BENCH)),hnsw)
	scripts/build.sh
	$(python) bench/life.py $(BENCH)

bench-recall: ## queries per second over recall on real data: kdtree, HNSW, IVFFlat, Faiss [BENCH=--quick]
	scripts/bootstrap.sh bench hnsw recall
	scripts/build.sh
	$(python) bench/recall.py $(BENCH)

bench-plans: ## does the planner choose well between this index and other ways [BENCH=--quick]
	scripts/bootstrap.sh bench
	scripts/build.sh
	$(python) bench/plans.py $(BENCH)

bench-filters: ## what filters inside the index are worth [BENCH="--rows 1000000"]
	scripts/bootstrap.sh bench
	scripts/build.sh
	$(python) bench/filters.py $(BENCH)

$(target)/pgrx/config.toml: pgrx.toml
	install -D -m 644 $< $@

clean: ## remove everything that was built, private servers and their data included
	scripts/clean.sh

help: ## this list
	@echo "usage: make [target] [PG_CONFIG=/path/to/pg_config]"
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' Makefile
