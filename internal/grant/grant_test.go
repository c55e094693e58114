package grant

import (
	"errors"
	"testing"

	"github.com/gaon-ai/gaon/internal/unit"
)

func TestMaySpend(t *testing.T) {
	b := new(Book)
	b.ApplyGiven(Given{ID: "G1", Org: "O1", Credits: 100, From: 1000, Until: 2000})
	for _, row := range []struct {
		name string
		id   ID
		at   unit.Instant
		want string // what the refusal says; empty: it may
	}{
		{"on its first instant", "G1", 1000, ""},
		{"on its last", "G1", 1999, ""},
		{"before", "G1", 999, "grant G1 opens in 1ms"},
		{"at its end", "G1", 2000, "grant G1 ended 0ms ago"},
		{"after", "G1", 3500, "grant G1 ended 1.5s ago"},
		{"one that is not there", "G9", 1500, "there is no grant G9"},
	} {
		g, err := b.MaySpend(row.id, row.at)
		if err == nil && row.want != "" || err != nil && err.Error() != row.want || err == nil && g.Org != "O1" {
			t.Errorf("%s: %+v, %v; want %q", row.name, g, err, row.want)
		}
		var closed *ClosedError
		if errors.As(err, &closed) && (closed.Code() != "grant.closed" || closed.Hint() == "") {
			t.Errorf("%s: code %s", row.name, closed.Code())
		}
	}
}

func TestUseAddsUp(t *testing.T) {
	b := new(Book)
	b.ApplyGiven(Given{ID: "G1", Credits: 100})
	before := b.Copy()
	b.ApplyUsed(Used{"G1", "J1", 20, 3})
	b.ApplyUsed(Used{"G1", "J2", 0, 0})
	if g, _ := b.Grants.Get("G1"); g.Jobs != 2 || g.Use != 20 || g.Charged != 3 || g.Credits != 100 {
		t.Errorf("%+v", g)
	}
	if g, _ := before.Grants.Get("G1"); g.Jobs != 0 {
		t.Errorf("the copy changed to %+v", g)
	}
	if Account("G1") != "grant/G1" {
		t.Errorf("the account of G1 is %s", Account("G1"))
	}
}
