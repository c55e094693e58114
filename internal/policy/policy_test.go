package policy

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite testdata")

// golden holds the text against the file, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		g, w := "", ""
		if i < len(gotLines) {
			g = gotLines[i]
		}
		if i < len(wantLines) {
			w = wantLines[i]
		}
		if g != w {
			t.Fatalf("%s:%d\ngot  %s\nwant %s\nif the change is meant, rewrite with: go test . -update", path, i+1, g, w)
		}
	}
}

func newBook(t testing.TB) *Book {
	t.Helper()
	e, err := Publish(Default)
	if err != nil {
		t.Fatal(err)
	}
	var b Book
	b.ApplyPublished(e)
	return &b
}

// The people of the table. O1 and O2 are tenants' organisations, O0 is the
// centre's office.
var actors = []struct {
	name string
	Actor
}{
	{"controller", Actor{ID: "controller"}},
	{"founder", Actor{ID: "founder"}},
	{"operator", Actor{ID: "P0", Org: "O0", Roles: []string{"operator"}}},
	{"officer", Actor{ID: "P1", Org: "O0", Roles: []string{"officer"}}},
	{"reviewer", Actor{ID: "P2", Org: "O0", Roles: []string{"reviewer"}}},
	{"signer", Actor{ID: "P3", Org: "O0", Roles: []string{"signer"}}},
	{"auditor", Actor{ID: "P4", Roles: []string{"auditor"}}},
	{"tenant-of-O1", Actor{ID: "P5", Org: "O1", Roles: []string{"tenant"}}},
	{"signer-of-O1", Actor{ID: "P6", Org: "O1", Roles: []string{"signer"}}},
	{"roleless-of-O1", Actor{ID: "P7", Org: "O1"}},
	{"stranger", Actor{ID: "P8"}},
	{"operator-and-signer", Actor{ID: "P9", Org: "O0", Roles: []string{"operator", "signer"}}},
}

// Every action that the centre asks about, with what it asks about.
var actions = []struct{ action, kind string }{
	{"addOrganisation", "Organisation"}, {"addPerson", "Person"}, {"erasePerson", "Person"}, {"issueKey", "Person"}, {"revokeKey", "Person"},
	{"publishPolicy", "Policy"}, {"publishProgramme", "Programme"}, {"openCall", "Programme"}, {"apply", "Call"}, {"decideApplication", "Application"},
	{"registerDataset", "Dataset"}, {"reportNode", "Node"}, {"rateChip", "Chip"},
	{"submitJob", "Grant"}, {"stopJob", "Job"}, {"placeJob", "Job"}, {"observeJob", "Job"},
	{"startRun", "Grant"}, {"submitStage", "Run"}, {"approveRelease", "Run"}, {"recordSignature", "Model"}, {"failRun", "Run"},
	{"openEndpoint", "Model"}, {"reportEndpoint", "Endpoint"}, {"closeEndpoint", "Endpoint"}, {"meterTokens", "Endpoint"},
	{"read", "Job"}, {"somethingNew", "Thing"},
}

func (b *Book) line(name string, r Request, about string) string {
	v := b.Decide(r)
	word := "deny "
	if v.Allowed {
		word = "allow"
	}
	return strings.TrimRight(fmt.Sprintf("%s %-19s %-17s %s: %s", word, name, r.Action, about, strings.Join(v.Reasons, " ")), ": ") + "\n"
}

// TestVerdicts is the table of who may do what. A change to the policy shows
// as changed lines, to be read as law.
func TestVerdicts(t *testing.T) {
	b := newBook(t)
	var out strings.Builder
	out.WriteString("# Who may do what: verdict, actor, action, resource and the rules that decided.\n")
	for _, a := range actions {
		fmt.Fprintf(&out, "\n# %s\n", a.action)
		for _, org := range []string{"O1", "O2", ""} {
			about := a.kind
			if org != "" {
				about += " of " + org
			}
			for _, actor := range actors {
				r := Request{Actor: actor.Actor, Action: a.action, Context: Context{Country: "KR"},
					Resource: Resource{Kind: a.kind, ID: "X1", Org: org, Label: Label{Class: Internal}}}
				out.WriteString(b.line(actor.name, r, about))
			}
		}
	}
	out.WriteString("\n# one's own keys and those of a colleague\n")
	for _, actor := range actors {
		for _, a := range []string{"issueKey", "revokeKey"} {
			r := Request{Actor: actor.Actor, Action: a, Resource: Resource{Kind: "Person", ID: actor.ID, Org: actor.Org, Label: Label{Class: Internal}}}
			out.WriteString(b.line(actor.name, r, "of their own"))
			r.Resource.ID = "X1"
			out.WriteString(b.line(actor.name, r, "of a colleague"))
		}
	}
	out.WriteString("\n# giving roles to people\n")
	for _, role := range []string{"operator", "officer", "reviewer", "signer", "tenant", "auditor"} {
		for _, actor := range actors {
			r := Request{Actor: actor.Actor, Action: "giveRole", Resource: Resource{Kind: "Role", ID: role, Org: "O1", Label: Label{Class: Internal}}}
			out.WriteString(b.line(actor.name, r, role))
		}
	}
	out.WriteString("\n# reading, by class\n")
	for _, class := range classes {
		for _, actor := range actors {
			r := Request{Actor: actor.Actor, Action: "read", Resource: Resource{Kind: "Model", ID: "X1", Org: "O2", Label: Label{Class: class}}}
			out.WriteString(b.line(actor.name, r, "Model of O2, "+string(class)))
		}
	}
	golden(t, "verdicts.txt", out.String())
}

var residencies = []Label{{}, {Residency: []string{"KR"}}, {Residency: []string{"US"}}, {Residency: []string{"KR", "SG"}}, {Nowhere: true}}

// TestPlaces is the table of where and how work may run, be registered and be
// served: label × country × network × what the node enforces.
func TestPlaces(t *testing.T) {
	b := newBook(t)
	var out strings.Builder
	out.WriteString("# Where work may run: verdict, actor, action, label, country, wish for network, what the node enforces.\n")
	booleans := []bool{false, true}
	for _, class := range classes {
		fmt.Fprintf(&out, "\n# %s\n", class)
		for _, residency := range residencies {
			label := residency
			label.Class = class
			for _, country := range []string{"KR", "US"} {
				for _, action := range []string{"registerDataset", "serve"} {
					actor := actors[7]
					if action == "serve" {
						actor = actors[0]
					}
					r := Request{Actor: actor.Actor, Action: action, Context: Context{Country: country}, Resource: Resource{Kind: "Dataset", ID: "X1", Org: "O1", Label: label}}
					out.WriteString(b.line(actor.name, r, fmt.Sprintf("%s in %s", label, country)))
				}
				for _, network := range booleans {
					for _, enforcesNetwork := range booleans {
						for _, enforcesInputs := range booleans {
							r := Request{Actor: actors[0].Actor, Action: "run", Resource: Resource{Kind: "Job", ID: "X1", Org: "O1", Label: label},
								Context: Context{country, network, enforcesNetwork, enforcesInputs}}
							about := fmt.Sprintf("%s in %s", label, country)
							for _, word := range []struct {
								on   bool
								text string
							}{{network, " network"}, {enforcesNetwork, " enforces-network"}, {enforcesInputs, " enforces-inputs"}} {
								if word.on {
									about += word.text
								}
							}
							out.WriteString(b.line("controller", r, about))
						}
					}
				}
			}
		}
	}
	golden(t, "places.txt", out.String())
}

func TestPublish(t *testing.T) {
	const rest = `permit (principal, action, resource);`
	for _, row := range []struct{ name, text, problem string }{
		{"the default", Default, ""},
		{"everything is allowed", rest, ""},
		{"no text", "", "never leave it"},
		{"only comments", "// nothing", "never leave it"},
		{"everything is forbidden", rest + `forbid (principal, action, resource);`, "never leave it"},
		{"controllers are forgotten", `permit (principal, action, resource) when { principal.roles.contains("operator") };`, "never leave it"},
		{"operators are forgotten", `permit (principal == Actor::"controller", action, resource);`, "never leave it"},
		{"no Cedar", "let them in", "policy"},
		{"half a policy", "permit (principal, action", "policy"},
		{"two rules of one name", `@id("a") ` + rest + ` @id("a") ` + rest, "two policies are called"},
		{"too long", rest + strings.Repeat(" ", textMax), "at most"},
		{"bytes that are no text", "\xff\xfe\x00", "policy"},
	} {
		e, err := Publish(row.text)
		if row.problem == "" {
			if err != nil || e.Text != row.text || e.Digest == "" {
				t.Errorf("%s: %v", row.name, err)
			}
			continue
		}
		var refused *TextError
		if !errors.As(err, &refused) || refused.Code() != "policy.text" || !strings.Contains(err.Error(), row.problem) {
			t.Errorf("%s: want %q, got %v", row.name, row.problem, err)
		}
	}
}

func TestAnErrorOpensNoDoor(t *testing.T) {
	e, err := Publish(Default + `@id("broken") permit (principal, action, resource) when { principal.org == "O1" && resource.colour == "red" };`)
	if err != nil {
		t.Fatal(err)
	}
	var b Book
	b.ApplyPublished(e)
	r := Request{Actor: actors[7].Actor, Action: "submitJob", Resource: Resource{Kind: "Grant", ID: "G1", Org: "O1"}}
	if !newBook(t).Decide(r).Allowed {
		t.Fatal("the default policy refuses, so this shows nothing")
	}
	if b.Decide(r).Allowed {
		t.Error("a policy that fails while it is evaluated let somebody in")
	}
}

func TestNoPolicyPermitsNothing(t *testing.T) {
	for name, b := range map[string]*Book{"not founded": {}, "not compiled": {Text: Default}} {
		if v := b.Decide(Request{Actor: Actor{ID: "controller"}, Action: "read", Resource: Resource{Kind: "Job"}}); v.Allowed {
			t.Errorf("%s, and it permits", name)
		}
	}
	b := &Book{Text: "no cedar"}
	b.Compile()
	if b.Decide(Request{Actor: Actor{ID: "controller"}, Action: "read", Resource: Resource{Kind: "Job"}}).Allowed {
		t.Error("a text that does not compile permits")
	}
}

func TestRefusalsNameTheRule(t *testing.T) {
	b := newBook(t)
	r := Request{Actor: Actor{ID: "controller"}, Action: "run", Resource: Resource{Kind: "Job", ID: "J7", Label: Label{Class: Public, Residency: []string{"KR"}}}, Context: Context{Country: "US"}}
	err := b.Require(r)
	var denied *DeniedError
	if !errors.As(err, &denied) || denied.Code() != "policy.denied" || denied.Hint() == "" {
		t.Fatal(err)
	}
	if want := "controller may not run job J7: forbidden by residency (policy " + b.Digest.Short() + ")"; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	r.Actor.ID, r.Action = "P8", "submitJob"
	if err := b.Require(r); !strings.Contains(err.Error(), "no policy permits it") {
		t.Error(err)
	}
	r.Actor.ID, r.Context.Country, r.Action = "controller", "KR", "run"
	if err := b.Require(r); err != nil {
		t.Error(err)
	}
}

func TestMakeLabel(t *testing.T) {
	for _, row := range []struct {
		class     string
		residency []string
		want      string // empty: refused
	}{
		{"public", nil, "public@anywhere"},
		{"national", []string{"SG", "KR", "SG"}, "national@KR,SG"},
		{"", nil, ""}, {"secret", nil, ""}, {"Public", nil, ""},
		{"public", []string{""}, ""}, {"public", []string{"kr"}, ""}, {"public", []string{"KOR"}, ""},
		{"public", []string{"K1"}, ""}, {"public", []string{"--"}, ""}, {"public", []string{"É"}, ""}, {"public", []string{"KR", "kr"}, ""},
	} {
		given := slices.Clone(row.residency)
		l, err := MakeLabel(row.class, row.residency)
		if (err == nil) != (row.want != "") || err == nil && l.String() != row.want {
			t.Errorf("%s %v: %s, %v; want %q", row.class, row.residency, l, err, row.want)
		}
		if !slices.Equal(given, row.residency) {
			t.Errorf("the caller's list was changed to %v", row.residency)
		}
	}
	if s := (Label{Class: Internal, Nowhere: true}).String(); s != "internal@nowhere" {
		t.Error(s)
	}
}

var anyLabel = rapid.Custom(func(t *rapid.T) Label {
	l, err := MakeLabel(string(rapid.SampledFrom(classes).Draw(t, "class")), rapid.SliceOfN(rapid.SampledFrom([]string{"KR", "US", "SG", "JP"}), 0, 3).Draw(t, "residency"))
	if err != nil {
		t.Fatal(err)
	}
	if rapid.IntRange(0, 9).Draw(t, "nowhere") == 0 {
		l.Residency, l.Nowhere = nil, true
	}
	return l
})

func same(a, b Label) bool {
	return a.Class == b.Class && a.Nowhere == b.Nowhere && slices.Equal(a.Residency, b.Residency)
}

// atLeast says whether a is as strict as b or stricter.
func atLeast(a, b Label) bool { return same(a.Join(b), a) }

// TestLabelsAreALattice: what is made from data is bound by everything the
// data was bound by, in whatever order and however often they are joined.
func TestLabelsAreALattice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := anyLabel.Draw(t, "a"), anyLabel.Draw(t, "b"), anyLabel.Draw(t, "c")
		if !same(a.Join(b), b.Join(a)) {
			t.Fatalf("not commutative: %s, %s", a.Join(b), b.Join(a))
		}
		if !same(a.Join(b).Join(c), a.Join(b.Join(c))) {
			t.Fatalf("not associative: %s, %s", a.Join(b).Join(c), a.Join(b.Join(c)))
		}
		if !same(a.Join(a), a) {
			t.Fatalf("not idempotent: %s", a.Join(a))
		}
		if !same(a.Join(Label{Class: Public}), a) {
			t.Fatalf("public@anywhere is not the least: %s", a.Join(Label{Class: Public}))
		}
		if atLeast(a, b) && !atLeast(a.Join(c), b.Join(c)) {
			t.Fatalf("not monotone: %s over %s, but with %s not", a, b, c)
		}
		joined := a.Join(b)
		if !atLeast(joined, a) || !atLeast(joined, b) {
			t.Fatalf("%s is laxer than one of %s and %s", joined, a, b)
		}
		for _, country := range []string{"KR", "US", "SG", "JP", "DE"} {
			if joined.Allows(country) != (a.Allows(country) && b.Allows(country)) {
				t.Fatalf("%s in %s, though %s and %s", joined, country, a, b)
			}
		}
	})
}

// TestStricterLabelsNeverPermitMore: raising a label can only close doors for
// running, registering and serving.
func TestStricterLabelsNeverPermitMore(t *testing.T) {
	b := newBook(t)
	rapid.Check(t, func(t *rapid.T) {
		r := Request{
			Actor: rapid.SampledFrom(actors).Draw(t, "actor").Actor, Action: rapid.SampledFrom([]string{"run", "serve", "registerDataset", "read"}).Draw(t, "action"),
			Resource: Resource{Kind: "Job", ID: "X1", Org: rapid.SampledFrom([]string{"", "O0", "O1", "O2"}).Draw(t, "org"), Label: anyLabel.Draw(t, "label")},
			Context: Context{rapid.SampledFrom([]string{"KR", "US", ""}).Draw(t, "country"), rapid.Bool().Draw(t, "network"),
				rapid.Bool().Draw(t, "enforces network"), rapid.Bool().Draw(t, "enforces inputs")},
		}
		lax := b.Decide(r).Allowed
		r.Resource.Label = r.Resource.Label.Join(anyLabel.Draw(t, "more"))
		if b.Decide(r).Allowed && !lax {
			t.Fatalf("%+v is allowed, with a laxer label it was not", r)
		}
	})
}

func FuzzPublish(f *testing.F) {
	f.Add(Default)
	f.Add(`permit (principal, action, resource);`)
	f.Add(`@id("x") forbid (principal in Actor::"a", action, resource) unless { [1,2].contains(3) };`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Publish(text)
		if err != nil {
			return
		}
		var b Book
		b.ApplyPublished(e)
		b.Decide(Request{Actor: Actor{ID: "P1", Roles: []string{"tenant"}}, Action: "submitJob", Resource: Resource{Kind: "Grant", ID: "G1"}})
	})
}
