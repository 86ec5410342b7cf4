# All targets. `make` alone prints them.
.DEFAULT_GOAL := help
.PHONY: help demo test one image sbom check instructions hostile cluster-tests promises one-by-one oldest real-node real-node-joins real-node-faults bench fuzz faults histories leaders-killed soak scale upgrade generate up down

# Build everything before a cluster starts, so that progress is visible. Always build the whole workspace: for a part of
# it cargo would enable other features of its libraries, and build everything twice.
BUILD = cargo build --workspace --bins

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-14s %s\n", $$1, $$2 }'

demo: ## Show the whole product on a control plane of its own (about 2 minutes, warm)
	@$(BUILD)
	@tests/cluster/with demo/run

test: check ## Everything that CI runs: rules, simulation, and every promise on a control plane of its own
	cargo test --workspace --lib --bins --test https --test render_config --test image --test health --test history --test documentation --test simulation --test fuzz
	cargo test --workspace --doc
	@$(MAKE) --no-print-directory image
	@$(MAKE) --no-print-directory instructions
	@$(MAKE) --no-print-directory cluster-tests
	@$(MAKE) --no-print-directory demo
	@if tests/node/check; then $(MAKE) --no-print-directory real-node; else code=$$?; [ $$code = 77 ] || exit $$code; fi

one: ## Run just the tests whose name contains T on a control plane of their own: make one T=validator_joins
	@cargo build --workspace --tests
	@tests/one --list '$(T)' >/dev/null
	@tests/tools/build >/dev/null
	@CLUSTER_AUDIT=1 PATH=$$(tests/tools/build):$$PATH tests/cluster/with tests/one '$(T)'

check: ## Format, lints, documentation, generated files
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --quiet
	@$(BUILD)
	@tests/generated

instructions: ## What a review costs in instructions, held to benches/budget
	@cargo bench --workspace --bench instructions

# Two control planes at once, because a test mostly waits. The output of the second one's tests comes when both are
# done.
cluster-tests: ## The tests that need a control plane, alone: on two of them at once, and on one of the oldest Kubernetes
	@cargo build --workspace --tests
	@tests/tools/build >/dev/null
	@rm -rf target/calls && mkdir -p target/calls
	@code=0; $(MAKE) --no-print-directory -j 2 promises one-by-one || code=$$?; cat target/one-by-one.log; exit $$code
	STELLAR_TEST_CALLS=target/calls cargo test --workspace --test rights

# The tests that share a control plane, and then those on the oldest Kubernetes, because this lane is the shorter one.
# Four tests at once leave a slow machine some reserve: with six and the other lane, tests without the API server failed
# on a busy machine.
promises:
	@CLUSTER_AUDIT=1 PATH=$$(tests/tools/build):$$PATH tests/cluster/with sh -c '\
	  cargo test --workspace --test webhook && \
	  cargo test --workspace --test promises -- --test-threads 4 --skip two_replicas && \
	  tests/rights/record target/calls/promises'
	@$(MAKE) --no-print-directory oldest

# The tests that need a control plane of their own.
one-by-one:
	@{ CLUSTER_AUDIT=1 PATH=$$(tests/tools/build):$$PATH tests/cluster/with sh -c '\
	  cargo test --workspace --test promises -- --test-threads 1 two_replicas && \
	  cargo test --workspace --test alone -- --test-threads 1 && \
	  cargo test --workspace --test manifests -- --test-threads 1 && \
	  tests/rights/record target/calls/one-by-one'; } >target/one-by-one.log 2>&1

oldest: ## The installs and the two scenarios on the oldest Kubernetes that is supported
	@cargo build --workspace --tests
	@tests/tools/build >/dev/null
	@CLUSTER_KUBERNETES=1.34 PATH=$$(tests/tools/build):$$PATH tests/cluster/with sh -c 'kubectl version 2>/dev/null | grep "Server Version: v1.34" && \
	  cargo test --workspace --test promises -- validator_joins validator_suspended ca_bundle_policy && cargo test --workspace --test manifests -- --test-threads 1 accepted lifecycle'

# Two clusters at once again, because their scenarios mostly wait.
real-node: ## Three real nodes: containerd, kubelets, containers; STELLAR_CORE_IMAGE=FILE.tar instead of the stand-in (about 6 minutes, warm)
	@tests/node/check
	@$(BUILD)
	@tests/node/build >/dev/null
	@tests/tools/build >/dev/null
	@cd tests/node/standin && go vet ./... && go test -timeout 3m ./...
	@cd tests/node/ledgers && go test ./...
	@rm -rf target/node && STELLAR_OPERATOR_BIN=$${STELLAR_OPERATOR_BIN:-target/debug/stellar-operator} tests/node/images target/node
	@code=0; $(MAKE) --no-print-directory -j 2 real-node-joins real-node-faults || code=$$?; cat target/real-node-faults.log; exit $$code

real-node-joins:
	@NODE_IMAGES=target/node tests/node/with tests/node/run joins

real-node-faults:
	@NODE_IMAGES=target/node PATH=$$(tests/tools/build):$$PATH tests/node/with tests/node/run faults >target/real-node-faults.log 2>&1

image: ## The image, with docker, podman or buildah, where one of them runs
	@image/build

sbom: ## What the program is made of, as CycloneDX: target/stellar-operator.cdx.json
	@image/sbom target/stellar-operator.cdx.json

hostile: ## Honest reviews, probes and memory while clients mean the webhook harm, under the shipped limit (2 minutes)
	@cargo bench --workspace --quiet --bench load -- hostile

bench: ## Figures: pure paths, instructions, the webhook under load compared with three others (about 6 minutes, once everything is built)
	@benches/run

fuzz: ## A million invalid inputs for the webhook (about 5 minutes, warm)
	STELLAR_FUZZ_INPUTS=$${STELLAR_FUZZ_INPUTS:-1000000} cargo test --workspace --release --test fuzz -- --nocapture

faults: ## Each fault of docs/faults.md, and what was seen (about 20 minutes, once everything is built)
	@cargo build --workspace --tests
	@tests/tools/build >/dev/null
	@CLUSTER_AUDIT=1 PATH=$$(tests/tools/build):$$PATH tests/cluster/with tests/faults/run

histories: ## Random histories on a control plane: HISTORIES of them (3), the first with SEED (about 90 s each)
	@cargo build --workspace --tests
	@tests/cluster/with cargo test --workspace --test histories -- --nocapture

leaders-killed: ## The promises with two replicas each, of which the leader is killed at random all the time (about 10 minutes)
	@cargo build --workspace --tests
	@tests/tools/build >/dev/null
	@PATH=$$(tests/tools/build):$$PATH tests/cluster/with tests/leaders-killed

soak: ## Five minutes left alone, twenty nodes at rest, power cuts with late kubelets, with the waits that are shipped (about 9 minutes)
	@cargo build --workspace --tests
	@CLUSTER_AUDIT=1 tests/cluster/with cargo test --workspace --test soak -- --test-threads 4 --nocapture

# A cluster for each size, so that none inherits what another left.
SCALE_VALIDATORS ?= 10 100 1000
scale: ## Figures with 10, 100 and 1,000 validators, or SCALE_VALIDATORS="10 100", and a plot of each (about 22 minutes)
	@cargo build --workspace
	@cargo build --workspace --release --bins --test scale
	@cargo test --workspace --release --test scale -- plot:: results::
	@CLUSTER_AUDIT=1 tests/cluster/with cargo test --workspace --release --test scale -- --nocapture an_eleventh_joins_ten
	@for count in $(SCALE_VALIDATORS); do \
	  CLUSTER_AUDIT=1 SCALE_VALIDATORS=$$count SCALE_RESULTS=$(CURDIR)/benches/results \
	    tests/cluster/with cargo test --workspace --release --test scale -- --nocapture figures || exit; done

# A cluster for each way: one operator after the other, and both at once. Each starts with the old revision.
FROM ?= 7f32745
upgrade: ## An upgrade from revision FROM to this one and back, on which no validator may restart (about 7 minutes, once both are built)
	@$(BUILD)
	@old=$$(tests/upgrade/build $(FROM)) && for way in apart beside; do \
	  CLUSTER_KUBELET_ARGS="--program=stellar-operator:old=$$old/stellar-operator" tests/cluster/with tests/upgrade/run "$$old" $$way || exit; done

generate: ## Write the generated files
	@$(BUILD)
	@tests/generated write

up: ## Keep a cluster in .play for playing
	@tests/cluster/up .play
	@echo "export KUBECONFIG=$(CURDIR)/.play/kubeconfig PATH=$$(tests/cluster/build):\$$PATH"

down: ## Remove the cluster of make up
	@tests/cluster/down .play
