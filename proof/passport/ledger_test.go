package passport

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/unit"
)

// TestLedgerRefused: a passport may be consistent in itself and still not be
// what the ledger recorded.
func TestLedgerRefused(t *testing.T) {
	r := newRelease(t)
	good := r.passport
	if problems := checkLedger(good, r.log.check()); len(problems) > 0 {
		t.Fatalf("refused a good passport: %v", problems)
	}
	const start, curate, train, gate, approval = 0, 1, 3, 5, 6
	rows := []refused{
		{"no origin", func(p *Passport) { p.Ledger.Origin = "" }, "ledger.origin", "empty"},
		{"another origin", func(p *Passport) { p.Ledger.Origin = "example.kr/other" }, "ledger.origin", testOrigin},
		{"no entries", func(p *Passport) { p.Ledger.Entries = nil }, "stages[0]", "no entry records"},
		{"a stage without entry", func(p *Passport) { p.Ledger.remove(train) }, "stages[2]", "no entry records that the stage train of the run R22 succeeded"},
		{"a gate without entry", func(p *Passport) { p.Ledger.remove(gate) }, "gate", "no entry records the gate"},
		{"an approval without entry", func(p *Passport) { p.Ledger.remove(approval) }, "approvals.given[0]", "no entry records that P12 approved"},
		{"an approval by somebody else", func(p *Passport) { p.Approvals.Given[0].Person = "P99" }, "approvals.given[0]", "P99"},
		{"an approval at another time", func(p *Passport) { p.Approvals.Given[0].At++ }, "approvals.given[0].at", "recorded it at"},
		{"an entry for something else", func(p *Passport) { p.Ledger.Entries[train].Of = StageCurate }, "stages[2]", "no entry"},
		{"an entry for nothing known", func(p *Passport) { p.Ledger.Entries[train].Of = "wish" }, "ledger.entries[3].of", "one of"},
		{"an entry's byte changed", func(p *Passport) { p.Ledger.Entries[train].Entry[30] ^= 1 }, "ledger.entries[3].receipt", "does not prove"},
		{"an empty entry", func(p *Passport) { p.Ledger.Entries[train].Entry = nil }, "ledger.entries[3].entry", "0 bytes"},
		{"an entry beyond the limit", func(p *Passport) { p.Ledger.Entries[train].Entry = make([]byte, entryBytesMax+1) }, "ledger.entries[3].entry", "65536 bytes"},
		{"another index", func(p *Passport) { p.Ledger.Entries[train].Index-- }, "ledger.entries[3].index", "the receipt proves entry 7"},
		{"another's receipt", func(p *Passport) { p.Ledger.Entries[train].Receipt = p.Ledger.Entries[curate].Receipt }, "ledger.entries[3].receipt", "does not prove"},
		{"no receipt", func(p *Passport) { p.Ledger.Entries[train].Receipt = "" }, "ledger.entries[3].receipt", "not a receipt"},
		{"entries out of order", func(p *Passport) {
			e := p.Ledger.Entries
			e[curate], e[train] = e[train], e[curate]
		}, "ledger.entries[2].index", "out of order"},
		{"another output", func(p *Passport) { p.Stages[2].Outputs[0].Digest = digest("other") }, "stages[2].outputs[0].digest", "the ledger records no output of the stage train"},
		{"an output the ledger has not", func(p *Passport) {
			p.Stages[0].Outputs = append(p.Stages[0].Outputs, Material{Role: RoleLog, Name: "more", Digest: digest("more")})
		}, "stages[0].outputs[1].digest", "the ledger records no output"},
		{"another run", func(p *Passport) { p.Stages[2].Run = "R7" }, "stages[2]", "R7"},
		{"a stage of another run", func(p *Passport) { p.Stages[0].Run = "R7" }, "stages[0].run", "R22"},
		{"another score", func(p *Passport) { p.Evaluation.Results[2].Value++ }, "evaluation.results[2].value", "choice.accuracy is 0.312501, which the ledger does not record"},
		{"a score made up", func(p *Passport) { p.Evaluation.Results[2].Name = "wit" }, "evaluation.results[2].value", "wit"},
		{"another verdict line", func(p *Passport) { p.Gate.Conditions[1].Limit = 2000 }, "gate.conditions[1]", "not what the ledger recorded"},
		{"a condition left out", func(p *Passport) { p.Gate.Conditions = p.Gate.Conditions[:1] }, "gate.conditions", "1 conditions, but the ledger has 2"},
		{"another time of the gate", func(p *Passport) { p.Gate.Decided++ }, "gate.decided", "recorded it at"},
		{"another recipe", func(p *Passport) { p.Stages[1].Recipe.Digest = digest("other") }, "stages[1].recipe.digest", "the run was started with"},
		{"the start of another run", func(p *Passport) { p.Ledger.Entries[start] = r.log.entry(EntryStart, 0) }, "ledger.entries[0]", "does not record the start"},
		{"an entry that is none of a centre's", func(p *Passport) {
			p.Ledger.Entries[approval] = r.log.entry(EntryApproval, r.log.append([]byte("P12 approved R22")))
		}, "ledger.entries[6].entry", "form 1"},
		{"an entry whose envelope is of another form", func(p *Passport) {
			p.Ledger.Entries[approval] = r.log.entry(EntryApproval, r.log.append([]byte(`{"v":2,"events":[]}`)))
		}, "ledger.entries[6].entry", "form 1"},
		{"words of an approval inside somebody's job", func(p *Passport) {
			index := r.log.add(instant(40), event{"job.submitted/1", map[string]any{"params": event{"factory.approved/1", map[string]any{"id": "R22", "person": "P12"}}}})
			p.Ledger.Entries[approval] = r.log.entry(EntryApproval, index)
		}, "approvals.given[0]", "no entry records"},
		{"a stage that failed", func(p *Passport) {
			index := r.log.add(instant(30), event{"factory.stage-ended/1", map[string]any{"id": "R22", "stage": "train", "state": "failed",
				"outputs": []map[string]any{{"tree": modelTree.Digest}, {"tree": logTree.Digest}}}})
			p.Ledger.Entries[train] = r.log.entry(StageTrain, index)
		}, "stages[2]", "no entry records that the stage train"},
		{"another model was registered", func(p *Passport) {
			p.Ledger.Entries[gate] = r.log.entry(EntryGate, r.log.add(p.Gate.Decided, event{"factory.gate-decided/1", map[string]any{"id": "R22"}},
				event{"model.registered/1", map[string]any{"run": "R22", "tree": digest("other")}}))
		}, "gate", "registers the model"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p := copyOf(t, good)
			row.change(&p)
			mustField(t, errors.Join(checkLedger(p, r.log.check())...), row.field, row.problem)
		})
	}
	// The entry of the start may be left out.
	p := copyOf(t, good)
	p.Ledger.remove(start)
	if problems := checkLedger(p, r.log.check()); len(problems) > 0 {
		t.Errorf("refused without the start: %v", problems)
	}
}

func (l *Ledger) remove(i int) { l.Entries = append(l.Entries[:i:i], l.Entries[i+1:]...) }

// TestReleaseRefused: the proof beside the bundle must record this passport
// under this signature, after all that the passport tells.
func TestReleaseRefused(t *testing.T) {
	r := newRelease(t)
	signed := func(passport, bundle unit.Digest) event {
		return event{"model.signed/1", map[string]any{"passport": passport, "bundle": bundle}}
	}
	passport, bundle := unit.DigestOf([]byte(r.read(File))), unit.DigestOf([]byte(r.read("model.sig")))
	rows := []struct {
		name  string
		index int64
		words string
	}{
		{"another passport", r.log.add(1, signed(digest("x"), bundle)), "release of this passport"},
		{"another signature", r.log.add(1, signed(passport, digest("x"))), "this signature"},
		{"no release at all", r.log.add(1, event{"party.joined/1", nil}), "release of this passport"},
		{"no entry of a centre's", r.log.append([]byte(passport + bundle)), "form 1"},
		{"before what it releases", 1, "is not after entry"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			e := r.log.entry(EntryRelease, row.index)
			if err := WriteProof(r.dir, e.Index, e.Entry, e.Receipt); err != nil {
				t.Fatal(err)
			}
			r.mustRefuse(CheckRelease, ProofFile, row.words)
		})
	}
}

func TestProofsRefused(t *testing.T) {
	r := newRelease(t)
	good := r.read(ProofFile)
	proof, err := ParseProof([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	entry := base64.StdEncoding.EncodeToString(proof.Entry.Entry)
	rows := []struct{ name, given, problem string }{
		{"nothing", "", "too early"},
		{"another form", strings.Replace(good, ProofFormat, "gaon.passport-proof/2", 1), "not known"},
		{"of something else", strings.Replace(good, `"release"`, `"gate"`, 1), "not known"},
		{"unknown field", strings.Replace(good, `"index"`, `"x": 1, "index"`, 1), "unknown field"},
		{"field twice", strings.Replace(good, `"index"`, `"index": 1, "index"`, 1), "twice"},
		{"field missing", strings.Replace(good, `"receipt"`, `"receipts"`, 1), "unknown field"},
		{"more space", good + "\n", "one written form"},
		{"an escape for a letter", strings.Replace(good, "tlog-proof", `\u0074log-proof`, 1), "one written form"},
		{"base64 with stray bits", strings.Replace(good, entry, strings.TrimRight(entry, "=")+"!", 1), "base64"},
		{"too long", strings.Repeat(" ", proofBytesMax+1), "at most"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if row.given == good {
				t.Fatal("the row changes nothing")
			}
			_, err := ParseProof([]byte(row.given))
			if err == nil {
				t.Fatal("accepted")
			}
			mustName(t, err.Error(), row.problem)
		})
	}
}

func TestTreesRefused(t *testing.T) {
	d := digest("x")
	list := func(files ...TreeFile) string {
		data, _ := json.Marshal(Tree{TreeFormat, files})
		return string(data)
	}
	rows := []struct{ name, given, problem string }{
		{"nothing", "", "too early"},
		{"another form", strings.Replace(list(TreeFile{"a", d, 1}), TreeFormat, "gaon.tree/2", 1), "not known"},
		{"a file twice", list(TreeFile{"a", d, 1}, TreeFile{"a", d, 1}), "given twice"},
		{"out of order", list(TreeFile{"b", d, 1}, TreeFile{"a", d, 1}), "out of order"},
		{"no digest", list(TreeFile{"a", "", 1}), "want sha256"},
		{"unknown field", strings.Replace(list(TreeFile{"a", d, 1}), `"files"`, `"mode":1,"files"`, 1), "unknown field"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			_, err := ParseTree([]byte(row.given))
			if err == nil {
				t.Fatal("accepted")
			}
			mustName(t, err.Error(), row.problem)
		})
	}
	if tree, err := ParseTree([]byte(list(TreeFile{"a", d, 1}, TreeFile{"b", d, 1}))); err != nil || len(tree.Files) != 2 {
		t.Errorf("a good listing: %v", err)
	}
}
