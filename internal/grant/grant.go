// Package grant is an award of compute: who may spend how many credits on
// what until when, and what was used of it.
//
// The credits themselves are in the account book, under Account.
//
// Begin with Book.MaySpend.
package grant

import (
	"fmt"

	"github.com/gaon-ai/gaon/internal/account"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/table"
	"github.com/gaon-ai/gaon/internal/unit"
)

// ID names a grant: G8.
type ID string

// Grant is one award.
type Grant struct {
	Org         party.OrgID  `json:"org"`
	Programme   string       `json:"programme"`
	Application string       `json:"application"`
	Credits     unit.Credits `json:"credits"` // as awarded
	From        unit.Instant `json:"from"`
	Until       unit.Instant `json:"until"`

	Jobs    int64            `json:"jobs"`    // finished under it
	Use     unit.ChipSeconds `json:"use"`     // of all finished jobs
	Charged unit.Credits     `json:"charged"` // of all finished jobs
}

// Book is the state.
type Book struct {
	Grants table.Table[ID, Grant] `json:"grants"`
}

// Given records a new grant. Wire name grant.given/1.
type Given struct {
	ID          ID           `json:"id"`
	Org         party.OrgID  `json:"org"`
	Programme   string       `json:"programme"`
	Application string       `json:"application"`
	Credits     unit.Credits `json:"credits"`
	From        unit.Instant `json:"from"`
	Until       unit.Instant `json:"until"`
}

// Used records what one job took. Wire name grant.used/1.
type Used struct {
	ID      ID               `json:"id"`
	Job     string           `json:"job"`
	Use     unit.ChipSeconds `json:"use"`
	Charged unit.Credits     `json:"charged"`
}

// ClosedError refuses to spend from a grant outside its dates.
type ClosedError struct {
	Grant       ID
	At          unit.Instant
	From, Until unit.Instant
}

// Code names the refusal for programs.
func (e *ClosedError) Code() string { return "grant.closed" }

func (e *ClosedError) Error() string {
	if e.At < e.From {
		return fmt.Sprintf("grant %s opens in %s", e.Grant, e.From.Sub(e.At))
	}
	return fmt.Sprintf("grant %s ended %s ago", e.Grant, e.At.Sub(e.Until))
}

// Hint says what the person can do.
func (e *ClosedError) Hint() string { return "apply for another: gaon apply --help" }

// Account is where the grant's credits are.
func Account(id ID) account.ID { return account.ID("grant/" + string(id)) }

// MaySpend returns the grant if it can be spent from at the instant.
func (b *Book) MaySpend(id ID, at unit.Instant) (Grant, error) {
	g, ok := b.Grants.Get(id)
	if !ok {
		return Grant{}, &party.UnknownError{Kind: "grant", ID: string(id)}
	}
	if at < g.From || at >= g.Until {
		return Grant{}, &ClosedError{id, at, g.From, g.Until}
	}
	return g, nil
}

// ApplyGiven records the grant.
func (b *Book) ApplyGiven(e Given) {
	b.Grants.Put(e.ID, Grant{Org: e.Org, Programme: e.Programme, Application: e.Application,
		Credits: e.Credits, From: e.From, Until: e.Until})
}

// ApplyUsed adds one job's use.
func (b *Book) ApplyUsed(e Used) {
	g, _ := b.Grants.Get(e.ID)
	g.Jobs++
	g.Use += e.Use
	g.Charged += e.Charged
	b.Grants.Put(e.ID, g)
}

// Copy returns a book that later changes do not touch.
func (b *Book) Copy() Book { return Book{b.Grants.Copy()} }
