# One word per chore. Each is a script in build/ that says what it does.
.PHONY: up down test check bench binary clean help

help:            ## what there is
	@sed -n 's/^\([a-z]*\): .*## /  make \1\t/p' Makefile

up:              ## install into .venv, start an instance in the background, print how to connect (ARGS="--port 8091" where 8090 is taken)
	@build/up.sh

down:            ## stop that instance; its state is kept
	@.venv/bin/tcbox down

test:            ## install what the tests need, then run them all (ARGS="-k name" for some)
	@build/test.sh $(ARGS)

check:           ## formatting, lint, types, import contracts, documentation
	@build/check.sh

bench:           ## measure speed and memory over real HTTP; writes the table of docs/performance.md
	@build/bench.sh $(ARGS)

binary:          ## dist/tcbox, one file that needs no Python
	@build/binary.sh

clean:           ## remove what the chores made
	rm -rf .venv dist .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
