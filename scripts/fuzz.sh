#!/usr/bin/env bash
# Runs every fuzz target for GAON_FUZZ_TIME (default 10s) each.
set -euo pipefail
each=${GAON_FUZZ_TIME:-10s}
grep -rlE '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do
  for target in $(grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | awk '{print $2}'); do
    echo "== $(dirname "$file") $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$each" -fuzzminimizetime 10x "$(dirname "$file")"
  done
done
