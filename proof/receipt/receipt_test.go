package receipt

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof"
)

var update = flag.Bool("update", false, "write the golden files anew")

const testOrigin = "example.kr/centre"

// book is a ledger in memory whose key comes from the seed, so that receipts
// are the same each time.
type book struct {
	testing.TB
	key     proof.SigningKey
	entries [][]byte
	hashes  []tlog.Hash
}

func newBook(t testing.TB, seed byte) *book {
	t.Helper()
	key, err := proof.GenerateSigningKey(bytes.NewReader(bytes.Repeat([]byte{seed}, 32)), testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	return &book{TB: t, key: key}
}

func (b *book) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, i := range indexes {
		found = append(found, b.hashes[i])
	}
	return found, nil
}

// event is one event of an entry, as the centre writes it.
type event struct {
	Type string         `json:"type"`
	Data map[string]any `json:"data"`
}

// add appends an entry some minutes into the day and returns its number.
func (b *book) add(minute int64, events ...event) int64 {
	b.Helper()
	at := unit.Instant(1795500000000 + minute*60_000)
	data, err := json.Marshal(map[string]any{"v": 1, "at": at, "by": "controller", "events": events})
	if err != nil {
		b.Fatal(err)
	}
	n := int64(len(b.entries))
	hashes, err := tlog.StoredHashesForRecordHash(n, tlog.RecordHash(data), b)
	if err != nil {
		b.Fatal(err)
	}
	b.entries, b.hashes = append(b.entries, data), append(b.hashes, hashes...)
	return n
}

// prove proves an entry under the ledger's present head.
func (b *book) prove(index int64) Proof {
	b.Helper()
	size := int64(len(b.entries))
	root, err := tlog.TreeHash(size, b)
	if err != nil {
		b.Fatal(err)
	}
	head, err := proof.SignCheckpoint(proof.Checkpoint{Origin: testOrigin, Size: size, Root: root}, b.key)
	if err != nil {
		b.Fatal(err)
	}
	path, err := tlog.ProveRecord(size, index, b)
	if err != nil {
		b.Fatal(err)
	}
	return Proof{Entry: index, Data: b.entries[index], Receipt: proof.Receipt{Index: index, Path: path, Checkpoint: head}.Text()}
}

func (b *book) proofs(indexes ...int64) []Proof {
	b.Helper()
	var all []Proof
	for _, i := range indexes {
		all = append(all, b.prove(i))
	}
	return all
}

func (b *book) ledger() LedgerFunc {
	return func(entry []byte, text string) (int64, error) {
		_, seq, err := proof.VerifyReceipt(text, entry, b.key.Verifier())
		return seq, err
	}
}

// mine are the entries of newHistory that belong to grant G5.
var mine = []int64{0, 2, 4, 6, 7, 9}

// newHistory is a centre with two grants: G5 trains a model and serves it, G3
// belongs to somebody else.
func newHistory(t testing.TB) *book {
	b := newBook(t, 3)
	b.add(0, event{"centre.founded/1", map[string]any{"name": "가온 <시험> 센터", "country": "KR", "site": "춘천", "ledger_key": b.key.Verifier().String()}},
		event{"policy.published/1", map[string]any{"text": "permit (principal, action, resource);"}})
	b.add(1, event{"party.joined/1", map[string]any{"id": "O1", "name": "한빛언어연구소"}})
	b.add(2, event{"programme.decided/1", map[string]any{"id": "A2", "state": "awarded"}},
		event{"grant.given/1", map[string]any{"id": "G5", "org": "O1", "application": "A2", "credits": 40_000_000}})
	b.add(3, event{"grant.given/1", map[string]any{"id": "G3", "org": "O9", "application": "A3", "credits": 70_000_000}})
	b.add(4, event{"job.finished/1", map[string]any{"id": "J4", "state": "succeeded"}},
		event{"grant.used/1", map[string]any{"id": "G5", "job": "J4", "use": 160, "charged": 222}})
	b.add(5, event{"job.finished/1", map[string]any{"id": "J5", "state": "failed"}},
		event{"grant.used/1", map[string]any{"id": "G3", "job": "J5", "use": 900, "charged": 9_000}})
	b.add(6, event{"job.submitted/1", map[string]any{"id": "J6", "grant": "G5"}},
		event{"model.endpoint-opened/1", map[string]any{"id": "E6", "job": "J6"}})
	b.add(7, event{"model.metered/1", map[string]any{"endpoint": "E6", "requests": 2, "prompt": 30, "completion": 128}})
	b.add(8, event{"model.metered/1", map[string]any{"endpoint": "E1", "requests": 5, "prompt": 1, "completion": 1}})
	b.add(9, event{"job.finished/1", map[string]any{"id": "J6", "state": "stopped"}},
		event{"grant.used/1", map[string]any{"id": "G5", "job": "J6", "use": 60, "charged": 83}})
	return b
}

func (b *book) mustMake(grant string, proofs []Proof) []byte {
	b.Helper()
	data, err := Make(grant, proofs)
	if err != nil {
		b.Fatal(err)
	}
	return data
}

func mustRefuse(t testing.TB, err error, field, problem string) {
	t.Helper()
	var changed *ChangedError
	switch {
	case err == nil:
		t.Fatalf("accepted, want %q to be refused: %q", field, problem)
	case !errors.As(err, &changed):
		t.Fatalf("%T %v, want a ChangedError", err, err)
	case !strings.Contains(changed.Field, field) || !strings.Contains(changed.Problem, problem):
		t.Fatalf("refused %q (%s), want %q (%s)", changed.Field, changed.Problem, field, problem)
	case changed.Code() != "receipt.changed" || changed.Hint() == "":
		t.Fatalf("code %q, hint %q", changed.Code(), changed.Hint())
	}
}

func TestMakeAndVerify(t *testing.T) {
	b := newHistory(t)
	r := NewReader("G5")
	var found []int64
	for seq, data := range b.entries {
		belongs, err := r.Read(int64(seq), data)
		if err != nil {
			t.Fatal(err)
		}
		if belongs {
			found = append(found, int64(seq))
		}
	}
	if fmt.Sprint(found) != fmt.Sprint(mine) {
		t.Fatalf("entries %v belong, want %v", found, mine)
	}
	data := b.mustMake("G5", b.proofs(found...))
	d, err := Verify(data, b.ledger())
	if err != nil {
		t.Fatal(err)
	}
	if d.Awarded != 40_000_000 || d.Charged != 222+83 || d.Use != 160+60 || d.Requests != 2 || d.Prompt != 30 || d.Completion != 128 ||
		d.Org != "O1" || d.Centre != "가온 <시험> 센터" || d.Ledger != b.key.Verifier().String() {
		t.Errorf("totals: %+v", d)
	}
	var lines []string
	for _, l := range d.Lines {
		lines = append(lines, fmt.Sprintf("%d %s %s %s", l.Entry, l.Kind, l.Subject, l.State))
	}
	if got, want := strings.Join(lines, "\n"), "2 award A2 \n4 charge J4 succeeded\n6 endpoint E6 J6\n7 tokens E6 \n9 charge J6 stopped"; got != want {
		t.Errorf("lines:\n%s\nwant:\n%s", got, want)
	}
	golden(t, "receipt.json", data)
}

// A grant of which the ledger knows nothing has a receipt all the same: the
// founding alone. Who asks for it is told by the API that there is none.
func TestReceiptOfNothing(t *testing.T) {
	b := newHistory(t)
	d, err := Verify(b.mustMake("G77", b.proofs(0)), b.ledger())
	if err != nil || len(d.Lines) != 0 || d.Awarded != 0 || d.Org != "" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestMakeRefuses(t *testing.T) {
	b := newHistory(t)
	broken := b.prove(4)
	broken.Data = []byte("{")
	for _, row := range []struct {
		name   string
		proofs []Proof
		field  string
		want   string
	}{
		{"an entry of another grant", b.proofs(0, 2, 3, 4), "proofs[2]", "not about this grant"},
		{"tokens of another's endpoint", b.proofs(0, 2, 8), "proofs[2]", "not about this grant"},
		{"tokens without the endpoint's opening", b.proofs(0, 2, 7), "proofs[2]", "not about this grant"},
		{"an entry about nobody", b.proofs(0, 1, 2), "proofs[1]", "not about this grant"},
		{"entries out of order", b.proofs(0, 4, 2), "proofs[2].entry", "out of order"},
		{"an entry twice", b.proofs(0, 2, 4, 4), "proofs[3].entry", "out of order"},
		{"no founding", b.proofs(2, 4), "proofs", "founding is not among them"},
		{"an entry that is no JSON", []Proof{b.prove(0), broken}, "proofs[1].data", "entry 4"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Make("G5", row.proofs)
			mustRefuse(t, err, row.field, row.want)
		})
	}
	for _, n := range []int{0, proofsMax + 1} {
		if _, err := Make("G5", make([]Proof, n)); err == nil {
			t.Errorf("a receipt of %d entries was made", n)
		}
	}
}

// Nothing above the proofs may differ from what the proofs say, and no proof
// may be any other.
func TestVerifyRefuses(t *testing.T) {
	b, other := newHistory(t), newBook(t, 4)
	for _, entry := range b.entries {
		var e struct{ Events []event }
		if err := json.Unmarshal(entry, &e); err != nil {
			t.Fatal(err)
		}
		other.add(1, e.Events...)
	}
	good := b.mustMake("G5", b.proofs(mine...))
	edit := func(change func(d *Document)) []byte {
		var d Document
		if err := json.Unmarshal(good, &d); err != nil {
			t.Fatal(err)
		}
		change(&d)
		data, err := encode(d)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	replace := func(old, new string) []byte {
		changed := bytes.Replace(good, []byte(old), []byte(new), 1)
		if bytes.Equal(changed, good) {
			t.Fatalf("%q is not in the receipt", old)
		}
		return changed
	}
	foreign := other.prove(4)
	for _, row := range []struct {
		name  string
		data  []byte
		field string
		want  string
	}{
		{"another total awarded", edit(func(d *Document) { d.Awarded++ }), "(awarded)", "not what the proven entries say"},
		{"another total charged", edit(func(d *Document) { d.Charged-- }), "(charged)", "not what the proven entries say"},
		{"another use", edit(func(d *Document) { d.Use = 1 }), "(use)", "not what the proven entries say"},
		{"another number of tokens", edit(func(d *Document) { d.Completion = 127 }), "(completion_tokens)", "not what the proven entries say"},
		{"another organisation", edit(func(d *Document) { d.Org = "O2" }), "(org)", "not what the proven entries say"},
		{"another centre's name", edit(func(d *Document) { d.Centre = "센터" }), "(centre)", "not what the proven entries say"},
		{"another ledger key", edit(func(d *Document) { d.Ledger = other.key.Verifier().String() }), "(ledger)", "not what the proven entries say"},
		{"another grant", edit(func(d *Document) { d.Grant = "G3" }), "proofs[1]", "not about this grant"},
		{"a line's credits", edit(func(d *Document) { d.Lines[1].Credits = 1 }), "(credits)", "not what the proven entries say"},
		{"a line's state", edit(func(d *Document) { d.Lines[1].State = "failed" }), "(state)", "not what the proven entries say"},
		{"a line's time", edit(func(d *Document) { d.Lines[1].At++ }), "(at)", "not what the proven entries say"},
		{"a line less", edit(func(d *Document) { d.Lines = d.Lines[1:] }), "line", "not what the proven entries say"},
		{"a line more", edit(func(d *Document) { d.Lines = append(d.Lines, d.Lines[0]) }), "line", "not what the proven entries say"},
		{"lines swapped", edit(func(d *Document) { d.Lines[0], d.Lines[1] = d.Lines[1], d.Lines[0] }), "line", "not what the proven entries say"},
		{"a proof less, its line left", edit(func(d *Document) { d.Proofs = append(d.Proofs[:2:2], d.Proofs[3:]...) }), "", ""},
		{"proofs swapped", edit(func(d *Document) { d.Proofs[1], d.Proofs[2] = d.Proofs[2], d.Proofs[1] }), "proofs[2].entry", "out of order"},
		{"a proof of another grant", edit(func(d *Document) { d.Proofs = append(d.Proofs, b.prove(5)) }), "proofs[6].entry", "out of order"},
		{"a proof of another grant, in order", edit(func(d *Document) {
			d.Proofs = append(d.Proofs[:3:3], append([]Proof{b.prove(5)}, d.Proofs[3:]...)...)
		}), "proofs[3]", "not about this grant"},
		{"no founding", edit(func(d *Document) { d.Proofs = d.Proofs[1:] }), "proofs", "founding"},
		{"the proof of another ledger", edit(func(d *Document) { d.Proofs[2] = foreign }), "proofs[2] (entry 4)", ""},
		{"the receipt of another entry", edit(func(d *Document) { d.Proofs[2].Receipt = d.Proofs[3].Receipt }), "proofs[2] (entry 4)", ""},
		{"another number on a proof", edit(func(d *Document) { d.Proofs[2].Entry = 5 }), "proofs[2].entry", "the proof is of entry 4"},
		{"a changed entry", edit(func(d *Document) {
			d.Proofs[2].Data = bytes.Replace(d.Proofs[2].Data, []byte("222"), []byte("122"), 1)
		}), "proofs[2] (entry 4)", ""},
		{"no receipt of an entry", edit(func(d *Document) { d.Proofs[2].Receipt = "" }), "proofs[2] (entry 4)", ""},
		{"an unknown field", replace(`"grant":`, `"discount": 1, "grant":`), "document", "discount"},
		{"another format", replace(Format, "gaon.receipt/9"), "format", "gaon.receipt/9"},
		{"a word for a number", replace(`"awarded": 40000000`, `"awarded": "many"`), "document", "line 8"},
		{"broken JSON", replace(`"org": "O1",`, `"org": "O1"`), "document", "line 8"},
		{"a field in other letters", replace(`"grant"`, `"Grant"`), "(grant)", "not what the proven entries say"},
		{"a field twice", replace(`"org": "O1",`, `"org": "O1", "org": "O1",`), "(org)", "not what the proven entries say"},
		{"a second document behind", append(bytes.Clone(good), good...), "line", "not what the proven entries say"},
		{"an end cut off", good[:len(good)-1], "end", "not what the proven entries say"},
		{"nothing", nil, "document", ""},
		{"null", []byte("null\n"), "format", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Verify(row.data, b.ledger())
			mustRefuse(t, err, row.field, row.want)
		})
	}
	if _, err := Verify(good, other.ledger()); err == nil {
		t.Error("accepted with another ledger's key")
	} else {
		mustRefuse(t, err, "proofs[0] (entry 0)", "")
	}
	_, err := Verify(make([]byte, bytesMax+1), b.ledger())
	mustRefuse(t, err, "size", "at most")
}

// Every byte of a receipt counts: changed, taken out or written twice, it is
// no receipt any more, and the refusal says where to look.
func TestEveryByteCounts(t *testing.T) {
	b := newHistory(t)
	good := b.mustMake("G5", b.proofs(0, 2, 4))
	// A checked signature is remembered: the flips change one proof at most.
	known := map[string]int64{}
	check := b.ledger()
	remembered := func(entry []byte, text string) (int64, error) {
		id := text + "\x00" + string(entry)
		if seq, ok := known[id]; ok {
			return seq, nil
		}
		seq, err := check(entry, text)
		if err == nil {
			known[id] = seq
		}
		return seq, err
	}
	if _, err := Verify(good, remembered); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, at int, data []byte) {
		_, err := Verify(data, remembered)
		var changed *ChangedError
		if !errors.As(err, &changed) || changed.Field == "" {
			t.Fatalf("byte %d %s: %v", at, what, err)
		}
	}
	for at := range good {
		flipped := bytes.Clone(good)
		flipped[at] ^= 1 << (at % 8)
		refused("flipped", at, flipped)
		if at > 0 && good[at] == good[at-1] {
			continue // taking out this one or the one before gives the same
		}
		refused("deleted", at, append(bytes.Clone(good[:at]), good[at+1:]...))
		refused("doubled", at, append(bytes.Clone(good[:at+1]), good[at:]...))
	}
	lines := bytes.SplitAfter(good, []byte("\n"))
	for i := 1; i < len(lines); i++ {
		if bytes.Equal(lines[i-1], lines[i]) || len(lines[i]) == 0 {
			continue
		}
		swapped := append([][]byte{}, lines...)
		swapped[i-1], swapped[i] = lines[i], lines[i-1]
		refused("swapped lines", i, bytes.Join(swapped, nil))
	}
}

func FuzzVerify(f *testing.F) {
	b := newHistory(f)
	good := b.mustMake("G5", b.proofs(mine...))
	f.Add(good)
	f.Add([]byte(`{"format":"gaon.receipt/1","proofs":[{"entry":0,"data":"e30=","receipt":""}]}`))
	f.Add(bytes.Replace(good, []byte("222"), []byte("221"), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Verify(data, b.ledger()); err == nil && !bytes.Equal(data, good) {
			// Another true receipt of the same ledger can be cut from this one.
			var d Document
			if json.Unmarshal(data, &d) != nil {
				t.Fatalf("accepted what is no receipt: %q", data)
			}
			if again, err := Make(d.Grant, d.Proofs); err != nil || !bytes.Equal(again, data) {
				t.Fatalf("accepted what the proofs do not say: %q", data)
			}
		}
	})
}

// FuzzReader: whatever stands in an entry, it is read or refused.
func FuzzReader(f *testing.F) {
	for _, entry := range newHistory(f).entries {
		f.Add(entry)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader("G5")
		if belongs, err := r.Read(7, data); err != nil && belongs {
			t.Fatal("an entry that cannot be read belongs")
		}
	})
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (run with -update and review):\n%s", file, got)
	}
}
