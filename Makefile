# "make run" starts a cluster on this machine; "make test" runs all checks and
# tests, and is what CI runs. Everything else is a part of these two.

GO       ?= go
BIN      := bin
TOOLS    := $(CURDIR)/$(BIN)/tools
FUZZTIME ?= 5s
SEEDS    ?= 101-200

# Tools are pinned here and nowhere else.
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOFUMPT  := mvdan.cc/gofumpt@v0.12.0
PROTOGEN := google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12

.PHONY: run build test format vet lint unit race e2e leanmessage leanmessage-kill leanmessage-java sim mutants fuzz bench compare compare-build compare-nats performance generate clean

build:
	$(GO) build -buildvcs=auto -o $(BIN)/quorate ./cmd/quorate

run: build
	$(BIN)/quorate dev --dir data/dev $(ARGS)

# Each part says how long it took.
test:
	@for part in format vet lint race e2e leanmessage leanmessage-kill leanmessage-java sim mutants fuzz bench compare; do \
	  began=$$(date +%s); echo "== $$part"; \
	  $(MAKE) --no-print-directory $$part || exit 1; \
	  echo "== $$part took $$(( $$(date +%s) - began )) s"; \
	done
	@echo "all checks and tests passed"

# $(call tool,name,module@version): installs a tool once.
$(TOOLS)/golangci-lint:
	GOBIN=$(TOOLS) $(GO) install $(GOLANGCI)
$(TOOLS)/gofumpt:
	GOBIN=$(TOOLS) $(GO) install $(GOFUMPT)
$(TOOLS)/protoc-gen-go:
	GOBIN=$(TOOLS) $(GO) install $(PROTOGEN)

format: $(TOOLS)/gofumpt
	@bad=$$($(TOOLS)/gofumpt -l $$(git ls-files '*.go' | grep -v '\.pb\.go$$')); \
	if [ -n "$$bad" ]; then echo "not formatted (gofumpt -w):"; echo "$$bad"; exit 1; fi

vet:
	$(GO) vet ./...

lint: $(TOOLS)/golangci-lint
	$(TOOLS)/golangci-lint run ./...

# Quick: what a developer runs while working.
unit:
	$(GO) test -short ./...

race:
	$(GO) test -race ./...

# Real processes on loopback.
e2e: build
	$(GO) test -count=1 -tags=e2e -timeout=15m ./e2e/...

# The published LeanMessage SDKs for JavaScript against a cluster, in Node 20 and in
# Chromium (without /usr/bin/chromium that part is left out). ARGS=rooms runs files of that name
# only, ONLY=LM-22 scenarios of that name, and KILL=1 kills nodes meanwhile.
leanmessage: build e2e/leanmessage-js/node_modules/.package-lock.json
	cd e2e/leanmessage-js && node run.js $(ARGS)

# While nodes are killed and started again.
leanmessage-kill:
	@KILL=1 $(MAKE) --no-print-directory leanmessage

e2e/leanmessage-js/node_modules/.package-lock.json: e2e/leanmessage-js/package-lock.json
	cd e2e/leanmessage-js && npm ci --no-audit --no-fund --ignore-scripts
	@touch $@

# The one for Java, with Maven and a JDK from 17 on.
leanmessage-java: build
	cd e2e/leanmessage-java && mvn -q -B compile dependency:copy-dependencies -DoutputDirectory=target/lib && \
	  node ../leanmessage-js/with-cluster.js rate.send=0 rate.history=0 rate.other=0 roles=on edit=on recall=on -- \
	  java -cp target/classes quorate.e2e.Main $(ARGS)

# Whole clusters through disasters in virtual time, one process a seed.
sim:
	$(GO) run ./e2e/sim/run --seeds $(SEEDS) --twice 3

# Plants bugs, one at a time, and fails if one is not found.
mutants:
	$(GO) run ./e2e/sim/mutants

# Every fuzz target for a moment, two at a time; FUZZTIME=10m looks longer. On a
# busy machine Go's fuzzer may call the end of its time an error; what it has
# found always comes with a failing input.
fuzz:
	@git grep -o -E '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go' | sed -E 's|/[^/]*:func | |' | \
	  xargs -P 2 -L 1 sh -c 'out=$$($(GO) test -run="^$$" -fuzz="^$$1$$" -fuzztime=$(FUZZTIME) -parallel=1 ./$$0 2>&1) \
	    || { echo "$$out" | grep -q "^    context deadline exceeded" && ! echo "$$out" | grep -q "Failing input"; } \
	    && echo "fuzz $$0 $$1: ok" || { echo "fuzz $$0 $$1:"; echo "$$out"; exit 255; }'

# Benchmarks once, so that they keep working; no figure is judged here.
bench:
	@out=$$($(GO) test -run='^$$' -bench=. -benchtime=1x ./... 2>&1) || { echo "$$out"; exit 1; }; \
	  echo "$$out" | grep -v '^ok\|no test files'

# Quorate and NATS JetStream in turn on this disk, which takes some five minutes;
# ARGS="-rounds 1 -records 0 -duration 4s" is a short one. It is a module of its
# own, and has binaries of its own, that no other build replaces meanwhile.
COMPARE := $(BIN)/compare
compare-nats: compare-build
	@$(COMPARE)/compare nats $(ARGS)

# All of docs/performance.md anew, which takes some twenty minutes;
# ARGS="-only ingest" measures what is so called.
performance: compare-build
	$(COMPARE)/compare performance $(ARGS)

compare-build:
	@$(GO) build -buildvcs=auto -o $(COMPARE)/ ./cmd/quorate
	@cd bench/compare && $(GO) build -o $(CURDIR)/$(COMPARE)/ . github.com/nats-io/nats-server/v2

# Checks and tests of that module.
compare:
	cd bench/compare && $(GO) vet ./... && $(GO) test ./...

# After a change of wire/*.proto. It wants protoc (Debian: protobuf-compiler).
generate: $(TOOLS)/protoc-gen-go
	PATH=$(TOOLS):$$PATH protoc --go_out=. --go_opt=module=github.com/quorate/quorate wire/quorate.proto wire/leanmessage.proto

clean:
	rm -rf $(BIN) data
