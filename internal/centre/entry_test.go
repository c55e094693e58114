package centre

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/unit"
)

// TestVocabulary: every word has one name and one type, every type says its
// name where it is declared, and the words of the first version are all there:
// words are appended, never renamed, reused or removed.
func TestVocabulary(t *testing.T) {
	form := regexp.MustCompile(`^[a-z]+\.[a-z]+(-[a-z]+)*/[1-9][0-9]*$`)
	names, types := map[string]bool{}, map[reflect.Type]string{}
	var list []string
	for _, word := range vocabulary {
		kind := reflect.TypeOf(word.make()).Elem()
		switch {
		case !form.MatchString(word.name):
			t.Errorf("%q is no wire name such as grant.given/1", word.name)
		case names[word.name]:
			t.Errorf("%q is there twice", word.name)
		case types[kind] != "":
			t.Errorf("%v is both %q and %q", kind, types[kind], word.name)
		}
		names[word.name], types[kind] = true, word.name
		list = append(list, word.name)
		subject, _, _ := strings.Cut(word.name, ".")
		if kind.PkgPath() != "" && filepath.Base(kind.PkgPath()) != subject {
			t.Errorf("%q is of package %s", word.name, kind.PkgPath())
		}
		if WireName(reflect.Zero(kind).Interface()) != word.name {
			t.Errorf("%v is not called %q", kind, word.name)
		}
		if said := comments(t, filepath.Base(kind.PkgPath()))[kind.Name()]; !strings.Contains(strings.Join(strings.Fields(said), " "), "Wire name "+word.name+".") {
			t.Errorf("the comment of %v does not say: Wire name %s.", kind, word.name)
		}
	}
	old, err := os.ReadFile("testdata/vocabulary.golden")
	if *update && err != nil {
		if err := os.WriteFile("testdata/vocabulary.golden", []byte(strings.Join(list, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range strings.Fields(string(old)) {
		if i >= len(list) || list[i] != name {
			t.Fatalf("word %d was %q: history that is written in it could not be read any more. New words go to the end of the list and of testdata/vocabulary.golden", i, name)
		}
	}
}

var commentsOf = map[string]map[string]string{}

// comments returns the comment of each type of a package beside this one.
func comments(t *testing.T, pkg string) map[string]string {
	t.Helper()
	if found := commentsOf[pkg]; found != nil {
		return found
	}
	files, err := filepath.Glob(filepath.Join("..", pkg, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(pkg, err)
	}
	found := map[string]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if g, ok := decl.(*ast.GenDecl); ok {
				for _, spec := range g.Specs {
					if s, ok := spec.(*ast.TypeSpec); ok {
						found[s.Name.Name] = g.Doc.Text() + s.Doc.Text()
					}
				}
			}
		}
	}
	commentsOf[pkg] = found
	return found
}

// TestEveryEventIsApplied: no word of the vocabulary is left out of Apply, and
// none panics on a state that knows nothing of its subject: a snapshot may be
// of another program, and a panic would stop the centre.
func TestEveryEventIsApplied(t *testing.T) {
	for _, word := range vocabulary {
		for _, data := range []string{"{}", "null"} {
			entry, err := DecodeEntry([]byte(`{"v":1,"at":5,"by":"P0","events":[{"type":"` + word.name + `","data":` + data + `}]}`))
			if err != nil {
				t.Fatalf("%s: %v", word.name, err)
			}
			s := new(State)
			s.Apply(entry)
			if _, err := s.Hash(); err != nil {
				t.Errorf("%s: %v", word.name, err)
			}
		}
	}
}

// TestScriptsUseTheVocabulary: a new word comes with a script that says it.
func TestScriptsUseTheVocabulary(t *testing.T) {
	var said bytes.Buffer
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		said.Write(data)
	}
	for _, word := range vocabulary {
		if !strings.Contains(said.String(), " "+strings.TrimSuffix(word.name, "/1")+" ") {
			t.Errorf("no script ever says %s", word.name)
		}
	}
}

// TestOldLedger: a ledger written by the first version still replays to the
// state it had then. It is never written anew.
func TestOldLedger(t *testing.T) {
	file, err := os.Open("testdata/ledger-v1.jsonl")
	if errors.Is(err, os.ErrNotExist) && *update {
		writeOldLedger(t)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s := new(State)
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, EntryMax+1)
	for lines.Scan() {
		entry, err := DecodeEntry(lines.Bytes())
		if err != nil {
			t.Fatalf("entry %d: %v", s.Seq, err)
		}
		s.Apply(entry)
		if err := s.Check(); err != nil {
			t.Fatalf("after entry %d: %v", s.Seq-1, err)
		}
	}
	if *update { // the state's form may grow; the ledger stays as it is
		if err := os.WriteFile("testdata/ledger-v1.hash", []byte((&script{t: t, state: s}).hash()+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/ledger-v1.hash")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Hash(); err != nil || string(got) != strings.TrimSpace(string(want)) {
		t.Fatalf("%d entries give the state %s, want %s; %v", s.Seq, got, want, err)
	}
}

// writeOldLedger plays several scripts' commands into one ledger.
func writeOldLedger(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile("testdata/endpoint-life.txt")
	if err != nil {
		t.Fatal(err)
	}
	s := newScript(t)
	s.play(string(data))
	for _, line := range []string{"person org=O1 roles=tenant", "issue P90 secret=old by=P90 key=k", "revoke K91", "erase P90", "policy more=//",
		"submit grant=G5 slots=2 limit=1h by=P2", "place J95", "start J95", "lose J95", "rate cpu-slot rate=6000",
		"run grant=G5 training=D7 approvals=1 by=P2", "apply C4 credits=400 by=P2", "decline A101 by=P0",
		"work R100 curate", "work R100 tokenizer", "work R100 train", "work R100 evaluate scores=bits_per_byte:2.1,baseline:2.5",
		"work R100 gate scores=bits_per_byte:2.1,baseline:2.5", "person org=O0 roles=signer", "approve R100 by=P123"} {
		s.line(line)
	}
	if err := os.WriteFile("testdata/ledger-v1.jsonl", append(bytes.Join(s.entries, []byte("\n")), '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("testdata/ledger-v1.hash", []byte(s.hash()+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDecodeEntryRefuses(t *testing.T) {
	good := `{"v":1,"at":5,"by":"P0","events":[{"type":"party.erased/1","data":{"person":"P1"}}]}`
	if _, err := DecodeEntry([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, data, want string }{
		{"nothing", "", "EOF"},
		{"half an entry", good[:40], "EOF"},
		{"a newer envelope", strings.Replace(good, `"v":1`, `"v":2`, 1), "newer gaon"},
		{"no version", strings.Replace(good, `"v":1,`, ``, 1), "version 0"},
		{"a word of a newer program", strings.Replace(good, "erased/1", "erased/2", 1), "newer gaon"},
		{"a word nobody knows", strings.Replace(good, "party.erased", "party.forgotten", 1), "newer gaon"},
		{"a field of a newer envelope", strings.Replace(good, `"v"`, `"w":1,"v"`, 1), "unknown field"},
		{"a field of a newer event", strings.Replace(good, `"person"`, `"why":"x","person"`, 1), "unknown field"},
		{"a field of another type", strings.Replace(good, `"P1"`, `1`, 1), "cannot unmarshal"},
		{"an event without data", strings.Replace(good, `,"data":{"person":"P1"}`, ``, 1), "EOF"},
		{"two entries", good + good, "bytes follow"},
		{"a bracket more", good + "}", "bytes follow"},
		{"a list", "[" + good + "]", "cannot unmarshal"},
	} {
		if e, err := DecodeEntry([]byte(row.data)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %+v, %v; want %q", row.name, e, err, row.want)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	if _, err := (Entry{Events: []Event{struct{}{}}}).Encode(); err == nil {
		t.Error("an event without a name was encoded")
	}
	big := Entry{Events: []Event{Founded{Name: strings.Repeat("a", EntryMax)}}}
	var large *TooLargeError
	if _, err := big.Encode(); !errors.As(err, &large) || large.Code() != "entry.too-large" || large.Size <= EntryMax {
		t.Errorf("an entry too large for the ledger: %v", err)
	}
	big.Events = []Event{Founded{Name: strings.Repeat("a", EntryMax-200)}}
	if data, err := big.Encode(); err != nil || len(data) > EntryMax {
		t.Errorf("an entry that just fits: %d bytes, %v", len(data), err)
	}
}

func FuzzDecodeEntry(f *testing.F) {
	if file, err := os.Open("testdata/ledger-v1.jsonl"); err == nil {
		defer file.Close()
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, EntryMax+1)
		for lines.Scan() {
			f.Add(slices.Clone(lines.Bytes()))
		}
	}
	f.Add([]byte(`{"v":1,"events":[{"type":"job.finished/1","data":null}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		entry, err := DecodeEntry(data)
		if err != nil {
			return
		}
		encoded, err := entry.Encode()
		if err != nil {
			var large *TooLargeError
			if errors.As(err, &large) {
				return
			}
			t.Fatalf("decoded, and then: %v", err)
		}
		again, err := DecodeEntry(encoded)
		if err != nil {
			t.Fatalf("encoded as %s, and then: %v", encoded, err)
		}
		if same, err := again.Encode(); err != nil || !bytes.Equal(same, encoded) {
			t.Fatalf("encoded as\n%s\nand again as\n%s", encoded, same)
		}
		s := new(State)
		s.Apply(entry) // must not panic, whatever the entry says
		if _, err := s.Encode(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRecentIsBounded: the oldest command keys are forgotten.
func TestRecentIsBounded(t *testing.T) {
	var r Recent
	key := func(i int) string { return unit.NewDigest([32]byte{byte(i), byte(i >> 8)}).Short() }
	for i := range recentMax + 2 {
		r.put(key(i), Outcome{Seq: int64(i)})
	}
	if r.Done.Len() != recentMax || r.Order.Len() != recentMax {
		t.Fatalf("%d and %d are remembered", r.Done.Len(), r.Order.Len())
	}
	if _, ok := r.Done.Get(key(1)); ok {
		t.Error("the oldest is remembered")
	}
	if _, ok := r.Done.Get(key(2)); !ok {
		t.Error("one of the last is forgotten")
	}
}

func TestDecodeRefusesABrokenSnapshot(t *testing.T) {
	for _, bad := range []string{"", "{", `{"seq":"x"}`, `{"accounts":{"accounts":[]}}`} {
		if _, err := Decode([]byte(bad)); err == nil {
			t.Errorf("%q is read as a snapshot", bad)
		}
	}
	data, err := json.Marshal(new(State))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(data); err != nil {
		t.Error(err)
	}
}
