package passport

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func seedFile(f *testing.F, name string) []byte {
	f.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	return data
}

// FuzzPassport: whatever is read can be judged, shown and written again as the
// same document, and no input stops the program.
func FuzzPassport(f *testing.F) {
	good := seedFile(f, "passport-1.json")
	f.Add(bytes.Replace(good, []byte(`"300"`), []byte(`"-1"`), 1))
	f.Add([]byte(`{"format":"gaon.passport/1"}`))
	f.Add([]byte(`{"format":null}`))
	ledger := newLog(f, 3).check()
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data)
		if err != nil {
			return
		}
		written, err := Encode(p)
		if err != nil {
			t.Fatalf("read but cannot be written: %v", err)
		}
		again, err := Parse(written)
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		if back, err := Encode(again); err != nil || !bytes.Equal(back, written) {
			t.Fatal("a second trip gives another document")
		}
		judged := Check(p) // must not panic, whatever it says
		checkLedger(p, ledger)
		sameViews(p)
		v := Verified{Passport: p, Outcomes: []Outcome{{Check: CheckSignature, State: Passed}}}
		Text(v, "ko")
		if _, err := HTML(v, "en"); err != nil {
			t.Fatal(err)
		}
		if judged == nil {
			for _, maker := range viewMakers(p) {
				if _, err := maker.make(p); err != nil {
					t.Fatalf("a good passport has no view %s: %v", maker.kind, err)
				}
			}
		}
	})
}

// FuzzProof: a proof that is accepted is in its one written form.
func FuzzProof(f *testing.F) {
	seedFile(f, "proof-1.json")
	f.Add([]byte(`{"format":"gaon.passport-proof/1","of":"release","index":0,"entry":"","receipt":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseProof(data)
		if err != nil {
			return
		}
		if back, err := EncodeProof(r.Index, r.Entry.Entry, r.Receipt); err != nil || !bytes.Equal(back, data) {
			t.Fatalf("accepted %q, written as %q", data, back)
		}
		readRecord("entry", r.Entry)
	})
}

// FuzzTree: a listing that is accepted lists no path twice.
func FuzzTree(f *testing.F) {
	f.Add([]byte(modelTree.Listing))
	f.Add([]byte(`{"format":"gaon.tree/1","files":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tree, err := ParseTree(data)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, file := range tree.Files {
			if seen[file.Path] {
				t.Fatalf("%q twice", file.Path)
			}
			seen[file.Path] = true
		}
	})
}
