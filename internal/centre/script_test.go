package centre

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/unit"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// TestScripts runs testdata/*.txt: lines that begin with > are commands, the
// lines below each are what came of it. Ids carry the number of their entry,
// so a script reads like the ledger it makes. With -update the answers are
// written anew, to be reviewed as code.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := newScript(t)
			got := s.play(string(data))
			s.checkReplay()
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(data), "\n")
			for i := range min(len(gotLines), len(wantLines)) {
				if gotLines[i] != wantLines[i] {
					t.Fatalf("%s:%d\ngot  %s\nwant %s", file, i+1, gotLines[i], wantLines[i])
				}
			}
			if len(gotLines) != len(wantLines) {
				t.Fatalf("%s: %d lines, want %d", file, len(gotLines), len(wantLines))
			}
		})
	}
}

// failer is what testing and rapid both give.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// script is a centre that is played line by line.
type script struct {
	t       failer
	state   *State
	at      unit.Instant
	entries [][]byte
	seen    []string // state hash after each entry
	out     strings.Builder
}

func newScript(t failer) *script {
	return &script{t: t, state: new(State), at: 1_000_000}
}

// play runs the commands and returns the script with its answers.
func (s *script) play(text string) string {
	answered := false // below a command, where its old answers are dropped
	for _, line := range strings.SplitAfter(text, "\n") {
		switch {
		case strings.HasPrefix(line, "> "):
			s.out.WriteString(strings.TrimSuffix(line, "\n") + "\n")
			s.line(strings.TrimSpace(line[2:]))
			answered = true
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
			s.out.WriteString(line)
			answered = false
		case !answered:
			s.t.Fatalf("a line that is neither command nor answer: %q", line)
		}
	}
	return s.out.String()
}

// args is one command line: bare words, and key=value.
type args struct {
	t     failer
	line  string
	words []string
	named map[string]string
	used  map[string]bool
}

func (s *script) parse(line string) *args {
	a := &args{t: s.t, line: line, named: map[string]string{}, used: map[string]bool{}}
	for _, field := range fields(line) {
		if name, value, ok := strings.Cut(field, "="); ok && !strings.ContainsAny(name, `"< `) {
			a.named[name] = strings.Trim(value, `"`)
		} else {
			a.words = append(a.words, strings.Trim(field, `"`))
		}
	}
	return a
}

// fields splits at spaces that are not inside quotes.
func fields(line string) []string {
	quoted := false
	return strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
}

func (a *args) word(i int) string {
	if i >= len(a.words) {
		a.t.Fatalf("%q: word %d is missing", a.line, i)
	}
	return a.words[i]
}

func (a *args) get(name, otherwise string) string {
	a.used[name] = true
	if v, ok := a.named[name]; ok {
		return v
	}
	return otherwise
}

func (a *args) list(name, otherwise string) []string {
	if v := a.get(name, otherwise); v != "" {
		return strings.Split(v, ",")
	}
	return nil
}

func (a *args) number(name string, otherwise int64) int64 {
	v, err := strconv.ParseInt(a.get(name, strconv.FormatInt(otherwise, 10)), 10, 64)
	if err != nil {
		a.t.Fatalf("%q: %v", a.line, err)
	}
	return v
}

func (a *args) credits(name, otherwise string) unit.Credits {
	v, err := unit.ParseCredits(a.get(name, otherwise))
	if err != nil {
		a.t.Fatalf("%q: %v", a.line, err)
	}
	return v
}

func (a *args) span(name, otherwise string) unit.Span { return parseSpan(a.t, a.get(name, otherwise)) }

func parseSpan(t failer, text string) unit.Span {
	units := map[byte]unit.Span{'s': unit.Second, 'm': unit.Minute, 'h': unit.Hour, 'd': unit.Day}
	n, err := strconv.ParseInt(text[:len(text)-1], 10, 64)
	if err != nil || units[text[len(text)-1]] == 0 {
		t.Fatalf("%q is no span such as 90s", text)
	}
	return unit.Span(n) * units[text[len(text)-1]]
}

func (a *args) finish() {
	for name := range a.named {
		if !a.used[name] {
			a.t.Fatalf("%q: %s means nothing here", a.line, name)
		}
	}
}

// line runs one line of the script.
func (s *script) line(line string) {
	a := s.parse(line)
	if s.query(a) {
		return
	}
	by := a.get("by", defaultAuthor(a.word(0)))
	key := a.get("key", "")
	if a.word(0) == "work" { // a whole stage: submit, place, start, finish
		run, stage := a.word(1), a.word(2)
		before := s.state.Seq
		s.do(by, "", s.command(s.parse("stage "+run+" "+stage)))
		if s.state.Seq == before {
			return // refused: there is no job to go on with
		}
		id := string(s.lastJob())
		for _, step := range []string{"place " + id, "start " + id} {
			s.do(by, "", s.command(s.parse(step)))
		}
		s.at = s.at.Add(a.span("for", "10s"))
		a.words = []string{"finish", id}
	}
	c := s.command(a)
	a.finish()
	s.do(by, key, c)
}

// do runs one command and writes what came of it. Whatever came of it, the
// state is sound, deciding changed nothing, and deciding again says the same.
func (s *script) do(by, key string, c Command) {
	before := s.hash()
	entry, err := s.state.Decide(s.at, by, key, c)
	if s.hash() != before {
		s.t.Fatalf("deciding %T changed the state", c)
	}
	again, errAgain := s.state.Decide(s.at, by, key, c)
	if fmt.Sprint(errAgain) != fmt.Sprint(err) {
		s.t.Fatalf("deciding %T twice: %v, then %v", c, err, errAgain)
	}
	if err != nil {
		s.refused(err)
		return
	}
	data, err := entry.Encode()
	if err != nil {
		s.t.Fatalf("encode %T: %v", c, err)
	}
	if other, err := again.Encode(); err != nil || !bytes.Equal(other, data) {
		s.t.Fatalf("deciding %T twice gives two entries:\n%s\n%s", c, data, other)
	}
	s.state.Apply(entry)
	s.entries = append(s.entries, data)
	s.seen = append(s.seen, s.hash())
	for _, e := range entry.Events {
		fmt.Fprintf(&s.out, "%d %s %s\n", s.state.Seq-1, strings.TrimSuffix(WireName(e), "/1"), short(s.t, e))
	}
	if err := s.state.Check(); err != nil {
		s.t.Fatalf("after entry %d (%T): %v", s.state.Seq-1, c, err)
	}
}

var digests = regexp.MustCompile("sha256:[0-9a-f]{64}")

func (s *script) refused(err error) {
	var coded interface{ Code() string }
	var repeated *Repeated
	switch {
	case errors.As(err, &repeated):
		fmt.Fprintf(&s.out, "repeated: entry %d made %s\n", repeated.Seq, repeated.Made)
	case errors.As(err, &coded):
		text := err.Error()
		if digest := s.state.Policy.Digest; digest != "" {
			text = strings.ReplaceAll(text, digest.Short(), "…") // the text changes, the meaning is in policy's own table
		}
		text = digests.ReplaceAllString(text, "#…")
		fmt.Fprintf(&s.out, "refused %s: %s\n", coded.Code(), text)
	default:
		fmt.Fprintf(&s.out, "fault: %v\n", err)
	}
}

func (s *script) hash() string {
	h, err := s.state.Hash()
	if err != nil {
		s.t.Fatal(err)
	}
	return string(h)
}

// checkReplay applies the encoded entries to a new state, which must be the
// same after each; and now and then goes through a snapshot, which must not
// show.
func (s *script) checkReplay() {
	s.t.Helper()
	again, snapped := new(State), new(State)
	for i, data := range s.entries {
		entry, err := DecodeEntry(data)
		if err != nil {
			s.t.Fatalf("entry %d: %v", i, err)
		}
		if same, err := entry.Encode(); err != nil || !bytes.Equal(same, data) {
			s.t.Fatalf("entry %d is encoded as\n%s\nand again as\n%s", i, data, same)
		}
		again.Apply(entry)
		snapped.Apply(entry)
		if i%7 != 0 && i != len(s.entries)-1 {
			if string(s.seen[i]) != (&script{t: s.t, state: again}).hash() {
				s.t.Fatalf("replayed, the state after entry %d is another", i)
			}
			continue
		}
		snapshot, err := snapped.Encode()
		if err != nil {
			s.t.Fatal(err)
		}
		if snapped, err = Decode(snapshot); err != nil {
			s.t.Fatal(err)
		}
		for what, state := range map[string]*State{"replayed": again, "read from a snapshot": snapped} {
			if h, err := state.Hash(); err != nil || string(h) != s.seen[i] {
				s.t.Fatalf("%s, the state after entry %d is %s, not %s; %v", what, i, h, s.seen[i], err)
			}
		}
	}
}

// hidden are fields too long or too digest-like to read.
var hidden = []string{"recipe", "text", "params", "ledger_key", "model_key", "details", "secret", "digest", "argv", "inputs", "sources",
	"release", "bundle", "passport", "signer", "tree", "hold", "from", "until", "since", "opens", "closes", "recorded", "enforce"}

// short writes an event's fields in their order, without what is empty.
func short(t failer, e Event) string {
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	var words []string
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
		text := string(value)
		if slices.Contains(hidden, name.(string)) && !(strings.HasPrefix(WireName(e), "account.") && name == "from") ||
			slices.Contains([]string{`""`, "0", "null", "[]", "{}", "false"}, text) {
			continue
		}
		var word string
		if json.Unmarshal(value, &word) == nil && !strings.ContainsAny(word, " \"") {
			text = word
		}
		words = append(words, fmt.Sprintf("%s=%s", name, shorten(text)))
	}
	return strings.Join(words, " ")
}

// shorten cuts digests to what a person can compare.
func shorten(text string) string {
	for {
		at := strings.Index(text, "sha256:")
		if at < 0 || len(text) < at+7+64 {
			return text
		}
		text = text[:at] + "#" + text[at+7:at+11] + text[at+7+64:]
	}
}

func (s *script) lastJob() job.ID {
	var last job.ID
	order := int64(-1)
	for id, j := range s.state.Jobs.Live.All() {
		if j.Order > order {
			last, order = id, j.Order
		}
	}
	return last
}
