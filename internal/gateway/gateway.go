// Package gateway is the public side of the centre's models: it speaks the
// OpenAI API, knows keys, holds them to their limits, hands each request to
// the service of the endpoint it names and meters the tokens.
//
// It runs no model: package serving does, inside a job. It never logs prompts
// or answers, and keeps none.
//
// BUG: tokens metered since the last flush are in memory only. A crash loses
// at most Config.FlushEvery of them, never more, to the tenant's advantage; a
// stop that lets Run end loses none.
//
// Begin with New, Gateway.Register and Gateway.Run.
package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/serving"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/internal/writer"
)

// Standard limits.
const (
	requestsPerMinute = 600
	concurrentMax     = 16
	flushEvery        = 3 * time.Second
	answerTimeMax     = 15 * time.Minute // one answer, first byte to last
	drainTimeMax      = 4 * time.Second  // answers under way when the centre stops
)

// Config is what the gateway stands on. Limits that are zero take their
// standard value.
type Config struct {
	Writer  *writer.Writer
	Engines map[string]engine.Engine // by the name before the slash in a node's id
	Now     func() unit.Instant
	Log     *slog.Logger

	RequestsPerMinute int // of one key
	ConcurrentMax     int // answers of one key under way at once
	FlushEvery        time.Duration
}

// Gateway answers below /v1/.
type Gateway struct {
	Config
	limits limiter
	meter  meter

	mu       sync.Mutex
	backends map[model.EndpointID]*backend // guarded by mu
	stopping bool                          // guarded by mu: nothing new begins
	underway sync.WaitGroup                // answers; Add only with mu held and not stopping
	cut      context.Context               // ends when answers under way must
	cutNow   context.CancelFunc
}

// New returns a gateway. Tokens are metered once Run runs.
func New(c Config) *Gateway {
	if c.RequestsPerMinute == 0 {
		c.RequestsPerMinute = requestsPerMinute
	}
	if c.ConcurrentMax == 0 {
		c.ConcurrentMax = concurrentMax
	}
	if c.FlushEvery == 0 {
		c.FlushEvery = flushEvery
	}
	g := &Gateway{Config: c, backends: map[model.EndpointID]*backend{}}
	g.limits = limiter{perMinute: int64(c.RequestsPerMinute), concurrent: c.ConcurrentMax, keys: map[party.KeyID]*allowance{}}
	g.meter = newMeter()
	g.cut, g.cutNow = context.WithCancel(context.Background())
	return g
}

// Register adds the routes to the mux.
func (g *Gateway) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/models", g.keyed(g.listModels))
	mux.HandleFunc("GET /v1/models/{model...}", g.keyed(g.oneModel))
	mux.HandleFunc("POST /v1/completions", g.keyed(func(w http.ResponseWriter, r *http.Request, c caller) { g.ask(w, r, c, "/v1/completions") }))
	mux.HandleFunc("POST /v1/chat/completions", g.keyed(func(w http.ResponseWriter, r *http.Request, c caller) { g.ask(w, r, c, "/v1/chat/completions") }))
	mux.HandleFunc("/v1/", serving.NotFound)
}

// Ask answers a request in the name of a key that the caller has authenticated
// by other means: the playground of a signed-in person. The body decides what
// it is: one with "prompt" asks for a completion, any other for a chat.
func (g *Gateway) Ask(w http.ResponseWriter, r *http.Request, key party.KeyID) {
	found, ok := g.Writer.State().Party.Keys.Get(key)
	if !ok || found.Revoked || found.Until != 0 && g.Now() >= found.Until {
		unauthorised("the key of this session is no longer valid: sign in again").Write(w)
		return
	}
	g.ask(w, r, caller{key, found.Person}, "")
}

// caller is who asks.
type caller struct {
	key    party.KeyID
	person party.PersonID
}

func unauthorised(message string) *serving.Problem {
	return &serving.Problem{Status: http.StatusUnauthorized, Type: serving.Authentication, Kind: "invalid_api_key", Message: message}
}

// keyed lets in who sends a valid key, be it for inference or for the API.
func (g *Gateway) keyed(next func(http.ResponseWriter, *http.Request, caller)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || secret == "" {
			w.Header().Set("WWW-Authenticate", "Bearer")
			unauthorised("no key came with this request: send Authorization: Bearer KEY").Write(w)
			return
		}
		id, key, ok := g.Writer.State().Party.ByKey(unit.DigestOf([]byte(secret)), g.Now())
		if !ok {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			unauthorised("the key is unknown, revoked or past its end: make one with: gaon key add PERSON --use inference").Write(w)
			return
		}
		next(w, r, caller{id, key.Person})
	}
}

// may says whether the caller may use an endpoint. Policy decides it as
// reading: an organisation reads what is its own, everyone what is public.
func (g *Gateway) may(state *centre.State, c caller, id model.EndpointID, e model.Endpoint) bool {
	m, ok := state.Models.Models.Get(e.Model)
	return ok && state.May(g.Now(), string(c.person), "read", policy.Resource{Kind: "Endpoint", ID: string(id), Org: string(e.Org), Label: m.Label}) == nil
}

// target is a ready endpoint with the attempt that serves it.
type target struct {
	id       model.EndpointID
	endpoint model.Endpoint
	job      job.Job
}

// find returns the endpoint that a request's model name means. An endpoint
// that the caller may not use is as one that is not there, so that nobody
// learns names by asking.
func (g *Gateway) find(c caller, name string) (target, error) {
	state := g.Writer.State()
	id, ok := state.Models.Names.Get(name)
	e, _ := state.Models.Endpoints.Get(id)
	if !ok || !g.may(state, c, id, e) {
		return target{}, g.notFound(state, c, name)
	}
	j, running := state.Jobs.Live.Get(e.Job)
	if e.State != model.Ready || !running || j.State != job.Running {
		return target{}, opening(name, "is not ready yet")
	}
	return target{id, e, j}, nil
}

func opening(name, why string) *serving.Problem {
	return &serving.Problem{Status: http.StatusServiceUnavailable, Type: serving.ServerError, Kind: "model_not_ready", Param: "model", RetryAfter: 2,
		Message: fmt.Sprintf("The model `%s` %s: try again in a moment", name, why)}
}

// namesMax bounds how many names an error lists.
const namesMax = 20

func (g *Gateway) notFound(state *centre.State, c caller, name string) *serving.Problem {
	p := &serving.Problem{Status: http.StatusNotFound, Type: serving.InvalidRequest, Kind: "model_not_found", Param: "model",
		Message: fmt.Sprintf("The model `%s` does not exist or you do not have access to it.", clip(name))}
	var names []string
	for other, id := range state.Models.Names.All() {
		e, _ := state.Models.Endpoints.Get(id)
		if e.State == model.Ready && g.may(state, c, id, e) {
			names = append(names, other)
		}
	}
	switch {
	case len(names) == 0:
		p.Message += " No model is being served to you now."
	case len(names) > namesMax:
		p.Message += fmt.Sprintf(" There are: %s and %d more.", strings.Join(names[:namesMax], ", "), len(names)-namesMax)
	default:
		p.Message += fmt.Sprintf(" There are: %s.", strings.Join(names, ", "))
	}
	return p
}

// clip shortens a name for a message.
func clip(name string) string {
	const most = 120
	if runes := []rune(name); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return name
}

func (g *Gateway) listModels(w http.ResponseWriter, r *http.Request, c caller) {
	state := g.Writer.State()
	list := serving.Models{Object: "list", Data: []serving.Model{}}
	for name, id := range state.Models.Names.All() {
		e, _ := state.Models.Endpoints.Get(id)
		j, ok := state.Jobs.Live.Get(e.Job)
		if ok && e.State == model.Ready && g.may(state, c, id, e) {
			list.Data = append(list.Data, g.entry(r.Context(), state, name, target{id, e, j}))
		}
	}
	serving.WriteJSON(w, http.StatusOK, list)
}

func (g *Gateway) oneModel(w http.ResponseWriter, r *http.Request, c caller) {
	name := r.PathValue("model")
	t, err := g.find(c, name)
	if err != nil {
		fail(w, err)
		return
	}
	serving.WriteJSON(w, http.StatusOK, g.entry(r.Context(), g.Writer.State(), name, t))
}

// entry describes an endpoint; what only its service knows is left out while
// that does not answer.
func (g *Gateway) entry(ctx context.Context, state *centre.State, name string, t target) serving.Model {
	org, _ := state.Party.Orgs.Get(t.endpoint.Org)
	m := serving.Model{ID: name, Object: "model", Created: int64(t.job.Started) / 1000, OwnedBy: org.Name}
	if b := g.backend(t); b != nil {
		m.Details = b.details(ctx)
	}
	return m
}

// Run meters until the context ends: every FlushEvery it records what was used.
// Then it lets nothing new begin, gives the answers under way a few seconds,
// cuts those that remain, and records the last.
func (g *Gateway) Run(ctx context.Context) {
	ticker := time.NewTicker(g.FlushEvery)
	defer ticker.Stop()
	for running := true; running; {
		select {
		case <-ticker.C:
			g.flush(ctx)
			g.forget()
		case <-ctx.Done():
			running = false
		}
	}
	g.drain()
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), drainTimeMax)
	defer stop()
	if left := g.flush(last); left > 0 {
		g.Log.Error("the last tokens could not be metered", "endpoints_and_keys", left)
	}
}

// begin takes note of an answer that begins; false once the gateway stops.
func (g *Gateway) begin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.stopping {
		g.underway.Add(1)
	}
	return !g.stopping
}

func (g *Gateway) drain() {
	g.mu.Lock()
	g.stopping = true
	g.mu.Unlock()
	done := make(chan struct{})
	go func() {
		g.underway.Wait()
		close(done)
	}()
	patience := time.NewTimer(drainTimeMax)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
		g.cutNow()
		<-done
	}
	g.cutNow()
}

// forget closes what belongs to endpoints that are no more, and drops the
// limits of keys that have rested.
func (g *Gateway) forget() {
	state := g.Writer.State()
	g.mu.Lock()
	for id, b := range g.backends {
		if e, _ := state.Models.Endpoints.Get(id); e.State == model.Closed || e.State == "" {
			b.client.CloseIdleConnections()
			delete(g.backends, id)
		}
	}
	g.mu.Unlock()
	g.limits.forget(g.Now())
}
