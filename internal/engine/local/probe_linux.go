package local

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// sandboxKinds are tried in this order. Namespaces come first: they need no
// program, and bwrap can do no more; but a machine may allow only bwrap.
var sandboxKinds = []string{SandboxNamespaces, SandboxBubblewrap, SandboxNone}

// probeInside is the work of a probe: it tries what work must not be able to.
func probeInside() int {
	var found findings
	interfaces, err := net.Interfaces()
	found.NetworkOff = err == nil && len(interfaces) > 0
	for _, i := range interfaces {
		found.NetworkOff = found.NetworkOff && i.Flags&net.FlagLoopback != 0
	}
	work, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// What work must be able to do is a failure of the sandbox if it cannot.
	for _, dir := range []string{"", "out", "keep", "tmp"} {
		if err := os.WriteFile(filepath.Join(work, dir, ".probe"), nil, 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	in := filepath.Join(work, "in")
	written := os.WriteFile(filepath.Join(in, "probe"), nil, 0o600)
	var fs unix.Statfs_t
	found.ReadOnly = written != nil && os.Chmod(in, 0o700) != nil && unix.Statfs(in, &fs) == nil && fs.Flags&unix.ST_RDONLY != 0
	_, err = os.Stat(os.Getenv("GAON_PROBE_HIDDEN"))
	found.Hidden = os.IsNotExist(err)
	found.Alone = os.Getppid() == 1 && len(processes()) == 2
	var all unix.CPUSet
	for cpu := range len(all) * 64 {
		all.Set(cpu)
	}
	found.Bound = unix.SchedSetaffinity(0, &all) != nil
	found.Memory = residentPages(os.Getpid()) > 0
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		return 1
	}
	return 0
}
