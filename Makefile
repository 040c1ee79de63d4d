# The two commands most people need: make run, make test. Both set up what they lack.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

TEMPL_VERSION := $(shell go list -m -f '{{.Version}}' github.com/a-h/templ 2>/dev/null)
SQLC_VERSION := v1.31.1
GOLANGCI_VERSION := v2.15.0

templ := bin/templ-$(TEMPL_VERSION)
sqlc := bin/sqlc-$(SQLC_VERSION)
golangci := bin/golangci-lint-$(GOLANGCI_VERSION)

.PHONY: help run test check lint generate vectors current bench build clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

run: ## Start everything on this machine: database, service, demo shop, mailbox
	@scripts/install-missing postgres
	go build -o bin/madansara ./cmd/madansara
	@exec bin/madansara up

build: ## Build the binary into bin/
	CGO_ENABLED=0 go build -trimpath -o bin/madansara ./cmd/madansara

# Password hashes keep their full cost in tests; the race detector, which would make each five times as
# dear, has nothing to look for inside of them.
unwatched := -gcflags=golang.org/x/crypto/argon2=-race=false

test: ## Run every test with the race detector, on a real PostgreSQL and a real browser (vet is part of lint)
	@scripts/install-missing postgres gcc node chromium
	npm --prefix e2e/segment ci --no-audit --no-fund --loglevel=error
	npm --prefix web/tracker ci --no-audit --no-fund --loglevel=error && npm --prefix web/tracker test --silent
	go run ./internal/dbtest/testserver -- go test -race -vet=off $(unwatched) -timeout 20m $(TESTFLAGS) ./...

check: lint current test ## What CI runs

lint: $(golangci) ## Check the code's style and likely defects
	@scripts/install-missing gcc
	$(golangci) run ./...

generate: $(templ) $(sqlc) ## Regenerate templ pages, sqlc queries and browser assets
	@scripts/install-missing node
	$(sqlc) generate
	$(templ) generate -log-level warn
	npm --prefix web/tracker ci --no-audit --no-fund --loglevel=error && npm --prefix web/tracker run --silent build
	npm --prefix web/static ci --no-audit --no-fund --loglevel=error && npm --prefix web/static run --silent build

vectors: ## Remake the built-in embedder's word table (110 MB of npm; a test says when it is not current)
	@scripts/install-missing node
	go generate ./zerodb/embed

current: generate ## Fail when a generated file is not what its source makes
	@git diff --exit-code --stat -- . || { echo "generated files are not current: run 'make generate' and commit"; exit 1; }
	@test -z "$$(git ls-files --others --exclude-standard)" || { echo "generated files are not committed:"; git ls-files --others --exclude-standard; exit 1; }

bench: ## Measure, and write docs/BENCHMARKS.md
	@scripts/install-missing postgres
	go run ./bench -write docs/BENCHMARKS.md

clean: ## Remove what was built (not the data folder)
	rm -rf bin

$(templ):
	GOBIN=$(CURDIR)/bin go install github.com/a-h/templ/cmd/templ@$(TEMPL_VERSION) && mv bin/templ $@
$(sqlc):
	CGO_ENABLED=0 GOBIN=$(CURDIR)/bin go install github.com/sqlc-dev/sqlc/cmd/sqlc@$(SQLC_VERSION) && mv bin/sqlc $@
$(golangci):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION) && mv bin/golangci-lint $@
