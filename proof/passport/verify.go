package passport

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof/modelsign"
)

// Keys is what a verifier trusts.
type Keys struct {
	Model  crypto.PublicKey // signs models: an *ecdsa.PublicKey
	Ledger LedgerFunc       // checks receipts: LedgerKey of the ledger's public key

	// NeedRelease makes a missing ProofFile a failure. Without it the check
	// is shown as skipped, since the ledger's proof comes after the signature.
	NeedRelease bool

	// Revoked says whether the model with this digest was withdrawn, and why.
	// nil skips the check: a verifier without the list cannot know.
	Revoked func(model unit.Digest) (reason string, revoked bool)
}

// Names of the checks, in their order.
const (
	CheckSignature    = "signature"
	CheckFiles        = "files"
	CheckForm         = "form"
	CheckManifest     = "manifest"
	CheckData         = "data"
	CheckChain        = "chain"
	CheckTraining     = "training"
	CheckLabels       = "labels"
	CheckIndependence = "independence"
	CheckEvaluation   = "evaluation"
	CheckViews        = "views"
	CheckApprovals    = "approvals"
	CheckLedger       = "ledger"
	CheckRelease      = "release"
	CheckRevocation   = "revocation"
)

// State is how a check came out.
type State string

// The states.
const (
	Passed  State = "passed"
	Failed  State = "failed"
	Skipped State = "skipped"
)

// Outcome is one check, for display.
type Outcome struct {
	Check    string   `json:"check"`
	State    State    `json:"state"`
	Sentence Words    `json:"sentence"` // what was found
	Problems []string `json:"problems"` // each names the file or field at fault
}

// Verified is what a verification found. Only after it passed is the Passport
// to be believed.
type Verified struct {
	Outcomes []Outcome          `json:"outcomes"`
	Passport Passport           `json:"passport"`
	Manifest modelsign.Manifest `json:"manifest"` // files as signed
	Bundle   unit.Digest        `json:"bundle"`   // digest of the signature bundle

	unsignedFolder bool // there is no signature at all
}

// ErrUnsigned says that the folder has no signature, as a folder has that
// nobody signed yet. It is told apart from a signature that does not hold.
var ErrUnsigned = errors.New(modelsign.SignatureFile + " is missing: the model is not signed")

// OK tells whether every check that was made passed, and at least the
// signature was.
func (v Verified) OK() bool {
	for _, o := range v.Outcomes {
		if o.State == Failed {
			return false
		}
	}
	return len(v.Outcomes) > 0 && v.Outcomes[0].State == Passed
}

// Outcome returns the named check; an unknown name is skipped.
func (v Verified) Outcome(check string) Outcome {
	i := slices.IndexFunc(v.Outcomes, func(o Outcome) bool { return o.Check == check })
	if i < 0 {
		return Outcome{Check: check, State: Skipped}
	}
	return v.Outcomes[i]
}

// Verify checks the model's folder: the signature, every file, every claim of
// the passport against the others and the files, and the ledger's proofs. It
// goes as far as it can and returns every check for display; the error joins
// what failed, and is nil exactly if all is well.
func Verify(dir string, keys Keys) (Verified, error) {
	r := run{}
	bundle, err := readFile(filepath.Join(dir, modelsign.SignatureFile), signatureBytesMax)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrUnsigned
	} else if err == nil {
		r.Bundle = unit.DigestOf(bundle)
		if r.Manifest, err = modelsign.VerifyBundle(bundle, keys.Model); err != nil {
			err = fmt.Errorf("%s: %w", modelsign.SignatureFile, err)
		}
	}
	r.unsignedFolder = errors.Is(err, ErrUnsigned)
	if !r.note(CheckSignature, err) {
		r.skipRest()
		return r.Verified, r.err()
	}
	r.note(CheckFiles, errors.Join(r.Manifest.Compare(dir), hidden(r.Manifest)))
	if err := r.read(dir); err != nil {
		r.note(CheckForm, err)
		r.skipRest()
		return r.Verified, r.err()
	}
	p := r.Passport
	for _, section := range sections {
		r.note(section.id, section.check(p)...)
		if section.id == CheckForm {
			r.note(CheckManifest, checkManifest(p, r.Manifest)...)
		}
	}
	if sameViews(p) {
		r.note(CheckViews)
	} else {
		r.skip(CheckViews)
	}
	r.note(CheckLedger, checkLedger(p, keys.Ledger)...)
	digest, _ := r.Manifest.Digest(File)
	problems := checkRelease(dir, p, digest, r.Bundle, keys.Ledger)
	if len(problems) == 1 && errors.Is(problems[0], errNoProof) && !keys.NeedRelease {
		r.skip(CheckRelease)
	} else {
		r.note(CheckRelease, problems...)
	}
	if keys.Revoked == nil {
		r.skip(CheckRevocation)
	} else if reason, revoked := keys.Revoked(p.Model.Digest); revoked {
		r.note(CheckRevocation, fmt.Errorf("withdrawn: %s", reason))
	} else {
		r.note(CheckRevocation)
	}
	return r.Verified, r.err()
}

// sameViews tells whether the views are what this program makes of the
// passport. Another version may word them otherwise, so that a difference is
// no proof of fraud; it only means that they were not checked against it.
func sameViews(p Passport) bool {
	for _, maker := range viewMakers(p) {
		data, err := maker.make(p)
		if err != nil || !slices.ContainsFunc(p.Views, func(v View) bool {
			return v.Kind == maker.kind && v.Digest == unit.DigestOf(data)
		}) {
			return false
		}
	}
	return true
}

// signatureBytesMax bounds the bundle that is read.
const signatureBytesMax = 64 << 20

// run is a verification under way.
type run struct {
	Verified
	failures []error
}

// note records how a check came out and tells whether it passed.
func (r *run) note(check string, problems ...error) bool {
	o := Outcome{Check: check, State: Passed, Problems: []string{}}
	for _, problem := range problems {
		if problem == nil {
			continue
		}
		o.State = Failed
		r.failures = append(r.failures, fmt.Errorf("%s: %w", check, problem))
		o.Problems = append(o.Problems, flatten(problem)...)
	}
	o.Sentence = sentence(check, o.State)
	r.Outcomes = append(r.Outcomes, o)
	return o.State == Passed
}

func (r *run) skip(check string) {
	r.Outcomes = append(r.Outcomes, Outcome{Check: check, State: Skipped, Sentence: sentence(check, Skipped), Problems: []string{}})
}

// skipRest notes the checks that could not be made, so that none is missing
// from the display.
func (r *run) skipRest() {
	for _, check := range checkOrder {
		if !slices.ContainsFunc(r.Outcomes, func(o Outcome) bool { return o.Check == check }) {
			r.skip(check)
		}
	}
}

func (r *run) err() error { return errors.Join(r.failures...) }

// flatten splits joined errors, so that each problem is a line of its own.
func flatten(err error) []string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var lines []string
		for _, e := range joined.Unwrap() {
			lines = append(lines, flatten(e)...)
		}
		return lines
	}
	return []string{err.Error()}
}

// read takes the passport from the folder, if it is the one that was signed.
func (r *run) read(dir string) error {
	want, signed := r.Manifest.Digest(File)
	if !signed {
		return fmt.Errorf("%s is not among the signed files", File)
	}
	data, err := readFile(filepath.Join(dir, File), passportBytesMax)
	if err != nil {
		return err
	}
	if got := unit.DigestOf(data); got != want {
		return &modelsign.ChangedError{Name: File, Want: want, Got: got}
	}
	if r.Passport, err = Parse(data); err != nil {
		return fmt.Errorf("%s: %w", File, err)
	}
	return nil
}

// Ignored returns the paths a passport's signature leaves out: itself and what
// can only be written after it.
func Ignored() []string { return []string{modelsign.SignatureFile, ProofFile} }

// hidden refuses a signature that leaves out more than it must: what is left
// out could be changed at will.
func hidden(m modelsign.Manifest) error {
	allowed := append(modelsign.Excluded(), Ignored()...)
	for _, p := range m.Ignored {
		if !slices.Contains(allowed, p) {
			return fmt.Errorf("the signature leaves out %q, which a passport must cover", p)
		}
	}
	return nil
}

// checkManifest holds the passport's list of files against the signed one:
// each file is in both with the same digest, and none is in only one.
func checkManifest(p Passport, m modelsign.Manifest) []error {
	var f finder
	known := map[string]bool{File: true}
	match := func(field, path string, want unit.Digest) {
		known[path] = true
		got, signed := m.Digest(path)
		f.need(signed, field, "%s is not among the signed files", path)
		f.need(!signed || got == want, field, "%s has the digest %s, the signed file has %s", path, want, got)
	}
	for i, file := range p.Files {
		match(fmt.Sprintf("files[%d]", i), file.Path, file.Digest)
	}
	for i, view := range p.Views {
		match(fmt.Sprintf("views[%d]", i), view.Path, view.Digest)
	}
	for _, r := range m.Resources {
		f.need(known[r.Name], "files", "the signed file %s is not listed", r.Name)
	}
	return f.found
}
