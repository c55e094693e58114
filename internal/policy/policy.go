// Package policy decides who may do what with which data where, by Cedar
// policies that lawyers can read, and knows the labels data carries.
//
// It does not know what the actions do; the centre asks before each of them
// and records the digest of the policy that answered.
//
// Begin with Book.Decide.
package policy

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"

	"github.com/gaon-ai/gaon/internal/unit"
)

// Default is the policy a new centre is founded with.
//
//go:embed default.cedar
var Default string

// textMax bounds a policy text so that it fits one ledger entry.
const textMax = 32 << 10

// Published makes a policy text the one in force. Wire name policy.published/1.
type Published struct {
	Text   string      `json:"text"`
	Digest unit.Digest `json:"digest"`
}

// Book is the state: the policy in force.
type Book struct {
	Text   string      `json:"text"`
	Digest unit.Digest `json:"digest"`

	set *cedar.PolicySet // compiled from Text; built again after a restart
}

// Request is one question. Empty fields are absent attributes' neutral values.
type Request struct {
	Actor    Actor
	Action   string // such as "submitJob"
	Resource Resource
	Context  Context
}

// Actor is who asks.
type Actor struct {
	ID    string
	Org   string
	Roles []string
}

// Resource is what is asked about.
type Resource struct {
	Kind  string // such as "Grant"
	ID    string
	Org   string // the organisation it belongs to
	Label Label
}

// Context is where and how it would happen.
type Context struct {
	Country         string // where work would run or data would go
	Network         bool   // the work wants the network
	EnforcesNetwork bool   // the node can keep work off the network
	EnforcesInputs  bool   // the node can keep inputs read-only and others' data hidden
}

// Verdict is the answer, with what decided it.
type Verdict struct {
	Allowed bool        `json:"allowed"`
	Digest  unit.Digest `json:"digest"`
	Reasons []string    `json:"reasons,omitempty"` // ids of the deciding policies, sorted
}

// DeniedError refuses what the policy does not allow.
type DeniedError struct {
	Request Request
	Verdict Verdict
}

// Code names the refusal for programs.
func (e *DeniedError) Code() string { return "policy.denied" }

func (e *DeniedError) Error() string {
	why := "no policy permits it"
	if len(e.Verdict.Reasons) > 0 {
		why = "forbidden by " + strings.Join(e.Verdict.Reasons, ", ")
	}
	return fmt.Sprintf("%s may not %s %s %s: %s (policy %s)",
		e.Request.Actor.ID, e.Request.Action, strings.ToLower(e.Request.Resource.Kind), e.Request.Resource.ID, why, e.Verdict.Digest.Short())
}

// Hint says what the person can do.
func (e *DeniedError) Hint() string {
	return "read the policy in force with: gaon policy show"
}

// TextError refuses a policy text that Cedar cannot read.
type TextError struct{ Problem string }

// Code names the refusal for programs.
func (e *TextError) Code() string { return "policy.text" }

func (e *TextError) Error() string { return "policy text: " + e.Problem }

// Publish asks to put a policy text in force.
func Publish(text string) (Published, error) {
	if len(text) > textMax {
		return Published{}, &TextError{fmt.Sprintf("%d bytes, at most %d fit", len(text), textMax)}
	}
	set, err := compile(text)
	if err != nil {
		return Published{}, &TextError{err.Error()}
	}
	book := Book{Text: text, Digest: unit.DigestOf([]byte(text)), set: set}
	for _, last := range []Request{
		{Actor: Actor{ID: "operator", Roles: []string{"operator"}}, Action: "publishPolicy", Resource: Resource{Kind: "Policy"}},
		{Actor: Actor{ID: "controller"}, Action: "observeJob", Resource: Resource{Kind: "Job"}},
	} {
		last.Resource.Label.Class = Internal
		if !book.Decide(last).Allowed {
			return Published{}, &TextError{fmt.Sprintf("it would not let the %s do %s, and the centre could never leave it again", last.Actor.ID, last.Action)}
		}
	}
	return Published{Text: text, Digest: book.Digest}, nil
}

// ApplyPublished puts the policy in force.
func (b *Book) ApplyPublished(e Published) {
	*b = Book{Text: e.Text, Digest: e.Digest}
	b.Compile()
}

// Compile makes a book read from a snapshot ready to decide. A text that does
// not compile permits nothing.
func (b *Book) Compile() {
	b.set, _ = compile(b.Text)
}

// compile names each policy by its @id annotation, so that a refusal can say
// which line of the law decided.
func compile(text string) (*cedar.PolicySet, error) {
	list, err := cedar.NewPolicyListFromBytes("policy", []byte(text))
	if err != nil {
		return nil, err
	}
	set := cedar.NewPolicySet()
	for i, p := range list {
		id := string(p.Annotations()["id"])
		if id == "" {
			id = fmt.Sprintf("policy-%d", i+1)
		}
		if !set.Add(cedar.PolicyID(id), p) {
			return nil, fmt.Errorf("two policies are called %q", id)
		}
	}
	return set, nil
}

// Decide answers the request by the policy in force. A policy that fails while
// it is evaluated counts as a refusal: an error must never open a door.
func (b *Book) Decide(r Request) Verdict {
	verdict := Verdict{Digest: b.Digest}
	if b.set == nil {
		return verdict
	}
	principal := cedar.NewEntityUID("Actor", cedar.String(r.Actor.ID))
	resource := cedar.NewEntityUID(cedar.EntityType(r.Resource.Kind), cedar.String(r.Resource.ID))
	entities := cedar.EntityMap{
		principal: {UID: principal, Attributes: cedar.NewRecord(cedar.RecordMap{
			"id":    cedar.String(r.Actor.ID),
			"org":   cedar.String(r.Actor.Org),
			"roles": stringSet(r.Actor.Roles),
		})},
		resource: {UID: resource, Attributes: cedar.NewRecord(cedar.RecordMap{
			"id":        cedar.String(r.Resource.ID),
			"org":       cedar.String(r.Resource.Org),
			"class":     cedar.String(r.Resource.Label.Class),
			"residency": stringSet(r.Resource.Label.Residency),
			"anywhere":  cedar.Boolean(len(r.Resource.Label.Residency) == 0 && !r.Resource.Label.Nowhere),
		})},
	}
	decision, diagnostic := b.set.IsAuthorized(entities, cedar.Request{
		Principal: principal,
		Action:    cedar.NewEntityUID("Action", cedar.String(r.Action)),
		Resource:  resource,
		Context: cedar.NewRecord(cedar.RecordMap{
			"country":          cedar.String(r.Context.Country),
			"network":          cedar.Boolean(r.Context.Network),
			"enforces_network": cedar.Boolean(r.Context.EnforcesNetwork),
			"enforces_inputs":  cedar.Boolean(r.Context.EnforcesInputs),
		}),
	})
	verdict.Allowed = decision == cedar.Allow && len(diagnostic.Errors) == 0
	for _, reason := range diagnostic.Reasons {
		verdict.Reasons = append(verdict.Reasons, string(reason.PolicyID))
	}
	slices.Sort(verdict.Reasons)
	return verdict
}

// Require is Decide with a typed refusal.
func (b *Book) Require(r Request) error {
	if verdict := b.Decide(r); !verdict.Allowed {
		return &DeniedError{r, verdict}
	}
	return nil
}

func stringSet(words []string) cedar.Set {
	values := make([]cedar.Value, len(words))
	for i, word := range words {
		values[i] = cedar.String(word)
	}
	return cedar.NewSet(values...)
}
