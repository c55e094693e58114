package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/host"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/ledger/sqlite"
	"github.com/gaon-ai/gaon/proof"
)

// Rounds of the crash test: how often the centre is killed before it is left
// to finish.
const (
	killsShort = 12
	killsLong  = 150
	livesFor   = 900 * time.Millisecond // at most, before it is killed
	finishes   = 5 * time.Minute        // how long the last life may take
)

// TestCrashes kills the centre in the middle of a demo, again and again at
// moments that the seed decides: sometimes the centre alone, so that its jobs
// go on without it, sometimes everything at once, as when the power fails.
// Then the demo is let finish, and nothing may be lost, doubled or charged
// twice.
func TestCrashes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("GAON_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d; run again with GAON_SEED=%d", seed, seed)
	chance := rand.New(rand.NewPCG(seed, 1))
	kills := killsShort
	if os.Getenv("GAON_TEST_LONG") != "" {
		kills = killsLong
	}
	dir := filepath.Join(t.TempDir(), "centre")
	recipe := filepath.Join(filepath.Dir(dir), "recipe.yaml")
	if err := os.WriteFile(recipe, []byte(crashRecipe), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopLeftovers(dir) })
	acknowledged := int64(0)
	for kill := range kills {
		d := startDemo(t, dir, recipe)
		select {
		case <-d.done:
			if d.err == nil {
				t.Logf("the demo was done after %d kills", kill)
				checkAfterCrashes(t, dir)
				return
			}
			t.Fatalf("life %d ended by itself: %v\n%s", kill+1, d.err, d.output.String())
		case <-time.After(time.Duration(chance.Int64N(int64(livesFor)))):
		}
		if err := d.command.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-d.done
		if chance.IntN(3) == 0 {
			powerFailure(dir)
		}
		size := entries(t, dir)
		if size < acknowledged {
			t.Fatalf("the ledger had %d entries and has %d", acknowledged, size)
		}
		acknowledged = size
	}
	d := startDemo(t, dir, recipe)
	select {
	case <-d.done:
		if d.err != nil {
			t.Fatalf("after %d kills the demo fails: %v\n%s", kills, d.err, d.output.String())
		}
	case <-time.After(finishes):
		_ = d.command.Process.Kill() // the test has failed either way
		t.Fatalf("after %d kills the demo does not end\n%s", kills, d.output.String())
	}
	checkAfterCrashes(t, dir)
}

const crashRecipe = `name: crash
seed: 11
curate: {languages: [ko, en], held_out: 60}
tokenizer: {vocabulary: 400}
train: {layers: 1, width: 32, hidden: 64, heads: 2, kv_heads: 1, context: 32, batch: 4, steps: 400, warmup: 2, learning_rate: "0.01", weight_decay: "0.1", checkpoint_every: 5}
gate: ["bits_per_byte < 8", "contamination < 0.001"]
approvals: 2
serve: {name: crash}
`

// life is one run of the demo.
type life struct {
	command *exec.Cmd
	output  bytes.Buffer
	done    chan struct{}
	err     error // after done
}

func startDemo(t *testing.T, dir, recipe string) *life {
	t.Helper()
	d := &life{done: make(chan struct{})}
	d.command = exec.Command(filepath.Join(binary, "gaon"), "demo", "--once", "--data", dir, "--recipe", recipe, "--address", "127.0.0.1:0", "--lang", "en")
	d.command.Stdout, d.command.Stderr = &d.output, &d.output
	if err := d.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		d.err = d.command.Wait()
		close(d.done)
	}()
	return d
}

// powerFailure kills supervisors and jobs at once.
func powerFailure(dir string) {
	out, err := exec.Command("pgrep", "-f", "supervise "+dir).Output()
	if err != nil {
		return // none
	}
	for _, pid := range strings.Fields(string(out)) {
		if n, err := strconv.Atoi(pid); err == nil {
			_ = syscall.Kill(n, syscall.SIGKILL) // it may have ended meanwhile
		}
	}
}

// entries verifies the ledger as it lies there and counts its entries.
func entries(t *testing.T, dir string) int64 {
	t.Helper()
	key, _, err := host.PublicKeys(dir)
	if err != nil {
		return 0 // killed before it was founded
	}
	src, err := sqlite.Inspect(context.Background(), host.LedgerFolder(dir))
	if err != nil {
		return 0
	}
	defer src.Close()
	report, err := src.Verify(context.Background(), proof.Options{Keys: []proof.VerifierKey{key}})
	if err != nil {
		t.Fatalf("after a kill the ledger does not verify: %v", err)
	}
	return report.Checkpoint.Size
}

// checkAfterCrashes replays the ledger: one run that is done, each stage ended
// once and was charged once, accounts balance.
func checkAfterCrashes(t *testing.T, dir string) {
	t.Helper()
	key, _, err := host.PublicKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	src, err := sqlite.Inspect(context.Background(), host.LedgerFolder(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	state, charged, ended := new(centre.State), map[string]int{}, map[string]int{}
	_, err = src.Verify(context.Background(), proof.Options{Keys: []proof.VerifierKey{key}, Each: func(seq int64, data []byte) error {
		entry, err := centre.DecodeEntry(data)
		if err != nil {
			return err
		}
		for _, e := range entry.Events {
			switch e := e.(type) {
			case grant.Used:
				charged[e.Job]++
			case job.Finished:
				ended[string(e.ID)]++
			}
		}
		state.Apply(entry)
		if err := state.Check(); err != nil {
			return fmt.Errorf("after entry %d: %w", seq, err)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if n := state.Factory.Runs.Len(); n != 1 {
		t.Errorf("%d runs, want 1", n)
	}
	for id, run := range state.Factory.Runs.All() {
		if run.State != factory.Done {
			t.Errorf("run %s is %s: %s", id, run.State, run.Reason)
		}
		for _, name := range factory.Stages {
			s := run.Stages[name]
			if s.State != job.Succeeded {
				t.Errorf("stage %s is %q", name, s.State)
			}
			if charged[string(s.Job)] != 1 || ended[string(s.Job)] != 1 {
				t.Errorf("stage %s (%s) ended %d times and was charged %d times", name, s.Job, ended[string(s.Job)], charged[string(s.Job)])
			}
		}
	}
	for id, n := range charged {
		if n != 1 {
			t.Errorf("job %s was charged %d times", id, n)
		}
	}
	if t.Failed() {
		text, _ := json.MarshalIndent(state.Factory, "", " ")
		t.Logf("%.4000s", text)
	}
}
