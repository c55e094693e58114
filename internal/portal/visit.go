package portal

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/unit"
)

// The languages of the pages.
const (
	Korean  = "ko"
	English = "en"
)

const (
	languageCookie = "gaon_language"
	yearSeconds    = 365 * 24 * 3600
)

// visit is one request by one person, or by somebody who is not signed in.
type visit struct {
	State   *centre.State
	Now     unit.Instant
	Lang    string
	Person  party.PersonID // empty: not signed in
	Roles   []string
	Org     party.OrgID
	Key     party.KeyID // what the person asks models with; may be empty
	Problem string      // what went wrong with what was sent
	Title   string
	Here    string // the page's own path, for the language switch
	Body    any    // what the page shows

	portal *Portal
}

func (p *Portal) visit(r *http.Request) *visit {
	v := &visit{State: p.Writer.State(), Now: p.Now(), Lang: language(r), portal: p}
	var person party.Person
	v.Person, person, v.Key = p.who(r)
	v.Roles, v.Org = person.RolesAt(v.Now), person.Org
	v.Here = "/"
	if r.Method == http.MethodGet && r.URL.Path != "/enter" {
		v.Here = r.URL.EscapedPath()
	}
	return v
}

// chooseLanguage remembers the language that ?lang= asks for and shows the
// page anew without it.
func (v *visit) chooseLanguage(w http.ResponseWriter, r *http.Request) bool {
	chosen := r.URL.Query().Get("lang")
	if r.Method != http.MethodGet || chosen != Korean && chosen != English || v.Here != r.URL.EscapedPath() || !strings.HasPrefix(v.Here, "/") ||
		strings.HasPrefix(v.Here, "//") || r.PathValue("file") != "" {
		return false
	}
	setCookie(w, r, languageCookie, chosen, yearSeconds, true)
	http.Redirect(w, r, v.Here, http.StatusSeeOther)
	return true
}

// language is the one chosen before, or the first that the browser accepts.
func language(r *http.Request) string {
	if c, err := r.Cookie(languageCookie); err == nil && (c.Value == Korean || c.Value == English) {
		return c.Value
	}
	best, bestWeight := English, 0.0
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, weight, _ := strings.Cut(strings.TrimSpace(part), ";q=")
		primary, _, _ := strings.Cut(strings.ToLower(tag), "-")
		q, err := strconv.ParseFloat(weight, 64)
		if err != nil {
			q = 1
		}
		if (primary == Korean || primary == English) && q > bestWeight {
			best, bestWeight = primary, q
		}
	}
	return best
}

// may says whether the visitor may read a thing of the organisation; package
// api asks the same.
func (v *visit) may(kind, id string, org party.OrgID) bool {
	return v.mayLabelled(kind, id, org, policy.Label{Class: policy.Internal})
}

func (v *visit) mayLabelled(kind, id string, org party.OrgID, label policy.Label) bool {
	return v.Person != "" && v.State.May(v.Now, string(v.Person), "read", policy.Resource{Kind: kind, ID: id, Org: string(org), Label: label}) == nil
}

// say returns a text in the visitor's language.
func (v *visit) say(key string, args ...any) string { return say(v.Lang, key, args...) }

// Is says whether the visitor's language is the one given.
func (v *visit) Is(lang string) bool { return v.Lang == lang }

// Signed says whether somebody is signed in.
func (v *visit) Signed() bool { return v.Person != "" }

// OrgName is the visitor's organisation.
func (v *visit) OrgName() string {
	org, _ := v.State.Party.Orgs.Get(v.Org)
	return org.Name
}

// RoleNames are the visitor's roles in words.
func (v *visit) RoleNames() string {
	var names []string
	for _, role := range v.Roles {
		names = append(names, v.say("role."+role))
	}
	slices.Sort(names)
	return strings.Join(names, " · ")
}

// show writes a page.
func (p *Portal) show(w http.ResponseWriter, v *visit, status int, name string, body any) {
	v.Body = body
	var b bytes.Buffer
	if err := p.templates[v.Lang].ExecuteTemplate(&b, name, v); err != nil {
		p.fault(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // who asked may be gone
}

// render executes one template into bytes.
func (p *Portal) render(lang, name string, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := p.templates[lang].ExecuteTemplate(&b, name, data); err != nil {
		return nil, fmt.Errorf("page %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// refuse tells in words, and with a way on, why something was not done.
func (p *Portal) refuse(w http.ResponseWriter, v *visit, status int, key string) {
	v.Title, v.Problem = v.say("refused"), v.say(key)
	p.show(w, v, status, "refused", nil)
}

// missing answers for what is not there and for what the visitor may not see
// alike, so that nobody learns ids by asking.
func (p *Portal) missing(w http.ResponseWriter, v *visit) {
	p.refuse(w, v, http.StatusNotFound, "refused.missing")
}

// fault is logged whole and told as nothing but a fault.
func (p *Portal) fault(w http.ResponseWriter, err error) {
	p.Log.Error("page failed", "err", err)
	http.Error(w, "이 쪽을 보일 수 없습니다. · This page cannot be shown.", http.StatusInternalServerError)
}

// at is a path with its parts escaped.
func at(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString("/" + url.PathEscape(part))
	}
	return b.String()
}
