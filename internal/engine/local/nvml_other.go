//go:build !linux || !cgo || !nvml

package local

// askNVML has nothing to ask: loading the library needs cgo. nvidia-smi, which
// brings its own way to it, is asked instead.
func askNVML() ([]card, error) { return nil, errNoLibrary }
