package portal

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gaon-ai/gaon/internal/api"
	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof"
	"github.com/gaon-ai/gaon/proof/modelsign"
	"github.com/gaon-ai/gaon/proof/passport"
)

// Limits of a verification.
const (
	verifyTimeout = 30 * time.Minute
	verifyRetry   = unit.Minute            // after a fault, not after a refusal
	verifyAwhile  = 400 * time.Millisecond // a page waits so long for a short one
)

// verification is one release being checked, or its result.
type verification struct {
	done chan struct{}

	// Set before done closes.
	found passport.Verified
	fault error // it could not be made; what failed a check is in found
	ended unit.Instant
}

// result returns what was found, false while the check goes on.
func (v *verification) result() (*verification, bool) {
	if v == nil {
		return nil, false
	}
	select {
	case <-v.done:
		return v, true
	default:
		return nil, false
	}
}

// moment stamps a panel by how far the verification is.
func (v *verification) moment() int64 {
	done, ok := v.result()
	switch {
	case v == nil:
		return 0
	case !ok:
		return 1
	}
	return 2 + int64(done.ended)
}

// verification begins to check the model's release, once for each release, and
// waits a little for the result; nil if nothing is signed yet. A folder is
// checked, not the store, so that what a reader sees is what anybody would
// find who downloads the model.
func (p *Portal) verification(state *centre.State, id string) *verification {
	m, ok := state.Models.Models.Get(model.ID(id))
	if !ok || m.State != model.Signed {
		return nil
	}
	begin := func(*verification) *verification {
		v := &verification{done: make(chan struct{})}
		go p.verify(v, state, m)
		return v
	}
	v := p.passports.get(m.Release, stamp{}, begin)
	if done, ok := v.result(); ok && done.fault != nil && p.Now() > done.ended.Add(verifyRetry) {
		p.passports.drop(m.Release)
		v = p.passports.get(m.Release, stamp{}, begin)
	}
	select {
	case <-v.done:
	case <-time.After(verifyAwhile):
	}
	return v
}

// verify checks one release. One at a time: each reads every byte of a model.
func (p *Portal) verify(v *verification, state *centre.State, m model.Model) {
	p.verifying <- struct{}{}
	defer func() { <-p.verifying }()
	ctx, stop := context.WithTimeout(context.Background(), verifyTimeout)
	defer stop()
	v.fault = p.check(ctx, v, state, m)
	v.ended = p.Now()
	if v.fault != nil {
		p.Log.Error("passport not verified", "model", m.Name, "release", m.Release, "err", v.fault)
	}
	close(v.done)
}

func (p *Portal) check(ctx context.Context, v *verification, state *centre.State, m model.Model) error {
	parent, err := os.MkdirTemp(p.Temp, "gaon-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(parent) // what is left of it, a later cleaning takes
	dir := filepath.Join(parent, "release")
	if err := artifact.Checkout(ctx, p.Store, m.Release, dir); err != nil {
		return err
	}
	signer, err := modelsign.ParsePublicKey([]byte(state.Identity.ModelKey))
	if err != nil {
		return fmt.Errorf("the centre's model key: %w", err)
	}
	witness, err := proof.ParseVerifierKey(state.Identity.LedgerKey)
	if err != nil {
		return fmt.Errorf("the centre's ledger key: %w", err)
	}
	// The ledger's proof of the release can only be made after it was signed,
	// so it is not in the tree: it is put beside as for a download.
	proven, err := api.Prove(ctx, p.Ledger, m.Entry)
	if err != nil {
		return err
	}
	if err := passport.WriteProof(dir, proven.Entry, proven.Data, proven.Receipt); err != nil {
		return err
	}
	// The error repeats what the outcomes say.
	v.found, _ = passport.Verify(dir, passport.Keys{Model: signer, Ledger: passport.LedgerKey(witness), NeedRelease: true})
	return nil
}

// passportView is a model's passport in short.
type passportView struct {
	Model    model.ID
	Signed   bool
	Waiting  bool // the check goes on
	Fault    bool
	OK       bool
	Outcomes []outcome
	Passed   int
	Skipped  int
	Passport passport.Passport
	Files    []string // documents to download
}

// outcome is one check.
type outcome struct {
	Name     string // key in texts
	State    passport.State
	Sentence passport.Words
	Problems []string
}

func (p *Portal) passportOf(state *centre.State, run factory.Run, v *verification) passportView {
	m, _ := state.Models.Models.Get(model.ID(run.Model))
	view := passportView{Model: model.ID(run.Model), Signed: m.State == model.Signed}
	if !view.Signed {
		return view
	}
	done, ok := v.result()
	if !ok {
		view.Waiting = true
		return view
	}
	view.Fault, view.OK, view.Passport = done.fault != nil, done.fault == nil && done.found.OK(), done.found.Passport
	for _, o := range done.found.Outcomes {
		view.Outcomes = append(view.Outcomes, outcome{"check." + o.Check, o.State, o.Sentence, o.Problems})
		switch o.State {
		case passport.Passed:
			view.Passed++
		case passport.Skipped:
			view.Skipped++
		}
	}
	view.Files = []string{passport.File, modelsign.SignatureFile, passport.ProofFile}
	for _, file := range view.Passport.Views {
		view.Files = append(view.Files, file.Path)
	}
	return view
}

// signedModel finds a signed model that the visitor may read.
func (v *visit) signedModel(id string) (model.Model, bool) {
	m, ok := v.State.Models.Models.Get(model.ID(id))
	return m, ok && m.State == model.Signed && v.may("Model", id, m.Org)
}

// policyOfPassport is for the passport's own page, which has its style in it.
const policyOfPassport = "sandbox allow-popups; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

// showPassport sends the passport's page. A check that takes long is waited
// for: the page is nothing without it.
func (p *Portal) showPassport(w http.ResponseWriter, r *http.Request, v *visit) {
	id := r.PathValue("model")
	if _, ok := v.signedModel(id); !ok {
		p.missing(w, v)
		return
	}
	check := p.verification(v.State, id)
	select {
	case <-check.done:
	case <-r.Context().Done():
		return
	}
	if check.fault != nil {
		p.refuse(w, v, http.StatusInternalServerError, "passport.fault")
		return
	}
	page, err := passport.HTML(check.found, v.Lang)
	if err != nil {
		p.fault(w, err)
		return
	}
	w.Header().Set("Content-Security-Policy", policyOfPassport)
	w.Header().Set("X-Frame-Options", "SAMEORIGIN")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page) // who asked may be gone
}

// sendFile sends one of the passport's documents: never weights, which are
// downloaded with gaon model download.
func (p *Portal) sendFile(w http.ResponseWriter, r *http.Request, v *visit) {
	name := r.PathValue("file")
	m, ok := v.signedModel(r.PathValue("model"))
	if !ok || name != passport.File && name != modelsign.SignatureFile && name != passport.ProofFile && !strings.HasPrefix(name, passport.ViewFolder+"/") {
		p.missing(w, v)
		return
	}
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", m.Name+"-"+filepath.Base(name)))
	if name != passport.ProofFile {
		p.sendFrom(w, r, v, m.Release, name, "application/octet-stream")
		return
	}
	data, err := p.proofOf(r.Context(), m)
	if err != nil {
		p.fault(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

func (p *Portal) proofOf(ctx context.Context, m model.Model) ([]byte, error) {
	proven, err := api.Prove(ctx, p.Ledger, m.Entry)
	if err != nil {
		return nil, err
	}
	return passport.EncodeProof(proven.Entry, proven.Data, proven.Receipt)
}
