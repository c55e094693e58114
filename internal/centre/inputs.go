package centre

import (
	"fmt"

	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/unit"
)

// inputsLabel is the join of the labels of what the inputs are known to be:
// datasets, outputs of jobs, and models. A tree that others own is refused
// unless it is public; that somebody knows its digest gives no right to it.
//
// A tree that nobody registered has no label of its own: who submits the job
// labels it. That is also so for outputs of jobs that ended so long ago that
// they left the hot state, which is a hole; the projections know those.
func (d *decision) inputsLabel(org party.OrgID, inputs []job.Input) (policy.Label, error) {
	type known struct {
		label  policy.Label
		own    bool
		others bool // others own it and it is not public
	}
	wanted := map[unit.Digest]known{}
	for _, in := range inputs {
		wanted[in.Tree] = known{label: policy.Label{Class: policy.Public}}
	}
	note := func(tree unit.Digest, owner party.OrgID, label policy.Label) {
		k, ok := wanted[tree]
		switch {
		case !ok:
			return
		case owner == org || label.Class == policy.Public:
			k.own, k.label = true, k.label.Join(label)
		default:
			k.others = true
		}
		wanted[tree] = k
	}
	if len(inputs) > 0 {
		for _, data := range d.s.Datasets.Datasets.All() {
			note(data.Tree, data.Org, data.Label)
		}
		for _, j := range d.s.Jobs.Finished.All() {
			for _, output := range j.Outputs {
				note(output.Tree, j.Org, j.Label)
			}
		}
		for _, m := range d.s.Models.Models.All() {
			note(m.Tree, m.Org, m.Label)
			note(m.Release, m.Org, m.Label)
		}
	}
	joined := policy.Label{Class: policy.Public}
	for i, in := range inputs {
		k := wanted[in.Tree]
		if k.others && !k.own {
			return policy.Label{}, &party.FieldError{Field: fmt.Sprintf("inputs[%d].tree", i), Problem: "belongs to another organisation and is not public"}
		}
		joined = joined.Join(k.label)
	}
	return joined, nil
}
