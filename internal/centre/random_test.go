package centre

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gaon-ai/gaon/internal/account"
	"github.com/gaon-ai/gaon/internal/unit"
)

// templates are commands with holes: a letter in braces is an id of that kind,
// n a small number, span a time.
var templates = []string{
	"org name=random country={country} kind={kind}", "person org={O} roles={role}", "person org={O} roles={role}:{span}", "erase {P}",
	"issue {P} secret={n} by={P}", "issue {P} secret={n} for={span}", "revoke {K} by={P}", "programme ceiling={n} per_org={n} countries={country}",
	"call {N} budget={n} for={span}", "apply {C} org={O} credits={n} by={P}", "award {A} by={P}", "award {A}", "decline {A} by={P}",
	"dataset name={n} org={O} class={class} residency={country}", "dataset name={n} org=O1 class={class} by=P2", "dataset name={n} org={O} purpose=evaluation",
	"node {node} slots={n} memory={n} country={country} enforces={enforces} away={yes}", "node local/a", "rate cpu-slot rate={n}",
	"submit grant={G} slots={n} min={n} limit={span} memory={n} class={class} network={yes}", "submit grant=G5 limit={span} by=P2",
	"stop {J} by={P}", "stop {J}", "place {J}", "place {J}", "place {J}", "place {J} node={node} devices=cpu{n},cpu{n}", "start {J}", "start {J}", "start {J} attempt={n}",
	"lose {J}", "lose {J} attempt={n}", "finish {J}", "finish {J} state=failed", "finish {J} state=stopped attempt={n}", "finish {J} statement=none",
	"run grant={G} training={D} evaluation={D} approvals={n} by={P}", "run grant=G5 training=D7 by=P2", "run grant=G5 training=D7 serve=none approvals=1",
	"stage {R} curate", "stage {R} {stage}", "work {R} {stage} scores={scores}", "work {R} {stage} scores=bits_per_byte:2,baseline:3", "work {R} {stage} scores=bits_per_byte:2,baseline:3 for={span}",
	"work {R} {next} scores=bits_per_byte:2,baseline:3", "work {R} {next} scores=bits_per_byte:2,baseline:3", "work {R} {next} scores=bits_per_byte:2,baseline:3",
	"stage {R} serve", "approve {R} by={P}", "sign {M}", "sign {M}", "failrun {R}", "open {M} grant={G} by={P}", "open {M} grant=G5 name={n}", "ready {E}", "unready {E}", "close {E} by={P}", "close {E}",
	"meter {E} of={K} prompt={n}", "policy more=//{n}", "wait {span}", "wait 10s",
}

// words are what the holes may hold besides ids.
var words = map[string][]string{
	"country": {"KR", "US", "kr"}, "kind": {"company", "office", "club"}, "role": {"tenant", "signer", "officer", "auditor", "king"}, "class": {"public", "internal", "national", "odd"},
	"enforces": {"network,inputs", "inputs", "nothing"}, "yes": {"yes", "no"}, "node": {"local/a", "local/b", "us/c"}, "n": {"0", "1", "2", "3", "40"},
	"span": {"1s", "90s", "1h", "20d"}, "stage": {"curate", "tokenizer", "train", "evaluate", "gate", "sign", "serve"}, "scores": {"bits_per_byte:3,baseline:2", "bits_per_byte:2", "baseline:x"},
}

// ids are the ids there are, by their letter.
func (s *script) ids(letter string) []string {
	var all []string
	add := func(id string) { all = append(all, id) }
	st := s.state
	switch letter {
	case "O":
		for id := range st.Party.Orgs.All() {
			add(string(id))
		}
	case "P":
		for id := range st.Party.People.All() {
			add(string(id))
		}
	case "K":
		for id := range st.Party.Keys.All() {
			add(string(id))
		}
	case "N":
		for id := range st.Programmes.Programmes.All() {
			add(string(id))
		}
	case "C":
		for id := range st.Programmes.Calls.All() {
			add(string(id))
		}
	case "A":
		for id := range st.Programmes.Applications.All() {
			add(string(id))
		}
	case "G":
		for id := range st.Grants.Grants.All() {
			add(string(id))
		}
	case "D":
		for id := range st.Datasets.Datasets.All() {
			add(string(id))
		}
	case "J":
		for id := range st.Jobs.Live.All() {
			add(string(id))
		}
		for id := range st.Jobs.Finished.All() {
			add(string(id))
		}
	case "R":
		for id := range st.Factory.Runs.All() {
			add(string(id))
		}
	case "M":
		for id := range st.Models.Models.All() {
			add(string(id))
		}
	case "E":
		for id := range st.Models.Endpoints.All() {
			add(string(id))
		}
	}
	return append(all, letter+"999")
}

// fill fills a template's holes.
func (s *script) fill(t *rapid.T, template string) string {
	run := ""
	for {
		before, rest, found := strings.Cut(template, "{")
		if !found {
			return template
		}
		hole, after, _ := strings.Cut(rest, "}")
		value := ""
		switch {
		case hole == "next":
			value = "curate"
			for id, r := range s.state.Factory.Runs.All() {
				if stage, wants := r.Next(); wants && string(id) == run {
					value = stage
				}
			}
		case len(hole) == 1 && hole != "n":
			value = rapid.SampledFrom(s.ids(hole)).Draw(t, hole)
			if hole == "R" {
				run = value
			}
		default:
			value = rapid.SampledFrom(words[hole]).Draw(t, hole)
		}
		template = before + value + after
	}
}

// TestRandomCommands: whatever is asked in whatever order by whomever, the
// state stays sound, deciding changes nothing, nothing panics, and the entries
// replay to the same state.
func TestRandomCommands(t *testing.T) {
	accepted, asked := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		s := newScript(t)
		for _, line := range append(common, "dataset name=news by=P2", "run grant=G5 training=D7 approvals=1 by=P2", "person org=O0 roles=signer") {
			s.line(line)
		}
		for range rapid.IntRange(20, 60).Draw(t, "commands") {
			line := s.fill(t, rapid.SampledFrom(templates).Draw(t, "template"))
			if strings.Contains(line, "baseline:x") {
				line = strings.ReplaceAll(line, "baseline:x", "baseline:2.5")
			}
			t.Log(line)
			before := s.state.Seq
			s.line(line)
			asked++
			if s.state.Seq > before {
				accepted++
			}
			s.mustBeSane()
		}
		s.checkReplay()
	})
	t.Logf("%d of %d commands were accepted", accepted, asked)
	if accepted < asked/5 {
		t.Errorf("only %d of %d commands were accepted: the test asks for nonsense", accepted, asked)
	}
}

// mustBeSane holds the state against rules that Check does not know, because
// they bind several subjects or need the history.
func (s *script) mustBeSane() {
	s.t.Helper()
	awarded := map[string]unit.Credits{}
	for _, a := range s.state.Programmes.Applications.All() {
		if a.State == "awarded" {
			awarded[string(a.Call)] += a.Credits
		}
	}
	for id, call := range s.state.Programmes.Calls.All() {
		if call.Awarded > call.Budget || call.Awarded != awarded[string(id)] {
			s.t.Fatalf("call %s of %s has awarded %s, its applications %s", id, call.Budget, call.Awarded, awarded[string(id)])
		}
	}
	if issue, _ := s.state.Accounts.Accounts.Get(account.Issue); issue.Posted > 0 {
		s.t.Fatalf("issue has %s", issue.Posted)
	}
	for id, j := range s.state.Jobs.Live.All() {
		if j.State == "waiting" && j.Stopping {
			s.t.Fatalf("job %s waits and is asked to stop: it would neither run nor end", id)
		}
	}
	for id, e := range s.state.Models.Endpoints.All() {
		m, _ := s.state.Models.Models.Get(e.Model)
		if m.State != "signed" {
			s.t.Fatalf("endpoint %s serves %s, which is %s", id, e.Model, m.State)
		}
		if _, live := s.state.Jobs.Live.Get(e.Job); !live && e.State != "closed" {
			s.t.Fatalf("endpoint %s is %s, its job %s has ended", id, e.State, e.Job)
		}
	}
	for id, m := range s.state.Models.Models.All() {
		run := false
		for rid, r := range s.state.Factory.Runs.All() {
			if string(rid) == m.Run {
				run = true
				if r.Gate == nil || !r.Gate.Passed {
					s.t.Fatalf("model %s came out of run %s, which did not pass its gate", id, rid)
				}
				if m.State == "signed" && len(r.Approvals) < r.Recipe.Approvals {
					s.t.Fatalf("model %s is signed with %d of %d approvals", id, len(r.Approvals), r.Recipe.Approvals)
				}
			}
		}
		if !run {
			s.t.Fatalf("model %s has no run", id)
		}
	}
	for id, r := range s.state.Factory.Runs.All() {
		if r.State != "failed" && r.State != "done" {
			continue
		}
		for name, stage := range r.Stages {
			if j, live := s.state.Jobs.Live.Get(stage.Job); live && name != "serve" && !j.Stopping {
				s.t.Fatalf("run %s is %s and its stage %s goes on as %s", id, r.State, name, stage.Job)
			}
		}
	}
	secrets := 0
	for _, key := range s.state.Party.Keys.All() {
		if !key.Revoked {
			secrets++
		}
	}
	if secrets != s.state.Party.Secrets.Len() {
		s.t.Fatalf("%d keys are not revoked, %d secrets open", secrets, s.state.Party.Secrets.Len())
	}
}

// busy is a centre with jobs that wait, run and have ended, and its entries.
func busy(b testing.TB, jobs int) *script {
	s := newScript(b)
	for _, line := range append(common, "node local/b slots=64 memory=1000") {
		s.line(line)
	}
	for i := range jobs {
		first := s.state.Seq
		s.quick(s.command(s.parse("submit grant=G5 limit=1s name=w" + fmt.Sprint(i))))
		id := fmt.Sprint("J", first)
		if i%10 == 0 && i > jobs-100 {
			continue // it waits
		}
		s.quick(s.command(s.parse(fmt.Sprintf("place %s node=local/b devices=cpu%d", id, i%64))))
		s.quick(s.command(s.parse("start " + id)))
		s.quick(s.command(s.parse("finish " + id)))
	}
	return s
}

// quick is do without the checks.
func (s *script) quick(c Command) {
	by := Controller
	if _, tenants := c.(SubmitJob); tenants {
		by = "P2"
	}
	entry, err := s.state.Decide(s.at, by, "", c)
	if err != nil {
		s.t.Fatalf("%T: %v", c, err)
	}
	data, err := entry.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	s.state.Apply(entry)
	s.entries = append(s.entries, data)
}

func BenchmarkDecide(b *testing.B) {
	s := busy(b, 1000)
	c := s.command(s.parse("submit grant=G5 limit=1s by=P2"))
	for b.Loop() {
		if _, err := s.state.Decide(s.at, "P2", "key", c); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkJob is a job's four entries: decide, encode and apply each.
func BenchmarkJob(b *testing.B) {
	s := busy(b, 1000)
	submit := s.command(s.parse("submit grant=G5 limit=1s by=P2"))
	for b.Loop() {
		id := fmt.Sprint("J", s.state.Seq)
		s.quick(submit)
		s.quick(s.command(s.parse("place " + id + " node=local/b devices=cpu63")))
		s.quick(s.command(s.parse("start " + id)))
		s.quick(s.command(s.parse("finish " + id)))
		s.entries = s.entries[:0]
	}
	b.ReportMetric(4*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkApply(b *testing.B) {
	s := busy(b, 2000)
	var entries []Entry
	for _, data := range s.entries {
		entry, err := DecodeEntry(data)
		if err != nil {
			b.Fatal(err)
		}
		entries = append(entries, entry)
	}
	for b.Loop() {
		again := new(State)
		for _, entry := range entries {
			again.Apply(entry)
		}
	}
	b.ReportMetric(float64(len(entries))*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkReplay(b *testing.B) {
	s := busy(b, 2000)
	size := 0
	for _, data := range s.entries {
		size += len(data)
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		again := new(State)
		for _, data := range s.entries {
			entry, err := DecodeEntry(data)
			if err != nil {
				b.Fatal(err)
			}
			again.Apply(entry)
		}
	}
	b.ReportMetric(float64(len(s.entries))*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkCopy(b *testing.B) {
	s := busy(b, 2000)
	for b.Loop() {
		s.state.Copy()
	}
}

// BenchmarkSnapshot encodes and decodes a state with 2,000 jobs.
func BenchmarkSnapshot(b *testing.B) {
	s := busy(b, 2000)
	for b.Loop() {
		data, err := s.state.Encode()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Decode(data); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(data)))
	}
}
