package portal

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/programme"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Bounds of lists on a page.
const (
	runsShown       = 12
	programmesShown = 50
	grantsShown     = 50
)

// front is what anybody may see of the centre.
type front struct {
	Programmes []programmeRow
	Grants     []credits // the visitor's, where no run is there to show
}

type programmeRow struct {
	ID programme.ID
	programme.Programme
	Calls []callRow
}

type callRow struct {
	ID programme.CallID
	programme.Call
	Open bool
}

// home shows the newest run to whom may read one, else the front page.
func (p *Portal) home(w http.ResponseWriter, r *http.Request, v *visit) {
	if runs := v.runs(); len(runs) > 0 {
		run, _ := v.State.Factory.Runs.Get(runs[0].ID)
		p.runPage(w, r, v, runs[0].ID, run)
		return
	}
	p.public(w, r, v, http.StatusOK)
}

func (p *Portal) public(w http.ResponseWriter, _ *http.Request, v *visit, status int) {
	v.Title = v.State.Identity.Name
	body := front{Programmes: programmesOf(v.State, v.Now)}
	for id, g := range v.State.Grants.Grants.All() {
		if len(body.Grants) < grantsShown && v.may("Grant", string(id), g.Org) {
			body.Grants = append(body.Grants, creditsOf(v.State, v.Now, id))
		}
	}
	p.show(w, v, status, "front", body)
}

func programmesOf(state *centre.State, now unit.Instant) []programmeRow {
	var rows []programmeRow
	at := map[programme.ID]int{}
	for id, one := range state.Programmes.Programmes.All() {
		if len(rows) < programmesShown {
			at[id] = len(rows)
			rows = append(rows, programmeRow{ID: id, Programme: one})
		}
	}
	for id, call := range state.Programmes.Calls.All() {
		if i, shown := at[call.Programme]; shown {
			rows[i].Calls = append(rows[i].Calls, callRow{id, call, now >= call.Opens && now < call.Closes})
		}
	}
	return rows
}

// runLink is one run in the list of runs.
type runLink struct {
	ID    factory.ID
	Name  string
	State string
}

// runs are those that the visitor may read, newest first. Policy is asked of
// every run, so the list is remembered for a while.
func (v *visit) runs() []runLink {
	if !v.Signed() {
		return nil
	}
	return v.portal.lists.get(v.Person, v.aWhile(), func([]runLink) []runLink {
		var list []runLink
		for id, run := range v.State.Factory.Runs.All() {
			if v.may("Run", string(id), run.Org) {
				list = append(list, runLink{id, run.Recipe.Name, run.State})
			}
		}
		slices.SortFunc(list, func(a, b runLink) int { // R100 is younger than R22
			if len(a.ID) != len(b.ID) {
				return len(b.ID) - len(a.ID)
			}
			return strings.Compare(string(b.ID), string(a.ID))
		})
		return list[:min(len(list), runsShown)]
	})
}

// aWhile stamps what depends on the state and on roles, which end in time.
func (v *visit) aWhile() stamp { return stamp{v.State.Seq, int64(v.Now) / 5000} }

// run finds a run that the visitor may read.
func (v *visit) run(id string) (factory.ID, factory.Run, bool) {
	run, ok := v.State.Factory.Runs.Get(factory.ID(id))
	return factory.ID(id), run, ok && v.may("Run", id, run.Org)
}

// runBody is a run's page.
type runBody struct {
	ID     factory.ID
	Name   string
	Runs   []runLink
	Loss   lossView
	Panels map[string]panel
}

// Panel is for the template.
func (b runBody) Panel(name string) (panel, error) {
	found, ok := b.Panels[name]
	if !ok {
		return panel{}, fmt.Errorf("no panel %q", name)
	}
	return found, nil
}

func (p *Portal) showRun(w http.ResponseWriter, r *http.Request, v *visit) {
	id, run, ok := v.run(r.PathValue("run"))
	if !ok {
		p.missing(w, v)
		return
	}
	p.runPage(w, r, v, id, run)
}

func (p *Portal) runPage(w http.ResponseWriter, _ *http.Request, v *visit, id factory.ID, run factory.Run) {
	v.Title = run.Recipe.Name + " " + string(id)
	body := runBody{ID: id, Name: run.Recipe.Name, Runs: v.runs(), Loss: p.lossOf(v.State, id, run), Panels: map[string]panel{}}
	for _, panel := range p.panelsOf(v, id, run) {
		body.Panels[panel.Name] = panel
	}
	p.show(w, v, http.StatusOK, "run", body)
}

// grant finds a grant that the visitor may read.
func (v *visit) grant(id string) (grant.Grant, bool) {
	g, ok := v.State.Grants.Grants.Get(grant.ID(id))
	return g, ok && v.may("Grant", id, g.Org)
}
