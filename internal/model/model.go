// Package model is what the factory makes and the gateway serves: models with
// their scores and passports, endpoints, and what was asked of them.
//
// Weights are in the artifact store; prompts and answers are nowhere here.
//
// Begin with Book.Serve: only a signed model may be served.
package model

import (
	"fmt"

	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/table"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Ids of the subjects: M41 and E50.
type (
	ID         string
	EndpointID string
)

// States of a model.
const (
	Trained = "trained" // passed its gate, not signed yet
	Signed  = "signed"
)

// Model is one model.
type Model struct {
	Name   string                `json:"name"`
	Org    party.OrgID           `json:"org"`
	Run    string                `json:"run"`
	Tree   unit.Digest           `json:"tree"` // weights as trained
	Scores map[string]unit.Micro `json:"scores"`
	Label  policy.Label          `json:"label"`
	State  string                `json:"state"`

	Release  unit.Digest `json:"release,omitempty"`  // signed folder: weights, tokenizer, passport, signature
	Bundle   unit.Digest `json:"bundle,omitempty"`   // signature bundle
	Passport unit.Digest `json:"passport,omitempty"` // passport.json inside the release
	Entry    int64       `json:"entry,omitempty"`    // sequence number of the entry that recorded the release
}

// States of an endpoint.
const (
	Opening = "opening"
	Ready   = "ready"
	Closed  = "closed"
)

// Endpoint serves one model under a name.
type Endpoint struct {
	Name   string      `json:"name"`
	Model  ID          `json:"model"`
	Org    party.OrgID `json:"org"`
	Job    job.ID      `json:"job"`
	State  string      `json:"state"`
	Reason string      `json:"reason,omitempty"`
}

// Tokens is what was asked of an endpoint with one key.
type Tokens struct {
	Requests   int64 `json:"requests"`
	Prompt     int64 `json:"prompt"`
	Completion int64 `json:"completion"`
}

// Book is the state. Use is keyed by endpoint and key: "E50/K12".
type Book struct {
	Models    table.Table[ID, Model]            `json:"models"`
	Endpoints table.Table[EndpointID, Endpoint] `json:"endpoints"`
	Names     table.Table[string, EndpointID]   `json:"names"` // of endpoints not closed
	Use       table.Table[string, Tokens]       `json:"use"`
}

// Registered records a model that passed its gate. Wire name model.registered/1.
type Registered struct {
	ID     ID                    `json:"id"`
	Name   string                `json:"name"`
	Org    party.OrgID           `json:"org"`
	Run    string                `json:"run"`
	Tree   unit.Digest           `json:"tree"`
	Scores map[string]unit.Micro `json:"scores"`
	Label  policy.Label          `json:"label"`
}

// WasSigned records the release of a model. Wire name model.signed/1.
type WasSigned struct {
	ID       ID          `json:"id"`
	Release  unit.Digest `json:"release"`
	Bundle   unit.Digest `json:"bundle"`
	Passport unit.Digest `json:"passport"`
	Signer   unit.Digest `json:"signer"` // fingerprint of the signing key: SHA-256 of its PEM text (OMS 4.1)
}

// EndpointOpened records an endpoint whose job is submitted with it.
// Wire name model.endpoint-opened/1.
type EndpointOpened struct {
	ID    EndpointID  `json:"id"`
	Name  string      `json:"name"`
	Model ID          `json:"model"`
	Org   party.OrgID `json:"org"`
	Job   job.ID      `json:"job"`
}

// EndpointReady records that it answers. Wire name model.endpoint-ready/1.
type EndpointReady struct {
	ID EndpointID `json:"id"`
}

// EndpointClosed records that it answers no more. Wire name model.endpoint-closed/1.
type EndpointClosed struct {
	ID     EndpointID `json:"id"`
	Reason string     `json:"reason"`
}

// Metered records tokens used since the last such entry. Wire name model.metered/1.
type Metered struct {
	Endpoint EndpointID   `json:"endpoint"`
	Key      party.KeyID  `json:"key"`
	From     unit.Instant `json:"from"`
	Until    unit.Instant `json:"until"`
	Tokens
}

// UnsignedError refuses to serve a model that nobody signed.
type UnsignedError struct {
	Model ID
	State string
}

// Code names the refusal for programs.
func (e *UnsignedError) Code() string { return "model.unsigned" }

func (e *UnsignedError) Error() string {
	return fmt.Sprintf("model %s is %s, and only a signed model is served", e.Model, e.State)
}

// Hint says what the person can do.
func (e *UnsignedError) Hint() string { return "see what it waits for: gaon run list" }

// Register asks to record a model.
func (b *Book) Register(e Registered) (Registered, error) {
	if err := party.CheckName("name", e.Name); err != nil {
		return Registered{}, err
	}
	return e, nil
}

// Sign asks to record the release of a trained model.
func (b *Book) Sign(e WasSigned) (WasSigned, error) {
	m, ok := b.Models.Get(e.ID)
	if !ok {
		return WasSigned{}, &party.UnknownError{Kind: "model", ID: string(e.ID)}
	}
	if m.State != Trained {
		return WasSigned{}, &party.FieldError{Field: "model", Problem: "is " + m.State + " already"}
	}
	for _, f := range []struct {
		name   string
		digest unit.Digest
	}{{"release", e.Release}, {"bundle", e.Bundle}, {"passport", e.Passport}, {"signer", e.Signer}} {
		if _, err := unit.ParseDigest(string(f.digest)); err != nil {
			return WasSigned{}, &party.FieldError{Field: f.name, Problem: err.Error()}
		}
	}
	return e, nil
}

// Serve asks to open an endpoint for a signed model.
func (b *Book) Serve(id EndpointID, name string, m ID, work job.ID) (EndpointOpened, error) {
	found, ok := b.Models.Get(m)
	if !ok {
		return EndpointOpened{}, &party.UnknownError{Kind: "model", ID: string(m)}
	}
	if found.State != Signed {
		return EndpointOpened{}, &UnsignedError{m, found.State}
	}
	if err := party.CheckName("name", name); err != nil {
		return EndpointOpened{}, err
	}
	if other, taken := b.Names.Get(name); taken {
		return EndpointOpened{}, &party.FieldError{Field: "name", Problem: fmt.Sprintf("%q is served by endpoint %s already", name, other)}
	}
	return EndpointOpened{id, name, m, found.Org, work}, nil
}

// Move asks to take an endpoint to ready or closed; it answers false when it
// is there already.
func (b *Book) Move(id EndpointID, state string) (bool, error) {
	e, ok := b.Endpoints.Get(id)
	if !ok {
		return false, &party.UnknownError{Kind: "endpoint", ID: string(id)}
	}
	if e.State == Closed && state != Closed {
		return false, &party.FieldError{Field: "endpoint", Problem: "is closed"}
	}
	return e.State != state, nil
}

// Meter asks to record tokens.
func (b *Book) Meter(e Metered) (Metered, error) {
	if _, ok := b.Endpoints.Get(e.Endpoint); !ok {
		return Metered{}, &party.UnknownError{Kind: "endpoint", ID: string(e.Endpoint)}
	}
	if e.Requests < 0 || e.Prompt < 0 || e.Completion < 0 {
		return Metered{}, &party.FieldError{Field: "tokens", Problem: "must not be negative"}
	}
	return e, nil
}

// ByJob returns the endpoint that the job serves.
func (b *Book) ByJob(id job.ID) (EndpointID, Endpoint, bool) {
	for endpoint, e := range b.Endpoints.All() {
		if e.Job == id {
			return endpoint, e, true
		}
	}
	return "", Endpoint{}, false
}

// ApplyRegistered records the model.
func (b *Book) ApplyRegistered(e Registered) {
	b.Models.Put(e.ID, Model{Name: e.Name, Org: e.Org, Run: e.Run, Tree: e.Tree, Scores: e.Scores, Label: e.Label, State: Trained})
}

// ApplySigned records the release.
func (b *Book) ApplySigned(e WasSigned, seq int64) {
	m, _ := b.Models.Get(e.ID)
	m.State, m.Release, m.Bundle, m.Passport, m.Entry = Signed, e.Release, e.Bundle, e.Passport, seq
	b.Models.Put(e.ID, m)
}

// ApplyEndpointOpened records the endpoint.
func (b *Book) ApplyEndpointOpened(e EndpointOpened) {
	b.Endpoints.Put(e.ID, Endpoint{Name: e.Name, Model: e.Model, Org: e.Org, Job: e.Job, State: Opening})
	b.Names.Put(e.Name, e.ID)
}

// ApplyEndpointReady records that it answers.
func (b *Book) ApplyEndpointReady(e EndpointReady) {
	endpoint, _ := b.Endpoints.Get(e.ID)
	endpoint.State = Ready
	b.Endpoints.Put(e.ID, endpoint)
}

// ApplyEndpointClosed records that it answers no more; its name is free again.
func (b *Book) ApplyEndpointClosed(e EndpointClosed) {
	endpoint, _ := b.Endpoints.Get(e.ID)
	endpoint.State, endpoint.Reason = Closed, e.Reason
	b.Endpoints.Put(e.ID, endpoint)
	if holder, _ := b.Names.Get(endpoint.Name); holder == e.ID {
		b.Names.Delete(endpoint.Name)
	}
}

// ApplyMetered adds the tokens.
func (b *Book) ApplyMetered(e Metered) {
	name := string(e.Endpoint) + "/" + string(e.Key)
	sum, _ := b.Use.Get(name)
	sum.Requests += e.Requests
	sum.Prompt += e.Prompt
	sum.Completion += e.Completion
	b.Use.Put(name, sum)
}

// Copy returns a book that later changes do not touch.
func (b *Book) Copy() Book {
	return Book{b.Models.Copy(), b.Endpoints.Copy(), b.Names.Copy(), b.Use.Copy()}
}
