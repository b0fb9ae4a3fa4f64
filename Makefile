GO       ?= go
FUZZTIME ?= 500000x
DURATION ?= 1m
# The system tests are load: they run after the others, not beside them.
SYSTEM   := ./cmd/tandem
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: help demo test tools peer lint unit gates sim system soak transport-soak health-soak fuzz bench bench-go bench-kamailio bench-store bench-ringing bench-failover build image

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## proxy, two connectors and a caller in one process; the first connector dies, calls go on
	$(GO) run ./cmd/tandem demo

build: ## the static binary
	CGO_ENABLED=0 $(GO) build -trimpath -o tandem ./cmd/tandem

# The OCI format has no health check: the others are asked for Docker's.
image: ## the container image, by docker, podman or buildah
	@if command -v docker >/dev/null; then set -x; docker build -t tandem .; \
	elif command -v podman >/dev/null; then set -x; podman build --format docker -t tandem .; \
	elif command -v buildah >/dev/null; then set -x; buildah build --format docker -t tandem .; \
	else echo "docker, podman or buildah is needed." >&2; exit 1; fi

test: tools lint unit gates sim system ## everything that has to pass: format, vet, staticcheck, tests with the race detector, instruction counts, SIPp

# What the tests call beside Go: SIPp; namespaces and a firewall for a path on
# which ICMP and loss are real; a C compiler for the race detector; Valgrind, which
# counts instructions.
tools:
	@missing=; for need in sipp:sip-tester ip:iproute2 nft:nftables nsenter:util-linux gcc:gcc valgrind:valgrind; do \
		command -v "$${need%%:*}" >/dev/null || missing="$$missing $${need##*:}"; done; \
	case "$$missing" in *gcc*) missing="$$missing libc6-dev";; esac; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	else echo "The tests need:$$missing. Run: sudo apt-get install -y$$missing" >&2; exit 1; fi

lint:
	@out="$$(gofmt -l .)"; if [ -n "$$out" ]; then echo "gofmt -w would change:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags soak $(SYSTEM)
	$(GO) tool staticcheck ./...
	$(GO) tool staticcheck -tags soak $(SYSTEM)
	tool="$$($(GO) tool -n staticcheck)" && for module in bench admin/chimetest; do (cd $$module && $(GO) vet ./... && "$$tool" ./...) || exit 1; done

unit:
	$(GO) test -race -timeout 10m $$($(GO) list ./... | grep -v '/cmd/')
	for module in bench admin/chimetest; do (cd $$module && $(GO) test -timeout 5m ./...) || exit 1; done

# The counts do not depend on what else runs, so this is no load test.
gates: tools ## instructions and allocations of the code of a call, against bench/gates/ceilings.json; UPDATE=1 rewrites those
	cd bench && $(GO) run ./gates $(if $(UPDATE),-update) $(ARGS)

# SEEDS=N runs so many instead, START=N begins there, SIM_SEED=N runs one again.
sim: ## simulated calls on a simulated network, for DURATION
	SIM_DURATION=$(if $(SEEDS),,$(DURATION)) SIM_SEEDS=$(SEEDS) SIM_START=$(START) $(GO) test -count 1 -run '^TestSim$$' -v -timeout 0 ./router

system: tools
	$(GO) test -race -timeout 20m $(SYSTEM)

soak: tools ## long runs: 10,000 SIPp calls at 500/s, dead connectors behind a veth beside a busy group, DNS that fails
	$(GO) test -tags soak -count 1 -run '^TestSoak_' -v -timeout 40m $(SYSTEM)

# PAIRS is a regular expression: PAIRS='to TLS6' goes on with what leads there,
# PAIRS='^UDP4 to TCP6$$' runs one pair. ARGS are go test's: ARGS='-run EveryPair'.
transport-soak: peer ## long runs over UDP, TCP and TLS: 1,000 calls over each pair of transports and families, by way of Kamailio, beside 10,000 idle connections and bad peers
	PAIRS='$(PAIRS)' $(GO) test -tags soak -count 1 -run '^TestSoakTransports_' -v -timeout 60m $(SYSTEM) $(ARGS)

# HEALTH_TABLE=FILE.md has the table written there, the curve of an evacuation
# beside it, else they are in the output.
health-soak: tools ## experiments on health: hosts that die, flap, lie or are slow, and what each cost calls
	@if [ -n "$(HEALTH_TABLE)" ]; then printf 'Commit %s, %s CPUs, %s; 20 calls/s unless it says otherwise.\n\n' \
		"$$(git describe --always --dirty)" "$$(nproc)" "$$(date -u +%F)" >"$(HEALTH_TABLE)"; fi
	HEALTH_TABLE=$(if $(HEALTH_TABLE),$(abspath $(HEALTH_TABLE))) $(GO) test -tags soak -count 1 -run '^TestSoakHealth' -v -parallel 6 -timeout 40m $(SYSTEM)

manage-soak: ## a node killed again and again while a client makes MANAGE_CHANGES changes
	MANAGE_CHANGES=$(or $(MANAGE_CHANGES),10000) $(GO) test -count 1 -run '^TestE2E_KilledWhileManaged$$' -v -timeout 30m $(SYSTEM)

# FUZZTIME counts executions: Go before 1.27 may report the end of a time as a
# failure, "context deadline exceeded" (go.dev/issue/75804). By default Go spends
# up to a minute on each new input to make it shorter. One failure does not keep
# the other targets from their turn; all are named at the end.
fuzz: ## each fuzz target for FUZZTIME executions
	@packages="$$($(GO) list ./...)" || exit 1; count=0; failed=; \
	for package in $$packages; do \
		if ! list="$$($(GO) test -list '^Fuzz' $$package)"; then \
			printf '%s\n' "$$list"; failed="$$failed $$package"; continue; fi; \
		for target in $$(printf '%s\n' "$$list" | sed -n '/^Fuzz/p'); do \
			count=$$((count+1)); \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$package || failed="$$failed $$package/$$target"; done; done; \
	if [ -n "$$failed" ]; then echo "Failed:$$failed" >&2; exit 1; fi; \
	echo "fuzz targets: $$count, each $(FUZZTIME)"; [ $$count -gt 0 ]

bench-go: ## Go benchmarks with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./...

peer: tools
	@{ command -v kamailio && ls /usr/lib/*/kamailio/modules/tls.so; } >/dev/null 2>&1 || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends kamailio kamailio-tls-modules; \
		else echo "kamailio with TLS is not installed. Run: sudo apt-get install -y kamailio kamailio-tls-modules" >&2; exit 1; fi; }

bench: peer ## tandem beside Kamailio, sipgo and the kernel floor, an hour; ARGS are the runner's flags, -quick takes 8
	cd bench && $(GO) run ./compare $(ARGS)

bench-kamailio: peer ## only CPU per call beside Kamailio at 2,000 calls/s, 4 minutes; ARGS are the runner's flags
	cd bench && $(GO) run ./compare -parts cpu -load sipp -proxies tandem,kamailio-1,kamailio-2 -rates 2000 -rounds 6 -name kamailio $(ARGS)

bench-store: ## a store of ten million numbers, and calls while they are managed; ARGS are the runner's flags
	cd bench && $(GO) run ./store $(ARGS)

bench-ringing: ## what 100,000 calls at once cost in memory; ARGS are the runner's flags
	cd bench && $(GO) run ./ringing $(ARGS)

bench-failover: ## what a dead connector costs a call; ARGS are the runner's flags
	cd bench && $(GO) run ./failover $(ARGS)
