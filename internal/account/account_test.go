package account

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/gaon-ai/gaon/internal/unit"
)

// step is one line of a story: what is asked of the book, and the refusal's
// code where it is refused.
type step struct {
	do     func(b *Book) error
	refuse string
}

func post(from, to ID, amount unit.Credits, refuse string) step {
	return step{func(b *Book) error {
		e, err := b.Post(from, to, amount, "test")
		if err == nil {
			b.ApplyPosted(e)
		}
		return err
	}, refuse}
}

func hold(name string, from ID, amount unit.Credits, refuse string) step {
	return step{func(b *Book) error {
		e, err := b.Hold(name, from, amount)
		if err == nil {
			b.ApplyHeld(e)
		}
		return err
	}, refuse}
}

func settle(name string, charge unit.Credits, refuse string) step {
	return step{func(b *Book) error {
		e, err := b.Settle(name, Revenue, charge)
		if err == nil {
			b.ApplySettled(e)
		}
		return err
	}, refuse}
}

const someError = "an error"

func code(err error) string {
	var coded interface{ Code() string }
	switch {
	case err == nil:
		return ""
	case errors.As(err, &coded):
		return coded.Code()
	}
	return someError
}

func TestBook(t *testing.T) {
	const g, h ID = "grant/G1", "grant/G2"
	award := post(Issue, g, 100, "")
	for _, row := range []struct {
		name  string
		steps []step
		want  string // posted/held of each account, in order
	}{
		{"an award comes from issue", []step{award}, "grant/G1 100/0, issue -100/0"},
		{"a hold sets aside and moves nothing", []step{award, hold("j", g, 60, "")}, "grant/G1 100/60, issue -100/0"},
		{"a settled hold is charged and the rest is free", []step{award, hold("j", g, 60, ""), settle("j", 25, "")}, "grant/G1 75/0, issue -100/0, revenue 25/0"},
		{"a charge of nothing refunds all", []step{award, hold("j", g, 60, ""), settle("j", 0, "")}, "grant/G1 100/0, issue -100/0"},
		{"a charge below nothing is nothing", []step{award, hold("j", g, 60, ""), settle("j", -5, "")}, "grant/G1 100/0, issue -100/0"},
		{"a charge above the hold is cut to it", []step{award, hold("j", g, 60, ""), settle("j", 61, "")}, "grant/G1 40/0, issue -100/0, revenue 60/0"},
		{"a hold of everything", []step{award, hold("j", g, 100, "")}, "grant/G1 100/100, issue -100/0"},
		{"a hold of nothing", []step{hold("j", g, 0, "")}, "grant/G1 0/0"},
		{"two holds", []step{award, hold("j", g, 60, ""), hold("k", g, 40, "")}, "grant/G1 100/100, issue -100/0"},
		{"a hold is free again after it is settled", []step{award, hold("j", g, 100, ""), settle("j", 0, ""), hold("j", g, 100, "")}, "grant/G1 100/100, issue -100/0"},
		{"from one grant to another", []step{award, post(g, h, 30, "")}, "grant/G1 70/0, grant/G2 30/0, issue -100/0"},
		{"credits given back", []step{award, post(g, Issue, 100, "")}, "grant/G1 0/0, issue 0/0"},

		{"one more than there is", []step{award, hold("j", g, 101, "account.short")}, "grant/G1 100/0, issue -100/0"},
		{"one more than is free", []step{award, hold("j", g, 60, ""), hold("k", g, 41, "account.short")}, "grant/G1 100/60, issue -100/0"},
		{"what is held cannot be posted", []step{award, hold("j", g, 60, ""), post(g, h, 41, "account.short")}, "grant/G1 100/60, issue -100/0"},
		{"an account that is not there", []step{hold("j", "grant/G9", 1, "account.short")}, ""},
		{"revenue cannot go below zero", []step{post(Revenue, g, 1, "account.short")}, ""},
		{"the same hold twice", []step{award, hold("j", g, 1, ""), hold("j", g, 1, someError)}, "grant/G1 100/1, issue -100/0"},
		{"a hold below nothing", []step{award, hold("j", g, -1, "account.amount")}, "grant/G1 100/0, issue -100/0"},
		{"a post of nothing", []step{post(Issue, g, 0, "account.amount")}, ""},
		{"a post below nothing", []step{award, post(Issue, g, -100, "account.amount")}, "grant/G1 100/0, issue -100/0"},
		{"a post to itself", []step{award, post(g, g, 1, "account.amount")}, "grant/G1 100/0, issue -100/0"},
		{"more than can be counted", []step{post(Issue, g, amountMax+1, "account.amount")}, ""},
		{"a hold of more than can be counted", []step{hold("j", Issue, amountMax+1, "account.amount")}, ""},
		{"issue promises more than can be counted", []step{post(Issue, g, amountMax, ""), post(Issue, g, 1, "account.amount")},
			fmt.Sprintf("grant/G1 %d/0, issue -%d/0", amountMax, amountMax)},
		{"settling what is not held", []step{award, settle("j", 1, "account.no-hold")}, "grant/G1 100/0, issue -100/0"},
		{"settling twice", []step{award, hold("j", g, 10, ""), settle("j", 10, ""), settle("j", 10, "account.no-hold")}, "grant/G1 90/0, issue -100/0, revenue 10/0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var b Book
			for i, step := range row.steps {
				before := encode(t, &b)
				err := step.do(&b)
				if got := code(err); got != step.refuse {
					t.Fatalf("step %d: %v, want %q", i+1, err, step.refuse)
				}
				if err != nil && encode(t, &b) != before {
					t.Fatalf("step %d was refused and changed the book", i+1)
				}
				if err := b.Check(); err != nil {
					t.Fatalf("after step %d: %v", i+1, err)
				}
			}
			got := ""
			for id, a := range b.Accounts.All() {
				if got != "" {
					got += ", "
				}
				got += fmt.Sprintf("%s %d/%d", id, a.Posted, a.Held)
			}
			if got != row.want {
				t.Fatalf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

func encode(t interface{ Fatal(...any) }, b *Book) string {
	data, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestCheckFinds: each broken rule is found, or Check would be no use.
func TestCheckFinds(t *testing.T) {
	for _, row := range []struct {
		name   string
		breaks func(b *Book)
	}{
		{"credits from nowhere", func(b *Book) { b.Accounts.Put("grant/G1", Account{Posted: 101, Held: 10}) }},
		{"a hold that no account knows", func(b *Book) { b.Holds.Put("k", Hold{"grant/G1", 5}) }},
		{"a hold that is lost", func(b *Book) { b.Holds.Delete("j") }},
		{"a hold below nothing", func(b *Book) {
			b.Holds.Put("k", Hold{"grant/G1", -10})
			b.Accounts.Put("grant/G1", Account{Posted: 100})
		}},
		{"an overdrawn account", func(b *Book) { b.move("grant/G1", Revenue, 95) }},
		{"a hold on an account that is not there", func(b *Book) { b.Holds.Put("k", Hold{"grant/G9", 5}) }},
	} {
		var b Book
		for _, s := range []step{post(Issue, "grant/G1", 100, ""), hold("j", "grant/G1", 10, "")} {
			if err := s.do(&b); err != nil {
				t.Fatal(err)
			}
		}
		row.breaks(&b)
		if b.Check() == nil {
			t.Errorf("%s: not found", row.name)
		}
	}
}

// TestNothingOverdraws: random orders, most of them greedy. After each, the
// book is sound; a copy taken before is as it was; and the events applied
// again from the beginning give the same book.
func TestNothingOverdraws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Book
		var replay []func(b *Book)
		accounts := []ID{Issue, Revenue, "grant/G1", "grant/G2", "grant/G3"}
		account, name := rapid.SampledFrom(accounts), rapid.SampledFrom([]string{"a", "b", "c", "d"})
		amount := rapid.OneOf(rapid.Int64Range(-2, 120), rapid.Int64()).AsAny()
		draw := func(t *rapid.T) unit.Credits { return unit.Credits(amount.Draw(t, "amount").(int64)) }
		record := func(err error, apply func(b *Book)) {
			if err == nil {
				replay = append(replay, apply)
				apply(&b)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"post": func(t *rapid.T) {
				e, err := b.Post(account.Draw(t, "from"), account.Draw(t, "to"), draw(t), "test")
				record(err, func(b *Book) { b.ApplyPosted(e) })
			},
			"award": func(t *rapid.T) {
				e, err := b.Post(Issue, account.Draw(t, "to"), unit.Credits(rapid.Int64Range(1, 100).Draw(t, "amount")), "award")
				record(err, func(b *Book) { b.ApplyPosted(e) })
			},
			"hold": func(t *rapid.T) {
				e, err := b.Hold(name.Draw(t, "name"), rapid.SampledFrom(accounts[1:]).Draw(t, "from"), draw(t))
				record(err, func(b *Book) { b.ApplyHeld(e) })
			},
			"settle": func(t *rapid.T) {
				before := b.Copy()
				n := name.Draw(t, "name")
				e, err := b.Settle(n, Revenue, draw(t))
				record(err, func(b *Book) { b.ApplySettled(e) })
				if held, open := before.Holds.Get(n); open && (err != nil || e.Charge < 0 || e.Charge > held.Amount || e.Charge+e.Refunded != held.Amount) {
					t.Fatalf("hold of %s was settled as %+v, %v", held.Amount, e, err)
				}
			},
			"copy": func(t *rapid.T) {
				before := encode(t, &b)
				other := b.Copy()
				if e, err := other.Post(Issue, "grant/G1", 7, "in the copy"); err == nil {
					other.ApplyPosted(e)
				}
				if encode(t, &b) != before {
					t.Fatal("a change to a copy changed the book")
				}
			},
			"": func(t *rapid.T) {
				if err := b.Check(); err != nil {
					t.Fatal(err)
				}
			},
		})
		var again Book
		for _, apply := range replay {
			apply(&again)
		}
		if encode(t, &again) != encode(t, &b) {
			t.Fatal("the same events give another book")
		}
	})
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	short := &ShortError{"grant/G1", 40 * unit.Credit, 60 * unit.Credit}
	if short.Error() != "account grant/G1 has 40 credits left, 60 wanted" || short.Hint() == "" {
		t.Errorf("%s; %s", short, short.Hint())
	}
	if codes := []string{code(short), code(&AmountError{}), code(&UnknownHoldError{})}; !slices.Equal(codes, []string{"account.short", "account.amount", "account.no-hold"}) {
		t.Errorf("codes are for ever: %v", codes)
	}
}
