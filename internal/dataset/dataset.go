// Package dataset is the data a centre may make models of: whose it is, under
// which licence and consent, and where it may be processed.
//
// The bytes are in the artifact store; this is what is promised about them.
//
// Begin with Book.Register.
package dataset

import (
	"fmt"

	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/table"
	"github.com/gaon-ai/gaon/internal/unit"
)

// ID names a dataset: D14.
type ID string

// Dataset is one version of one source; a new version is a new dataset.
type Dataset struct {
	Name     string       `json:"name"`
	Org      party.OrgID  `json:"org"`      // its owner
	Licence  string       `json:"licence"`  // SPDX identifier or LicenseRef-…
	Consent  string       `json:"consent"`  // on what ground it may be used
	Purpose  string       `json:"purpose"`  // training or evaluation
	Tree     unit.Digest  `json:"tree"`     // files in the artifact store
	Files    int64        `json:"files"`    // how many
	Size     unit.Bytes   `json:"size"`     // of all files together
	Label    policy.Label `json:"label"`    // class and residency
	Recorded unit.Instant `json:"recorded"` // when it was registered
}

// Purposes a dataset can serve.
const (
	Training   = "training"
	Evaluation = "evaluation"
)

// Book is the state.
type Book struct {
	Datasets table.Table[ID, Dataset] `json:"datasets"`
}

// Registered records a dataset. Wire name dataset.registered/1.
type Registered struct {
	ID ID `json:"id"`
	Dataset
}

// Register asks to record a dataset.
func (b *Book) Register(id ID, d Dataset) (Registered, error) {
	if err := party.CheckName("name", d.Name); err != nil {
		return Registered{}, err
	}
	if err := party.CheckName("licence", d.Licence); err != nil {
		return Registered{}, err
	}
	if err := party.CheckName("consent", d.Consent); err != nil {
		return Registered{}, err
	}
	for _, count := range []struct {
		name  string
		value int64
	}{{"files", d.Files}, {"size", int64(d.Size)}} {
		if count.value < 0 {
			return Registered{}, &party.FieldError{Field: count.name, Problem: "must not be negative"}
		}
	}
	if d.Purpose != Training && d.Purpose != Evaluation {
		return Registered{}, &party.FieldError{Field: "purpose", Problem: fmt.Sprintf("%q: want training or evaluation", d.Purpose)}
	}
	if _, err := unit.ParseDigest(string(d.Tree)); err != nil {
		return Registered{}, &party.FieldError{Field: "tree", Problem: err.Error()}
	}
	label, err := policy.MakeLabel(string(d.Label.Class), d.Label.Residency)
	if err != nil {
		return Registered{}, &party.FieldError{Field: "label", Problem: err.Error()}
	}
	d.Label = label
	return Registered{id, d}, nil
}

// ApplyRegistered records the dataset.
func (b *Book) ApplyRegistered(e Registered) { b.Datasets.Put(e.ID, e.Dataset) }

// Copy returns a book that later changes do not touch.
func (b *Book) Copy() Book { return Book{b.Datasets.Copy()} }
