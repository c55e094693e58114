//go:build !linux

package local

import "github.com/gaon-ai/gaon/internal/unit"

// machineMemory is not known here without more code per system; the centre
// then plans by slots alone.
func machineMemory() (unit.Bytes, error) { return 0, nil }
