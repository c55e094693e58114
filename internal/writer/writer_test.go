package writer_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/ledger/memory"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/internal/writer"
	"github.com/gaon-ai/gaon/proof"
)

// fixture is a writer over a ledger in memory whose clock only counts.
type fixture struct {
	testing.TB
	disk   *memory.Disk
	key    proof.SigningKey
	ledger ledger.Ledger
	writer *writer.Writer
	clock  atomic.Int64
	fault  atomic.Pointer[ledger.Step]
	warned atomic.Int64
}

var errInjected = errors.New("injected")

func newFixture(t testing.TB) *fixture {
	t.Helper()
	key, err := proof.GenerateSigningKey(rand.Reader, "example.kr/test")
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{TB: t, disk: memory.NewDisk(), key: key}
	f.open()
	f.mustDo(writer.Order{By: centre.Founder, Key: "found", Command: centre.Found{
		Founded: centre.Founded{Name: "시험 센터", Country: "KR", Site: "here"}, Policy: policy.Default,
		Details: unit.DigestOf([]byte("details")), Secret: unit.DigestOf([]byte("secret"))}})
	return f
}

// open does what a start does; what the disk holds is all there is.
func (f *fixture) open() {
	f.Helper()
	if f.ledger != nil {
		if err := f.ledger.Close(); err != nil {
			f.Fatal(err)
		}
	}
	var err error
	f.ledger, err = memory.Open(f.disk, memory.Config{Key: f.key, Fault: func(s ledger.Step) error {
		if at := f.fault.Load(); at != nil && *at == s {
			return errInjected
		}
		return nil
	}})
	if err != nil {
		f.Fatal(err)
	}
	w, err := writer.Open(f.Context(), writer.Config{Ledger: f.ledger,
		Now:  func() unit.Instant { return unit.Instant(1795500000000 + f.clock.Add(1)) },
		Warn: func(error) { f.warned.Add(1) }})
	if err != nil {
		f.Fatal(err)
	}
	f.writer = w
}

func (f *fixture) mustDo(o writer.Order) centre.Outcome {
	f.Helper()
	outcome, err := f.writer.Do(f.Context(), o)
	if err != nil {
		f.Fatalf("%T: %v", o.Command, err)
	}
	return outcome
}

// join admits an organisation in the operator's name.
func join(name, key string) writer.Order {
	return writer.Order{By: "P0", Key: key, Command: centre.AddOrganisation{Organisation: party.Organisation{Name: name, Country: "KR", Kind: "company"}}}
}

// mustReplay holds the published state against what the ledger gives anew.
func (f *fixture) mustReplay() {
	f.Helper()
	again, err := writer.Load(f.Context(), f.ledger, func(error) {})
	if err != nil {
		f.Fatal(err)
	}
	want, err := f.writer.State().Hash()
	if err != nil {
		f.Fatal(err)
	}
	if got, err := again.Hash(); err != nil || got != want {
		f.Fatalf("replay gives %s, the writer has %s (%v)", got, want, err)
	}
}

func TestDo(t *testing.T) {
	f := newFixture(t)
	first := f.mustDo(join("한빛", "k1"))
	if first.Seq != 1 || first.Made != "O1" {
		t.Errorf("first command: %+v", first)
	}
	if again := f.mustDo(join("다른 이름", "k1")); again != first {
		t.Errorf("the same key gave %+v, first %+v", again, first)
	}
	if f.writer.State().Seq != 2 {
		t.Errorf("a repeated command was written: %d entries", f.writer.State().Seq)
	}
	var refused *party.FieldError
	if _, err := f.writer.Do(t.Context(), join("", "k2")); !errors.As(err, &refused) {
		t.Errorf("an empty name gave %v", err)
	}
	if _, err := f.writer.Do(t.Context(), writer.Order{By: "P99", Command: centre.AddOrganisation{}}); err == nil {
		t.Error("a stranger was let in")
	}
	f.mustReplay()
}

// TestMany: what many callers were told is all there, each once.
func TestMany(t *testing.T) {
	f := newFixture(t)
	const callers, each = 16, 25
	var group sync.WaitGroup
	made := make([][]string, callers)
	for c := range callers {
		group.Go(func() {
			for i := range each {
				outcome, err := f.writer.Do(t.Context(), join(fmt.Sprintf("org %d/%d", c, i), fmt.Sprintf("%d/%d", c, i)))
				if err != nil {
					t.Error(err)
				}
				made[c] = append(made[c], outcome.Made)
			}
		})
	}
	group.Wait()
	seen := map[string]bool{}
	for _, list := range made {
		for _, id := range list {
			if seen[id] {
				t.Errorf("%s was made twice", id)
			}
			seen[id] = true
			if _, ok := f.writer.State().Party.Orgs.Get(party.OrgID(id)); !ok {
				t.Errorf("%s was acknowledged and is not there", id)
			}
		}
	}
	if len(seen) != callers*each {
		t.Errorf("%d organisations, want %d", len(seen), callers*each)
	}
	f.mustReplay()
}

// TestFailedWrites: for each step of a write at which it may fail, nobody is
// told that it succeeded, and asking again by key does it once.
func TestFailedWrites(t *testing.T) {
	for _, step := range ledger.Steps() {
		t.Run(string(step), func(t *testing.T) {
			f := newFixture(t)
			f.fault.Store(&step)
			if _, err := f.writer.Do(t.Context(), join("한빛", "k")); !errors.Is(err, errInjected) {
				t.Fatalf("a failed write gave %v", err)
			}
			f.fault.Store(nil)
			select {
			case <-f.writer.Done():
				// The outcome is unknown: the writer stopped rather than guess.
				if !errors.Is(f.writer.Err(), ledger.ErrFatal) {
					t.Fatalf("stopped for %v", f.writer.Err())
				}
				f.open()
			default:
			}
			f.mustDo(join("한빛", "k"))
			if n := f.writer.State().Party.Orgs.Len(); n != 2 { // the office and this one
				t.Errorf("%d organisations, want 2", n)
			}
			f.mustReplay()
		})
	}
}

func TestClose(t *testing.T) {
	f := newFixture(t)
	f.mustDo(join("한빛", "k"))
	if err := f.writer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.writer.Do(t.Context(), join("늦은", "late")); !errors.Is(err, writer.ErrStopped) {
		t.Errorf("a stopped writer said %v", err)
	}
	snapshot, err := f.ledger.LatestSnapshot(t.Context())
	if err != nil || snapshot.Size != 2 {
		t.Fatalf("snapshot of %d entries, %v; want 2", snapshot.Size, err)
	}
	before, err := f.writer.State().Hash()
	if err != nil {
		t.Fatal(err)
	}
	f.open()
	if after, err := f.writer.State().Hash(); err != nil || after != before {
		t.Errorf("after a restart %s, before %s (%v)", after, before, err)
	}
}

// TestBadSnapshot: a snapshot that is not what it says is passed over, and the
// entries alone give the same state.
func TestBadSnapshot(t *testing.T) {
	f := newFixture(t)
	f.mustDo(join("한빛", "k"))
	data, err := f.writer.State().Encode()
	if err != nil {
		t.Fatal(err)
	}
	other := new(centre.State)
	foreign, err := other.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]ledger.Snapshot{
		"another hash":     {Size: 2, StateHash: unit.DigestOf([]byte("x")), Data: data},
		"not a state":      {Size: 2, StateHash: unit.DigestOf([]byte("{")), Data: []byte("{")},
		"of another state": {Size: 2, StateHash: unit.DigestOf(foreign), Data: foreign},
	} {
		if err := f.ledger.SaveSnapshot(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		warned := 0
		state, err := writer.Load(t.Context(), f.ledger, func(error) { warned++ })
		if err != nil || state.Seq != 2 || warned != 1 {
			t.Errorf("%s: %v, %d entries, %d warnings", name, err, state.Seq, warned)
		}
	}
	f.mustReplay()
}

// TestCallerLeaves: a caller who goes away does not undo what others wait for.
func TestCallerLeaves(t *testing.T) {
	f := newFixture(t)
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := f.writer.Do(gone, join("gone", "gone")); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who left was told %v", err)
	}
	f.mustDo(join("here", "here"))
	f.mustReplay()
}

func TestWatch(t *testing.T) {
	f := newFixture(t)
	state, moved := f.writer.Watch()
	f.mustDo(join("한빛", "k"))
	<-moved
	if newer, _ := f.writer.Watch(); newer.Seq != state.Seq+1 {
		t.Errorf("%d entries after one more than %d", newer.Seq, state.Seq)
	}
	if state.Party.Orgs.Len() != 1 {
		t.Error("a published state was changed")
	}
}

func BenchmarkDo(b *testing.B) {
	f := newFixture(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := f.writer.Do(b.Context(), join("org", "")); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
}
