package centre

import (
	"fmt"
	"unicode/utf8"

	"github.com/gaon-ai/gaon/internal/account"
	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/programme"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Authors that are not people.
const (
	Controller = "controller"
	Founder    = "founder"
)

// decision is one command on its way to becoming an entry.
type decision struct {
	s      *State
	at     unit.Instant
	actor  policy.Actor
	made   string
	events []Event
}

// Repeated answers a command whose key is on record: nothing new is written.
type Repeated struct{ Outcome }

func (e *Repeated) Error() string {
	return fmt.Sprintf("the command is on record already, as entry %d", e.Seq)
}

// NothingError says that a command would change nothing: what it asks for is
// so already. Nothing is written and callers treat it as success.
type NothingError struct{ Why string }

// Code names the outcome for programs.
func (e *NothingError) Code() string { return "nothing" }

func (e *NothingError) Error() string { return e.Why }

// keyBytesMax bounds a command's key: thousands of them are remembered.
const keyBytesMax = 200

// Decide says what follows from the command at the instant, by the author.
// It reads the state and changes nothing. Refusals are typed errors with a
// Code; *Repeated carries the first outcome.
func (s *State) Decide(at unit.Instant, by, key string, c Command) (Entry, error) {
	if len(key) > keyBytesMax || !utf8.ValidString(key) {
		return Entry{}, &party.FieldError{Field: "key", Problem: fmt.Sprintf("wants UTF-8 of at most %d bytes", keyBytesMax)}
	}
	if key != "" {
		if outcome, done := s.Recent.Done.Get(key); done {
			return Entry{}, &Repeated{outcome}
		}
	}
	if _, isFound := c.(Found); isFound != (s.Seq == 0) {
		if isFound {
			return Entry{}, &party.FieldError{Field: "centre", Problem: "is founded already"}
		}
		return Entry{}, &party.FieldError{Field: "centre", Problem: "is not founded yet"}
	}
	d := &decision{s: s, at: at, actor: s.actor(by, at)}
	if err := c.decide(d); err != nil {
		return Entry{}, err
	}
	if len(d.events) == 0 {
		return Entry{}, &NothingError{"nothing to record: it is so already"}
	}
	return Entry{At: at, By: by, Key: key, Made: d.made, Policy: s.Policy.Digest, Events: d.events}, nil
}

// actor is the author as policy sees it.
func (s *State) actor(by string, at unit.Instant) policy.Actor {
	person, ok := s.Party.People.Get(party.PersonID(by))
	if !ok || person.Erased {
		return policy.Actor{ID: by} // nobody known: belongs nowhere, holds no role
	}
	return policy.Actor{ID: by, Org: string(person.Org), Roles: person.RolesAt(at)}
}

// May asks policy whether the author may do the action; pages and the API ask
// it before they show anything.
func (s *State) May(at unit.Instant, by, action string, r policy.Resource) error {
	return s.Policy.Require(policy.Request{Actor: s.actor(by, at), Action: action, Resource: r, Context: policy.Context{Country: s.Identity.Country}})
}

func (d *decision) may(action, kind, id string, org party.OrgID) error {
	return d.s.May(d.at, d.actor.ID, action, policy.Resource{Kind: kind, ID: id, Org: string(org), Label: policy.Label{Class: policy.Internal}})
}

// id names what the command makes after the entry's sequence number.
func (d *decision) id(letter string) string { return fmt.Sprintf("%s%d", letter, d.s.Seq) }

func (d *decision) make(e Event, id string) {
	d.made = id
	d.events = append(d.events, e)
}

func (d *decision) add(e Event) { d.events = append(d.events, e) }

// rateCPUSlot is what a CPU slot is worth at founding: a two-hundredth of the
// reference chip. It is dense float32 throughput, 0.1 TFLOP/s a core beside
// some 20 TFLOP/s that training reaches on an accelerator of the H200 class;
// an operator sets measured rates with RateChip.
const rateCPUSlot = unit.RateReference / 200

func (c Found) decide(d *decision) error {
	if err := party.CheckName("name", c.Name); err != nil {
		return err
	}
	if err := party.CheckName("site", c.Site); err != nil {
		return err
	}
	if err := party.CheckCountry("country", c.Country); err != nil {
		return err
	}
	if d.actor.ID != Founder {
		return &party.FieldError{Field: "author", Problem: "only the founder founds a centre"}
	}
	for _, bound := range []struct {
		field  string
		digest unit.Digest
	}{{"details", c.Details}, {"secret", c.Secret}} {
		if _, err := unit.ParseDigest(string(bound.digest)); err != nil {
			return &party.FieldError{Field: bound.field, Problem: err.Error()}
		}
	}
	published, err := policy.Publish(c.Policy)
	if err != nil {
		return err
	}
	d.make(c.Founded, d.id("O"))
	d.add(published)
	d.add(fleet.ChipRated{Chip: fleet.CPUSlot, Rate: rateCPUSlot, Why: "founding rate: dense float32 throughput beside the reference chip"})
	d.add(party.Joined{Org: party.OrgID(d.id("O")), Organisation: party.Organisation{Name: c.Name, Country: c.Country, Kind: "office", Since: d.at}})
	operator := party.PersonID(d.id("P"))
	d.add(party.Enrolled{Person: operator, Org: party.OrgID(d.id("O")), Details: c.Details,
		Roles: []party.Role{{Name: party.Operator}, {Name: party.Officer}}})
	d.add(party.KeyIssued{ID: party.KeyID(d.id("K")), Key: party.Key{Person: operator, Use: party.ForAPI, Secret: c.Secret}})
	return nil
}

func (c AddOrganisation) decide(d *decision) error {
	if err := d.may("addOrganisation", "Organisation", c.Name, ""); err != nil {
		return err
	}
	c.Since = d.at
	e, err := d.s.Party.Join(party.OrgID(d.id("O")), c.Organisation)
	if err != nil {
		return err
	}
	d.make(e, string(e.Org))
	return nil
}

func (c AddPerson) decide(d *decision) error {
	if err := d.may("addPerson", "Person", d.id("P"), c.Org); err != nil {
		return err
	}
	// Who may admit people may not for that make them operators.
	for _, role := range c.Roles {
		if err := d.may("giveRole", "Role", role.Name, c.Org); err != nil {
			return err
		}
	}
	e, err := d.s.Party.Enrol(party.PersonID(d.id("P")), c.Org, c.Details, c.Roles)
	if err != nil {
		return err
	}
	d.make(e, string(e.Person))
	return nil
}

func (c ErasePerson) decide(d *decision) error {
	if err := d.may("erasePerson", "Person", string(c.Person), ""); err != nil {
		return err
	}
	e, changes, err := d.s.Party.Erase(c.Person)
	if err == nil && changes {
		d.make(e, string(c.Person))
	}
	return err
}

func (c IssueKey) decide(d *decision) error {
	person, _ := d.s.Party.People.Get(c.Person)
	if err := d.may("issueKey", "Person", string(c.Person), person.Org); err != nil {
		return err
	}
	e, err := d.s.Party.Issue(party.KeyID(d.id("K")), party.Key{Person: c.Person, Use: c.Use, Secret: c.Secret, Until: c.Until})
	if err != nil {
		return err
	}
	d.make(e, string(e.ID))
	return nil
}

func (c RevokeKey) decide(d *decision) error {
	key, _ := d.s.Party.Keys.Get(c.Key)
	person, _ := d.s.Party.People.Get(key.Person)
	// About the person, not the key: people end their own.
	if err := d.may("revokeKey", "Person", string(key.Person), person.Org); err != nil {
		return err
	}
	e, changes, err := d.s.Party.Revoke(c.Key)
	if err == nil && changes {
		d.make(e, string(c.Key))
	}
	return err
}

func (c PublishPolicy) decide(d *decision) error {
	if err := d.may("publishPolicy", "Policy", string(unit.DigestOf([]byte(c.Text))), ""); err != nil {
		return err
	}
	e, err := policy.Publish(c.Text)
	if err == nil && e.Digest != d.s.Policy.Digest {
		d.make(e, string(e.Digest))
	}
	return err
}

func (c PublishProgramme) decide(d *decision) error {
	if err := d.may("publishProgramme", "Programme", c.Name, ""); err != nil {
		return err
	}
	e, err := d.s.Programmes.Publish(programme.ID(d.id("N")), c.Programme)
	if err != nil {
		return err
	}
	d.make(e, string(e.ID))
	return nil
}

func (c OpenCall) decide(d *decision) error {
	if err := d.may("openCall", "Programme", string(c.Programme), ""); err != nil {
		return err
	}
	if c.Opens == 0 {
		c.Opens = d.at
	}
	e, err := d.s.Programmes.Open(programme.CallID(d.id("C")), programme.Call{Programme: c.Programme, Name: c.Name,
		Budget: c.Budget, Opens: c.Opens, Closes: c.Closes})
	if err != nil {
		return err
	}
	d.make(e, string(e.ID))
	return nil
}

func (c Apply) decide(d *decision) error {
	org, ok := d.s.Party.Orgs.Get(c.Org)
	if !ok {
		return &party.UnknownError{Kind: "org", ID: string(c.Org)}
	}
	if err := d.may("apply", "Call", string(c.Call), c.Org); err != nil {
		return err
	}
	id := programme.ApplicationID(d.id("A"))
	applied, state, reasons, err := d.s.Programmes.Apply(d.at, id,
		programme.Application{Call: c.Call, Org: c.Org, Purpose: c.Purpose, Credits: c.Credits}, org)
	if err != nil {
		return err
	}
	d.make(applied, string(id))
	if state == programme.Awarded {
		return d.award(id, programme.Application{Call: c.Call, Org: c.Org, Credits: c.Credits}, reasons)
	}
	d.add(programme.Decided{ID: id, State: state, Reasons: reasons})
	return nil
}

// award gives the grant and posts its credits.
func (d *decision) award(id programme.ApplicationID, a programme.Application, reasons []string) error {
	call, _ := d.s.Programmes.Calls.Get(a.Call)
	p, _ := d.s.Programmes.Programmes.Get(call.Programme)
	given := grant.ID(d.id("G"))
	posted, err := d.s.Accounts.Post(account.Issue, grant.Account(given), a.Credits, "award of application "+string(id))
	if err != nil {
		return err
	}
	d.add(programme.Decided{ID: id, State: programme.Awarded, Grant: string(given), Reasons: reasons})
	d.add(grant.Given{ID: given, Org: a.Org, Programme: string(call.Programme), Application: string(id), Credits: a.Credits,
		From: d.at, Until: d.at.Add(p.Rule.Length)})
	d.add(posted)
	return nil
}

func (c DecideApplication) decide(d *decision) error {
	if err := d.may("decideApplication", "Application", string(c.Application), ""); err != nil {
		return err
	}
	a, err := d.s.Programmes.Waiting(c.Application)
	if err != nil {
		return err
	}
	if err := party.CheckName("reason", c.Reason); err != nil {
		return err
	}
	d.made = string(c.Application)
	if !c.Award {
		d.add(programme.Decided{ID: c.Application, State: programme.Declined, Reasons: []string{c.Reason}})
		return nil
	}
	if call, _ := d.s.Programmes.Calls.Get(a.Call); a.Credits > call.Budget-call.Awarded {
		return &account.ShortError{Account: account.ID("call/" + string(a.Call)), Available: call.Budget - call.Awarded, Wanted: a.Credits}
	}
	return d.award(c.Application, a, []string{c.Reason})
}

func (c RegisterDataset) decide(d *decision) error {
	if _, ok := d.s.Party.Orgs.Get(c.Org); !ok {
		return &party.UnknownError{Kind: "org", ID: string(c.Org)}
	}
	c.Recorded = d.at
	e, err := d.s.Datasets.Register(dataset.ID(d.id("D")), c.Dataset)
	if err != nil {
		return err
	}
	// Bytes keep the label they have here: to register them again does not
	// lower it, and what others registered is theirs.
	read, err := d.inputsLabel(c.Org, []job.Input{{Tree: e.Tree}})
	if err != nil {
		return &party.FieldError{Field: "tree", Problem: "belongs to another organisation and is not public"}
	}
	e.Label = e.Label.Join(read)
	request := policy.Resource{Kind: "Dataset", ID: string(e.ID), Org: string(c.Org), Label: e.Label}
	if err := d.s.May(d.at, d.actor.ID, "registerDataset", request); err != nil {
		return err
	}
	d.make(e, string(e.ID))
	return nil
}

func (c ReportNode) decide(d *decision) error {
	if err := d.may("reportNode", "Node", string(c.ID), ""); err != nil {
		return err
	}
	e, changes, err := d.s.Fleet.Report(c.ID, c.Node)
	if err == nil && changes {
		d.make(e, string(c.ID))
	}
	return err
}

func (c RateChip) decide(d *decision) error {
	if err := d.may("rateChip", "Chip", string(c.Chip), ""); err != nil {
		return err
	}
	e, err := d.s.Fleet.RateChip(c.Chip, c.Rate, c.Why)
	if err != nil {
		return err
	}
	d.make(e, string(c.Chip))
	return nil
}

// hold sets aside what the job can cost at most and submits it.
func (d *decision) submit(spec job.Spec, org party.OrgID) (job.ID, error) {
	id := job.ID(d.id("J"))
	e, err := d.s.Jobs.Submit(id, spec, org, d.s.Fleet.Rate(spec.Chip))
	if err != nil {
		return "", err
	}
	if len(spec.Argv) > 0 && d.s.Fleet.Count(spec.Chip) < spec.CountMin {
		return "", &AbsentError{Chip: spec.Chip, Wanted: spec.CountMin, Has: d.s.Fleet.Count(spec.Chip)}
	}
	held, err := d.s.Accounts.Hold(e.Hold, grant.Account(spec.Grant), spec.PriceMax(e.Rate))
	if err != nil {
		return "", err
	}
	d.add(held)
	d.add(e)
	return id, nil
}

// AbsentError refuses work that this centre could never start.
type AbsentError struct {
	Chip   fleet.Chip
	Wanted int
	Has    int
}

// Code names the refusal for programs.
func (e *AbsentError) Code() string { return "fleet.absent" }

func (e *AbsentError) Error() string {
	return fmt.Sprintf("the job wants %d × %s, the whole centre has %d", e.Wanted, e.Chip, e.Has)
}

// Hint says what the person can do.
func (e *AbsentError) Hint() string { return "see what there is: gaon node list" }
