package model

import (
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/unit"
)

func says(t *testing.T, name string, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: %v, want %q", name, err, want)
	}
}

func signature(id ID) WasSigned {
	d := unit.DigestOf([]byte("x"))
	return WasSigned{ID: id, Release: d, Bundle: d, Passport: d, Signer: d}
}

// TestLife follows a model from its gate to its endpoint and back.
func TestLife(t *testing.T) {
	b := new(Book)
	for _, id := range []ID{"M1", "M2"} {
		e, err := b.Register(Registered{ID: id, Name: "urimal", Org: "O1", Run: "R1"})
		if err != nil {
			t.Fatal(err)
		}
		b.ApplyRegistered(e)
	}
	_, err := b.Register(Registered{ID: "M3"})
	says(t, "a model without a name", err, "name: ")
	_, err = b.Serve("E1", "chat", "M1", "J1")
	says(t, "an unsigned model", err, "only a signed model is served")
	for name, change := range map[string]func(e *WasSigned){
		"release": func(e *WasSigned) { e.Release = "" }, "bundle": func(e *WasSigned) { e.Bundle = "x" },
		"passport": func(e *WasSigned) { e.Passport = "" }, "signer": func(e *WasSigned) { e.Signer = "" },
	} {
		e := signature("M1")
		change(&e)
		_, err := b.Sign(e)
		says(t, "a signature without "+name, err, name+": ")
	}
	_, err = b.Sign(signature("M9"))
	says(t, "signing no model", err, "there is no model M9")
	e, err := b.Sign(signature("M1"))
	says(t, "signing", err, "")
	b.ApplySigned(e, 7)
	_, err = b.Sign(signature("M1"))
	says(t, "signing twice", err, "is signed already")

	_, err = b.Serve("E1", "", "M1", "J1")
	says(t, "an endpoint without a name", err, "name: ")
	_, err = b.Serve("E1", "chat", "M9", "J1")
	says(t, "no model", err, "there is no model M9")
	opened, err := b.Serve("E1", "chat", "M1", "J1")
	says(t, "serving", err, "")
	b.ApplyEndpointOpened(opened)
	_, err = b.Serve("E2", "chat", "M1", "J2")
	says(t, "a name that is taken", err, "is served by endpoint E1 already")
	if id, endpoint, ok := b.ByJob("J1"); !ok || id != "E1" || endpoint.Org != "O1" {
		t.Errorf("J1 serves %s, %+v", id, endpoint)
	}
	if _, _, ok := b.ByJob("J9"); ok {
		t.Error("J9 serves something")
	}
	for _, row := range []struct {
		name    string
		id      EndpointID
		state   string
		changes bool
		want    string
	}{
		{"opening to ready", "E1", Ready, true, ""},
		{"ready to ready", "E1", Ready, false, ""},
		{"ready to closed", "E1", Closed, true, ""},
		{"closed to closed", "E1", Closed, false, ""},
		{"closed to ready", "E1", Ready, false, "is closed"},
		{"one that is not there", "E9", Closed, false, "there is no endpoint E9"},
	} {
		changes, err := b.Move(row.id, row.state)
		says(t, row.name, err, row.want)
		if changes != row.changes {
			t.Errorf("%s: changes %v", row.name, changes)
		}
		if changes && row.state == Ready {
			b.ApplyEndpointReady(EndpointReady{row.id})
		} else if changes {
			b.ApplyEndpointClosed(EndpointClosed{row.id, "enough"})
		}
	}
	opened, err = b.Serve("E2", "chat", "M1", "J2")
	says(t, "the name is free again", err, "")
	b.ApplyEndpointOpened(opened)
	b.ApplyEndpointClosed(EndpointClosed{"E1", "again"})
	if id, _ := b.Names.Get("chat"); id != "E2" {
		t.Errorf("chat is %q: closing the old endpoint took the name of the new one", id)
	}
}

func TestMeter(t *testing.T) {
	b := new(Book)
	b.ApplyEndpointOpened(EndpointOpened{ID: "E1", Name: "chat"})
	for _, row := range []struct {
		name, want string
		given      Metered
	}{
		{"no endpoint", "there is no endpoint E9", Metered{Endpoint: "E9"}},
		{"requests below nothing", "tokens: ", Metered{Endpoint: "E1", Tokens: Tokens{Requests: -1}}},
		{"prompt below nothing", "tokens: ", Metered{Endpoint: "E1", Tokens: Tokens{Prompt: -1}}},
		{"completion below nothing", "tokens: ", Metered{Endpoint: "E1", Tokens: Tokens{Completion: -1}}},
	} {
		_, err := b.Meter(row.given)
		says(t, row.name, err, row.want)
	}
	before := b.Copy()
	for _, key := range []string{"K1", "K2", "K1"} {
		e, err := b.Meter(Metered{Endpoint: "E1", Key: "K1", Tokens: Tokens{1, 2, 3}})
		says(t, "metering", err, "")
		e.Key = "K1"
		if key == "K2" {
			e.Key = "K2"
		}
		b.ApplyMetered(e)
	}
	if sum, _ := b.Use.Get("E1/K1"); sum != (Tokens{2, 4, 6}) {
		t.Errorf("K1 used %+v", sum)
	}
	if before.Use.Len() != 0 {
		t.Error("the copy changed")
	}
}
