// Package account is a double-entry book of micro-credits: accounts, holds and
// postings. Every posting sums to zero, so the whole book always does.
//
// It does not know what is paid for; grants and jobs do.
//
// Begin with Book.Hold and Book.Settle: a hold at submit, a posting at finish.
package account

import (
	"fmt"
	"math"

	"github.com/gaon-ai/gaon/internal/table"
	"github.com/gaon-ai/gaon/internal/unit"
)

// ID names an account: "issue", "revenue" or "grant/G12".
type ID string

// The centre's own accounts. Issue is where credits come from and the only
// account that may go below zero: its debt is what the centre has promised.
const (
	Issue   ID = "issue"
	Revenue ID = "revenue"
)

// Account is one account's standing.
type Account struct {
	Posted unit.Credits `json:"posted"` // what was posted, holds not taken off
	Held   unit.Credits `json:"held"`   // what open holds have set aside
}

// Available is what may still be held or posted.
func (a Account) Available() unit.Credits { return a.Posted - a.Held }

// Hold is an amount set aside for one purpose, named by that purpose's id.
type Hold struct {
	Account ID           `json:"account"`
	Amount  unit.Credits `json:"amount"`
}

// Book is the state: all accounts and open holds.
type Book struct {
	Accounts table.Table[ID, Account]  `json:"accounts"`
	Holds    table.Table[string, Hold] `json:"holds"`
}

// Posted moves credits between accounts at once. Wire name account.posted/1.
type Posted struct {
	From   ID           `json:"from"`
	To     ID           `json:"to"`
	Amount unit.Credits `json:"amount"`
	Why    string       `json:"why"`
}

// Held sets credits aside. Wire name account.held/1.
type Held struct {
	Hold    string       `json:"hold"`
	Account ID           `json:"account"`
	Amount  unit.Credits `json:"amount"`
}

// Settled closes a hold: Charge is posted to To, the rest is free again.
// Wire name account.settled/1.
type Settled struct {
	Hold     string       `json:"hold"`
	Account  ID           `json:"account"`
	To       ID           `json:"to"`
	Charge   unit.Credits `json:"charge"`
	Refunded unit.Credits `json:"refunded"`
}

// ShortError refuses a movement that the account cannot bear.
type ShortError struct {
	Account   ID
	Available unit.Credits
	Wanted    unit.Credits
}

// Code names the refusal for programs.
func (e *ShortError) Code() string { return "account.short" }

func (e *ShortError) Error() string {
	return fmt.Sprintf("account %s has %s credits left, %s wanted", e.Account, e.Available, e.Wanted)
}

// Hint says what the person can do.
func (e *ShortError) Hint() string {
	return "shorten the time limit, use fewer devices, or apply for more: gaon apply --help"
}

// AmountError refuses an amount that cannot be moved.
type AmountError struct{ Amount unit.Credits }

// Code names the refusal for programs.
func (e *AmountError) Code() string { return "account.amount" }

func (e *AmountError) Error() string {
	return fmt.Sprintf("cannot move %s credits: the amount must be above zero and within range", e.Amount)
}

// UnknownHoldError refuses to settle what is not held.
type UnknownHoldError struct{ Hold string }

// Code names the refusal for programs.
func (e *UnknownHoldError) Code() string { return "account.no-hold" }

func (e *UnknownHoldError) Error() string { return fmt.Sprintf("no open hold %s", e.Hold) }

// amountMax keeps sums of many accounts far from the int64 limit: 9.2 × 10^9
// credits are a million years of the reference chip.
const amountMax = unit.Credits(math.MaxInt64 / 1000)

// Post asks to move the amount; only Issue may go below zero.
func (b *Book) Post(from, to ID, amount unit.Credits, why string) (Posted, error) {
	if amount <= 0 || amount > amountMax || from == to {
		return Posted{}, &AmountError{amount}
	}
	if err := b.bears(from, amount); err != nil {
		return Posted{}, err
	}
	return Posted{From: from, To: to, Amount: amount, Why: why}, nil
}

// Hold asks to set the amount aside under the name. A hold of nothing is
// allowed: work may be free.
func (b *Book) Hold(name string, from ID, amount unit.Credits) (Held, error) {
	if amount < 0 || amount > amountMax {
		return Held{}, &AmountError{amount}
	}
	if _, open := b.Holds.Get(name); open {
		return Held{}, fmt.Errorf("hold %s is open already", name)
	}
	if err := b.bears(from, amount); err != nil {
		return Held{}, err
	}
	return Held{Hold: name, Account: from, Amount: amount}, nil
}

// Settle asks to close the hold with the charge. A charge above the hold is
// cut to it: a tenant never pays more than was announced at submit.
func (b *Book) Settle(name string, to ID, charge unit.Credits) (Settled, error) {
	hold, ok := b.Holds.Get(name)
	if !ok {
		return Settled{}, &UnknownHoldError{name}
	}
	charge = max(0, min(charge, hold.Amount))
	return Settled{Hold: name, Account: hold.Account, To: to, Charge: charge, Refunded: hold.Amount - charge}, nil
}

func (b *Book) bears(id ID, amount unit.Credits) error {
	account, _ := b.Accounts.Get(id)
	if id == Issue {
		if account.Posted-amount < -amountMax {
			return &AmountError{amount}
		}
		return nil
	}
	if account.Available() < amount {
		return &ShortError{id, account.Available(), amount}
	}
	return nil
}

// ApplyPosted records the movement.
func (b *Book) ApplyPosted(e Posted) {
	b.move(e.From, e.To, e.Amount)
}

// ApplyHeld records the hold.
func (b *Book) ApplyHeld(e Held) {
	account, _ := b.Accounts.Get(e.Account)
	account.Held += e.Amount
	b.Accounts.Put(e.Account, account)
	b.Holds.Put(e.Hold, Hold{e.Account, e.Amount})
}

// ApplySettled closes the hold and records the charge.
func (b *Book) ApplySettled(e Settled) {
	account, _ := b.Accounts.Get(e.Account)
	account.Held -= e.Charge + e.Refunded
	b.Accounts.Put(e.Account, account)
	b.Holds.Delete(e.Hold)
	if e.Charge > 0 {
		b.move(e.Account, e.To, e.Charge)
	}
}

func (b *Book) move(from, to ID, amount unit.Credits) {
	source, _ := b.Accounts.Get(from)
	source.Posted -= amount
	b.Accounts.Put(from, source)
	target, _ := b.Accounts.Get(to)
	target.Posted += amount
	b.Accounts.Put(to, target)
}

// Copy returns a book that later changes do not touch.
func (b *Book) Copy() Book { return Book{b.Accounts.Copy(), b.Holds.Copy()} }

// Check returns the first broken rule of the book, nil when it is sound: all
// postings sum to zero, holds match their accounts, and no account but Issue
// is overdrawn.
func (b *Book) Check() error {
	var sum unit.Credits
	held := map[ID]unit.Credits{}
	for name, hold := range b.Holds.All() {
		if hold.Amount < 0 {
			return fmt.Errorf("hold %s is negative: %s", name, hold.Amount)
		}
		if _, ok := b.Accounts.Get(hold.Account); !ok {
			return fmt.Errorf("hold %s is on account %s, which is not there", name, hold.Account)
		}
		held[hold.Account] += hold.Amount
	}
	for id, account := range b.Accounts.All() {
		sum += account.Posted
		if account.Held != held[id] {
			return fmt.Errorf("account %s holds %s, its open holds sum to %s", id, account.Held, held[id])
		}
		if id != Issue && account.Available() < 0 {
			return fmt.Errorf("account %s is overdrawn by %s", id, -account.Available())
		}
	}
	if sum != 0 {
		return fmt.Errorf("accounts sum to %s, not to zero", sum)
	}
	return nil
}
