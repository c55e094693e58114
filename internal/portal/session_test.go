package portal

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/unit"
)

// signed says whether the browser is signed in as somebody.
func (b *browser) signed() bool {
	b.Helper()
	_, page := b.get("/")
	return strings.Contains(page, `action="/session/end"`)
}

func TestTicketWorksOnce(t *testing.T) {
	w := newWorld(t)
	link := w.portal.Ticket(w.first.person)
	b := w.browser("en")
	b.header.Set("Sec-Purpose", "prefetch")
	if r, _ := b.get(link); r.StatusCode != http.StatusServiceUnavailable || b.signed() {
		t.Error("a browser that only looks ahead used the ticket up, or signed in")
	}
	b.header.Del("Sec-Purpose")
	r, page := b.get(link)
	if r.StatusCode != http.StatusOK || !strings.Contains(page, `url=/`) || !b.signed() {
		t.Fatalf("the ticket is refused: %d", r.StatusCode)
	}
	cookie := r.Header.Get("Set-Cookie")
	for _, want := range []string{"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("the session's cookie has no %s: %s", want, cookie)
		}
	}
	second := w.browser("en")
	if r, _ := second.get(link); r.StatusCode != http.StatusForbidden || second.signed() {
		t.Errorf("the ticket worked twice: %d", r.StatusCode)
	}
	if r, _ := second.get("/enter?ticket=guess"); r.StatusCode != http.StatusForbidden {
		t.Errorf("a guess: %d", r.StatusCode)
	}
}

func TestTicketsAndSessionsEnd(t *testing.T) {
	w := newWorld(t)
	late := w.portal.Ticket(w.first.person)
	b := w.browser("en").enter(w.first)
	w.pass(10 * unit.Minute)
	if r, _ := w.browser("en").get(late); r.StatusCode != http.StatusForbidden {
		t.Errorf("a ticket of ten minutes ago: %d", r.StatusCode)
	}
	if !b.signed() {
		t.Error("the session ended with its ticket")
	}
	w.pass(sessionLife)
	if b.signed() {
		t.Error("the session outlived twelve hours")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	w := newWorld(t)
	first := w.browser("en").enter(w.first)
	w.pass(unit.Second)
	for i := range sessionsMax - 1 {
		w.portal.sessions.open[fmt.Sprint(i)] = pass{person: w.first.person, until: w.now().Add(sessionLife)}
	}
	if !first.signed() {
		t.Fatal("a session ended before there were too many")
	}
	w.browser("en").enter(w.first)
	if n := len(w.portal.sessions.open); n != sessionsMax {
		t.Errorf("%d sessions are open", n)
	}
	if first.signed() {
		t.Error("the oldest session did not make room")
	}
}

func TestSignIn(t *testing.T) {
	w := newWorld(t)
	past, _ := w.key(w.first.person, party.ForAPI, w.now().Add(unit.Second))
	gone, id := w.key(w.first.person, party.ForAPI, 0)
	w.do(w.first.person, centre.RevokeKey{Key: id})
	w.pass(unit.Minute)
	for _, row := range []struct {
		name, key string
		in        bool
	}{
		{"a key for the API", w.first.key, true},
		{"the same with spaces around it", "  " + w.first.key + "\n", true},
		{"nothing", "", false},
		{"a guess", "guess", false},
		{"a key for inference", w.first.asking, false},
		{"a key past its end", past, false},
		{"a revoked key", gone, false},
		{"a form without end", strings.Repeat("k", formBytesMax), false},
	} {
		b := w.browser("en")
		r, page := b.post("/session", url.Values{"key": {row.key}})
		if b.signed() != row.in || row.in == (r.StatusCode == http.StatusForbidden) {
			t.Errorf("%s: %d, signed in %v", row.name, r.StatusCode, b.signed())
		}
		if row.key != "" && strings.Contains(page, strings.TrimSpace(row.key)) && row.key != "guess" {
			t.Errorf("%s: the page repeats the key", row.name)
		}
	}
}

func TestSessionEndsWithItsKeyAndPerson(t *testing.T) {
	w := newWorld(t)
	byKey, byTicket := w.browser("en"), w.browser("en").enter(w.first)
	byKey.post("/session", url.Values{"key": {w.first.key}})
	if !byKey.signed() {
		t.Fatal("not signed in")
	}
	w.do(w.first.person, centre.RevokeKey{Key: w.first.keyID})
	if byKey.signed() || !byTicket.signed() {
		t.Error("a revoked key must end its own session, and no other")
	}
	w.do(w.operator, centre.ErasePerson{Person: w.first.person})
	if byTicket.signed() {
		t.Error("an erased person's session goes on")
	}
}

func TestSignOut(t *testing.T) {
	w := newWorld(t)
	b := w.browser("en").enter(w.first)
	address, err := url.Parse(w.url)
	w.must(err)
	stolen := w.browser("en")
	stolen.client.Jar.SetCookies(address, b.client.Jar.Cookies(address))
	if !stolen.signed() {
		t.Fatal("the cookie is not the session")
	}
	b.post("/session/end", nil)
	if b.signed() || stolen.signed() {
		t.Error("the session is not over after signing out")
	}
}

// TestOtherSitesCannotChange: what another site's page sends is refused, with
// the cookie or without.
func TestOtherSitesCannotChange(t *testing.T) {
	w := newWorld(t)
	w.work(w.start(w.first, "gaon-mini"), "")
	for _, row := range []struct {
		name   string
		header map[string]string
		in     bool
	}{
		{"our own page", map[string]string{"Sec-Fetch-Site": "same-origin"}, true},
		{"our own page, by an older browser", map[string]string{"Origin": w.url}, true},
		{"another site", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://example.com"}, false},
		{"a sister site", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://sister.example.kr"}, false},
		{"another site, by an older browser", map[string]string{"Origin": "https://example.com"}, false},
		{"a page in a sandbox", map[string]string{"Origin": "null"}, false},
		{"a program", nil, false},
	} {
		b := w.browser("en").enter(w.first)
		b.header.Del("Sec-Fetch-Site")
		for name, value := range row.header {
			b.header.Set(name, value)
		}
		for _, path := range []string{"/ask", "/session/end"} {
			r, _ := b.send(http.MethodPost, path, "application/json", `{"model":"gaon-mini"}`)
			if (r.StatusCode == http.StatusOK) != row.in {
				t.Errorf("POST %s from %s: %d", path, row.name, r.StatusCode)
			}
		}
		if b.signed() == row.in {
			t.Errorf("%s: signed in %v", row.name, !row.in)
		}
		if r, _ := b.post("/session", url.Values{"key": {w.first.key}}); (r.StatusCode == http.StatusForbidden) == row.in {
			t.Errorf("signing in from %s: %d", row.name, r.StatusCode)
		}
	}
}

func TestHeaders(t *testing.T) {
	w := newWorld(t)
	run := w.start(w.first, "gaon-mini")
	w.work(run, "")
	b := w.browser("ko").enter(w.first)
	for path, framed := range map[string]bool{"/": false, "/runs/" + string(run): false, "/runs/" + string(run) + "/live": false,
		"/runs/" + string(run) + "/curation/report.html": true, "/models/" + w.modelOf(run) + "/passport": true} {
		r, page := b.get(path)
		policy := r.Header.Get("Content-Security-Policy")
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
			"X-Frame-Options": map[bool]string{true: "SAMEORIGIN", false: "DENY"}[framed]} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("GET %s: %s is %q, want %q", path, name, got, want)
			}
		}
		if !strings.Contains(policy, "default-src 'none'") || framed != strings.HasPrefix(policy, "sandbox") || strings.Contains(policy, "unsafe-eval") {
			t.Errorf("GET %s: policy %q", path, policy)
		}
		if !framed && (strings.Contains(policy, "unsafe") || strings.Contains(page, "<script>") || strings.Contains(page, "style=") || strings.Contains(page, "onclick")) {
			t.Errorf("GET %s: something in the page needs a loose policy: %q", path, policy)
		}
	}
}
