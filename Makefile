# Every target is one line that calls go or a script: CI and a person run the same thing.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
TIMEOUT := 15m
SUITE = go test -count=1 -v -timeout=$(TIMEOUT)
.DEFAULT_GOAL := help
.PHONY: build run test race lint fmt imports boundaries fuzz autobahn browser reach systemd prometheus k6 faults peers benchtest bench million example install uninstall ci clean help

build: ## bin/fanfare, one static file
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/ ./cmd/fanfare
run: build ## build, then serve on 127.0.0.1:8080 without any configuration
	@exec bin/fanfare serve
test: ## every test that needs only Go, with the race detector where a C compiler is found
	@scripts/test.sh
race: ## every test under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -shuffle=on ./...
lint: ## golangci-lint, in the version that scripts/golangci.sh names
	scripts/golangci.sh run ./...
fmt: ## format every Go file
	scripts/golangci.sh fmt ./...
imports: ## each package imports only packages of a lower rank
	@scripts/imports.sh
boundaries: ## the import rules, tried with planted offenders (needs golangci-lint)
	GOLANGCI_LINT="$$(scripts/golangci.sh --path)" $(SUITE) -tags boundaries -run '^TestBoundaries' ./scripts/
fuzz: ## every fuzz target, 20 seconds each (FUZZTIME=20s)
	@scripts/fuzz.sh
autobahn: ## the WebSocket conformance cases (needs python3)
	@scripts/autobahn.sh
browser: ## a page in headless Chromium against the real server (needs chromium)
	$(SUITE) -tags browser -run '^TestBrowser' ./cmd/fanfare/
reach: ## the size and cost limits, asserted on the running server
	$(SUITE) -tags reach -run '^TestReach' ./cmd/fanfare/
systemd: ## the unit, the sysctls and the installation (needs systemd-analyze)
	$(SUITE) -tags systemd -run '^TestSystemd' ./scripts/ ./cmd/fanfare/
prometheus: ## promtool reads the metrics, Prometheus scrapes a loaded server (needs both)
	$(SUITE) -tags prometheus -run '^TestPrometheus' ./cmd/fanfare/
k6: ## the load scripts of bench/k6 against the real server and against faulty ones (needs k6)
	$(SUITE) -tags k6 -run '^TestK6' ./cmd/fanfare/
faults: TIMEOUT := 30m
faults: ## hostile clients, full disks, lost networks, each on the running server (needs root and nft; longer: FANFARE_CHURN=1h TIMEOUT=2h)
	$(SUITE) -tags faults -run '^TestFault' ./cmd/fanfare/
peers: ## the servers that the bench compares with, into bin/peers; says which it could not get (SOCKUDO=no leaves out the long one)
	@scripts/peers.sh
benchtest: build ## the load harness, small, against the real server, the floor and the peers (needs cc, strace and make peers)
	FANFARE_PEERS=all $(SUITE) -tags bench ./bench/...
bench: build ## the performance report, forty minutes on an idle machine (ROUNDS=5 SERVERS=fanfare,gws,floor; first make peers)
	@scripts/bench.sh
million: build ## a million connections, over as many processes as the limit of descriptors makes necessary (CONNECTIONS=1000000)
	@scripts/million.sh
example: ## scripts/fanfare.example.yaml from the settings
	go run ./cmd/fanfare config example >scripts/.example && mv scripts/.example scripts/fanfare.example.yaml
install: build ## binary, unit, sysctls and example settings (PREFIX=/usr/local DESTDIR=)
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/install.sh install
uninstall: ## what install put there; changed settings stay
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/install.sh uninstall
ci: ## everything that CI runs
	.ci/run
clean: ## remove what make leaves
	rm -rf bin
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
