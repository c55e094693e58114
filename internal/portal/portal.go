// Package portal is the centre's web pages, in Korean and English.
//
// It shows what the state, the ledger and the engines say and changes nothing
// but through the same commands as everybody else. Pages are whole without
// JavaScript; with it they follow the run as it goes.
//
// Begin with New and Portal.Register. A page is a template in templates/, its
// words are in texts.go, and a part of it that changes while one looks is a
// panel: see panels.go.
package portal

import (
	"html/template"
	"log/slog"
	"net/http"

	"github.com/gaon-ai/gaon/internal/api"
	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/internal/writer"
)

// Asker lets a person who is signed in ask a model: *gateway.Gateway.
type Asker interface {
	// Ask answers a request of the OpenAI API in the name of a key that the
	// caller has authenticated by other means. It meters what it answers.
	Ask(w http.ResponseWriter, r *http.Request, key party.KeyID)
}

// Config is what the pages stand on.
type Config struct {
	Writer  *writer.Writer
	Ledger  ledger.Ledger
	Store   artifact.Store
	Engines map[string]engine.Engine // by the name before the slash in a node's id
	Gateway Asker
	Now     func() unit.Instant
	Version string
	Log     *slog.Logger
	Temp    string // folder for releases while they are verified; empty: the system's
}

// Portal answers the pages.
type Portal struct {
	Config
	assets    *assets
	templates map[string]*template.Template // by language

	sessions  sessions
	panels    *memo[panelKey, panel]
	lists     *memo[party.PersonID, []runLink] // of runs
	asks      *memo[party.PersonID, []string]  // names of models
	progress  *memo[engine.Attempt, engine.Progress]
	logs      *memo[logKey, logEnd]
	reasons   *memo[string, waits]
	losses    *memo[lossKey, *lossLog]
	reports   *memo[unit.Digest, curation]
	passports *memo[unit.Digest, *verification]
	verifying chan struct{} // holds one while a release is verified
	receipts  api.Receipts
	heads     *memo[string, ledgerHead]
}

// Bounds of what is remembered, in entries.
const (
	panelsMax    = 512
	peopleMax    = 256
	attemptsMax  = 256
	reportsMax   = 64
	passportsMax = 64
)

// New builds the pages. It fails only if a template of this program is broken.
func New(c Config) (*Portal, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	p := &Portal{Config: c,
		sessions:  newSessions(c.Now),
		panels:    newMemo[panelKey, panel](panelsMax),
		lists:     newMemo[party.PersonID, []runLink](peopleMax),
		asks:      newMemo[party.PersonID, []string](peopleMax),
		progress:  newMemo[engine.Attempt, engine.Progress](attemptsMax),
		logs:      newMemo[logKey, logEnd](attemptsMax),
		reasons:   newMemo[string, waits](1),
		losses:    newMemo[lossKey, *lossLog](attemptsMax),
		reports:   newMemo[unit.Digest, curation](reportsMax),
		passports: newMemo[unit.Digest, *verification](passportsMax),
		verifying: make(chan struct{}, 1),
		heads:     newMemo[string, ledgerHead](1),
	}
	var err error
	if p.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	p.templates, err = p.parseTemplates()
	return p, err
}

// Register adds the pages to the mux.
func (p *Portal) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", p.page(p.home))
	mux.HandleFunc("GET /runs/{run}", p.page(p.signedIn(p.showRun)))
	mux.HandleFunc("GET /runs/{run}/live", p.page(p.signedIn(p.showLive)))
	mux.HandleFunc("GET /runs/{run}/loss", p.page(p.signedIn(p.showLoss)))
	mux.HandleFunc("GET /runs/{run}/log/{stage}", p.page(p.signedIn(p.showLog)))
	mux.HandleFunc("GET /runs/{run}/curation/{file}", p.page(p.signedIn(p.showCuration)))
	mux.HandleFunc("GET /models/{model}/passport", p.page(p.signedIn(p.showPassport)))
	mux.HandleFunc("GET /models/{model}/files/{file...}", p.page(p.signedIn(p.sendFile)))
	mux.HandleFunc("GET /receipt/{grant}", p.page(p.signedIn(p.sendReceipt)))
	mux.HandleFunc("POST /ask", p.page(p.own(p.signedIn(p.ask))))
	mux.HandleFunc("GET /enter", p.page(p.enter))
	mux.HandleFunc("POST /session", p.page(p.own(p.signIn)))
	mux.HandleFunc("POST /session/end", p.page(p.own(p.signOut)))
	mux.Handle("GET "+assetsPath, p.assets)
}

// policyOfPages lets a page use what the centre itself serves and nothing
// else: no script in the page, no style in the page, nobody's frame.
const policyOfPages = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; " +
	"connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// page adds what every answer carries, and the visit.
func (p *Portal) page(next func(http.ResponseWriter, *http.Request, *visit)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policyOfPages)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Cache-Control", "no-store")
		h.Add("Vary", "Cookie, Accept-Language")
		v := p.visit(r)
		if v.chooseLanguage(w, r) {
			return
		}
		next(w, r, v)
	}
}

// own refuses a change that another site's page asks for. The session's cookie
// is not sent from there either; one of the two would be enough.
func (p *Portal) own(next func(http.ResponseWriter, *http.Request, *visit)) func(http.ResponseWriter, *http.Request, *visit) {
	check := http.NewCrossOriginProtection()
	return func(w http.ResponseWriter, r *http.Request, v *visit) {
		// Every browser sends one of the two with a POST; programs use the API.
		said := r.Header.Get("Sec-Fetch-Site") + r.Header.Get("Origin")
		if err := check.Check(r); err != nil || said == "" {
			p.refuse(w, v, http.StatusForbidden, "refused.origin")
			return
		}
		next(w, r, v)
	}
}

// signedIn sends who has no session to the front page.
func (p *Portal) signedIn(next func(http.ResponseWriter, *http.Request, *visit)) func(http.ResponseWriter, *http.Request, *visit) {
	return func(w http.ResponseWriter, r *http.Request, v *visit) {
		switch {
		case v.Person != "":
			next(w, r, v)
		case r.Header.Get("HX-Request") != "":
			w.Header().Set("HX-Redirect", "/")
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodGet && r.PathValue("run") != "" && r.PathValue("stage") == "" && r.Header.Get("Sec-Fetch-Dest") == "document":
			http.Redirect(w, r, "/", http.StatusSeeOther)
		default:
			p.refuse(w, v, http.StatusUnauthorized, "refused.session")
		}
	}
}
