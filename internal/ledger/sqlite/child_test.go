package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// childEnv makes this test binary play another server: its value names the
// part. The arguments follow in the environment too, so that no flag of the
// test binary is in the way.
const (
	childEnv = "GAON_LEDGER_CHILD"
	dirEnv   = "GAON_LEDGER_DIR"
	seedEnv  = "GAON_LEDGER_SEED"
)

// children are the parts; each runs to its end or until it is killed.
var children = map[string]func(ctx context.Context, dir, seed string) error{"crash": crashChild, "hold": holdChild}

func TestMain(m *testing.M) {
	part := os.Getenv(childEnv)
	if part == "" {
		os.Exit(m.Run())
	}
	if err := children[part](context.Background(), os.Getenv(dirEnv), os.Getenv(seedEnv)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child prepares a run of this binary as the part; the caller starts it.
func child(t *testing.T, part, dir string, seed uint64) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self)
	c.Env = append(os.Environ(), childEnv+"="+part, dirEnv+"="+dir, fmt.Sprintf("%s=%d", seedEnv, seed))
	c.Stderr = os.Stderr
	return c
}
