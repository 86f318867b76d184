# Everything that is done to this repository, by name. `make help` lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# A clone that belongs to another user (as in a container) makes git refuse to answer, and go to fail with it; the
# commit is therefore handed over here, where it may be missing.
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false)
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
LDFLAGS := -X main.commit=$(COMMIT)

FUZZTIME ?= 200000x
CHAOS_SEED ?= 1
ARGS ?=

.PHONY: help
help: ## lists what can be done
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: build
build: ## builds bin/quord and bin/quordsim
	@mkdir -p bin
	go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/quord ./cmd/quordsim

.PHONY: run
run: build ## starts a ring of three on loopback (more: make run ARGS='--nodes 5')
	@exec bin/quord dev $(ARGS)

.PHONY: test
test: packages lint race worlds purego sim e2e ## everything: lint, unit tests under the race detector, without cgo, end to end, fuzzing, faults
	@$(MAKE) --no-print-directory fuzz FUZZTIME=20000x
	@$(MAKE) --no-print-directory chaos ARGS='--duration 4m --seed $(CHAOS_SEED)'
	@echo "test: everything passed"

# The race detector needs a C compiler; the tests of the protocol compare with a real redis-server and use its tools.
.PHONY: packages
packages:
	@tools/debian-packages.sh redis-server=redis-server redis-cli=redis-tools gcc=gcc gcc=libc6-dev

.PHONY: unit
unit: ## unit tests, quickly
	go test -timeout 10m ./...

# What lives in real time (sockets, elections, leases) gets the machine for itself: the race detector makes everything ten
# times as slow, and beside other tests a node would be starved for longer than others wait for it.
REAL_TIME := ./cmd/quord ./internal/bench ./internal/console ./internal/node ./internal/peer/... ./internal/server

.PHONY: race
race: ## unit tests under the race detector; fuzz targets run their corpora
	CGO_ENABLED=1 go test -race -timeout 15m $$(go list ./... | grep -vxF "$$(go list $(REAL_TIME))")
	CGO_ENABLED=1 go test -race -timeout 15m -p 1 $(REAL_TIME)

# Without cgo Pebble takes its memory from the Go heap: another allocator, another program.
.PHONY: purego
purego:
	CGO_ENABLED=0 go build ./...
	CGO_ENABLED=0 go test -timeout 5m ./internal/store/...

.PHONY: sim
sim: ## the papers' figures from the production ring, small; the whole: make sim-full
	go test -timeout 10m ./internal/lab -args -scale 4

.PHONY: sim-full
sim-full: build ## the papers' figures at full size into doc/figures/, with their tables; takes hours
	tools/sim-full.sh

.PHONY: e2e
e2e: packages ## end to end: real processes, real clients, kill -9
	go -C test test -count 1 -timeout 15m -p 1 ./...

.PHONY: chaos
chaos: ## faults in real processes, judged (make chaos ARGS='--duration 10m --seed 7'; --list shows the kinds)
	go -C test run ./chaos $(ARGS)

.PHONY: job
job: packages ## the main job alone, with its report
	go -C test test -timeout 15m -count 1 -v -run 'TestMainJob$$' ./e2e

.PHONY: lint
lint: ## gofumpt, go vet, staticcheck
	@tools/lint.sh

.PHONY: fmt
fmt: ## formats the code
	@mkdir -p bin/tools && go -C tools build -o ../bin/tools/ tool
	@git ls-files --cached --others --exclude-standard '*.go' | xargs -r bin/tools/gofumpt -w

.PHONY: fuzz
fuzz: ## every fuzz target, FUZZTIME inputs each (200000x) or for that long (FUZZTIME=5m)
	@tools/fuzz.sh $(FUZZTIME)

# Seeded worlds and cuts of the power, without the race detector, which has nothing to find where there is one goroutine and takes
# ten times as long.
.PHONY: worlds
worlds: ## seeded worlds and cuts of the power, in bulk
	go test -timeout 10m ./internal/sim -run Worlds -seeds 64
	go test -timeout 10m ./internal/core -run PowerLoss -power-cuts 2000 -power-seed 2

.PHONY: world
world: build ## whole nodes under faults in virtual time, from seeds (ARGS='--seed 1 --seeds 100')
	bin/quordsim world $(ARGS)

.PHONY: mutants
mutants: ## breaks the product on purpose, and asks the seeded world how soon it notices
	cd test && go run ./mutants $(ARGS)

.PHONY: bench
bench: build ## Quord beside redis-server and etcd in one run; writes bench-results/
	@tools/debian-packages.sh redis-server=redis-server redis-cli=redis-tools etcd=etcd-server
	go -C test run ./peers $(ARGS)

.PHONY: idle
idle: ## what a ring of three costs that nobody uses, with 1024 and 16384 tablets; takes minutes
	go -C test run ./idle $(ARGS)

.PHONY: clean
clean: ## removes what was built
	rm -rf bin bench-results
