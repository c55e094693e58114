// Package portal is the centre's web pages, in Korean and English.
//
// It shows what the state, the ledger and the engines say and changes nothing
// but through the same commands as everybody else.
//
// Begin with New.
package portal

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"sync"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/gateway"
	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/internal/writer"
)

// Config is what the pages stand on.
type Config struct {
	Writer  *writer.Writer
	Ledger  ledger.Ledger
	Store   artifact.Store
	Engines map[string]engine.Engine // by the name before the slash in a node's id
	Gateway *gateway.Gateway
	Now     func() unit.Instant
	Version string
	Log     *slog.Logger
}

// Portal answers the pages.
type Portal struct {
	Config

	mu      sync.Mutex
	tickets map[string]ticket // guarded by mu
}

type ticket struct {
	person party.PersonID
	until  unit.Instant
}

// New builds the pages.
func New(c Config) (*Portal, error) {
	return &Portal{Config: c, tickets: map[string]ticket{}}, nil
}

// Register adds the pages to the mux.
func (p *Portal) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(p.Writer.State().Identity.Name + "\n"))
	})
}

// ticketLife is how long a link into the pages may be opened.
const ticketLife = 10 * unit.Minute

// Ticket returns a path that signs a person in, once, within ticketLife.
func (p *Portal) Ticket(person party.PersonID) string {
	secret := rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tickets[secret] = ticket{person, p.Now().Add(ticketLife)}
	return "/enter?ticket=" + secret
}
