package programme

import (
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/unit"
)

func rule() Rule {
	return Rule{Ceiling: 100, PerOrg: 200, Countries: []string{"KR"}, Kinds: []string{"company"}, Length: 30 * unit.Day}
}

func says(t *testing.T, name string, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: %v, want %q", name, err, want)
	}
}

func TestPublishAndOpen(t *testing.T) {
	for _, row := range []struct {
		name, want string
		given      func(p *Programme)
	}{
		{"as it should be", "", func(*Programme) {}},
		{"everything goes to people", "", func(p *Programme) { p.Rule.Ceiling = 0 }},
		{"anybody from anywhere", "", func(p *Programme) { p.Rule.Countries, p.Rule.Kinds = nil, nil }},
		{"no name", "name: ", func(p *Programme) { p.Name = "" }},
		{"a ceiling below nothing", "rule: ", func(p *Programme) { p.Rule.Ceiling = -1 }},
		{"a ceiling above what one may hold", "rule: ", func(p *Programme) { p.Rule.Ceiling = 201 }},
		{"nobody may hold anything", "rule: ", func(p *Programme) { p.Rule.Ceiling, p.Rule.PerOrg = 0, 0 }},
		{"more than can be counted", "rule: ", func(p *Programme) { p.Rule.PerOrg = creditsMax + 1 }},
		{"an award that ends at once", "rule.length: ", func(p *Programme) { p.Rule.Length = unit.Hour - 1 }},
		{"an award without end", "rule.length: ", func(p *Programme) { p.Rule.Length = lengthMax + 1 }},
		{"a country nobody knows", "rule.countries[0]: ", func(p *Programme) { p.Rule.Countries = []string{"Korea"} }},
	} {
		p := Programme{"SME", rule()}
		row.given(&p)
		_, err := new(Book).Publish("N1", p)
		says(t, row.name, err, row.want)
	}
	b := new(Book)
	b.ApplyPublished(Published{"N1", Programme{"SME", rule()}})
	for _, row := range []struct {
		name, want string
		call       Call
	}{
		{"as it should be", "", Call{Programme: "N1", Name: "spring", Budget: 1, Opens: 1, Closes: 2}},
		{"of no programme", "there is no programme N9", Call{Programme: "N9", Name: "spring", Budget: 1, Closes: 2}},
		{"no name", "name: ", Call{Programme: "N1", Budget: 1, Closes: 2}},
		{"no budget", "budget: ", Call{Programme: "N1", Name: "a", Closes: 2}},
		{"more than can be counted", "budget: ", Call{Programme: "N1", Name: "a", Budget: creditsMax + 1, Closes: 2}},
		{"it closes when it opens", "closes: ", Call{Programme: "N1", Name: "a", Budget: 1, Opens: 2, Closes: 2}},
	} {
		_, err := b.Open("C1", row.call)
		says(t, row.name, err, row.want)
	}
}

// TestApply is the rule's table: who is awarded at once, who goes to people,
// who is excluded and why.
func TestApply(t *testing.T) {
	b := new(Book)
	b.ApplyPublished(Published{"N1", Programme{"SME", rule()}})
	b.ApplyCallOpened(CallOpened{"C1", "N1", "spring", 1000, 100, 200})
	b.ApplyApplied(Applied{ID: "A1", Call: "C1", Org: "O2", Credits: 150})
	b.ApplyDecided(Decided{ID: "A1", State: Awarded, Grant: "G1"})
	b.ApplyApplied(Applied{ID: "A2", Call: "C1", Org: "O3", Credits: 150})
	b.ApplyDecided(Decided{ID: "A2", State: Declined})
	b.ApplyApplied(Applied{ID: "A3", Call: "C1", Org: "O4", Credits: 700}) // waits; takes from the budget only when awarded
	korean := party.Organisation{Name: "하늘", Country: "KR", Kind: "company"}
	for _, row := range []struct {
		name    string
		at      unit.Instant
		org     party.OrgID
		credits unit.Credits
		who     party.Organisation
		want    string // a state, or what the refusal says
	}{
		{"within the ceiling", 150, "O1", 100, korean, Awarded},
		{"above it", 150, "O1", 101, korean, InReview},
		{"all that one may hold", 150, "O1", 200, korean, InReview},
		{"when it opens", 100, "O1", 1, korean, Awarded},
		{"too early", 99, "O1", 1, korean, "not open now"},
		{"too late", 200, "O1", 1, korean, "not open now"},
		{"from abroad", 150, "O1", 1, party.Organisation{Country: "US", Kind: "company"}, "applicants come from KR"},
		{"of another kind", 150, "O1", 1, party.Organisation{Country: "KR", Kind: "office"}, "applicants are of kind company"},
		{"more than one may hold", 150, "O1", 201, korean, "one organisation may hold"},
		{"more, with what it has", 150, "O2", 51, korean, "has 0.00015 and wants 0.000051 more"},
		{"just that, with what it has", 150, "O2", 50, korean, Awarded},
		{"what was declined does not count", 150, "O3", 200, korean, InReview},
		{"more than the call has", 150, "O1", 851, korean, "the call has 0.00085 credits left"},
		{"nothing", 150, "O1", 0, korean, "credits: "},
		{"less than nothing", 150, "O1", -1, korean, "credits: "},
		{"more than can be counted", 150, "O1", creditsMax + 1, korean, "credits: "},
	} {
		_, state, reasons, err := b.Apply(row.at, "A9", Application{Call: "C1", Org: row.org, Purpose: "a model", Credits: row.credits}, row.who)
		switch {
		case err != nil:
			says(t, row.name, err, row.want)
		case state != row.want || len(reasons) == 0:
			t.Errorf("%s: %s %v, want %q", row.name, state, reasons, row.want)
		}
	}
	_, _, _, err := b.Apply(150, "A9", Application{Call: "C1", Org: "O1", Credits: 1}, korean)
	says(t, "without a purpose", err, "purpose: ")
	_, _, _, err = b.Apply(150, "A9", Application{Call: "C9", Org: "O1", Credits: 1, Purpose: "x"}, korean)
	says(t, "to no call", err, "there is no call C9")
	_, _, _, err = b.Apply(99, "A9", Application{Call: "C1", Org: "O1", Credits: 2000, Purpose: "x"}, party.Organisation{Country: "US", Kind: "office"})
	if excluded, ok := err.(*IneligibleError); !ok || len(excluded.Reasons) != 5 || excluded.Code() != "programme.ineligible" {
		t.Errorf("every reason is told at once: %v", err)
	}
	for id, want := range map[ApplicationID]string{"A3": "", "A1": "is awarded already", "A2": "is declined already", "A9": "there is no application A9"} {
		_, err := b.Waiting(id)
		says(t, "deciding "+string(id), err, want)
	}
	if call, _ := b.Calls.Get("C1"); call.Awarded != 150 {
		t.Errorf("the call has awarded %d", call.Awarded)
	}
}
