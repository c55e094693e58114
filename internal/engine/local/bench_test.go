//go:build linux

package local_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/artifact/folder"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/engine/enginetest"
	"github.com/gaon-ai/gaon/internal/engine/local"
)

// BenchmarkAttempt measures an attempt from Start to its end as observed: one
// after another, and eight at once.
func BenchmarkAttempt(b *testing.B) {
	for _, kind := range []string{local.SandboxNamespaces, local.SandboxBubblewrap, local.SandboxNone} {
		for _, side := range []int{1, 8} {
			b.Run(kind+"/"+strconv.Itoa(side), func(b *testing.B) {
				data := b.TempDir()
				store, err := folder.Open(filepath.Join(data, "artifacts"))
				if err != nil {
					b.Fatal(err)
				}
				e, err := local.Open(b.Context(), local.Config{Folder: filepath.Join(data, "engine"), Store: store, Country: "KR", Sandbox: kind})
				if err != nil {
					b.Fatal(err)
				}
				defer e.Close()
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for range side {
					wg.Go(func() {
						for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
							runOne(b, e, attemptOf(int(n)))
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

func runOne(b *testing.B, e *local.Engine, a engine.Attempt) {
	if err := e.Start(b.Context(), task(a, "gaon", enginetest.Word, "exit", "0")); err != nil {
		b.Error(err)
		return
	}
	for {
		o, err := e.Observe(b.Context(), a)
		if err != nil || o.State == engine.Ended {
			if err != nil || o.ExitCode != 0 {
				b.Errorf("%+v, %v", o, err)
			}
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// TestFootprint writes down what watching one attempt costs in memory; a
// supervisor that grows beyond reason fails.
func TestFootprint(t *testing.T) {
	t.Parallel()
	e := open(t, config(t))
	a := engine.Attempt{Job: "J1", Number: 1}
	if err := e.Start(t.Context(), task(a, "sleep", "1000")); err != nil {
		t.Fatal(err)
	}
	await(t, e, a, engine.Running)
	for name, pid := range map[string]int{"supervisor": supervisorOf(t, e, a), "inside": partOf(t, e, a, true)} {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		own := regexp.MustCompile(`RssAnon:\s+(\d+) kB`).FindSubmatch(status)
		if own == nil {
			t.Fatalf("no memory in %s", status)
		}
		kib, _ := strconv.Atoi(string(own[1]))
		t.Logf("the %s holds %d KiB of its own", name, kib)
		if kib > 64<<10 {
			t.Errorf("the %s holds %d KiB", name, kib)
		}
	}
	if err := e.Stop(t.Context(), a, 0); err != nil {
		t.Fatal(err)
	}
	await(t, e, a, engine.Ended)
}
