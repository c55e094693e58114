#!/usr/bin/env bash
# Runs every test. The plain run covers everything; the race run covers the
# packages with goroutines; the last one builds without SIMD, as go run does.
set -euo pipefail

echo '== all tests'
go test -timeout 15m ./...

echo '== race detector'
go test -race -timeout 10m ./internal/writer ./internal/controller ./internal/ledger/... ./internal/gateway ./internal/artifact/... ./internal/engine/...

echo '== without SIMD'
GOEXPERIMENT= go test -timeout 5m ./internal/lm
