# Everything a user or CI does here; the work is in scripts/. `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help run up down status psql setup build models test upgrade lint bench bench-search bench-ingest bench-scale bench-quality bench-transformer bench-stats reset

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F'\t' '{ printf "make %-13s %s\n", $$1, $$2 }'
	@echo 'variables: PORT=8000 PGPORT=54329 PG_CONFIG=/path/to/pg_config CORPUS=folder; of benchmarks: SIZE=100000 QUICK=1 ARGS=--publish'

run: ## install what is missing, build, start, load the demo; Ctrl-C stops it
	@scripts/up --foreground

up: ## the same in the background; writes .vectorstore/env
	@scripts/up

down: ## stop what up or run started
	@scripts/down

status: ## what runs, and where
	@scripts/status || true

psql: ## open psql on the running database
	@scripts/psql

setup: ## only fetch what is missing
	@scripts/setup

build: ## only build and install the extension, and build the proxy
	@scripts/setup
	@scripts/build release

models: ## fetch all-MiniLM-L6-v2 and build a proxy that runs it
	@scripts/models

test: ## all tests
	@scripts/test

upgrade: ## the tests of upgrading from earlier versions
	@scripts/test upgrade

lint: ## formatting, clippy, shellcheck
	@scripts/lint

bench: ## benchmarks
	@scripts/bench

bench-search: ## speed and recall of search beside other engines
	@scripts/bench-peers search $(ARGS)

bench-ingest: ## loading, size on disk, search while rows arrive, files over HTTP
	@scripts/bench-peers ingest $(ARGS)

bench-scale: ## many stores beside a big one, vectors at a million rows
	@scripts/bench-peers scale $(ARGS)

bench-quality: ## relevance on judged collections
	@scripts/bench-peers quality $(ARGS)

bench-stats: ## what statistics cost a search, and quotas a load
	@scripts/bench-stats

bench-transformer: ## the transformer beside its Python original
	@scripts/bench-transformer

reset: ## stop and delete the local data
	@scripts/down --reset
