// Package api is the centre over HTTP: REST described by OpenAPI 3.1, and the
// Go client that the commands use. Every change is one command to the writer;
// every answer comes from the writer's published state.
//
// It holds no state and decides nothing: policy and the core do.
//
// Begin with New and Client.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/internal/writer"
)

// Prefix is where the API lives below the centre's address.
const Prefix = "/api/v1"

// Config is what the API stands on.
type Config struct {
	Writer  *writer.Writer
	Ledger  ledger.Ledger
	Store   artifact.Store
	Engines map[string]engine.Engine // by the name before the slash in a node's id
	Seal    Seal
	Now     func() unit.Instant
	Version string
	Log     *slog.Logger
}

// Seal keeps people's details outside the ledger.
type Seal interface {
	// Close seals details under a new key of the person's own. It returns
	// what binds them into the ledger and the record to store with the entry.
	Close(details []byte) (unit.Digest, ledger.Side, error)
	// Erase destroys the key of the record that the digest binds.
	Erase(ctx context.Context, bound unit.Digest) error
	// Open reads details back.
	Open(ctx context.Context, bound unit.Digest) ([]byte, error)
}

// Server answers the API.
type Server struct {
	Config
	api      huma.API
	receipts Receipts
}

// New adds the API's routes to the mux.
func New(mux *http.ServeMux, c Config) *Server {
	config := huma.DefaultConfig("Gaon", c.Version)
	config.OpenAPIPath = Prefix + "/openapi"
	config.DocsPath = ""
	config.SchemasPath = Prefix + "/schemas"
	config.CreateHooks = nil // answers carry what they say and no links to schemas
	config.Info.Description = "One centre's API. Send a key as a bearer token; send Idempotency-Key to make a change safe to repeat."
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	config.Security = []map[string][]string{{"key": {}}}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"key": {Type: "http", Scheme: "bearer"}}
	s := &Server{Config: c}
	s.api = humago.New(mux, config)
	s.api.UseMiddleware(s.authenticate)
	s.partyRoutes()
	s.awardRoutes()
	s.workRoutes()
	s.followRoutes()
	s.artifactRoutes()
	s.ledgerRoutes(mux)
	return s
}

// schemaName names a type in the OpenAPI document: this package's own by their
// name, those of the subjects with their package before it, since api.Grant is
// grant.Grant and more.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	subject := path.Base(t.PkgPath())
	if t.Name() == "" || subject == "api" || subject == "." {
		return name
	}
	return strings.ToUpper(subject[:1]) + subject[1:] + name
}

type authorKey struct{}

// authenticate finds the person behind the bearer token. A key for inference
// opens nothing here.
func (s *Server) authenticate(ctx huma.Context, next func(huma.Context)) {
	person, ok := s.Person(ctx.Header("Authorization"))
	if !ok {
		s.fail(ctx, &Problem{Status: http.StatusUnauthorized, Code: "key.unknown",
			Detail: "no valid key came with this request", Hint: "send Authorization: Bearer KEY; the local user's key is in the data folder, written by gaon up"})
		return
	}
	next(huma.WithValue(ctx, authorKey{}, string(person)))
}

// Person returns who an Authorization header speaks for.
func (s *Server) Person(header string) (party.PersonID, bool) {
	secret, ok := strings.CutPrefix(header, "Bearer ")
	if !ok || secret == "" {
		return "", false
	}
	state := s.Writer.State()
	_, key, live := state.Party.ByKey(unit.DigestOf([]byte(secret)), s.Now())
	return key.Person, live && key.Use == party.ForAPI
}

func author(ctx context.Context) string {
	by, _ := ctx.Value(authorKey{}).(string)
	return by
}

// Problem is an error as RFC 9457 has it, with a code for programs and a hint
// for people.
type Problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Code   string `json:"code,omitempty"`
	Hint   string `json:"hint,omitempty"`
}

func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func (s *Server) fail(ctx huma.Context, p *Problem) {
	p.Title = http.StatusText(p.Status)
	ctx.SetHeader("Content-Type", p.ContentType(""))
	ctx.SetStatus(p.Status)
	if err := writeJSON(ctx.BodyWriter(), p); err != nil {
		s.Log.Debug("answer not sent", "err", err)
	}
}

type coded interface{ Code() string }
type hinted interface{ Hint() string }

// problem turns a refusal into its answer. A fault is logged whole and told
// to the user as nothing but a fault.
func (s *Server) problem(err error) error {
	p := &Problem{Status: http.StatusInternalServerError, Detail: "the centre could not do this", Code: "fault",
		Hint: "the operator finds the cause in the centre's log"}
	var refusal coded
	var hint hinted
	code := ""
	if errors.As(err, &refusal) {
		code = refusal.Code()
	}
	if errors.Is(err, ledger.ErrFull) {
		code = diskFull
	}
	known, isFault := faults[code]
	switch {
	case isFault:
		p.Detail, p.Code, p.Status = known.detail, code, known.status
		s.Log.Error("request failed", "err", err)
	case code != "":
		p.Detail, p.Code, p.Hint, p.Status = err.Error(), code, "", statusOf(code)
		if errors.As(err, &hint) {
			p.Hint = hint.Hint()
		}
	case errors.Is(err, writer.ErrStopped):
		p.Detail, p.Code, p.Hint, p.Status = err.Error(), "centre.stopping", "try again in a moment", http.StatusServiceUnavailable
	default:
		s.Log.Error("request failed", "err", err)
	}
	p.Title = http.StatusText(p.Status)
	return p
}

const diskFull = "artifact.disk-full"

// faults are those of the world that have a name of their own: the caller
// hears what is wrong, and nothing of where.
var faults = map[string]struct {
	status int
	detail string
}{
	diskFull:           {http.StatusInsufficientStorage, "the centre's disk is full; nothing was stored"},
	"artifact.corrupt": {http.StatusInternalServerError, "a file in the centre's store is no longer what was stored"},
	"artifact.format":  {http.StatusInternalServerError, "the centre's store is of another version"},
}

func statusOf(code string) int {
	switch {
	case code == "policy.denied":
		return http.StatusForbidden
	case code == "account.short":
		return http.StatusPaymentRequired
	case strings.HasSuffix(code, ".unknown"), code == "artifact.absent":
		return http.StatusNotFound
	case strings.HasSuffix(code, ".state"), code == "placement.taken", code == "grant.closed":
		return http.StatusConflict
	}
	return http.StatusUnprocessableEntity
}

// Made is the answer to every change.
type Made struct {
	ID    string `json:"id,omitempty" doc:"what the command made or changed"`
	Entry int64  `json:"entry" doc:"sequence number of its ledger entry; -1 when it was so already"`
}

type madeOutput struct{ Body Made }

// Keyed is the header that makes a change safe to send again.
type Keyed struct {
	Key string `header:"Idempotency-Key" doc:"names the command, so that it can be sent again safely" maxLength:"200"`
}

// do sends a command in the caller's name.
func (s *Server) do(ctx context.Context, key string, c centre.Command, side ...ledger.Side) (*madeOutput, error) {
	by := author(ctx)
	if key != "" {
		key = by + "/" + key
	}
	outcome, err := s.Writer.Do(ctx, writer.Order{By: by, Key: key, Command: c, Side: side})
	if err != nil {
		return nil, s.problem(err)
	}
	return &madeOutput{Made{outcome.Made, outcome.Seq}}, nil
}

// post registers a change: the body is B, make turns it into a command.
func post[B any](s *Server, id, path, summary string, make func(ctx context.Context, body B) (centre.Command, error)) {
	type input struct {
		Keyed
		Body B
	}
	huma.Register(s.api, huma.Operation{OperationID: id, Method: http.MethodPost, Path: Prefix + path, Summary: summary},
		func(ctx context.Context, in *input) (*madeOutput, error) {
			command, err := make(ctx, in.Body)
			if err != nil {
				return nil, s.problem(err)
			}
			return s.do(ctx, in.Key, command)
		})
}

// act registers a change to one thing named in the path.
func act[B any](s *Server, id, path, summary string, make func(ctx context.Context, id string, body B) (centre.Command, error)) {
	type input struct {
		Keyed
		ID   string `path:"id"`
		Body B
	}
	huma.Register(s.api, huma.Operation{OperationID: id, Method: http.MethodPost, Path: Prefix + path, Summary: summary},
		func(ctx context.Context, in *input) (*madeOutput, error) {
			command, err := make(ctx, in.ID, in.Body)
			if err != nil {
				return nil, s.problem(err)
			}
			return s.do(ctx, in.Key, command)
		})
}

// Empty is the body of a change that needs no more than its path.
type Empty struct{}

// list registers a listing: rows makes it from the state, for the caller.
func list[V any](s *Server, id, path, summary string, rows func(state *centre.State, may readable) []V) {
	type output struct{ Body []V }
	huma.Register(s.api, huma.Operation{OperationID: id, Method: http.MethodGet, Path: Prefix + path, Summary: summary},
		func(ctx context.Context, _ *struct{}) (*output, error) {
			state := s.Writer.State()
			found := rows(state, s.readable(ctx, state))
			if found == nil {
				found = []V{}
			}
			return &output{found}, nil
		})
}

// get registers a look at one thing named in the path.
func get[V any](s *Server, id, path, summary string, find func(state *centre.State, may readable, id string) (V, error)) {
	type input struct {
		ID string `path:"id"`
	}
	type output struct{ Body V }
	huma.Register(s.api, huma.Operation{OperationID: id, Method: http.MethodGet, Path: Prefix + path, Summary: summary},
		func(ctx context.Context, in *input) (*output, error) {
			state := s.Writer.State()
			found, err := find(state, s.readable(ctx, state), in.ID)
			if err != nil {
				return nil, s.problem(err)
			}
			return &output{found}, nil
		})
}

// readable says whether the caller may read a thing of the organisation.
type readable func(kind, id string, org party.OrgID) bool

func (s *Server) readable(ctx context.Context, state *centre.State) readable {
	by, at := author(ctx), s.Now()
	return func(kind, id string, org party.OrgID) bool {
		return state.May(at, by, "read", policy.Resource{Kind: kind, ID: id, Org: string(org), Label: policy.Label{Class: policy.Internal}}) == nil
	}
}

// unknown answers for what is not there and for what the caller may not see
// alike, so that nobody learns ids by asking.
func unknown(kind, id string) error { return &party.UnknownError{Kind: kind, ID: id} }

// jobOf returns the job if the caller may read it.
func jobOf(state *centre.State, may readable, id string) (job.Job, error) {
	j, ok := state.Jobs.Get(job.ID(id))
	if !ok || !may("Job", id, j.Org) {
		return job.Job{}, unknown("job", id)
	}
	return j, nil
}
