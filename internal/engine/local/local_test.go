//go:build linux

package local_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gaon-ai/gaon/internal/artifact/folder"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/engine/enginetest"
	"github.com/gaon-ai/gaon/internal/engine/local"
)

// TestMain lets this binary be its own supervisor and its own work.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "supervise" {
		enginetest.Exit(local.Supervise(os.Args[2]))
	}
	if len(os.Args) == 3 && os.Args[1] == ownerWord {
		enginetest.Exit(own(os.Args[2]))
	}
	enginetest.Work()
	flag.Parse()
	flag.Set("test.parallel", "8") // these tests wait more than they work
	os.Exit(m.Run())
}

// tempDir is one that can be removed whatever work leaves in it.
func tempDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				os.Chmod(path, 0o700)
			}
			return nil
		})
	})
	return dir
}

// install copies a program by a process of its own. Written by this one, the
// open file would for a moment also be that of whatever another test is just
// starting, and a file that is open for writing cannot be run.
func install(t *testing.T, from, to string) {
	t.Helper()
	if said, err := exec.Command("cp", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if err := os.Chmod(to, 0o755); err != nil {
		t.Fatal(err)
	}
}

// config is an engine's in an empty data folder, with a store and a secret.
func config(t *testing.T) local.Config {
	t.Helper()
	data := tempDir(t)
	store, err := folder.Open(filepath.Join(data, "artifacts"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "ledger.key"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	return local.Config{Folder: filepath.Join(data, "engine"), Store: store, Country: "KR", NodeName: "here"}
}

func open(t *testing.T, c local.Config) *local.Engine {
	t.Helper()
	e, err := local.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// instance is what the conformance suite wants.
func instance(c local.Config) func(t *testing.T) enginetest.Instance {
	return func(t *testing.T) enginetest.Instance {
		e, err := local.Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		return enginetest.Instance{
			Engine: e, Store: c.Store,
			Restart: func(t *testing.T) engine.Engine {
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
				var err error
				if e, err = local.Open(t.Context(), c); err != nil {
					t.Fatal(err)
				}
				return e
			},
			Secrets: []string{filepath.Join(filepath.Dir(c.Folder), "ledger.key"), filepath.Join(c.Folder, "engine.lock")},
		}
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{local.SandboxNamespaces, local.SandboxBubblewrap, local.SandboxNone} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := config(t)
			c.Sandbox = kind
			attempts := 5
			if kind == local.SandboxNamespaces && os.Geteuid() == 0 {
				attempts = 200
			}
			enginetest.Run(t, enginetest.Config{New: instance(c), Attempts: attempts})
		})
	}
}
