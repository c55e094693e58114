// Package party is who takes part: organisations, people with their roles, and
// the keys they act with.
//
// People stand here under pseudonyms. Names and addresses live in sealed side
// records outside the ledger; an entry holds only their salted hash.
//
// Begin with Book.Join, Book.Enrol and Book.Issue.
package party

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gaon-ai/gaon/internal/table"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Ids of the three subjects: O7, P9, K12, the number from the ledger entry.
type (
	OrgID    string
	PersonID string
	KeyID    string
)

// Roles a person can hold.
const (
	Operator = "operator"
	Officer  = "officer"
	Reviewer = "reviewer"
	Signer   = "signer"
	Tenant   = "tenant"
	Auditor  = "auditor"
)

var roles = []string{Operator, Officer, Reviewer, Signer, Tenant, Auditor}

// Uses a key can have.
const (
	ForAPI       = "api"       // acts as its person over the centre's API
	ForInference = "inference" // asks endpoints for answers, and nothing else
)

// Organisation is a company, university or office.
type Organisation struct {
	Name    string       `json:"name"`
	Country string       `json:"country"` // ISO 3166-1 alpha-2
	Kind    string       `json:"kind"`    // company, university, institute, office
	Since   unit.Instant `json:"since"`
}

// Role is a role a person holds until an end; zero is without end.
type Role struct {
	Name  string       `json:"name"`
	Until unit.Instant `json:"until,omitempty"`
}

// Person is someone under a pseudonym.
type Person struct {
	Org     OrgID       `json:"org,omitempty"`
	Details unit.Digest `json:"details"` // salted hash of the sealed record
	Roles   []Role      `json:"roles"`
	Erased  bool        `json:"erased,omitempty"`
}

// Key is a secret somebody acts with; only its digest is known here.
type Key struct {
	Person  PersonID     `json:"person"`
	Use     string       `json:"use"`
	Secret  unit.Digest  `json:"secret"`
	Until   unit.Instant `json:"until,omitempty"`
	Revoked bool         `json:"revoked,omitempty"`
}

// Book is the state.
type Book struct {
	Orgs    table.Table[OrgID, Organisation] `json:"orgs"`
	People  table.Table[PersonID, Person]    `json:"people"`
	Keys    table.Table[KeyID, Key]          `json:"keys"`
	Secrets table.Table[unit.Digest, KeyID]  `json:"secrets"` // live keys by their secret's digest
}

// Joined records a new organisation. Wire name party.joined/1.
type Joined struct {
	Org OrgID `json:"org"`
	Organisation
}

// Enrolled records a new person. Wire name party.enrolled/1.
type Enrolled struct {
	Person  PersonID    `json:"person"`
	Org     OrgID       `json:"org,omitempty"`
	Details unit.Digest `json:"details"`
	Roles   []Role      `json:"roles"`
}

// Erased records that a person's details can no longer be read by anyone.
// Wire name party.erased/1.
type Erased struct {
	Person PersonID `json:"person"`
}

// KeyIssued records a new key. Wire name party.key-issued/1.
type KeyIssued struct {
	ID KeyID `json:"id"`
	Key
}

// KeyRevoked records that a key is worth nothing any more.
// Wire name party.key-revoked/1.
type KeyRevoked struct {
	ID KeyID `json:"id"`
}

// FieldError refuses a command for one of its fields.
type FieldError struct{ Field, Problem string }

// Code names the refusal for programs.
func (e *FieldError) Code() string { return "field.invalid" }

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// UnknownError refuses a command about something that is not there.
type UnknownError struct{ Kind, ID string }

// Code names the refusal for programs.
func (e *UnknownError) Code() string { return e.Kind + ".unknown" }

func (e *UnknownError) Error() string { return fmt.Sprintf("there is no %s %s", e.Kind, e.ID) }

// Hint says what the person can do.
func (e *UnknownError) Hint() string { return fmt.Sprintf("list what there is: gaon %s list", e.Kind) }

// nameRunesMax bounds any name a person can give to anything.
const nameRunesMax = 120

// CheckName refuses an empty, overlong or unprintable name.
func CheckName(field, name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return &FieldError{field, "must not be empty"}
	case !utf8.ValidString(name):
		return &FieldError{field, "is not valid UTF-8"}
	case utf8.RuneCountInString(name) > nameRunesMax:
		return &FieldError{field, fmt.Sprintf("is longer than %d characters", nameRunesMax)}
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }):
		return &FieldError{field, "contains control characters"}
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }):
		// They make a name look like another one.
		return &FieldError{field, "contains characters that turn the direction of writing"}
	}
	return nil
}

// CheckCountry refuses what is no country code.
func CheckCountry(field, code string) error {
	if len(code) != 2 || code[0] < 'A' || code[0] > 'Z' || code[1] < 'A' || code[1] > 'Z' {
		return &FieldError{field, fmt.Sprintf("%q is no country code such as KR", code)}
	}
	return nil
}

// Join asks to admit an organisation under the id.
func (b *Book) Join(id OrgID, org Organisation) (Joined, error) {
	if err := CheckName("name", org.Name); err != nil {
		return Joined{}, err
	}
	if err := CheckCountry("country", org.Country); err != nil {
		return Joined{}, err
	}
	if !slices.Contains([]string{"company", "university", "institute", "office"}, org.Kind) {
		return Joined{}, &FieldError{"kind", fmt.Sprintf("%q: want company, university, institute or office", org.Kind)}
	}
	return Joined{id, org}, nil
}

// Enrol asks to admit a person with roles.
func (b *Book) Enrol(id PersonID, org OrgID, details unit.Digest, given []Role) (Enrolled, error) {
	if org != "" {
		if _, ok := b.Orgs.Get(org); !ok {
			return Enrolled{}, &UnknownError{"org", string(org)}
		}
	}
	if _, err := unit.ParseDigest(string(details)); err != nil {
		return Enrolled{}, &FieldError{"details", err.Error()}
	}
	for i, role := range given {
		if !slices.Contains(roles, role.Name) {
			return Enrolled{}, &FieldError{fmt.Sprintf("roles[%d]", i),
				fmt.Sprintf("%q: want one of %s", role.Name, strings.Join(roles, ", "))}
		}
	}
	return Enrolled{id, org, details, slices.Clone(given)}, nil
}

// Issue asks to make a key for a person.
func (b *Book) Issue(id KeyID, key Key) (KeyIssued, error) {
	person, ok := b.People.Get(key.Person)
	switch {
	case !ok:
		return KeyIssued{}, &UnknownError{"person", string(key.Person)}
	case person.Erased:
		return KeyIssued{}, &FieldError{"person", "is erased"}
	case key.Use != ForAPI && key.Use != ForInference:
		return KeyIssued{}, &FieldError{"use", fmt.Sprintf("%q: want api or inference", key.Use)}
	}
	if _, err := unit.ParseDigest(string(key.Secret)); err != nil {
		return KeyIssued{}, &FieldError{"secret", err.Error()}
	}
	if _, taken := b.Secrets.Get(key.Secret); taken {
		return KeyIssued{}, &FieldError{"secret", "is in use already"}
	}
	return KeyIssued{id, key}, nil
}

// Revoke asks to end a key. Revoking twice is no error: nothing is recorded.
func (b *Book) Revoke(id KeyID) (KeyRevoked, bool, error) {
	key, ok := b.Keys.Get(id)
	if !ok {
		return KeyRevoked{}, false, &UnknownError{"key", string(id)}
	}
	return KeyRevoked{id}, !key.Revoked, nil
}

// Erase asks to make a person's details unreadable for ever.
func (b *Book) Erase(id PersonID) (Erased, bool, error) {
	person, ok := b.People.Get(id)
	if !ok {
		return Erased{}, false, &UnknownError{"person", string(id)}
	}
	return Erased{id}, !person.Erased, nil
}

// ByKey returns who holds the secret, if the key is live at the instant.
func (b *Book) ByKey(secret unit.Digest, at unit.Instant) (KeyID, Key, bool) {
	id, ok := b.Secrets.Get(secret)
	if !ok {
		return "", Key{}, false
	}
	key, _ := b.Keys.Get(id)
	if key.Revoked || key.Until != 0 && at >= key.Until {
		return "", Key{}, false
	}
	return id, key, true
}

// RolesAt returns the names of the roles in force at the instant.
func (p Person) RolesAt(at unit.Instant) []string {
	var names []string
	for _, role := range p.Roles {
		if !p.Erased && (role.Until == 0 || at < role.Until) {
			names = append(names, role.Name)
		}
	}
	return names
}

// ApplyJoined records the organisation.
func (b *Book) ApplyJoined(e Joined) { b.Orgs.Put(e.Org, e.Organisation) }

// ApplyEnrolled records the person.
func (b *Book) ApplyEnrolled(e Enrolled) {
	b.People.Put(e.Person, Person{Org: e.Org, Details: e.Details, Roles: e.Roles})
}

// ApplyErased records the erasure; the person's keys end with it.
func (b *Book) ApplyErased(e Erased) {
	person, _ := b.People.Get(e.Person)
	person.Erased = true
	b.People.Put(e.Person, person)
	var ended []KeyID
	for id, key := range b.Keys.All() {
		if key.Person == e.Person && !key.Revoked {
			ended = append(ended, id)
		}
	}
	for _, id := range ended {
		b.ApplyKeyRevoked(KeyRevoked{id})
	}
}

// ApplyKeyIssued records the key.
func (b *Book) ApplyKeyIssued(e KeyIssued) {
	b.Keys.Put(e.ID, e.Key)
	b.Secrets.Put(e.Secret, e.ID)
}

// ApplyKeyRevoked ends the key.
func (b *Book) ApplyKeyRevoked(e KeyRevoked) {
	key, _ := b.Keys.Get(e.ID)
	key.Revoked = true
	b.Keys.Put(e.ID, key)
	b.Secrets.Delete(key.Secret)
}

// Copy returns a book that later changes do not touch.
func (b *Book) Copy() Book {
	return Book{b.Orgs.Copy(), b.People.Copy(), b.Keys.Copy(), b.Secrets.Copy()}
}
