package portal

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"html/template"
	"net/http"
	"strings"

	"github.com/gaon-ai/gaon/internal/factory"
)

// A panel is a part of a run's page that changes while one looks. The page
// asks once a second and sends the versions it has; only panels that changed
// are sent back, and mostly none is. A panel is rendered once for all who look:
// it holds nothing that depends on who does, beyond the language.
//
// Asking was chosen over a stream that the server keeps open: it passes any
// proxy, needs no connection per viewer, and is over when the page is.
type panel struct {
	Name    string
	Version string
	HTML    template.HTML
	Swap    bool // sent to replace the one on the page
}

type panelKey struct{ lang, name, subject string }

// Names of the panels, and of their templates.
const (
	panelLive       = "live" // asks for the others
	panelStages     = "stages"
	panelEvaluation = "evaluation"
	panelCuration   = "curation"
	panelPassport   = "passport"
	panelCredits    = "credits"
	panelPlayground = "playground"
)

// makePanel renders the template of the name.
func (p *Portal) makePanel(lang, name string, data any) panel {
	html, err := p.render(lang, "panel-"+name, data)
	if err != nil {
		p.Log.Error("panel failed", "panel", name, "err", err)
		html = nil
	}
	sum := fnv.New64a()
	sum.Write(html)
	return panel{Name: name, Version: fmt.Sprintf("%x", sum.Sum64()), HTML: template.HTML(html)}
}

// sharedPanel is makePanel for all viewers of a language, once per stamp.
func (p *Portal) sharedPanel(v *visit, name, subject string, at stamp, data func() any) panel {
	return p.panels.get(panelKey{v.Lang, name, subject}, at, func(panel) panel { return p.makePanel(v.Lang, name, data()) })
}

// panelsOf makes every panel of a run's page, in the page's order.
func (p *Portal) panelsOf(v *visit, id factory.ID, run factory.Run) []panel {
	at := stamp{seq: v.State.Seq}
	ticking := at
	if !ended(run) {
		ticking.moment = int64(v.Now) / 1000
	}
	verified := p.verification(v.State, run.Model)
	return []panel{
		p.sharedPanel(v, panelLive, string(id), at, func() any { return liveOf(id, run) }),
		p.sharedPanel(v, panelStages, string(id), ticking, func() any { return p.stagesOf(v.State, v.Now, id, run) }),
		p.sharedPanel(v, panelEvaluation, string(id), at, func() any { return evaluationOf(run) }),
		p.sharedPanel(v, panelCuration, string(id), at, func() any { return p.curationOf(id, run) }),
		p.sharedPanel(v, panelPassport, string(id), stamp{at.seq, verified.moment()}, func() any { return p.passportOf(v.State, run, verified) }),
		p.sharedPanel(v, panelCredits, string(run.Grant), at, func() any { return creditsOf(v.State, v.Now, run.Grant) }),
		p.makePanel(v.Lang, panelPlayground, p.playgroundOf(v)),
	}
}

// live is the part of the page that asks for the others.
type live struct {
	ID    factory.ID
	Every string
}

// liveOf asks seldom for a run that has ended: its endpoint is still used.
func liveOf(id factory.ID, run factory.Run) live {
	if ended(run) {
		return live{id, "every 4s"}
	}
	return live{id, "every 1s"}
}

func ended(run factory.Run) bool { return run.State == factory.Done || run.State == factory.Failed }

// seenMax bounds how many versions a page may send.
const seenMax = 32

// showLive answers with the panels whose version the page does not have.
func (p *Portal) showLive(w http.ResponseWriter, r *http.Request, v *visit) {
	id, run, ok := v.run(r.PathValue("run"))
	if !ok {
		p.missing(w, v)
		return
	}
	seen := map[string]string{}
	for _, pair := range r.URL.Query()["seen"][:min(len(r.URL.Query()["seen"]), seenMax)] {
		name, version, _ := strings.Cut(pair, ":")
		seen[name] = version
	}
	var b bytes.Buffer
	for _, panel := range p.panelsOf(v, id, run) {
		if seen[panel.Name] == panel.Version {
			continue
		}
		panel.Swap = true
		if err := p.templates[v.Lang].ExecuteTemplate(&b, "panel", panel); err != nil {
			p.fault(w, err)
			return
		}
	}
	if b.Len() == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // who asked may be gone
}
