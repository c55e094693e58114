package passport

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof"
	"github.com/gaon-ai/gaon/proof/modelsign"
)

// TestEveryByte changes each byte of each signed file of the folder by one
// random bit: the comparison with the signed digest must name the file. That
// the whole of Verify then fails is tried at some bytes of each file.
func TestEveryByte(t *testing.T) {
	r := newRelease(t)
	v := r.mustVerify()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	if len(v.Manifest.Resources) != len(modelFiles)+len(viewKinds)+1 {
		t.Fatalf("%d files are signed", len(v.Manifest.Resources))
	}
	for _, signed := range v.Manifest.Resources {
		content := []byte(r.read(signed.Name))
		alone := &release{TB: t, dir: t.TempDir()}
		only := modelsign.Manifest{Name: v.Manifest.Name, Resources: []modelsign.Resource{signed}}
		alone.write(signed.Name, string(content))
		file, err := os.OpenFile(filepath.Join(alone.dir, filepath.FromSlash(signed.Name)), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for at := range content {
			alone.poke(file, at, content[at]^1<<chance.IntN(8))
			var changed *modelsign.ChangedError
			if err := only.Compare(alone.dir); !errors.As(err, &changed) || changed.Name != signed.Name {
				t.Fatalf("%s, byte %d: got %v, want a ChangedError that names it", signed.Name, at, err)
			}
			alone.poke(file, at, content[at])
		}
		file.Close()
		for range 5 {
			at := chance.IntN(len(content))
			content[at] ^= 1
			r.write(signed.Name, string(content))
			r.mustRefuse(CheckFiles, signed.Name, "changed")
			content[at] ^= 1
		}
		r.write(signed.Name, string(content))
	}
	r.mustVerify()
}

// poke writes one byte in place.
func (r *release) poke(file *os.File, at int, b byte) {
	if _, err := file.WriteAt([]byte{b}, int64(at)); err != nil {
		r.Fatal(err)
	}
}

// TestEveryBundleByte changes each byte of the signature: it is named, and
// nothing of the passport is shown.
func TestEveryBundleByte(t *testing.T) {
	r := newRelease(t)
	bundle := []byte(r.read(modelsign.SignatureFile))
	for at := range bundle {
		bundle[at] ^= 1 << (at % 8)
		r.write(modelsign.SignatureFile, string(bundle))
		if v := r.mustRefuse(CheckSignature, modelsign.SignatureFile); v.Passport.Format != "" {
			t.Fatalf("byte %d: a passport is shown although nobody signed it", at)
		}
		bundle[at] ^= 1 << (at % 8)
	}
}

// TestEveryProofByte changes each byte of the ledger's proof of the release.
func TestEveryProofByte(t *testing.T) {
	r := newRelease(t)
	v := r.mustVerify()
	passport, _ := v.Manifest.Digest(File)
	good := []byte(r.read(ProofFile))
	for at := range good {
		bad := bytes.Clone(good)
		bad[at] ^= 1 << (at % 8)
		r.write(ProofFile, string(bad))
		problems := checkRelease(r.dir, v.Passport, passport, v.Bundle, r.keys.Ledger)
		if len(problems) == 0 {
			t.Fatalf("byte %d changed from %q to %q and the proof still holds", at, good[at], bad[at])
		}
		mustName(t, errors.Join(problems...).Error(), ProofFile)
	}
	for _, cut := range []int{0, 1, len(good) / 2, len(good) - 1} {
		r.write(ProofFile, string(good[:cut]))
		r.mustRefuse(CheckRelease, ProofFile)
	}
	r.write(ProofFile, string(good))
	r.mustVerify()
}

func TestFolders(t *testing.T) {
	rows := []struct {
		name   string
		change func(*release)
		check  string
		words  []string
	}{
		{"a file of the model is missing", func(r *release) { r.remove("tokenizer.json") }, CheckFiles, []string{"tokenizer.json", "missing"}},
		{"a view is missing", func(r *release) { r.remove("passport/bom.spdx.json") }, CheckFiles, []string{"passport/bom.spdx.json"}},
		{"the passport is missing", func(r *release) { r.remove(File) }, CheckFiles, []string{File}},
		{"a file was added", func(r *release) { r.write("extra.bin", "x") }, CheckFiles, []string{"extra.bin"}},
		{"a file was added among the views", func(r *release) { r.write("passport/more.md", "x") }, CheckFiles, []string{"passport/more.md"}},
		{"weights were swapped with others", func(r *release) { r.write("model.safetensors", "others") }, CheckFiles, []string{"model.safetensors"}},
		{"the signature is missing", func(r *release) { r.remove(modelsign.SignatureFile) }, CheckSignature, []string{"not signed"}},
		{"the signature is empty", func(r *release) { r.write(modelsign.SignatureFile, "") }, CheckSignature, []string{modelsign.SignatureFile}},
		{"somebody else signed it", func(r *release) { r.keys.Model = otherKey(r).Public() }, CheckSignature, []string{modelsign.SignatureFile}},
		{"the proof is missing", func(r *release) { r.remove(ProofFile) }, CheckRelease, []string{ProofFile, "missing"}},
		{"another ledger", func(r *release) { r.keys.Ledger = newLog(r, 9).check() }, CheckLedger, []string{"ledger.entries[0].receipt"}},
		{"another ledger's release", func(r *release) { r.keys.Ledger = newLog(r, 9).check() }, CheckRelease, []string{ProofFile}},
		{"no key of the ledger", func(r *release) { r.keys.Ledger = nil }, CheckLedger, []string{"no key of the ledger"}},
		{"no key of the ledger for the release", func(r *release) { r.keys.Ledger = nil }, CheckRelease, []string{"no key of the ledger"}},
		{"an empty key of the ledger", func(r *release) { r.keys.Ledger = LedgerKey(proof.VerifierKey{}) }, CheckLedger, []string{"no key of the ledger"}},
		{"withdrawn", func(r *release) {
			r.keys.Revoked = func(unit.Digest) (string, bool) { return "data withdrawn", true }
		}, CheckRevocation, []string{"data withdrawn"}},
		{"the proof of another release", func(r *release) {
			r.write("설명.md", "다른 설명\n")
			r.resign()
		}, CheckRelease, []string{ProofFile, "this signature"}},
		{"signed again without its views", func(r *release) {
			r.remove("passport/notice-ko.md")
			r.resign()
		}, CheckManifest, []string{"passport/notice-ko.md", "not among the signed files"}},
		{"signed again with a file the passport does not tell of", func(r *release) {
			r.write("adapter.safetensors", "more weights")
			r.resign()
		}, CheckManifest, []string{"adapter.safetensors", "not listed"}},
		{"signed again with other weights", func(r *release) {
			r.write("model.safetensors", "others")
			r.resign()
		}, CheckManifest, []string{"files[", "model.safetensors"}},
		{"a signature that leaves weights out", func(r *release) { r.resign("model.safetensors") }, CheckFiles, []string{"model.safetensors", "leaves out"}},
		{"signed without a passport", func(r *release) {
			r.remove(File)
			r.resign()
		}, CheckForm, []string{File, "not among the signed files"}},
		{"signed with a passport of unknown form", func(r *release) {
			r.write(File, string(bytes.Replace([]byte(r.read(File)), []byte(Format), []byte("gaon.passport/9"), 1)))
			r.resign()
		}, CheckForm, []string{File, "format", "gaon.passport/9"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := newRelease(t)
			r.mustVerify()
			row.change(r)
			r.mustRefuse(row.check, row.words...)
		})
	}
}

func (r *release) remove(name string) {
	r.Helper()
	if err := os.Remove(filepath.Join(r.dir, filepath.FromSlash(name))); err != nil {
		r.Fatal(err)
	}
}

// resign signs the folder again, with the right key, and leaves the rest.
func (r *release) resign(ignore ...string) {
	r.Helper()
	bundle, err := modelsign.Sign(r.dir, testKey(r), modelsign.Config{Name: "gaon-mini", Ignore: append(Ignored(), ignore...)})
	if err != nil {
		r.Fatal(err)
	}
	r.write(modelsign.SignatureFile, string(bundle))
}

// TestBeforeTheProof: between signing and the ledger's proof the model is
// good, and the release is shown as not proved yet.
func TestBeforeTheProof(t *testing.T) {
	r := newRelease(t)
	r.remove(ProofFile)
	r.keys.NeedRelease = false
	v := r.mustVerify()
	if o := v.Outcome(CheckRelease); o.State != Skipped {
		t.Errorf("release: %s, want it skipped", o.State)
	}
}

// TestNothingIsLeftOut: however badly a verification ends, every check is in
// the list once.
func TestNothingIsLeftOut(t *testing.T) {
	r := newRelease(t)
	for _, spoil := range []func(){
		func() { r.write("config.json", "{}") },
		func() { r.write(File, "{}") },
		func() { r.remove(modelsign.SignatureFile) },
		func() { r.dir = filepath.Join(r.dir, "nowhere") },
	} {
		spoil()
		v, err := Verify(r.dir, r.keys)
		if err == nil || v.OK() {
			t.Fatal("accepted")
		}
		var seen []string
		for _, o := range v.Outcomes {
			seen = append(seen, o.Check)
		}
		slices.Sort(seen)
		want := slices.Sorted(slices.Values(checkOrder))
		if !slices.Equal(seen, want) {
			t.Fatalf("have %v, want %v", seen, want)
		}
	}
	if v := (Verified{}); v.OK() {
		t.Fatal("nothing was verified and all is well")
	}
}
