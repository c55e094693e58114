package portal

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Limits of sessions. When one more than the most begins, the oldest ends.
const (
	ticketLife   = 10 * unit.Minute // a link into the pages
	sessionLife  = 12 * unit.Hour
	ticketsMax   = 1_000
	sessionsMax  = 10_000
	formBytesMax = 4 << 10
)

const sessionCookie = "gaon_session"

// pass is a session, or a ticket for one. One that began with a key ends with
// it; of a ticket the key is empty and any of the person's will do.
type pass struct {
	person party.PersonID
	key    party.KeyID
	until  unit.Instant
}

// sessions are in memory only: a restart of the centre ends them all.
type sessions struct {
	now func() unit.Instant

	mu      sync.Mutex
	tickets map[string]pass // guarded by mu
	open    map[string]pass // guarded by mu
}

func newSessions(now func() unit.Instant) sessions {
	return sessions{now: now, tickets: map[string]pass{}, open: map[string]pass{}}
}

// put remembers a pass under a new secret and returns that.
func (s *sessions) put(in map[string]pass, most int, p pass) string {
	secret := rand.Text() // 130 bits: not to be guessed
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := ""
	for other, q := range in {
		if s.now() >= q.until {
			delete(in, other)
		} else if oldest == "" || q.until < in[oldest].until {
			oldest = other
		}
	}
	if len(in) >= most {
		delete(in, oldest)
	}
	in[secret] = p
	return secret
}

// take returns a pass that has not run out; once says that it is used up.
func (s *sessions) take(in map[string]pass, secret string, once bool) (pass, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := in[secret]
	ok = ok && s.now() < p.until
	if ok && once || !ok {
		delete(in, secret)
	}
	return p, ok
}

// Ticket returns a path that signs a person in, once, within ten minutes.
func (p *Portal) Ticket(person party.PersonID) string {
	return "/enter?ticket=" + p.sessions.put(p.sessions.tickets, ticketsMax, pass{person: person, until: p.Now().Add(ticketLife)})
}

// enter turns a ticket into a session. A browser that only looks ahead must
// not use the ticket up.
func (p *Portal) enter(w http.ResponseWriter, r *http.Request, v *visit) {
	if strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	ticket, ok := p.sessions.take(p.sessions.tickets, r.URL.Query().Get("ticket"), true)
	if !ok {
		p.refuse(w, v, http.StatusForbidden, "refused.ticket")
		return
	}
	p.begin(w, r, ticket)
	// A page of our own that goes on to the next, and no redirect: the cookie
	// is not sent with a redirect that began on another site.
	p.show(w, v, http.StatusOK, "enter", nil)
}

// signIn takes a key from the form. It is compared and forgotten.
func (p *Portal) signIn(w http.ResponseWriter, r *http.Request, v *visit) {
	r.Body = http.MaxBytesReader(w, r.Body, formBytesMax)
	secret := strings.TrimSpace(r.PostFormValue("key"))
	id, key, ok := p.Writer.State().Party.ByKey(unit.DigestOf([]byte(secret)), p.Now())
	if !ok || key.Use != party.ForAPI {
		v.Problem = v.say("sign-in.refused")
		p.public(w, r, v, http.StatusForbidden)
		return
	}
	p.begin(w, r, pass{person: key.Person, key: id})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *Portal) begin(w http.ResponseWriter, r *http.Request, as pass) {
	p.end(r)
	as.until = p.Now().Add(sessionLife)
	secret := p.sessions.put(p.sessions.open, sessionsMax, as)
	setCookie(w, r, sessionCookie, secret, int(sessionLife/unit.Second), true)
}

func (p *Portal) signOut(w http.ResponseWriter, r *http.Request, _ *visit) {
	p.end(r)
	setCookie(w, r, sessionCookie, "", -1, true)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// end forgets the request's session.
func (p *Portal) end(r *http.Request) {
	if c, err := r.Cookie(sessionCookie); err == nil {
		p.sessions.mu.Lock()
		delete(p.sessions.open, c.Value)
		p.sessions.mu.Unlock()
	}
}

func setCookie(w http.ResponseWriter, r *http.Request, name, value string, seconds int, secret bool) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: seconds, HttpOnly: secret,
		Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode})
}

// who returns the person behind the request's cookie. It asks the state each
// time: an erased person's and a revoked key's sessions are over at once.
func (p *Portal) who(r *http.Request) (party.PersonID, party.Person, party.KeyID) {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return "", party.Person{}, ""
	}
	session, ok := p.sessions.take(p.sessions.open, c.Value, false)
	if !ok {
		return "", party.Person{}, ""
	}
	state, now := p.Writer.State(), p.Now()
	person, known := state.Party.People.Get(session.person)
	if !known || person.Erased {
		return "", party.Person{}, ""
	}
	live := func(k party.Key) bool { return !k.Revoked && (k.Until == 0 || now < k.Until) }
	if session.key != "" {
		key, _ := state.Party.Keys.Get(session.key)
		if !live(key) {
			return "", party.Person{}, ""
		}
		return session.person, person, session.key
	}
	var keys []party.KeyID
	for id, key := range state.Party.Keys.All() {
		if key.Person == session.person && live(key) {
			keys = append(keys, id)
		}
	}
	if len(keys) == 0 {
		return session.person, person, "" // may look, cannot ask a model
	}
	return session.person, person, slices.Min(keys)
}
