package party

import (
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/unit"
)

var someDigest = unit.DigestOf([]byte("details"))

// field returns which field an error refuses, or its text.
func field(err error) string {
	if err == nil {
		return ""
	}
	name, _, _ := strings.Cut(err.Error(), ":")
	return name
}

func TestCheckName(t *testing.T) {
	for _, row := range []struct {
		name, problem string
	}{
		{"a", ""}, {"가온 Centre 1", ""}, {strings.Repeat("가", nameRunesMax), ""},
		{"", "empty"}, {"  ", "empty"}, {strings.Repeat("a", nameRunesMax+1), "longer"}, {"a\xff", "UTF-8"},
		{"a\nb", "control"}, {"a\x00b", "control"}, {"a\x1b[2J", "control"}, {"a\x7f", "control"}, {"\t", "empty"},
		{"safe\u202egnp.exe", "direction"}, {"a\u0085b", "control"}, {"a\u2028b", "control"},
	} {
		err := CheckName("name", row.name)
		if (err == nil) != (row.problem == "") || err != nil && !strings.Contains(err.Error(), row.problem) {
			t.Errorf("%.20q: %v, want %q", row.name, err, row.problem)
		}
	}
}

func TestCheckCountry(t *testing.T) {
	for code, ok := range map[string]bool{"KR": true, "US": true, "": false, "K": false, "KOR": false, "kr": false, "K1": false, "É": false} {
		if err := CheckCountry("country", code); (err == nil) != ok {
			t.Errorf("%q: %v", code, err)
		}
	}
}

func book(t *testing.T) *Book {
	t.Helper()
	b := new(Book)
	joined, err := b.Join("O1", Organisation{Name: "하늘", Country: "KR", Kind: "company"})
	if err != nil {
		t.Fatal(err)
	}
	b.ApplyJoined(joined)
	enrolled, err := b.Enrol("P1", "O1", someDigest, []Role{{Name: Tenant}, {Name: Signer, Until: 100}})
	if err != nil {
		t.Fatal(err)
	}
	b.ApplyEnrolled(enrolled)
	return b
}

func TestJoinAndEnrol(t *testing.T) {
	b := book(t)
	for _, row := range []struct {
		name, field string
		org         Organisation
	}{
		{"as it should be", "", Organisation{Name: "a", Country: "KR", Kind: "university"}},
		{"no name", "name", Organisation{Country: "KR", Kind: "office"}},
		{"no country", "country", Organisation{Name: "a", Kind: "office"}},
		{"no kind", "kind", Organisation{Name: "a", Country: "KR"}},
		{"a kind nobody knows", "kind", Organisation{Name: "a", Country: "KR", Kind: "club"}},
	} {
		if _, err := b.Join("O2", row.org); field(err) != row.field {
			t.Errorf("%s: %v, want %q", row.name, err, row.field)
		}
	}
	for _, row := range []struct {
		name, field string
		org         OrgID
		details     unit.Digest
		roles       []Role
	}{
		{"of an organisation", "", "O1", someDigest, []Role{{Name: Officer}}},
		{"of none, without roles", "", "", someDigest, nil},
		{"of one that is not there", "there is no org O9", "O9", someDigest, nil},
		{"without details", "details", "O1", "", nil},
		{"with a role nobody knows", "roles[1]", "O1", someDigest, []Role{{Name: Tenant}, {Name: "king"}}},
	} {
		if _, err := b.Enrol("P2", row.org, row.details, row.roles); field(err) != row.field {
			t.Errorf("%s: %v, want %q", row.name, err, row.field)
		}
	}
}

func TestRolesEnd(t *testing.T) {
	p, _ := book(t).People.Get("P1")
	for at, want := range map[unit.Instant]string{0: "tenant signer", 99: "tenant signer", 100: "tenant", 101: "tenant"} {
		if got := strings.Join(p.RolesAt(at), " "); got != want {
			t.Errorf("at %d: %q, want %q", at, got, want)
		}
	}
	p.Erased = true
	if got := p.RolesAt(0); len(got) != 0 {
		t.Errorf("erased, yet %v", got)
	}
}

// TestKeys follows keys from issue to their end: by time, by revocation, by
// the erasure of their holder.
func TestKeys(t *testing.T) {
	b := book(t)
	secret := func(name string) unit.Digest { return unit.DigestOf([]byte(name)) }
	issue := func(id KeyID, k Key) {
		t.Helper()
		e, err := b.Issue(id, k)
		if err != nil {
			t.Fatal(err)
		}
		b.ApplyKeyIssued(e)
	}
	issue("K1", Key{Person: "P1", Use: ForAPI, Secret: secret("a")})
	issue("K2", Key{Person: "P1", Use: ForInference, Secret: secret("b"), Until: 50})
	for _, row := range []struct {
		name, field string
		key         Key
	}{
		{"for nobody", "there is no person P9", Key{Person: "P9", Use: ForAPI, Secret: secret("c")}},
		{"for no use", "use", Key{Person: "P1", Secret: secret("c")}},
		{"without a secret", "secret", Key{Person: "P1", Use: ForAPI}},
		{"a secret that is in use", "secret", Key{Person: "P1", Use: ForAPI, Secret: secret("a")}},
	} {
		if _, err := b.Issue("K9", row.key); field(err) != row.field {
			t.Errorf("%s: %v, want %q", row.name, err, row.field)
		}
	}
	holds := func(name string, at unit.Instant) KeyID {
		id, _, _ := b.ByKey(secret(name), at)
		return id
	}
	if holds("a", 1000) != "K1" || holds("b", 49) != "K2" || holds("b", 50) != "" || holds("c", 0) != "" {
		t.Error("keys are found that are not, or not found that are")
	}
	e, changes, err := b.Revoke("K1")
	if err != nil || !changes {
		t.Fatal(changes, err)
	}
	b.ApplyKeyRevoked(e)
	if _, changes, err := b.Revoke("K1"); changes || err != nil {
		t.Errorf("revoked twice: %v, %v", changes, err)
	}
	if _, _, err := b.Revoke("K9"); field(err) != "there is no key K9" {
		t.Error(err)
	}
	issue("K3", Key{Person: "P1", Use: ForAPI, Secret: secret("a")}) // free again
	if holds("a", 0) != "K3" {
		t.Error("the new key is not found")
	}
	erased, changes, err := b.Erase("P1")
	if err != nil || !changes {
		t.Fatal(changes, err)
	}
	b.ApplyErased(erased)
	if holds("a", 0) != "" || holds("b", 0) != "" || b.Secrets.Len() != 0 {
		t.Error("an erased person's keys open something")
	}
	if _, changes, err := b.Erase("P1"); changes || err != nil {
		t.Errorf("erased twice: %v, %v", changes, err)
	}
	if _, err := b.Issue("K4", Key{Person: "P1", Use: ForAPI, Secret: secret("d")}); field(err) != "person" {
		t.Errorf("a key for an erased person: %v", err)
	}
	if _, _, err := b.Erase("P9"); field(err) != "there is no person P9" {
		t.Error(err)
	}
}
