# Two commands matter: make run, make test. The rest are parts of them.

# Matrix products use SIMD where the Go toolchain has it; without the
# experiment the same program runs, slower.
export GOEXPERIMENT ?= simd

# On Linux with a C compiler NVIDIA's devices are asked of NVML in the process.
# Its binding calls functions that its own header calls deprecated, and says so
# a hundred times. Its names must be bound at the first call: where the linker
# binds at start by default, a program linked without this ends at once.
ifeq ($(shell uname -s),Linux)
export CGO_CFLAGS ?= -O2 -g -Wno-deprecated-declarations
export GOFLAGS ?= -tags=nvml -ldflags=-extldflags=-Wl,-z,lazy
endif

.PHONY: run build test test-long bench fuzz deps check clean

run: build
	./bin/gaon demo

build:
	go build -o bin/gaon ./cmd/gaon

# deps installs what the tests need and the machine lacks: a browser, fonts,
# zstd, bubblewrap. It needs root only when something is missing.
deps:
	./scripts/deps.sh

check:
	@test -z "$$(gofmt -l . | grep -v '^vendor/')" || { echo 'not gofmt-ed:'; gofmt -l .; exit 1; }
	go vet ./...

test: deps check
	./scripts/test.sh

# test-long holds the longer fuzz and crash campaigns; GAON_FUZZ_TIME is per target.
test-long: deps check
	GAON_TEST_LONG=1 go test -timeout 120m ./...
	GAON_FUZZ_TIME=$${GAON_FUZZ_TIME:-60s} ./scripts/fuzz.sh

fuzz:
	./scripts/fuzz.sh

bench:
	go test -run '^$$' -bench . -benchtime 1s ./...

clean:
	rm -rf bin
