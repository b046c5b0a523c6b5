# Every command of a developer; CI calls the same.

CARGO ?= cargo
SECONDS ?=
KILLS ?=
MINUTES ?=
SEEDS ?=
JOBS ?= 2
ONLY ?=
GIANT ?=
REPORT ?= target/soak.md
TESTBED = $(RELEASE) --quiet && target/release/testbed

.PHONY: help demo test slow-tests bench soak fuzz check cluster-up cluster-down images crd docs

help:            ## this list
	@sed -n 's/^\([a-z-]*\): .*## */\1\t/p' Makefile | expand -t 16

# Everything is built together: cargo chooses the features of libraries by what it builds at once.
RELEASE = $(CARGO) build --release --workspace --bins

# With both set, the demo uses a cluster that is there, and no Kubernetes is built.
EXISTING = $(and $(KUBECONFIG),$(REGISTRY))

# Only what the demo runs, and Kubernetes beside it: on a fresh machine each takes minutes, and neither needs the other.
demo:            ## the main job, working, on one screen; SECONDS=60 ends it after a minute and compares both sides
	$(CARGO) build --release --workspace --bin testbed
	$(if $(EXISTING),:,target/release/testbed kubernetes-build) & kubernetes=$$!; \
	  $(CARGO) build --release --workspace $(addprefix --bin ,demo dbmazz dbmazz-operator starrocks-standin) \
	  && wait $$kubernetes || { wait $$kubernetes; exit 1; }
	target/release/demo $(if $(SECONDS),--seconds $(SECONDS))

test:            ## every test: unit, property, and the whole system in a real Kubernetes
	$(CARGO) test --workspace --no-fail-fast

slow-tests:      ## every test, or those whose names have one of WORDS in them, and a table of the slowest twenty
	$(CARGO) build --quiet --workspace --bin testbed
	target/debug/testbed slow-tests $(WORDS)

# As root: in a network of its own, whose packets are as large as asked for (Ethernet: 1500, loopback: 65536).
WIRE = $(if $(MTU),unshare --net sh -c 'ip link set lo mtu $(MTU) && ip link set lo up && exec "$$@"' sh)

bench:           ## speed against pg_recvlogical, delay, idleness, memory, copies, a row's steps: fifteen minutes; ONLY=backlog,steady,idle,bulk,snapshot or ONLY=rows for parts; ROWS of a copied table; MTU=1500 as on Ethernet, TLS=1 by TLS
	$(RELEASE)
	$(if $(filter-out rows,$(or $(ONLY),all)),$(WIRE) target/release/bench $(if $(ONLY),--only $(ONLY)) $(if $(GIANT),--giant $(GIANT)) $(if $(ROWS),--rows $(ROWS)) $(if $(TLS),--tls))
	$(if $(filter rows,$(or $(ONLY),rows)),$(CARGO) bench --quiet --workspace --bench rows)

soak:            ## torture until KILLS, MINUTES or SEEDS are through, JOBS rounds at a time; a report to REPORT
	$(RELEASE)
	target/release/soak $(if $(KILLS),--kills $(KILLS)) $(if $(MINUTES),--minutes $(MINUTES)) \
	  $(if $(SEEDS),--seeds $(SEEDS)) --jobs $(JOBS) --report $(REPORT) $(SOAK)

# Stable Rust writes coverage where libFuzzer looks for it. With --target, build scripts stay as they are.
FUZZ_FLAGS = --cfg fuzzing -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4 \
  -C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table \
  -C llvm-args=-sanitizer-coverage-trace-compares
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
FUZZER = target/fuzz/$(HOST)/fuzz/fuzz
CORPUS = tests/fuzz/corpus
TARGETS = $(or $(TARGET),$(notdir $(wildcard $(CORPUS)/*)))

fuzz:            ## hostile bytes for TARGET, or for every target in turn, for SECONDS each; what is found stays in target/fuzz
	@command -v c++ > /dev/null || apt-get install --yes g++
	RUSTFLAGS="$(FUZZ_FLAGS)" $(CARGO) build --profile fuzz --package fuzz --target $(HOST) --target-dir target/fuzz
	@for target in $(TARGETS); do \
	  mkdir -p target/fuzz/found/$$target && echo "fuzzing $$target" && \
	  TARGET=$$target TMPDIR=$(or $(wildcard /dev/shm),/tmp) $(FUZZER) -max_total_time=$(or $(SECONDS),60) -timeout=10 -rss_limit_mb=1024 \
	    -artifact_prefix=target/fuzz/$$target- -verbosity=0 -print_final_stats=1 \
	    target/fuzz/found/$$target $(CORPUS)/$$target || exit 1; done

check:           ## formatting, lints, the chart, licences, and five seconds of fuzzing for every target
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(TESTBED) helm lint charts/dbmazz-operator
	$(TESTBED) helm template dbmazz charts/dbmazz-operator --namespace dbmazz-system > /dev/null
	@if command -v cargo-deny > /dev/null; then $(CARGO) deny check licenses bans sources; \
	 else echo "cargo-deny is not installed: licences were not checked (cargo install cargo-deny)"; fi
	$(MAKE) fuzz TARGET= SECONDS=5

cluster-up:      ## start the test cluster and leave it running
	$(TESTBED) cluster-up

cluster-down:    ## end it
	$(TESTBED) cluster-down

images:          ## container images as archives, in target/images
	$(TESTBED) image --out target/images

crd:             ## write the CRD from its types
	$(CARGO) run --package crds --bin crd

docs:            ## write the generated parts of docs/ from the code
	WRITE_DOCS=1 $(CARGO) test --quiet --workspace --lib -- docs_
