# The developer's commands. CI calls the same.

.PHONY: cluster-up cluster-down

cluster-up: ## A real Kubernetes cluster on this machine, until cluster-down (tests/testbed/README.md)
	cargo run --quiet --package testbed -- cluster-up

cluster-down: ## Ends the cluster and removes every trace of it
	cargo run --quiet --package testbed -- cluster-down
