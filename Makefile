# What can be done here. `make` alone prints this list.
.DEFAULT_GOAL := help
.PHONY: help up down

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

up: ## Keep a cluster in .play for playing
	@tests/cluster/up .play
	@echo "export KUBECONFIG=$(CURDIR)/.play/kubeconfig PATH=$$(tests/cluster/build):\$$PATH"

down: ## Remove the cluster of make up
	@tests/cluster/down .play
