package gateway

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/unit"
)

const question = `{"model":"ours","prompt":"가온","max_tokens":4,"seed":1}`

func TestWhoMayAsk(t *testing.T) {
	w := newWorld(t)
	w.serve(w.first, "ours", policy.Internal, realService(t).Handler())
	w.serve(w.first, "everyones", policy.Public, realService(t).Handler())
	ended, _ := w.key(w.first.person, party.ForInference, w.now().Add(unit.Minute))
	revoked, revokedID := w.key(w.first.person, party.ForInference, 0)
	w.do(w.first.person, centre.RevokeKey{Key: revokedID})
	leaver := w.do(w.operator, centre.AddPerson{Org: w.first.org, Details: digest(), Roles: []party.Role{{Name: party.Tenant}}})
	erased, _ := w.key(leaver, party.ForInference, 0)
	w.do(w.operator, centre.ErasePerson{Person: party.PersonID(leaver)})
	if response, body, _ := w.post("/v1/completions", ended, question); response.StatusCode != http.StatusOK {
		t.Errorf("before its end the key gets %d %s", response.StatusCode, body)
	}
	w.pass(unit.Minute)
	const public = `{"model":"everyones","prompt":"가온","max_tokens":4}`
	for _, row := range []struct {
		name, key, body string
		status          int
		code, says      string
	}{
		{"the owner's inference key", w.first.key, question, 200, "", ""},
		{"the owner's API key", w.first.api, question, 200, "", ""},
		{"a public model, another's key", w.other.key, public, 200, "", ""},
		{"another's key", w.other.key, question, 404, "model_not_found", "There are: everyones."},
		{"no key", "", question, 401, "invalid_api_key", "Authorization: Bearer"},
		{"an unknown key", "nonsense", question, 401, "invalid_api_key", "unknown, revoked or past its end"},
		{"a revoked key", revoked, question, 401, "invalid_api_key", "revoked"},
		{"a key past its end", ended, question, 401, "invalid_api_key", "past its end"},
		{"an erased person's key", erased, question, 401, "invalid_api_key", "unknown"},
		{"no key for a public model either", "", public, 401, "invalid_api_key", ""},
		{"an unknown model", w.first.key, `{"model":"theirs","prompt":"a"}`, 404, "model_not_found", "There are: everyones, ours."},
		{"no model", w.first.key, `{"prompt":"a"}`, 400, "invalid_value", "model"},
		{"a model in another case", w.first.key, `{"Model":"ours","prompt":"a"}`, 400, "invalid_value", "model"},
		{"no JSON", w.first.key, `{`, 400, "invalid_value", "no JSON"},
		{"what the service refuses", w.first.key, `{"model":"ours","prompt":"a","magic":1}`, 400, "unknown_parameter", "magic"},
	} {
		response, body, err := w.post("/v1/completions", row.key, row.body)
		switch {
		case err != nil:
			t.Errorf("%s: %v", row.name, err)
		case row.status != 200:
			w.mustProblem(row.name, response, body, row.status, row.code, row.says)
		case response.StatusCode != 200 || !strings.Contains(body, `"choices":[{"text":`):
			t.Errorf("%s: %d %s", row.name, response.StatusCode, body)
		}
	}
}

func TestUnknownPaths(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct{ method, path string }{
		{"POST", "/v1/embeddings"}, {"GET", "/v1/"}, {"DELETE", "/v1/models"}, {"GET", "/v1/completions"}, {"POST", "/v1/chat/completion"},
	} {
		response, body, _ := w.send(row.method, row.path, w.first.key, "")
		w.mustProblem(row.method+" "+row.path, response, body, 404, "unknown_url", row.path)
	}
}

func TestLifeOfAnEndpoint(t *testing.T) {
	w := newWorld(t)
	response, body, _ := w.post("/v1/completions", w.first.key, question)
	w.mustProblem("before there is one", response, body, 404, "model_not_found", "No model is being served")
	id := w.endpoint(w.first, "ours", policy.Internal)
	response, body, _ = w.post("/v1/completions", w.first.key, question)
	w.mustProblem("opening", response, body, 503, "model_not_ready", "not ready")
	if response.Header.Get("Retry-After") == "" {
		t.Error("an opening endpoint says nothing of when to come again")
	}
	if _, body, _ := w.send("GET", "/v1/models", w.first.key, ""); !strings.Contains(body, `"data":[]`) {
		t.Errorf("an opening endpoint is listed: %s", body)
	}
	w.do(centre.Controller, centre.ReportEndpoint{Endpoint: id, Ready: true})
	response, body, _ = w.post("/v1/completions", w.first.key, question)
	w.mustProblem("ready, but nobody listens", response, body, 503, "model_not_ready", "did not answer")
	first := w.listen(id, realService(t).Handler())
	if response, body, _ = w.post("/v1/completions", w.first.key, question); response.StatusCode != 200 {
		t.Fatalf("ready: %d %s", response.StatusCode, body)
	}
	// One connection serves many requests.
	dials := w.engine.dials.Load()
	for range 3 {
		w.post("/v1/completions", w.first.key, question)
	}
	if more := w.engine.dials.Load() - dials; more > 0 {
		t.Errorf("%d new connections for three requests", more)
	}
	// Its attempt is lost; the next one listens elsewhere.
	e, _ := w.writer.State().Models.Endpoints.Get(id)
	w.do(centre.Controller, centre.LoseJob{Job: e.Job, Attempt: 1, Reason: "power"})
	first.Close()
	response, body, _ = w.post("/v1/completions", w.first.key, question)
	w.mustProblem("between attempts", response, body, 503, "model_not_ready", "not ready")
	w.start(e.Job)
	w.listen(id, realService(t).Handler())
	if response, body, _ = w.post("/v1/completions", w.first.key, question); response.StatusCode != 200 {
		t.Fatalf("second attempt: %d %s", response.StatusCode, body)
	}
	w.do(w.first.person, centre.CloseEndpoint{Endpoint: id})
	response, body, _ = w.post("/v1/completions", w.first.key, question)
	w.mustProblem("closed", response, body, 404, "model_not_found", "")
	w.gateway.forget()
	if len(w.gateway.backends) != 0 {
		t.Error("the connection of a closed endpoint is kept")
	}
	// What it was asked before is metered all the same.
	w.flushed()
	if got := w.used(id, w.first.keyID); got.Requests != 5 {
		t.Errorf("metered %+v, want 5 requests", got)
	}
	if j, _ := w.writer.State().Jobs.Get(e.Job); j.State != job.Running || !j.Stopping {
		t.Errorf("the endpoint's job is %s", j.State)
	}
}

func TestModels(t *testing.T) {
	w := newWorld(t)
	w.serve(w.first, "ours", policy.Internal, realService(t).Handler())
	w.serve(w.other, "a/b c", policy.Public, realService(t).Handler())
	for _, row := range []struct{ name, path, key, has, hasNot string }{
		{"own and public ones", "/v1/models", w.first.key, `"id":"ours"`, "-"},
		{"public ones", "/v1/models", w.first.key, `"id":"a/b c"`, "-"},
		{"not others'", "/v1/models", w.other.key, `"id":"a/b c"`, "ours"},
		{"what the service says of itself", "/v1/models/ours", w.first.key, `"gaon":{"chat":"continuation","context_length":4096`, "-"},
		{"the owner", "/v1/models/ours", w.first.key, `"owned_by":"First"`, "-"},
		{"a name with a slash", "/v1/models/a/b%20c", w.first.key, `"id":"a/b c"`, "-"},
		{"not others' by name", "/v1/models/ours", w.other.key, "model_not_found", `"id"`},
	} {
		_, body, err := w.send("GET", row.path, row.key, "")
		if err != nil || !json.Valid([]byte(body)) || !strings.Contains(body, row.has) || strings.Contains(body, row.hasNot) && row.hasNot != "-" {
			t.Errorf("%s: %s (%v)", row.name, body, err)
		}
	}
}

func TestLimits(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.RequestsPerMinute = 3; c.ConcurrentMax = 2 })
	hold, entered := make(chan struct{}), make(chan struct{})
	w.serve(w.first, "ours", policy.Internal, script(func(rw http.ResponseWriter, r *http.Request, body map[string]any) {
		if body["user"] == "waits" {
			entered <- struct{}{}
			<-hold
		}
		rw.Write([]byte(`{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}`))
	}))
	for i := range 3 {
		if response, body, _ := w.post("/v1/completions", w.first.key, question); response.StatusCode != 200 {
			t.Fatalf("request %d: %d %s", i, response.StatusCode, body)
		}
	}
	response, body, _ := w.post("/v1/completions", w.first.key, question)
	w.mustProblem("the fourth in a minute", response, body, 429, "rate_limit_exceeded", "3 requests a minute")
	if response.Header.Get("Retry-After") != "20" || response.Header.Get("X-Ratelimit-Remaining-Requests") != "0" {
		t.Errorf("headers %v", response.Header)
	}
	if response, body, _ := w.post("/v1/completions", w.first.api, question); response.StatusCode != 200 {
		t.Errorf("another key is held to the first one's limit: %d %s", response.StatusCode, body)
	}
	w.pass(20 * unit.Second)
	if response, _, _ := w.post("/v1/completions", w.first.key, question); response.StatusCode != 200 {
		t.Errorf("after Retry-After: %d", response.StatusCode)
	}
	w.pass(unit.Minute)
	ended := make(chan int)
	for range 2 {
		go func() {
			response, _, _ := w.post("/v1/completions", w.first.key, `{"model":"ours","prompt":"a","user":"waits"}`)
			ended <- response.StatusCode
		}()
		<-entered
	}
	response, body, _ = w.post("/v1/completions", w.first.key, question)
	w.mustProblem("a third at once", response, body, 429, "rate_limit_exceeded", "at most 2 at once")
	close(hold)
	for range 2 {
		if status := <-ended; status != 200 {
			t.Errorf("one that waited got %d", status)
		}
	}
	w.pass(unit.Minute)
	w.gateway.underway.Wait()
	w.soon("the limits' rest", func() bool {
		w.gateway.forget()
		return len(w.gateway.limits.keys) == 0
	})
	// A clock set back gives nothing away and takes nothing.
	w.pass(-unit.Hour)
	if response, _, _ := w.post("/v1/completions", w.first.key, question); response.StatusCode != 200 {
		t.Errorf("after the clock went back: %d", response.StatusCode)
	}
}

func TestAskForSomeone(t *testing.T) {
	w := newWorld(t)
	id := w.serve(w.first, "ours", policy.Internal, realService(t).Handler())
	ask := func(key party.KeyID, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "/playground", strings.NewReader(body))
		rw := httptest.NewRecorder()
		w.gateway.Ask(rw, r, key)
		return rw
	}
	if rw := ask(w.first.keyID, question); rw.Code != 200 || !strings.Contains(rw.Body.String(), "text_completion") {
		t.Errorf("a prompt: %d %s", rw.Code, rw.Body)
	}
	rw := ask(w.first.keyID, `{"model":"ours","messages":[{"role":"user","content":"a"}],"stream":true,"max_tokens":2}`)
	if rw.Code != 200 || !strings.Contains(rw.Body.String(), "chat.completion.chunk") || !strings.HasSuffix(rw.Body.String(), "data: [DONE]\n\n") || strings.Contains(rw.Body.String(), "usage") {
		t.Errorf("a chat: %d %s", rw.Code, rw.Body)
	}
	if rw := ask(w.other.keyID, question); rw.Code != 404 {
		t.Errorf("another's key: %d %s", rw.Code, rw.Body)
	}
	w.do(w.first.person, centre.RevokeKey{Key: w.first.keyID})
	if rw := ask(w.first.keyID, question); rw.Code != 401 {
		t.Errorf("a revoked key: %d %s", rw.Code, rw.Body)
	}
	if rw := ask("K999", question); rw.Code != 401 {
		t.Errorf("no key: %d %s", rw.Code, rw.Body)
	}
	w.flushed()
	if got := w.used(id, w.first.keyID); got.Requests != 2 || got.Completion < 1 || got.Completion > 6 {
		t.Errorf("metered %+v", got)
	}
	if got := w.used(id, w.other.keyID); got != (model.Tokens{}) {
		t.Errorf("the other key is metered %+v", got)
	}
}
