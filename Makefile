# One word for each thing that is done to a checkout.  Everything a target needs it makes by itself, in
# git-ignored folders (.venvs, .real, .wasm, .test-logs); what must be there is python3 with venv, and for the
# interpreters of the tests a PATH or a pyenv that has them.  ARGS goes to the command behind a target:
#
#   make tests ARGS='--python 3.13 -- -k close'
#   make bench ARGS='--quick'

PYTHON ?= python3
ARGS ?=

help:           ## this list
	@sed -n 's/^\([a-z]*\): *##/\1:/p; s/^\([a-z]*\):  *\(.*\)## */\1: /p' $(MAKEFILE_LIST)

demo:           ## see it work
	$(PYTHON) tools/demo.py $(ARGS)

tests:          ## the tests, on every interpreter there is
	$(PYTHON) tools/run_tests.py $(ARGS)

lint:           ## ruff
	$(PYTHON) tools/check.py lint $(ARGS)

layout:         ## what a module may import, and its stub: the quick checks of a commit
	$(PYTHON) tools/check.py layout $(ARGS)

types:          ## mypy, pyright and stubtest
	$(PYTHON) tools/check.py types $(ARGS)

docs:           ## the documentation, in docs/_build/html
	$(PYTHON) tools/check.py docs $(ARGS)

bench:          ## benchmarks, side by side with the peers
	$(PYTHON) benchmarks/run.py $(ARGS)

compliance:     ## Autobahn, client and server; ARGS=--quick for half of it
	$(PYTHON) compliance/run.py --role client $(ARGS)
	$(PYTHON) compliance/run.py --role server $(ARGS)

real:           ## the tests and examples against other projects' programs
	-$(PYTHON) tests/real/install.py
	$(PYTHON) tools/run_tests.py --python 3.13 $(ARGS) -- -m real

faults:         ## the chaos suite
	$(PYTHON) tools/check.py faults $(ARGS)

wasm:           ## the protocol tests on CPython 3.14 and 3.15 for WebAssembly; needs node
	$(PYTHON) tools/wasm.py $(ARGS)

soak:           ## a long run that looks for leaks
	$(PYTHON) tools/check.py soak $(ARGS)

guards:         ## each guard taken out, and a test seen red
	$(PYTHON) tools/check.py guards $(ARGS)

package:        ## build sdist and wheel, look into them, install them everywhere
	$(PYTHON) tools/package.py $(ARGS)

.PHONY: help demo tests lint layout types docs bench compliance real faults wasm soak guards package
