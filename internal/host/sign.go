package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gaon-ai/gaon/internal/api"
	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/stage"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof/modelsign"
	"github.com/gaon-ai/gaon/proof/passport"
)

// Revocations is the list of models this centre withdrew, as it serves it.
// None can be withdrawn yet; the list is there so that a passport can name it.
const Revocations = `{"format":"gaon.revocations/1","models":[]}` + "\n"

// RevocationsPath is where the list is served.
const RevocationsPath = "/revocations"

// chained are the stages that stand in a passport.
var chained = []string{factory.StageCurate, factory.StageTokenizer, factory.StageTrain, factory.StageEvaluate}

// Chain implements controller.Signer: it writes what only the centre knows of
// the run, with the ledger's proofs, and stores it for the sign stage.
func (h *Host) Chain(ctx context.Context, state *centre.State, id factory.ID, run factory.Run) (unit.Digest, error) {
	gated, _ := state.Jobs.Get(run.Stages[factory.StageGate].Job)
	chain := stage.Chain{
		Centre: passport.Issuer{Name: state.Identity.Name, Country: state.Identity.Country, Address: h.URL(), Contact: "office of " + state.Identity.Name},
		Site:   state.Identity.Site, Origin: h.keys.ledger.Origin(), Version: h.Version, Run: id, State: run, Recipe: run.Digest, Model: run.Model,
		Now: Now(), Revoked: passport.Revocation{Address: h.URL() + RevocationsPath, Digest: unit.DigestOf([]byte(Revocations))},
	}
	var err error
	for _, kind := range chained {
		c, err := h.chainStage(ctx, state, kind, run.Stages[kind])
		if err != nil {
			return "", err
		}
		chain.Stages = append(chain.Stages, c)
	}
	chain.Sources = sources(state, run.Training)
	chain.Questions = sources(state, run.Evaluation)
	if chain.Entries, chain.Decided, err = h.entries(ctx, id, run); err != nil {
		return "", err
	}
	if gated.Ended > chain.Decided {
		return "", fmt.Errorf("the gate of run %s was decided before its job ended", id)
	}
	return h.storeChain(ctx, chain)
}

func sources(state *centre.State, ids []dataset.ID) []stage.ChainSource {
	all := []stage.ChainSource{}
	for _, id := range ids {
		d, _ := state.Datasets.Datasets.Get(id)
		owner, _ := state.Party.Orgs.Get(d.Org)
		all = append(all, stage.ChainSource{ID: id, Dataset: d, Owner: owner.Name, Country: owner.Country})
	}
	return all
}

func (h *Host) chainStage(ctx context.Context, state *centre.State, kind string, s factory.Stage) (stage.ChainStage, error) {
	j, ok := state.Jobs.Get(s.Job)
	if !ok {
		return stage.ChainStage{}, fmt.Errorf("the record of job %s has left the hot state", s.Job)
	}
	node, _ := state.Fleet.Nodes.Get(j.Placement.Node)
	c := stage.ChainStage{Kind: kind, Job: s.Job, Record: j, Country: node.Country}
	for _, device := range node.Devices {
		for _, held := range j.Placement.Devices {
			if held == device.ID {
				c.Devices = append(c.Devices, fleet.Device(device))
			}
		}
	}
	var err error
	for _, in := range j.Inputs {
		if c.Inputs, err = h.addTree(ctx, c.Inputs, in.Name, in.Tree); err != nil {
			return c, err
		}
	}
	for _, out := range s.Outputs {
		if c.Outputs, err = h.addTree(ctx, c.Outputs, out.Name, out.Tree); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (h *Host) addTree(ctx context.Context, to []stage.ChainTree, name string, digest unit.Digest) ([]stage.ChainTree, error) {
	tree, err := artifact.ReadTree(ctx, h.Store, digest)
	if err != nil {
		return to, err
	}
	listing, err := tree.Listing()
	return append(to, stage.ChainTree{Name: name, Tree: digest, Listing: string(listing)}), err
}

// entries proves the entries a passport leans on, in the order of the ledger,
// all under one head, and returns when the gate was decided.
func (h *Host) entries(ctx context.Context, id factory.ID, run factory.Run) ([]passport.Entry, unit.Instant, error) {
	started, err := sequenceOf(id)
	if err != nil {
		return nil, 0, err
	}
	wanted := []struct {
		of  string
		seq int64
	}{{passport.EntryStart, started}}
	for _, kind := range chained {
		wanted = append(wanted, struct {
			of  string
			seq int64
		}{kind, run.Stages[kind].Entry})
	}
	wanted = append(wanted, struct {
		of  string
		seq int64
	}{passport.EntryGate, run.Stages[factory.StageGate].Entry})
	for _, a := range run.Approvals {
		wanted = append(wanted, struct {
			of  string
			seq int64
		}{passport.EntryApproval, a.Entry})
	}
	var entries []passport.Entry
	var decided unit.Instant
	for _, w := range wanted {
		proven, err := api.Prove(ctx, h.Ledger, w.seq)
		if err != nil {
			return nil, 0, err
		}
		if w.of == passport.EntryGate {
			entry, err := centre.DecodeEntry(proven.Data)
			if err != nil {
				return nil, 0, err
			}
			decided = entry.At
		}
		entries = append(entries, passport.Entry{Of: w.of, Index: proven.Entry, Entry: proven.Data, Receipt: proven.Receipt})
	}
	return entries, decided, nil
}

// sequenceOf reads the entry number out of an id: R22 began in entry 22.
func sequenceOf[ID ~string](id ID) (int64, error) {
	var seq int64
	if _, err := fmt.Sscanf(string(id[1:]), "%d", &seq); err != nil {
		return 0, fmt.Errorf("id %q has no number: %w", id, err)
	}
	return seq, nil
}

func (h *Host) storeChain(ctx context.Context, chain stage.Chain) (unit.Digest, error) {
	dir, err := os.MkdirTemp(h.Dir, "chain-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	data, err := json.MarshalIndent(chain, "", " ")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, stage.ChainFile), data, 0o644); err != nil {
		return "", err
	}
	tree, _, err := artifact.PutTree(ctx, h.Store, dir)
	return tree, err
}

// Sign implements controller.Signer: it checks that the release is the model
// that passed the gate, with a passport that holds in every point, and signs
// it. The model's key never leaves this process.
func (h *Host) Sign(ctx context.Context, state *centre.State, id factory.ID, run factory.Run) (model.WasSigned, error) {
	var signed model.WasSigned
	release, ok := releaseOf(run)
	if !ok {
		return signed, &signError{fmt.Sprintf("the sign stage of run %s wrote no release", id)}
	}
	parent, err := os.MkdirTemp(h.Dir, "sign-")
	if err != nil {
		return signed, err
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "release")
	if err := artifact.Checkout(ctx, h.Store, release, dir); err != nil {
		return signed, err
	}
	trained, _ := state.Models.Models.Get(model.ID(run.Model))
	if err := h.sameModel(ctx, trained, release); err != nil {
		return signed, err
	}
	bundle, err := modelsign.Sign(dir, h.keys.model, modelsign.Config{Name: run.Recipe.Name, Ignore: passport.Ignored()})
	if err != nil {
		return signed, err
	}
	if err := os.WriteFile(filepath.Join(dir, modelsign.SignatureFile), bundle, 0o644); err != nil {
		return signed, err
	}
	verified, err := passport.Verify(dir, passport.Keys{Model: &h.keys.model.PublicKey, Ledger: passport.LedgerKey(h.keys.ledger.Verifier())})
	if err != nil {
		return signed, &signError{"the passport does not hold: " + err.Error()}
	}
	if err := ofRun(verified.Passport, state, id, run); err != nil {
		return signed, &signError{"the passport does not hold: " + err.Error()}
	}
	tree, _, err := artifact.PutTree(ctx, h.Store, dir)
	if err != nil {
		return signed, err
	}
	signer, err := modelsign.Hint(&h.keys.model.PublicKey)
	if err != nil {
		return signed, err
	}
	digest, ok := verified.Manifest.Digest(passport.File)
	if !ok {
		return signed, &signError{"the passport is not among the signed files"}
	}
	return model.WasSigned{ID: model.ID(run.Model), Release: tree, Bundle: unit.DigestOf(bundle), Passport: digest, Signer: unit.Digest("sha256:" + signer)}, nil
}

// ofRun holds what a passport says of itself against the run: the passport's
// own checks prove what the ledger records of the stages, and only the centre
// knows under which name and label, and of which run, a model is released.
func ofRun(p passport.Passport, state *centre.State, id factory.ID, run factory.Run) error {
	var problems []error
	same := func(field, found, want string) {
		if found != want {
			problems = append(problems, fmt.Errorf("%s: %q, the centre has %q", field, found, want))
		}
	}
	same("model.name", p.Model.Name, run.Recipe.Name)
	same("model.version", p.Model.Version, string(id))
	same("model.class", p.Model.Class, string(run.Label.Class))
	same("model.residency", strings.Join(p.Model.Residency, " "), strings.Join(run.Label.Residency, " "))
	same("issuer.name", p.Issuer.Name, state.Identity.Name)
	same("issuer.country", p.Issuer.Country, state.Identity.Country)
	for i, source := range sources(state, run.Training) {
		if i >= len(p.Data.Sources) {
			problems = append(problems, fmt.Errorf("data.sources: dataset %s is missing", source.ID))
			continue
		}
		field, said := fmt.Sprintf("data.sources[%d].", i), p.Data.Sources[i]
		same(field+"digest", string(said.Digest), string(source.Tree))
		same(field+"licence", said.Licence, source.Licence)
		same(field+"consent", said.Consent, source.Consent)
		same(field+"owner", said.Owner, source.Owner)
	}
	return errors.Join(problems...)
}

func releaseOf(run factory.Run) (unit.Digest, bool) {
	for _, out := range run.Stages[factory.StageSign].Outputs {
		if out.Name == "release" {
			return out.Tree, true
		}
	}
	return "", false
}

// sameModel refuses a release that is not made of the files of the model that
// was evaluated: each of them must be in it unchanged.
func (h *Host) sameModel(ctx context.Context, trained model.Model, release unit.Digest) error {
	want, err := artifact.ReadTree(ctx, h.Store, trained.Tree)
	if err != nil {
		return err
	}
	got, err := artifact.ReadTree(ctx, h.Store, release)
	if err != nil {
		return err
	}
	var problems []error
	for _, file := range want.Files {
		if found, ok := got.Find(file.Path); !ok || found.Digest != file.Digest {
			problems = append(problems, fmt.Errorf("%s is not the one that was evaluated", file.Path))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return &signError{"the release is another model: " + err.Error()}
	}
	return nil
}

// signError refuses to sign what must not be signed.
type signError struct{ problem string }

// Code names the refusal for programs.
func (e *signError) Code() string { return "model.unsignable" }

func (e *signError) Error() string { return e.problem }
