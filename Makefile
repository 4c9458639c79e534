# One target for each task of a contributor; `make help` lists them. A target creates
# everything it needs in git-ignored folders (.venvs, .real, .wasm, .test-logs). It
# requires a python3 with venv and, for the tests, the other interpreters on PATH or in a
# pyenv. ARGS is passed to the underlying command:
#
#   make tests ARGS='--python 3.13 -- -k close'
#   make bench ARGS='--quick'

PYTHON ?= python3
ARGS ?=

help:           ## show this list
	@echo 'usage: make TARGET [ARGS="..."]'
	@echo
	@sed -n 's/^\([a-z]*\): *## *\(.*\)/\1 \2/p' $(MAKEFILE_LIST) | \
	  while read -r target about; do printf '  %-12s %s\n' "$$target" "$$about"; done

demo:           ## run an echo server and a client that talks to it
	$(PYTHON) tools/demo.py $(ARGS)

tests:          ## run the tests on every interpreter found, against the built wheel
	$(PYTHON) tools/run_tests.py $(ARGS)

lint:           ## run ruff, and check the width and the wording of prose
	$(PYTHON) tools/check.py lint $(ARGS)

layout:         ## check what each module imports, and its stub (a few seconds)
	$(PYTHON) tools/check.py layout $(ARGS)

types:          ## run mypy, pyright and stubtest
	$(PYTHON) tools/check.py types $(ARGS)

docs:           ## build the documentation into docs/_build/html
	$(PYTHON) tools/check.py docs $(ARGS)

bench:          ## run the benchmarks, lomond next to other clients (ARGS=--quick)
	$(PYTHON) benchmarks/run.py $(ARGS)

latency:        ## measure round trips at 1,000 messages a second, next to other clients
	$(PYTHON) benchmarks/latency.py $(ARGS)

instructions:   ## count instructions with valgrind, and compare with those kept (3.11)
	$(PYTHON) benchmarks/instructions.py --check $(ARGS)

compliance:     ## run Autobahn against the client and the server (ARGS=--quick)
	$(PYTHON) compliance/run.py --role client $(ARGS)
	$(PYTHON) compliance/run.py --role server $(ARGS)

real:           ## install other projects' servers and proxies, and test against them
	-$(PYTHON) tests/real/install.py
	$(PYTHON) tools/run_tests.py --python 3.13 --time-limit 1800 $(ARGS) -- -m real

faults:         ## run the chaos suite
	$(PYTHON) tools/check.py faults $(ARGS)

wasm:           ## run the protocol tests on CPython 3.14 and 3.15 for WebAssembly (needs node)
	$(PYTHON) tools/wasm.py $(ARGS)

soak:           ## run for a long time and look for leaks
	$(PYTHON) tools/check.py soak $(ARGS)

guards:         ## remove each guard in turn; a test has to fail
	$(PYTHON) tools/check.py guards $(ARGS)

mutants:        ## change the library at random; list the changes that no test notices
	$(PYTHON) tools/check.py mutants $(ARGS)

package:        ## build sdist and wheel, inspect them, install them on every interpreter
	$(PYTHON) tools/package.py $(ARGS)

.PHONY: help demo tests lint layout types docs bench compliance real faults wasm soak guards mutants package latency instructions
