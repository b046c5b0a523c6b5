# Every command of a developer; CI calls the same.

CARGO ?= cargo
SECONDS ?=
KILLS ?=
MINUTES ?=
SEEDS ?=
JOBS ?= 2
REPORT ?= target/soak.md
TESTBED = $(RELEASE) --quiet && target/release/testbed

.PHONY: help demo test bench soak check cluster-up cluster-down images crd

help:            ## this list
	@sed -n 's/^\([a-z-]*\): .*## */\1\t/p' Makefile | expand -t 16

# Everything is built together: cargo chooses the features of libraries by what it builds at once.
RELEASE = $(CARGO) build --release --workspace --bins

demo:            ## the main job, working, on one screen; SECONDS=60 ends it after a minute and compares both sides
	$(RELEASE)
	target/release/demo $(if $(SECONDS),--seconds $(SECONDS))

test:            ## every test: unit, property, and the whole system in a real Kubernetes
	$(CARGO) test --workspace --no-fail-fast

bench:           ## the worker against pg_recvlogical on one backlog, in turn
	$(RELEASE)
	target/release/bench

soak:            ## torture until KILLS, MINUTES or SEEDS are through, JOBS rounds at a time; a report to REPORT
	$(RELEASE)
	target/release/soak $(if $(KILLS),--kills $(KILLS)) $(if $(MINUTES),--minutes $(MINUTES)) \
	  $(if $(SEEDS),--seeds $(SEEDS)) --jobs $(JOBS) --report $(REPORT) $(SOAK)

check:           ## formatting, lints, the chart, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(TESTBED) helm lint charts/dbmazz-operator
	$(TESTBED) helm template dbmazz charts/dbmazz-operator --namespace dbmazz-system > /dev/null
	@if command -v cargo-deny > /dev/null; then $(CARGO) deny check licenses bans sources; \
	 else echo "cargo-deny is not installed: licences were not checked (cargo install cargo-deny)"; fi

cluster-up:      ## start the test cluster and leave it running
	$(TESTBED) cluster-up

cluster-down:    ## end it
	$(TESTBED) cluster-down

images:          ## container images as archives, in target/images
	$(TESTBED) image --out target/images

crd:             ## write the CRD from its types
	$(CARGO) run --package crds --bin crd
