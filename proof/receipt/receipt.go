// Package receipt is the bill of a grant that proves itself: what was awarded,
// what was charged for which job, which tokens were asked for, and for each
// line the ledger's entry with the proof that it is in the ledger.
//
// It is not an invoice and knows no prices in won; a credit is an hour of the
// reference chip. It proves that every line is true. That no line is missing
// it cannot prove: only the whole ledger can, and anybody may read that.
//
// Begin with Make, which a centre calls, and Verify, which anybody can.
package receipt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/gaon-ai/gaon/internal/unit"
)

// Format is the value of the field format; another form gets another number.
const Format = "gaon.receipt/1"

// Limits of one receipt.
const (
	bytesMax  = 256 << 20
	proofsMax = 100_000
)

// Kinds of lines.
const (
	Award    = "award"    // credits given
	Charge   = "charge"   // a job that ended
	Endpoint = "endpoint" // a model served under this grant
	Tokens   = "tokens"   // what was asked of such an endpoint
)

// Document is a receipt. Everything above Proofs is calculated from Proofs, so
// that nothing in it can be changed alone. Credits are micro-credits.
type Document struct {
	Format     string           `json:"format"`
	Centre     string           `json:"centre"`
	Country    string           `json:"country"`
	Ledger     string           `json:"ledger"` // the centre's verifier key, as its founding says
	Grant      string           `json:"grant"`
	Org        string           `json:"org"`
	Awarded    unit.Credits     `json:"awarded"`
	Charged    unit.Credits     `json:"charged"`
	Use        unit.ChipSeconds `json:"use"` // chip-seconds
	Requests   int64            `json:"requests"`
	Prompt     int64            `json:"prompt_tokens"`
	Completion int64            `json:"completion_tokens"`
	Lines      []Line           `json:"lines"`
	Proofs     []Proof          `json:"proofs"`
}

// Line is one thing that happened.
type Line struct {
	Kind    string           `json:"kind"`
	Entry   int64            `json:"entry"` // sequence number in the ledger
	At      unit.Instant     `json:"at"`
	Subject string           `json:"subject"` // application, job or endpoint
	State   string           `json:"state,omitempty"`
	Credits unit.Credits     `json:"credits,omitempty"`
	Use     unit.ChipSeconds `json:"use,omitempty"`

	Requests   int64 `json:"requests,omitempty"`
	Prompt     int64 `json:"prompt_tokens,omitempty"`
	Completion int64 `json:"completion_tokens,omitempty"`
}

// Proof is one entry, byte for byte, and its receipt (C2SP tlog-proof).
type Proof struct {
	Entry   int64  `json:"entry"`
	Data    []byte `json:"data"`
	Receipt string `json:"receipt"`
}

// LedgerFunc checks a receipt over the exact bytes of an entry with the
// ledger's key, and returns the entry's place.
type LedgerFunc func(entry []byte, receipt string) (seq int64, err error)

// ChangedError says what in a receipt is not as the centre made it.
type ChangedError struct{ Field, Problem string }

// Code names the refusal for programs.
func (e *ChangedError) Code() string { return "receipt.changed" }

func (e *ChangedError) Error() string { return "receipt: " + e.Field + ": " + e.Problem }

// Hint says what to do next.
func (e *ChangedError) Hint() string {
	return "ask the centre for a fresh one: gaon receipt GRANT"
}

// wire is what a receipt reads of a ledger entry.
type wire struct {
	At     unit.Instant `json:"at"`
	Events []struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	} `json:"events"`
}

// The events a receipt is made of, and the one field by which each belongs.
type (
	founded struct {
		Name      string `json:"name"`
		Country   string `json:"country"`
		LedgerKey string `json:"ledger_key"`
	}
	given struct {
		ID          string       `json:"id"`
		Org         string       `json:"org"`
		Application string       `json:"application"`
		Credits     unit.Credits `json:"credits"`
	}
	used struct {
		ID      string           `json:"id"`
		Job     string           `json:"job"`
		Use     unit.ChipSeconds `json:"use"`
		Charged unit.Credits     `json:"charged"`
	}
	finished struct {
		ID    string `json:"id"`
		State string `json:"state"`
	}
	submitted struct {
		ID    string `json:"id"`
		Grant string `json:"grant"`
	}
	opened struct {
		ID  string `json:"id"`
		Job string `json:"job"`
	}
	metered struct {
		Endpoint   string `json:"endpoint"`
		Requests   int64  `json:"requests"`
		Prompt     int64  `json:"prompt"`
		Completion int64  `json:"completion"`
	}
)

// Reader tells which entries of a ledger belong into a grant's receipt. Give
// it every entry in order.
type Reader struct {
	doc       Document
	endpoints map[string]bool
}

// NewReader begins a receipt for the grant.
func NewReader(grant string) *Reader {
	return &Reader{Document{Format: Format, Grant: grant, Lines: []Line{}, Proofs: []Proof{}}, map[string]bool{}}
}

// Read takes one entry and says whether it belongs.
func (r *Reader) Read(seq int64, data []byte) (bool, error) {
	var entry wire
	if err := json.Unmarshal(data, &entry); err != nil {
		return false, fmt.Errorf("entry %d: %w", seq, err)
	}
	states, jobs, before := map[string]string{}, map[string]bool{}, len(r.doc.Lines)
	belongs := false
	for _, e := range entry.Events {
		line, err := r.event(e.Type, e.Data, states, jobs)
		if err != nil {
			return false, fmt.Errorf("entry %d, %s: %w", seq, e.Type, err)
		}
		belongs = belongs || e.Type == "centre.founded/1"
		if line.Kind != "" {
			line.Entry, line.At = seq, entry.At
			r.doc.Lines = append(r.doc.Lines, line)
		}
	}
	return belongs || len(r.doc.Lines) > before, nil
}

// event reads one event. states holds how jobs of this entry ended and jobs
// which of them the grant pays for.
func (r *Reader) event(kind string, data []byte, states map[string]string, jobs map[string]bool) (Line, error) {
	switch kind {
	case "centre.founded/1":
		e, err := decode[founded](data)
		r.doc.Centre, r.doc.Country, r.doc.Ledger = e.Name, e.Country, e.LedgerKey
		return Line{}, err
	case "grant.given/1":
		e, err := decode[given](data)
		if err != nil || e.ID != r.doc.Grant {
			return Line{}, err
		}
		r.doc.Org, r.doc.Awarded = e.Org, r.doc.Awarded+e.Credits
		return Line{Kind: Award, Subject: e.Application, Credits: e.Credits}, nil
	case "job.finished/1":
		e, err := decode[finished](data)
		states[e.ID] = e.State
		return Line{}, err
	case "grant.used/1":
		e, err := decode[used](data)
		if err != nil || e.ID != r.doc.Grant {
			return Line{}, err
		}
		r.doc.Charged, r.doc.Use = r.doc.Charged+e.Charged, r.doc.Use+e.Use
		return Line{Kind: Charge, Subject: e.Job, State: states[e.Job], Credits: e.Charged, Use: e.Use}, nil
	case "job.submitted/1":
		e, err := decode[submitted](data)
		jobs[e.ID] = e.Grant == r.doc.Grant
		return Line{}, err
	case "model.endpoint-opened/1":
		e, err := decode[opened](data)
		if err != nil || !jobs[e.Job] {
			return Line{}, err
		}
		r.endpoints[e.ID] = true
		return Line{Kind: Endpoint, Subject: e.ID, State: e.Job}, nil
	case "model.metered/1":
		e, err := decode[metered](data)
		if err != nil || !r.endpoints[e.Endpoint] {
			return Line{}, err
		}
		r.doc.Requests, r.doc.Prompt, r.doc.Completion = r.doc.Requests+e.Requests, r.doc.Prompt+e.Prompt, r.doc.Completion+e.Completion
		return Line{Kind: Tokens, Subject: e.Endpoint, Requests: e.Requests, Prompt: e.Prompt, Completion: e.Completion}, nil
	}
	return Line{}, nil
}

func decode[E any](data []byte) (E, error) {
	var e E
	err := json.Unmarshal(data, &e)
	return e, err
}

// Make writes the receipt of the grant from the entries that belong, in order.
// The first must be the centre's founding.
func Make(grant string, proofs []Proof) ([]byte, error) {
	if len(proofs) == 0 || len(proofs) > proofsMax {
		return nil, fmt.Errorf("receipt of %d entries, want 1 to %d", len(proofs), proofsMax)
	}
	r := NewReader(grant)
	for i, p := range proofs {
		if i > 0 && p.Entry <= proofs[i-1].Entry {
			return nil, &ChangedError{fmt.Sprintf("proofs[%d].entry", i), "is out of order"}
		}
		belongs, err := r.Read(p.Entry, p.Data)
		if err != nil {
			return nil, &ChangedError{fmt.Sprintf("proofs[%d].data", i), err.Error()}
		}
		if !belongs {
			return nil, &ChangedError{fmt.Sprintf("proofs[%d]", i), "is not about this grant"}
		}
	}
	if r.doc.Ledger == "" {
		return nil, &ChangedError{"proofs", "the centre's founding is not among them"}
	}
	r.doc.Proofs = slices.Clone(proofs)
	return encode(r.doc)
}

func encode(d Document) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(d)
	return out.Bytes(), err
}

// Verify checks every line of a receipt against the ledger's key and
// calculates the receipt again from its proofs: it must come out the same,
// byte for byte.
func Verify(data []byte, ledger LedgerFunc) (Document, error) {
	var d Document
	if len(data) > bytesMax {
		return d, &ChangedError{"size", fmt.Sprintf("%d bytes, at most %d", len(data), bytesMax)}
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return d, &ChangedError{"document", lineOf(data, err) + err.Error()}
	}
	if d.Format != Format {
		return d, &ChangedError{"format", fmt.Sprintf("%q, want %q", d.Format, Format)}
	}
	for i, p := range d.Proofs {
		seq, err := ledger(p.Data, p.Receipt)
		if err != nil {
			return d, &ChangedError{fmt.Sprintf("proofs[%d] (entry %d)", i, p.Entry), err.Error()}
		}
		if seq != p.Entry {
			return d, &ChangedError{fmt.Sprintf("proofs[%d].entry", i), fmt.Sprintf("%d, but the proof is of entry %d", p.Entry, seq)}
		}
	}
	again, err := Make(d.Grant, d.Proofs)
	if err != nil {
		return d, err
	}
	if !bytes.Equal(again, data) {
		return d, &ChangedError{difference(again, data), "is not what the proven entries say"}
	}
	return d, nil
}

// lineOf says in which line a document stops being JSON of the right kind; it
// is empty where the error does not tell.
func lineOf(data []byte, err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	offset := int64(-1)
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
	}
	if offset < 0 || offset > int64(len(data)) {
		return ""
	}
	return fmt.Sprintf("line %d: ", 1+bytes.Count(data[:offset], []byte("\n")))
}

// difference names the place where two receipts part: the field the line
// begins with, and its number.
func difference(want, got []byte) string {
	w, g := bytes.Split(want, []byte("\n")), bytes.Split(got, []byte("\n"))
	for i := range g {
		if i < len(w) && bytes.Equal(w[i], g[i]) {
			continue
		}
		line := g[i]
		if i < len(w) {
			line = w[i]
		}
		field := bytes.Trim(bytes.SplitN(bytes.TrimSpace(line), []byte(":"), 2)[0], `" {}[],`)
		return fmt.Sprintf("line %d (%s)", i+1, field)
	}
	return "its end"
}
