# Every target does its own set-up: Python 3.11 or newer is all that has to be there.

RUN := .venv/bin/python

# Set in some containers; every Airflow process would then compile all of Airflow again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo up test lint docs bench soak servers

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## put what the project needs into .venv
	@scripts/install

demo: install ## run the diabetes pipeline on a real Airflow, and stop it again
	@$(RUN) -m scripts.demo

up: install ## start a real Airflow with the templates and leave it running
	@$(RUN) -m scripts.up

test: lint ## lint, then every test but the long ones
	@scripts/test $(RUN)

lint: install ## style, types, and which floor may import which
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy
	$(RUN) -m mypy scripts
	.venv/bin/lint-imports

docs: install ## check every link and every Python block of the documentation
	@$(RUN) -m scripts.check_docs

bench: install ## measure against hand-written Airflow DAGs
	$(RUN) -m benchmarks

soak: install ## the tests that take long
	$(RUN) -m pytest -m soak || [ $$? -eq 5 ]  # 5: there are none

servers: ## install the programs that some tests need (Debian, as root)
	@scripts/servers
