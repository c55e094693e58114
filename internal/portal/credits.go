package portal

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/programme"
	"github.com/gaon-ai/gaon/internal/unit"
)

// jobsShown bounds the jobs that are listed of a grant.
const jobsShown = 60

// credits is what a grant was worth and what became of it.
type credits struct {
	ID        grant.ID
	Org       string
	Programme string
	grant.Grant
	Held      unit.Credits
	Available unit.Credits
	Over      bool // its time is over
	// In per cent of what was awarded.
	ChargedWidth, HeldWidth, HeldFrom string
	Rows                              []creditRow
	More                              int // jobs not listed
}

type creditRow struct {
	ID      job.ID
	Name    string
	Stage   string
	State   string
	Chip    string
	Devices int
	Use     unit.ChipSeconds
	Charged unit.Credits
	Held    unit.Credits
	order   int64
}

func creditsOf(state *centre.State, now unit.Instant, id grant.ID) credits {
	g, _ := state.Grants.Grants.Get(id)
	org, _ := state.Party.Orgs.Get(g.Org)
	given, _ := state.Programmes.Programmes.Get(programme.ID(g.Programme))
	standing, _ := state.Accounts.Accounts.Get(grant.Account(id))
	c := credits{ID: id, Org: org.Name, Programme: given.Name, Grant: g, Held: standing.Held, Available: standing.Available(), Over: now >= g.Until}
	part := func(of unit.Credits) unit.Micro {
		return unit.Micro(float64(of) / float64(max(1, g.Credits)) * 100_000_000)
	}
	c.ChargedWidth, c.HeldWidth, c.HeldFrom = decimal(part(g.Charged), 2), decimal(part(c.Held), 2), decimal(part(g.Charged), 2)
	add := func(id job.ID, j job.Job) {
		row := creditRow{id, j.Name, j.Stage, j.State, string(j.Chip), len(j.Placement.Devices), j.Use, j.Charged, 0, j.Order}
		if !j.Done() {
			hold, _ := state.Accounts.Holds.Get(job.HoldName(id))
			row.Held = hold.Amount
		}
		c.Rows = append(c.Rows, row)
	}
	for id, j := range state.Jobs.Live.All() {
		if j.Grant == c.ID {
			add(id, j)
		}
	}
	for id, j := range state.Jobs.Finished.All() {
		if j.Grant == c.ID {
			add(id, j)
		}
	}
	slices.SortFunc(c.Rows, func(a, b creditRow) int { return int(b.order - a.order) })
	if len(c.Rows) > jobsShown {
		c.More, c.Rows = len(c.Rows)-jobsShown, c.Rows[:jobsShown]
	}
	return c
}

// sendReceipt sends a grant's receipt, which proves itself.
func (p *Portal) sendReceipt(w http.ResponseWriter, r *http.Request, v *visit) {
	id := r.PathValue("grant")
	if _, ok := v.grant(id); !ok {
		p.missing(w, v)
		return
	}
	document, err := p.receipts.Of(r.Context(), p.Ledger, id)
	if err != nil {
		p.fault(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", "receipt-"+id+".json"))
	_, _ = w.Write(document) // who asked may be gone
}
