# Every verb only calls scripts/vigil, which works without make as well. Arguments: make run ARGS="--port 9000"

.PHONY: help setup demo run test unit check fmt bench bench-ingest bench-actions bench-growth bench-sweep test-faults test-faults-full test-long test-soak lock

help:
	@scripts/vigil help

setup:
	@scripts/vigil setup

demo:
	@scripts/vigil demo $(ARGS)

run:
	@scripts/vigil run $(ARGS)

test:
	@scripts/vigil test

unit:
	@scripts/vigil unit $(ARGS)

check:
	@scripts/vigil check

fmt:
	@scripts/vigil fmt

bench:
	@scripts/vigil bench $(ARGS)

bench-ingest:
	@scripts/vigil bench-ingest $(ARGS)

bench-actions:
	@scripts/vigil bench-actions $(ARGS)

bench-growth:
	@scripts/vigil bench-growth $(ARGS)

bench-sweep:
	@scripts/vigil bench-sweep $(ARGS)

test-faults:
	@scripts/vigil test-faults $(ARGS)

test-faults-full:
	@scripts/vigil test-faults-full $(ARGS)

test-long:
	@scripts/vigil test-long $(ARGS)

test-soak:
	@scripts/vigil test-soak $(ARGS)

lock:
	@scripts/vigil lock
