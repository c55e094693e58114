package job

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/unit"
)

var update = flag.Bool("update", false, "rewrite testdata")

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Fatalf("%s differs; got\n%s\nif the change is meant, rewrite with: go test . -update", path, got)
	}
}

func code(err error) string {
	var coded interface{ Code() string }
	switch {
	case err == nil:
		return "allowed"
	case errors.As(err, &coded):
		return "refused " + coded.Code()
	}
	return "refused " + err.Error()
}

func spec() Spec {
	return Spec{Name: "train", Grant: "G1", Argv: []string{"gaon"}, Chip: fleet.CPUSlot, CountMin: 2, Count: 4, Memory: 1 << 20, TimeLimit: unit.Hour,
		Inputs: []Input{{"data", unit.DigestOf([]byte("data"))}}}
}

const rate = unit.RateReference

// begin returns a book whose job J1 has come to the state.
func begin(t *testing.T, state string) *Book {
	t.Helper()
	b := new(Book)
	if state == "unknown" {
		return b
	}
	steps := map[string][]string{
		Waiting: {"submit"}, Placed: {"submit", "place"}, Running: {"submit", "place", "start"},
		"waiting again":   {"submit", "place", "start", "lose"},
		"placed again":    {"submit", "place", "start", "lose", "place"},
		"running, asked":  {"submit", "place", "start", "stop"},
		"placed, asked":   {"submit", "place", "stop"},
		Succeeded:         {"submit", "place", "start", "succeed"},
		Failed:            {"submit", "place", "start", "fail"},
		Stopped:           {"submit", "stop", "cancel"},
		"on last attempt": append([]string{"submit"}, strings.Split(strings.Repeat("place start lose ", attemptsMax-1)+"place start", " ")...),
	}[state]
	if steps == nil {
		t.Fatalf("no way to state %q", state)
	}
	for _, step := range steps {
		if err := do(b, step, present(b)); err != nil {
			t.Fatalf("on the way to %s: %s: %v", state, step, err)
		}
	}
	return b
}

func present(b *Book) int {
	j, _ := b.Get("J1")
	return j.Attempt
}

// do asks for the step and applies what follows.
func do(b *Book, step string, attempt int) error {
	finish := func(state string) error {
		e, err := b.Finish(Finished{ID: "J1", Attempt: attempt, State: state, Ended: 20_000})
		if err == nil {
			b.ApplyFinished(e, 9)
		}
		return err
	}
	switch step {
	case "submit":
		e, err := b.Submit("J1", spec(), "O1", rate)
		if err == nil {
			b.ApplySubmitted(e, 1000, 1)
		}
		return err
	case "place":
		e, err := b.Place("J1", Placement{"local/a", []string{"cpu0", "cpu1"}})
		if err == nil {
			b.ApplyPlaced(e)
		}
		return err
	case "start":
		e, err := b.Start("J1", attempt, 10_000)
		if err == nil {
			b.ApplyStarted(e)
		}
		return err
	case "lose":
		e, more, err := b.Lose("J1", attempt, "the node is gone")
		if err == nil && !more {
			var f Finished
			if f, err = b.Abandon("J1", attempt, Failed, "lost too often", 20_000); err == nil {
				b.ApplyFinished(f, 9)
			}
		} else if err == nil {
			b.ApplyRequeued(e)
		}
		return err
	case "cancel":
		e, err := b.Cancel("J1", "enough", 20_000)
		if err == nil {
			b.ApplyFinished(e, 9)
		}
		return err
	case "stop":
		e, err := b.Stop("J1", "enough")
		if err == nil {
			b.ApplyStopAsked(e)
		}
		return err
	case "succeed":
		return finish(Succeeded)
	case "fail":
		return finish(Failed)
	case "halt":
		return finish(Stopped)
	}
	panic(step)
}

// TestLife is the table of every state and every step: allowed or refused, and
// what the job is afterwards.
func TestLife(t *testing.T) {
	var out strings.Builder
	out.WriteString("# A job's life: state, step, attempt reported: verdict, what the job is then.\n")
	for _, state := range []string{"unknown", Waiting, Placed, Running, "waiting again", "placed again", "placed, asked", "running, asked", "on last attempt", Succeeded, Failed, Stopped} {
		out.WriteString("\n")
		for _, step := range []string{"place", "start", "lose", "stop", "cancel", "succeed", "fail", "halt"} {
			for _, which := range []string{"present", "earlier", "later"} {
				if which != "present" && (step == "place" || step == "stop" || step == "cancel") {
					continue // these are about the job, not about an attempt
				}
				b := begin(t, state)
				attempt := present(b) + map[string]int{"present": 0, "earlier": -1, "later": 1}[which]
				before, _ := json.Marshal(b)
				err := do(b, step, attempt)
				if after, _ := json.Marshal(b); err != nil && string(after) != string(before) {
					t.Errorf("%s, %s was refused and changed the book", state, step)
				}
				line := fmt.Sprintf("%-15s %-7s %-7s: %s", state, step, which, code(err))
				if j, ok := b.Get("J1"); ok && err == nil {
					line += fmt.Sprintf(", %s in attempt %d, use %d, charged %s", j.State, j.Attempt, j.Use, j.Charged)
					if j.Stopping {
						line += ", stopping"
					}
				}
				out.WriteString(line + "\n")
			}
		}
	}
	golden(t, "testdata/life.txt", out.String())
}

func TestCheck(t *testing.T) {
	for _, row := range []struct {
		name  string
		field string // empty: allowed
		given func(s *Spec)
	}{
		{"as it should be", "", func(*Spec) {}},
		{"no inputs", "", func(s *Spec) { s.Inputs = nil }},
		{"parameters", "", func(s *Spec) { s.Params = json.RawMessage(`{"a":[1]}`) }},
		{"the longest", "", func(s *Spec) { s.TimeLimit, s.Count = timeMax, countMax }},
		{"no name", "name", func(s *Spec) { s.Name = " " }},
		{"a name with a newline", "name", func(s *Spec) { s.Name = "a\nb" }},
		{"nothing to run", "argv", func(s *Spec) { s.Argv = nil }},
		{"too many words", "argv", func(s *Spec) { s.Argv = make([]string, argvMax+1) }},
		{"too many inputs", "inputs", func(s *Spec) { s.Inputs = make([]Input, inputsMax+1) }},
		{"too many parameters", "params", func(s *Spec) { s.Params = make([]byte, paramsMax+1) }},
		{"parameters that are no JSON", "params", func(s *Spec) { s.Params = json.RawMessage(`{"a":`) }},
		{"no chip", "chip", func(s *Spec) { s.Chip = "" }},
		{"no devices", "count", func(s *Spec) { s.CountMin = 0 }},
		{"more at least than at most", "count", func(s *Spec) { s.CountMin = 5 }},
		{"more devices than anybody has", "count", func(s *Spec) { s.Count = countMax + 1 }},
		{"memory below nothing", "memory", func(s *Spec) { s.Memory = -1 }},
		{"no time", "time_limit", func(s *Spec) { s.TimeLimit = 0 }},
		{"less than a second", "time_limit", func(s *Spec) { s.TimeLimit = 999 }},
		{"more than a year", "time_limit", func(s *Spec) { s.TimeLimit = timeMax + 1 }},
		{"an input without a name", "inputs[0].name", func(s *Spec) { s.Inputs[0].Name = "" }},
		{"an input that climbs out", "inputs[0].name", func(s *Spec) { s.Inputs[0].Name = "../etc" }},
		{"an input called dot dot", "inputs[0].name", func(s *Spec) { s.Inputs[0].Name = ".." }},
		{"a hidden input", "inputs[0].name", func(s *Spec) { s.Inputs[0].Name = ".ssh" }},
		{"an input with a slash", "inputs[0].name", func(s *Spec) { s.Inputs[0].Name = "a/b" }},
		{"an input with too long a name", "inputs[0].name", func(s *Spec) { s.Inputs[0].Name = strings.Repeat("a", 65) }},
		{"an input named in Korean", "inputs[0].name", func(s *Spec) { s.Inputs[0].Name = "자료" }},
		{"two inputs of one name", "inputs[1].name", func(s *Spec) { s.Inputs = append(s.Inputs, s.Inputs[0]) }},
		{"an input that is no digest", "inputs[0].tree", func(s *Spec) { s.Inputs[0].Tree = "sha256:x" }},
	} {
		s := spec()
		row.given(&s)
		_, err := new(Book).Submit("J1", s, "O1", rate)
		if row.field == "" && err != nil || row.field != "" && (err == nil || !strings.HasPrefix(err.Error(), row.field+": ")) {
			t.Errorf("%s: %v, want a refusal of %q", row.name, err, row.field)
		}
	}
}

func TestPlaceCountsDevices(t *testing.T) {
	for n := range 7 {
		_, err := begin(t, Waiting).Place("J1", Placement{"local/a", make([]string, n)})
		if (err == nil) != (n >= 2 && n <= 4) {
			t.Errorf("%d devices for a job that wants 2 to 4: %v", n, err)
		}
	}
}

// TestFinishCounts: use is devices × started seconds by the engine's clock,
// whatever the caller says, and the price never exceeds what was announced.
func TestFinishCounts(t *testing.T) {
	for _, row := range []struct {
		name    string
		state   string
		given   Finished
		use     unit.ChipSeconds
		charged unit.Credits
	}{
		{"ten seconds on two devices", Running, Finished{Ended: 20_000}, 20, unit.Price(20, rate)},
		{"a started second counts", Running, Finished{Ended: 10_001}, 2, unit.Price(2, rate)},
		{"no time at all", Running, Finished{Ended: 10_000}, 0, 0},
		{"a clock that went backwards", Running, Finished{Ended: 9_000}, 0, 0},
		{"no end is known", Running, Finished{}, 0, 0},
		{"the engine knows the start better", Running, Finished{Started: 15_000, Ended: 20_000}, 10, unit.Price(10, rate)},
		{"never started", Placed, Finished{Ended: 20_000}, 0, 0},
		{"started, which nobody had reported yet", Placed, Finished{Started: 12_000, Ended: 20_000}, 16, unit.Price(16, rate)},
		{"the caller's word for its use", Placed, Finished{Use: 1 << 40, Charged: 1 << 40}, 0, 0},
		{"longer than its limit", Running, Finished{Ended: 10_000 + unit.Instant(100*unit.Hour)}, 2 * 100 * 3600, spec().PriceMax(rate)},
	} {
		b := begin(t, row.state)
		row.given.ID, row.given.Attempt, row.given.State = "J1", 1, Failed
		e, err := b.Finish(row.given)
		if err != nil || e.Use != row.use || e.Charged != row.charged {
			t.Errorf("%s: use %d, charged %s, %v; want %d, %s", row.name, e.Use, e.Charged, err, row.use, row.charged)
		}
	}
}

func TestAbandonedIsNotCharged(t *testing.T) {
	e, err := begin(t, Running).Abandon("J1", 1, Failed, "lost", 1_000_000)
	if err != nil || e.Use != 0 || e.Charged != 0 || e.Ended != 1_000_000 || e.Started != 10_000 {
		t.Errorf("%+v, %v", e, err)
	}
	for _, state := range []string{Waiting, Succeeded, "unknown"} {
		if _, err := begin(t, state).Abandon("J1", 1, Failed, "lost", 1); err == nil {
			t.Errorf("%s was abandoned", state)
		}
	}
}

func TestThePriceIsAnnounced(t *testing.T) {
	s := spec()
	if got := s.PriceMax(unit.RateReference); got != 4*unit.Credit {
		t.Errorf("four devices for an hour may cost %s credits, want 4", got)
	}
	s.TimeLimit, s.Count = timeMax, countMax
	if got := s.PriceMax(1000 * unit.RateReference); got <= 0 {
		t.Errorf("the largest job costs %s", got)
	}
}

// TestOldFinishedJobsLeave: the oldest end first, whatever their ids.
func TestOldFinishedJobsLeave(t *testing.T) {
	b := new(Book)
	id := func(i int) ID { return ID(fmt.Sprint("J", i)) }
	for i := range finishedMax + 3 {
		b.ApplySubmitted(Submitted{ID: id(i)}, 0, int64(i))
		b.ApplyFinished(Finished{ID: id(i), State: Succeeded}, int64(i))
	}
	if b.Finished.Len() != finishedMax || b.Ended.Len() != finishedMax || b.Live.Len() != 0 {
		t.Fatalf("%d finished, %d in order, %d live", b.Finished.Len(), b.Ended.Len(), b.Live.Len())
	}
	for i, want := range map[int]bool{0: false, 2: false, 3: true, finishedMax + 2: true} {
		if _, ok := b.Get(id(i)); ok != want {
			t.Errorf("job %d is there: %v, want %v", i, ok, want)
		}
	}
}

func TestCopiesAreApart(t *testing.T) {
	b := begin(t, Placed)
	other := b.Copy()
	if err := do(&other, "start", 1); err != nil {
		t.Fatal(err)
	}
	if j, _ := b.Get("J1"); j.State != Placed {
		t.Error("a change to the copy changed the book")
	}
}
