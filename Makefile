# What can be done here. `make` alone prints this list.
.DEFAULT_GOAL := help
.PHONY: help

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'
