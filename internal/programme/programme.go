// Package programme is how compute is given out: programmes with a published
// rule, calls, applications and awards. The rule is data; who meets it is
// awarded at once, and the rest go to people.
//
// Begin with Book.Apply, which decides an application by its programme's rule.
package programme

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/table"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Ids of the subjects: R3 for a programme would collide with runs, so N3, C4, A5.
type (
	ID            string
	CallID        string
	ApplicationID string
)

// Rule is what the programme publishes about its awards.
type Rule struct {
	Ceiling   unit.Credits `json:"ceiling"`   // requests up to this are awarded at once
	PerOrg    unit.Credits `json:"per_org"`   // one organisation may hold at most this from one call
	Countries []string     `json:"countries"` // applicants' countries; empty: any
	Kinds     []string     `json:"kinds"`     // applicants' kinds; empty: any
	Length    unit.Span    `json:"length"`    // how long an award lasts
}

// Programme is one programme.
type Programme struct {
	Name string `json:"name"`
	Rule Rule   `json:"rule"`
}

// Call is an invitation to apply, with a budget.
type Call struct {
	Programme ID           `json:"programme"`
	Name      string       `json:"name"`
	Budget    unit.Credits `json:"budget"`
	Awarded   unit.Credits `json:"awarded"`
	Opens     unit.Instant `json:"opens"`
	Closes    unit.Instant `json:"closes"`
}

// States of an application.
const (
	Awarded  = "awarded"
	InReview = "in-review"
	Declined = "declined"
)

// Application is one request for credits.
type Application struct {
	Call    CallID       `json:"call"`
	Org     party.OrgID  `json:"org"`
	Purpose string       `json:"purpose"`
	Credits unit.Credits `json:"credits"`
	State   string       `json:"state"`
	Grant   string       `json:"grant,omitempty"`
	Reasons []string     `json:"reasons,omitempty"` // why it was awarded, declined or sent to people
}

// Book is the state.
type Book struct {
	Programmes   table.Table[ID, Programme]              `json:"programmes"`
	Calls        table.Table[CallID, Call]               `json:"calls"`
	Applications table.Table[ApplicationID, Application] `json:"applications"`
}

// Published records a programme. Wire name programme.published/1.
type Published struct {
	ID ID `json:"id"`
	Programme
}

// CallOpened records a call. Wire name programme.call-opened/1.
type CallOpened struct {
	ID        CallID       `json:"id"`
	Programme ID           `json:"programme"`
	Name      string       `json:"name"`
	Budget    unit.Credits `json:"budget"`
	Opens     unit.Instant `json:"opens"`
	Closes    unit.Instant `json:"closes"`
}

// Applied records an application. Wire name programme.applied/1.
type Applied struct {
	ID      ApplicationID `json:"id"`
	Call    CallID        `json:"call"`
	Org     party.OrgID   `json:"org"`
	Purpose string        `json:"purpose"`
	Credits unit.Credits  `json:"credits"`
}

// Decided records what became of an application. Wire name programme.decided/1.
type Decided struct {
	ID      ApplicationID `json:"id"`
	State   string        `json:"state"`
	Grant   string        `json:"grant,omitempty"`
	Reasons []string      `json:"reasons"`
}

// IneligibleError refuses an application the rule excludes.
type IneligibleError struct{ Reasons []string }

// Code names the refusal for programs.
func (e *IneligibleError) Code() string { return "programme.ineligible" }

func (e *IneligibleError) Error() string {
	return "the programme's rule excludes this application: " + strings.Join(e.Reasons, "; ")
}

// Hint says what the person can do.
func (e *IneligibleError) Hint() string { return "read the rule: gaon programme list" }

// Bounds of what a programme can give, far from where sums would wrap.
const (
	creditsMax = 1_000_000_000 * unit.Credit
	lengthMax  = 3660 * unit.Day
)

// Publish asks to publish a programme.
func (b *Book) Publish(id ID, p Programme) (Published, error) {
	if err := party.CheckName("name", p.Name); err != nil {
		return Published{}, err
	}
	r := p.Rule
	if r.Ceiling < 0 || r.PerOrg <= 0 || r.PerOrg < r.Ceiling || r.PerOrg > creditsMax {
		return Published{}, &party.FieldError{Field: "rule", Problem: fmt.Sprintf("wants 0 <= ceiling <= per_org <= %s and per_org above zero", creditsMax)}
	}
	if r.Length < unit.Hour || r.Length > lengthMax {
		return Published{}, &party.FieldError{Field: "rule.length", Problem: fmt.Sprintf("an award lasts from an hour to %d days", lengthMax/unit.Day)}
	}
	for i, country := range r.Countries {
		if err := party.CheckCountry(fmt.Sprintf("rule.countries[%d]", i), country); err != nil {
			return Published{}, err
		}
	}
	return Published{id, p}, nil
}

// Open asks to open a call.
func (b *Book) Open(id CallID, c Call) (CallOpened, error) {
	if _, ok := b.Programmes.Get(c.Programme); !ok {
		return CallOpened{}, &party.UnknownError{Kind: "programme", ID: string(c.Programme)}
	}
	if err := party.CheckName("name", c.Name); err != nil {
		return CallOpened{}, err
	}
	if c.Budget <= 0 || c.Budget > creditsMax {
		return CallOpened{}, &party.FieldError{Field: "budget", Problem: fmt.Sprintf("must be above zero and at most %s", creditsMax)}
	}
	if c.Closes <= c.Opens {
		return CallOpened{}, &party.FieldError{Field: "closes", Problem: "must be after it opens"}
	}
	return CallOpened{id, c.Programme, c.Name, c.Budget, c.Opens, c.Closes}, nil
}

// Apply decides an application by the rule. It returns the application and
// its state, Awarded or InReview with the reasons, or a refusal when the rule
// excludes it outright.
func (b *Book) Apply(at unit.Instant, id ApplicationID, a Application, org party.Organisation) (Applied, string, []string, error) {
	call, ok := b.Calls.Get(a.Call)
	if !ok {
		return Applied{}, "", nil, &party.UnknownError{Kind: "call", ID: string(a.Call)}
	}
	if a.Credits <= 0 || a.Credits > creditsMax {
		return Applied{}, "", nil, &party.FieldError{Field: "credits", Problem: fmt.Sprintf("must be above zero and at most %s", creditsMax)}
	}
	if err := party.CheckName("purpose", a.Purpose); err != nil {
		return Applied{}, "", nil, err
	}
	p, _ := b.Programmes.Get(call.Programme)
	if excluded := b.excludes(at, p.Rule, call, a, org); len(excluded) > 0 {
		return Applied{}, "", nil, &IneligibleError{excluded}
	}
	applied := Applied{id, a.Call, a.Org, a.Purpose, a.Credits}
	if a.Credits > p.Rule.Ceiling {
		return applied, InReview, []string{fmt.Sprintf("%s credits are above the ceiling of %s that the rule awards at once", a.Credits, p.Rule.Ceiling)}, nil
	}
	return applied, Awarded, []string{fmt.Sprintf("%s credits are within the ceiling of %s", a.Credits, p.Rule.Ceiling)}, nil
}

func (b *Book) excludes(at unit.Instant, r Rule, call Call, a Application, org party.Organisation) []string {
	var reasons []string
	if at < call.Opens || at >= call.Closes {
		reasons = append(reasons, "the call is not open now")
	}
	if len(r.Countries) > 0 && !slices.Contains(r.Countries, org.Country) {
		reasons = append(reasons, fmt.Sprintf("applicants come from %s, this one from %s", strings.Join(r.Countries, ", "), org.Country))
	}
	if len(r.Kinds) > 0 && !slices.Contains(r.Kinds, org.Kind) {
		reasons = append(reasons, fmt.Sprintf("applicants are of kind %s, this one of kind %s", strings.Join(r.Kinds, ", "), org.Kind))
	}
	if left := call.Budget - call.Awarded; a.Credits > left {
		reasons = append(reasons, fmt.Sprintf("the call has %s credits left, %s wanted", left, a.Credits))
	}
	if held := b.heldFrom(a.Call, a.Org); held+a.Credits > r.PerOrg {
		reasons = append(reasons, fmt.Sprintf("one organisation may hold %s credits from a call; this one has %s and wants %s more", r.PerOrg, held, a.Credits))
	}
	return reasons
}

// heldFrom sums what the organisation was awarded or still waits for.
func (b *Book) heldFrom(call CallID, org party.OrgID) unit.Credits {
	var sum unit.Credits
	for _, a := range b.Applications.All() {
		if a.Call == call && a.Org == org && a.State != Declined {
			sum += a.Credits
		}
	}
	return sum
}

// Waiting returns the application if people may still decide it.
func (b *Book) Waiting(id ApplicationID) (Application, error) {
	a, ok := b.Applications.Get(id)
	if !ok {
		return Application{}, &party.UnknownError{Kind: "application", ID: string(id)}
	}
	if a.State != InReview {
		return Application{}, &party.FieldError{Field: "application", Problem: "is " + a.State + " already"}
	}
	return a, nil
}

// ApplyPublished records the programme.
func (b *Book) ApplyPublished(e Published) { b.Programmes.Put(e.ID, e.Programme) }

// ApplyCallOpened records the call.
func (b *Book) ApplyCallOpened(e CallOpened) {
	b.Calls.Put(e.ID, Call{Programme: e.Programme, Name: e.Name, Budget: e.Budget, Opens: e.Opens, Closes: e.Closes})
}

// ApplyApplied records the application, undecided.
func (b *Book) ApplyApplied(e Applied) {
	b.Applications.Put(e.ID, Application{Call: e.Call, Org: e.Org, Purpose: e.Purpose, Credits: e.Credits, State: InReview})
}

// ApplyDecided records the decision and takes the award from the call's budget.
func (b *Book) ApplyDecided(e Decided) {
	a, _ := b.Applications.Get(e.ID)
	a.State, a.Grant, a.Reasons = e.State, e.Grant, e.Reasons
	b.Applications.Put(e.ID, a)
	if e.State == Awarded {
		call, _ := b.Calls.Get(a.Call)
		call.Awarded += a.Credits
		b.Calls.Put(a.Call, call)
	}
}

// Copy returns a book that later changes do not touch.
func (b *Book) Copy() Book {
	return Book{b.Programmes.Copy(), b.Calls.Copy(), b.Applications.Copy()}
}
