package dataset

import (
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/unit"
)

func TestRegister(t *testing.T) {
	for _, row := range []struct {
		name, field string
		given       func(d *Dataset)
	}{
		{"as it should be", "", func(*Dataset) {}},
		{"for evaluation", "", func(d *Dataset) { d.Purpose = Evaluation }},
		{"no name", "name", func(d *Dataset) { d.Name = "" }},
		{"no licence", "licence", func(d *Dataset) { d.Licence = "" }},
		{"no consent", "consent", func(d *Dataset) { d.Consent = "" }},
		{"consent without end", "consent", func(d *Dataset) { d.Consent = strings.Repeat("a", 3000) }},
		{"no purpose", "purpose", func(d *Dataset) { d.Purpose = "" }},
		{"a purpose nobody knows", "purpose", func(d *Dataset) { d.Purpose = "resale" }},
		{"no files", "tree", func(d *Dataset) { d.Tree = "" }},
		{"a negative count", "files", func(d *Dataset) { d.Files = -1 }},
		{"a negative size", "size", func(d *Dataset) { d.Size = -1 }},
		{"no class", "label", func(d *Dataset) { d.Label.Class = "" }},
		{"a residency that is no country", "label", func(d *Dataset) { d.Label.Residency = []string{"Korea"} }},
	} {
		d := Dataset{Name: "news", Org: "O1", Licence: "CC0-1.0", Consent: "its authors'", Purpose: Training, Tree: unit.DigestOf(nil), Files: 1, Size: 10,
			Label: policy.Label{Class: policy.Internal, Residency: []string{"US", "KR", "US"}}}
		row.given(&d)
		b := new(Book)
		e, err := b.Register("D1", d)
		if row.field == "" && err != nil || row.field != "" && (err == nil || !strings.HasPrefix(err.Error(), row.field+": ")) {
			t.Errorf("%s: %v, want %q", row.name, err, row.field)
		}
		if err != nil {
			continue
		}
		b.ApplyRegistered(e)
		other := b.Copy()
		other.ApplyRegistered(Registered{"D2", d})
		if got, ok := b.Datasets.Get("D1"); !ok || got.Label.String() != "internal@KR,US" || b.Datasets.Len() != 1 {
			t.Errorf("%s: recorded as %+v", row.name, got)
		}
	}
}
