package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof"
	"github.com/gaon-ai/gaon/proof/receipt"
)

// operation is what a test reads of the OpenAPI document.
type operation struct {
	ID         string                      `json:"operationId"`
	Summary    string                      `json:"summary"`
	Security   []map[string][]string       `json:"security"`
	Parameters []struct{ Name, In string } `json:"parameters"`
	Responses  map[string]json.RawMessage  `json:"responses"`

	method, path string
}

func (w *world) operations() []operation {
	w.Helper()
	a := w.send(http.MethodGet, Prefix+"/openapi.json", "", "")
	var document struct {
		OpenAPI  string                          `json:"openapi"`
		Security []map[string][]string           `json:"security"`
		Paths    map[string]map[string]operation `json:"paths"`
	}
	if err := json.Unmarshal([]byte(a.body), &document); err != nil || a.status != http.StatusOK || !strings.HasPrefix(document.OpenAPI, "3.1") {
		w.Fatalf("OpenAPI document: %d, version %q, %v", a.status, document.OpenAPI, err)
	}
	var all []operation
	for path, methods := range document.Paths {
		for method, op := range methods {
			if op.Security == nil {
				op.Security = document.Security
			}
			op.method, op.path = strings.ToUpper(method), path
			all = append(all, op)
		}
	}
	return all
}

func TestOpenAPI(t *testing.T) {
	w := newWorld(t)
	seen := map[string]string{}
	for _, op := range w.operations() {
		name := op.method + " " + op.path
		if other, twice := seen[op.ID]; twice || op.ID == "" {
			t.Errorf("%s: its id %q is that of %q", name, op.ID, other)
		}
		seen[op.ID] = name
		if op.Summary == "" || len(op.Responses) == 0 || !strings.HasPrefix(op.path, Prefix) {
			t.Errorf("%s: summary %q, %d responses", name, op.Summary, len(op.Responses))
		}
		if len(op.Security) == 0 {
			t.Errorf("%s: the document does not say that it wants a key", name)
		}
		declared := map[string]bool{}
		for _, p := range op.Parameters {
			if p.In == "path" {
				declared[p.Name] = true
			}
			if p.In == "body" || p.Name == "" {
				t.Errorf("%s: parameter %+v", name, p)
			}
		}
		for _, part := range strings.Split(op.path, "/") {
			if strings.HasPrefix(part, "{") && !declared[strings.Trim(part, "{}")] {
				t.Errorf("%s: %s is not declared", name, part)
			}
		}
		if op.method == http.MethodPost && op.ID != "put-tree" && op.ID != "erase-person" {
			keyed := false
			for _, p := range op.Parameters {
				keyed = keyed || p.In == "header" && p.Name == "Idempotency-Key"
			}
			if !keyed {
				t.Errorf("%s: a change that cannot be sent again safely", name)
			}
		}
	}
	body := w.send(http.MethodGet, Prefix+"/openapi.json", "", "").body
	for _, part := range strings.Split(body, `"$ref":"`)[1:] {
		ref, _, _ := strings.Cut(part, `"`)
		schema, inside := strings.CutPrefix(ref, "#/components/schemas/")
		if !inside || !strings.Contains(body, `"`+schema+`":{`) {
			t.Errorf("reference %s leads nowhere", ref)
		}
	}
	if a := w.send(http.MethodGet, Prefix+"/openapi.yaml", "", ""); a.status != http.StatusOK || !strings.Contains(a.body, "openapi: 3.1") {
		t.Errorf("as YAML: %d", a.status)
	}
}

// Nothing is answered without a key that is in force and made for the API.
func TestEveryRouteWantsAKey(t *testing.T) {
	w := newWorld(t)
	gone, id := w.key(w.ours.Client, w.ours.person, party.ForAPI)
	w.made(w.ours.Client, "/keys/"+id+"/revoke", `{}`)
	erased := w.made(w.office, "/people", `{"roles":[{"name":"auditor"}],"details":{"name":"gone"}}`)
	theirs, _ := w.key(w.office, erased, party.ForAPI)
	w.made(w.office, "/people/"+erased+"/erase", "")
	for _, op := range w.operations() {
		path := strings.NewReplacer("{id}", "X1", "{name}", "result", "{entry}", "1").Replace(op.path)
		for name, secret := range map[string]string{"no key": "", "nonsense": "nonsense", "a key for inference": w.ours.inference,
			"a revoked key": gone.Key, "the key of an erased person": theirs.Key} {
			a := w.send(op.method, path, secret, "")
			if a.status != http.StatusUnauthorized || a.problem.Code != "key.unknown" || a.problem.Hint == "" {
				t.Errorf("%s with %s: %d %s", op.ID, name, a.status, a.body)
			}
		}
	}
	for _, header := range []string{"Basic abc", w.office.Key, "bearer " + w.office.Key, "Bearer", "Bearer "} {
		if a := w.send(http.MethodGet, Prefix+"/centre", "", "", "Authorization", header); a.status != http.StatusUnauthorized {
			t.Errorf("header %q: %d", header, a.status)
		}
	}
}

// TestRoutes is every route's good case, told by what its answer holds.
func TestRoutes(t *testing.T) {
	w := newWorld(t)
	our, office := w.ours, w.office
	w.engine.say(engine.Attempt{Job: job.ID(our.job), Number: 1}, "hello\n")
	waits := w.made(our.Client, "/jobs", w.spec(our, `"count_min":1,"count":1`, `"count_min":16,"count":16`))
	asked := w.made(our.Client, "/applications", fmt.Sprintf(`{"call":%q,"org":%q,"purpose":"more","credits":2000000000}`, w.call(), our.org))
	auditor := w.made(office, "/people", `{"roles":[{"name":"auditor"}],"details":{"name":"auditor"}}`)
	blob := unit.DigestOf([]byte("text of ours"))
	policyText := w.writer.State().Policy.Text + "\n// a remark\n"
	quoted, _ := json.Marshal(policyText)
	awaiting := w.awaiting()
	rows := []struct {
		id, path, body string
		by             *Client
		want           string
	}{
		{"show-centre", "/centre", "", our.Client, fmt.Sprintf(`"person":%q`, our.person)},
		{"show-policy", "/policy", "", our.Client, `"digest":"sha256:`},
		{"publish-policy", "/policy", fmt.Sprintf(`{"text":%s}`, quoted), office, `"id":"sha256:`},
		{"add-organisation", "/orgs", `{"name":"third","country":"KR","kind":"university"}`, office, `"id":"O`},
		{"list-organisations", "/orgs", "", our.Client, `"name":"ours"`},
		{"add-person", "/people", fmt.Sprintf(`{"org":%q,"roles":[{"name":"tenant"}],"details":{"name":"new"}}`, our.org), office, `"id":"P`},
		{"list-people", "/people", "", our.Client, `"name":"person of ours","email":"a@example.kr"`},
		{"issue-key", "/keys", fmt.Sprintf(`{"person":%q,"use":"api","secret":%q}`, our.person, unit.DigestOf([]byte("x"))), our.Client, `"id":"K`},
		{"list-keys", "/keys", "", our.Client, fmt.Sprintf(`"person":%q`, our.person)},
		{"revoke-key", "/keys/" + string(our.inferenceID) + "/revoke", `{}`, our.Client, string(our.inferenceID)},
		{"erase-person", "/people/" + auditor + "/erase", "", office, auditor},
		{"list-nodes", "/nodes", "", our.Client, `"held":{"cpu`},
		{"rate-chip", "/chips", `{"chip":"nvidia-h200","rate":1000000,"why":"it is the reference"}`, office, `nvidia-h200`},
		{"publish-programme", "/programmes", `{"name":"Second","rule":{"ceiling":1,"per_org":1,"countries":["KR"],"kinds":[],"length":86400000}}`, office, `"id":"N`},
		{"list-programmes", "/programmes", "", our.Client, `"name":"Programme"`},
		{"open-call", "/calls", fmt.Sprintf(`{"programme":%q,"name":"Second","budget":5,"closes":%d}`, w.programme(), testNow+5), office, `"id":"C`},
		{"list-calls", "/calls", "", our.Client, `"name":"Call"`},
		{"apply", "/applications", fmt.Sprintf(`{"call":%q,"org":%q,"purpose":"again","credits":5}`, w.call(), our.org), our.Client, `"id":"A`},
		{"list-applications", "/applications", "", our.Client, `"state":"awarded"`},
		{"decide-application", "/applications/" + asked + "/decision", `{"award":false,"reason":"too much"}`, office, asked},
		{"list-grants", "/grants", "", our.Client, `"available":`},
		{"write-receipt", "/grants/" + our.grant + "/receipt", "", our.Client, `"format": "gaon.receipt/1"`},
		{"put-blob", "/blobs", "text of ours", our.Client, string(blob)},
		{"put-tree", "/trees", fmt.Sprintf(`{"format":"gaon.tree/1","files":[{"path":"a.txt","digest":%q,"size":12}]}`, blob), our.Client, `"files":1,"size":12`},
		{"register-dataset", "/datasets", w.dataset(our, our.tree), our.Client, `"id":"D`},
		{"list-datasets", "/datasets", "", our.Client, `"files":2,"size":16`},
		{"submit-job", "/jobs", w.spec(our), our.Client, `"id":"J`},
		{"list-jobs", "/jobs", "", our.Client, `"why":{`},
		{"show-job", "/jobs/" + waits, "", our.Client, `"why":{`},
		{"show-job-progress", "/jobs/" + our.job + "/progress", "", our.Client, `"done":3,"total":9`},
		{"list-job-metrics", "/jobs/" + our.job + "/metrics?from=1", "", our.Client, `[{"step":2,"values":{"loss":6}}]`},
		{"read-job-logs", "/jobs/" + our.job + "/logs", "", our.Client, "hello\n"},
		{"list-output-files", "/jobs/" + our.job + "/outputs/result/files", "", our.Client, `"path":"out.txt"`},
		{"read-output-file", "/jobs/" + our.job + "/outputs/result/file?path=out.txt", "", our.Client, "result of ours"},
		{"stop-job", "/jobs/" + waits + "/stop", `{}`, our.Client, waits},
		{"start-run", "/runs", fmt.Sprintf(`{"grant":%q,"recipe":%s,"training":[%q]}`, our.grant, w.recipe("again"), our.dataset), our.Client, `"id":"R`},
		{"list-runs", "/runs", "", our.Client, fmt.Sprintf(`"id":%q`, our.run)},
		{"show-run", "/runs/" + our.run, "", our.Client, `"passed":true`},
		{"approve-release", "/runs/" + awaiting + "/approve", `{}`, w.signer[0], awaiting},
		{"list-models", "/models", "", our.Client, fmt.Sprintf(`"id":%q`, our.model)},
		{"show-model", "/models/" + our.model, "", our.Client, `"state":"signed"`},
		{"list-model-files", "/models/" + our.model + "/outputs/release/files", "", our.Client, `"path":"model.txt"`},
		{"read-model-file", "/models/" + our.model + "/outputs/release/file?path=model.txt", "", our.Client, "weights of " + our.org},
		{"list-endpoints", "/endpoints", "", our.Client, fmt.Sprintf(`"use":{%q:{"requests":1,"prompt":5,"completion":7}}`, our.inferenceID)},
		{"open-endpoint", "/endpoints", fmt.Sprintf(`{"model":%q,"grant":%q,"name":"second"}`, our.model, our.grant), our.Client, `"id":"`},
		{"close-endpoint", "/endpoints/" + our.endpoint + "/close", `{}`, our.Client, our.endpoint},
		{"prove-entry", "/entries/0", "", our.Client, `"receipt":"`},
	}
	method := map[string]string{}
	for _, op := range w.operations() {
		method[op.ID] = op.method
	}
	for _, row := range rows {
		if method[row.id] == "" {
			t.Errorf("%s is no operation, or is here twice", row.id)
			continue
		}
		a := w.send(method[row.id], Prefix+row.path, row.by.Key, row.body)
		if a.status != http.StatusOK || !strings.Contains(a.body, row.want) {
			t.Errorf("%s: %d, want %q in %.600s", row.id, a.status, row.want, a.body)
		}
		if row.by == our.Client && strings.HasPrefix(row.id, "list-") && strings.Contains(a.body, w.theirs.org) {
			t.Errorf("%s shows what belongs to others: %.600s", row.id, a.body)
		}
		delete(method, row.id)
	}
	for id := range method {
		t.Errorf("no row asks for %s", id)
	}
	if err := w.writer.State().Check(); err != nil {
		t.Error(err)
	}
	if text := w.logged.String(); text != "" {
		t.Errorf("logged:\n%s", text)
	}
}

func (w *world) call() (first string) {
	for id := range w.writer.State().Programmes.Calls.All() {
		return string(id)
	}
	return ""
}

func (w *world) programme() (first string) {
	for id := range w.writer.State().Programmes.Programmes.All() {
		return string(id)
	}
	return ""
}

// Whoever asks for what is another's hears what he hears of what is not.
func TestOthersThingsAreNotThere(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct{ path, theirs, absent string }{
		{"/jobs/%s", w.theirs.job, "J9999"},
		{"/jobs/%s/progress", w.theirs.job, "J9999"},
		{"/jobs/%s/metrics", w.theirs.job, "J9999"},
		{"/jobs/%s/logs", w.theirs.job, "J9999"},
		{"/jobs/%s/logs?follow=true&stream=stderr", w.theirs.job, "J9999"},
		{"/jobs/%s/outputs/result/files", w.theirs.job, "J9999"},
		{"/jobs/%s/outputs/result/file?path=out.txt", w.theirs.job, "J9999"},
		{"/runs/%s", w.theirs.run, "R9999"},
		{"/models/%s", w.theirs.model, "M9999"},
		{"/models/%s/outputs/release/files", w.theirs.model, "M9999"},
		{"/models/%s/outputs/release/file?path=model.txt", w.theirs.model, "M9999"},
		{"/grants/%s/receipt", w.theirs.grant, "G9999"},
	} {
		other := w.send(http.MethodGet, Prefix+fmt.Sprintf(row.path, row.theirs), w.ours.Key, "")
		absent := w.send(http.MethodGet, Prefix+fmt.Sprintf(row.path, row.absent), w.ours.Key, "")
		if other.status != http.StatusNotFound || absent.status != http.StatusNotFound || strings.ReplaceAll(other.body, row.theirs, row.absent) != absent.body {
			t.Errorf("%s: another's is %d %s, none is %d %s", row.path, other.status, other.body, absent.status, absent.body)
		}
		if own := w.send(http.MethodGet, Prefix+fmt.Sprintf(row.path, row.theirs), w.theirs.Key, ""); !strings.Contains(row.path, "follow") && own.status != http.StatusOK {
			t.Errorf("%s: its owner gets %d %s", row.path, own.status, own.body)
		}
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	our := w.ours
	seq := w.writer.State().Seq
	for _, row := range []struct {
		name, method, path, body string
		by                       *Client
		status                   int
		code, words              string
	}{
		{"a tenant publishes a programme", "POST", "/programmes", `{"name":"mine","rule":{"ceiling":1,"per_org":1,"countries":[],"kinds":[],"length":1}}`, our.Client, 403, "policy.denied", ""},
		{"a tenant makes an operator", "POST", "/people", fmt.Sprintf(`{"org":%q,"roles":[{"name":"operator"}],"details":{"name":"x"}}`, our.org), our.Client, 403, "policy.denied", ""},
		{"a tenant stops another's job", "POST", "/jobs/" + w.theirs.job + "/stop", `{}`, our.Client, 403, "policy.denied", ""},
		{"a tenant spends another's grant", "POST", "/jobs", w.spec(w.theirs), our.Client, 403, "policy.denied", ""},
		{"a tenant makes another's key", "POST", "/keys", fmt.Sprintf(`{"person":%q,"use":"api","secret":%q}`, w.theirs.person, unit.DigestOf(nil)), our.Client, 403, "policy.denied", ""},
		{"a tenant registers for another", "POST", "/datasets", w.dataset(w.theirs, w.tree(map[string]string{"new": "new"})), our.Client, 403, "policy.denied", ""},
		{"a tenant registers another's text", "POST", "/datasets", w.dataset(our, w.theirs.tree), our.Client, 422, "field.invalid", "another organisation"},
		{"a tenant trains on another's text", "POST", "/runs", fmt.Sprintf(`{"grant":%q,"recipe":%s,"training":[%q]}`, our.grant, w.recipe("x"), w.theirs.dataset), our.Client, 422, "field.invalid", "another organisation"},
		{"a tenant approves", "POST", "/runs/" + our.run + "/approve", `{}`, our.Client, 403, "policy.denied", ""},
		{"an operator approves", "POST", "/runs/" + our.run + "/approve", `{}`, w.office, 403, "policy.denied", ""},
		{"a job costs more than is left", "POST", "/jobs", w.spec(our, `"count":1`, `"count":8192`, "3600000", "31536000000"), our.Client, 402, "account.short", "left"},
		{"a job of more chips than there are", "POST", "/jobs", w.spec(our, "cpu-slot", "nvidia-h200"), our.Client, 422, "fleet.absent", "nvidia-h200"},
		{"a job without a command", "POST", "/jobs", w.spec(our, `["true"]`, `[]`), our.Client, 422, "field.invalid", "argv"},
		{"a grant nobody has", "POST", "/jobs", w.spec(our, our.grant, "G9999"), our.Client, 404, "grant.unknown", "G9999"},
		{"a job nobody has", "POST", "/jobs/J9999/stop", `{}`, our.Client, 404, "job.unknown", "J9999"},
		{"a run that is done", "POST", "/runs/" + our.run + "/approve", `{}`, w.signer[0], 409, "run.state", ""},
		{"a model nobody has", "POST", "/endpoints", fmt.Sprintf(`{"model":"M9999","grant":%q}`, our.grant), our.Client, 404, "model.unknown", ""},
		{"a recipe with a bad gate", "POST", "/runs", fmt.Sprintf(`{"grant":%q,"recipe":%s,"training":[%q]}`, our.grant, strings.Replace(w.recipe("x"), `quality \u003e 0`, "good", 1), our.dataset), our.Client, 422, "field.invalid", "gate[0]"},
		{"an unknown key in a recipe", "POST", "/runs", fmt.Sprintf(`{"grant":%q,"recipe":%s,"training":[%q]}`, our.grant, strings.Replace(w.recipe("x"), `"seed"`, `"sead":1,"seed"`, 1), our.dataset), our.Client, 422, "", "sead"},
		{"a field too many", "POST", "/orgs", `{"name":"x","country":"KR","kind":"company","budget":1}`, w.office, 422, "", "budget"},
		{"a field too few", "POST", "/orgs", `{"name":"x","country":"KR"}`, w.office, 422, "", "kind"},
		{"a word for a number", "POST", "/calls", `{"programme":"N1","name":"x","budget":"much","closes":1}`, w.office, 422, "", "budget"},
		{"no such country", "POST", "/orgs", `{"name":"x","country":"Korea","kind":"company"}`, w.office, 422, "field.invalid", "country"},
		{"no name", "POST", "/people", `{"roles":[],"details":{"name":""}}`, w.office, 422, "", "details.name"},
		{"a body that is no JSON", "POST", "/orgs", `{"name":`, w.office, 400, "", ""},
		{"no body", "POST", "/orgs", "", w.office, 400, "", ""},
		{"a policy that is no Cedar", "POST", "/policy", `{"text":"permit everything"}`, w.office, 422, "policy.text", ""},
		{"an output nobody wrote", "GET", "/jobs/" + our.job + "/outputs/nothing/files", "", our.Client, 422, "field.invalid", `"nothing"`},
		{"a file nobody wrote", "GET", "/jobs/" + our.job + "/outputs/result/file?path=../../etc/passwd", "", our.Client, 422, "field.invalid", "path"},
		{"no file named", "GET", "/jobs/" + our.job + "/outputs/result/file", "", our.Client, 422, "", "path"},
		{"a model's other output", "GET", "/models/" + our.model + "/outputs/model/files", "", our.Client, 422, "field.invalid", `"release"`},
		{"an entry to come", "GET", "/entries/99999", "", our.Client, 404, "entry.unknown", ""},
		{"an entry before the first", "GET", "/entries/-1", "", our.Client, 422, "", "entry"},
		{"a stream nobody has", "GET", "/jobs/" + our.job + "/logs?stream=core", "", our.Client, 422, "", "stream"},
		{"metrics from before the first", "GET", "/jobs/" + our.job + "/metrics?from=-1", "", our.Client, 422, "", "from"},
		{"a tree of what is not here", "POST", "/trees", fmt.Sprintf(`{"format":"gaon.tree/1","files":[{"path":"a","digest":%q,"size":1}]}`, unit.DigestOf([]byte("nowhere"))), our.Client, 404, "artifact.absent", ""},
		{"a tree of another size", "POST", "/trees", fmt.Sprintf(`{"format":"gaon.tree/1","files":[{"path":"a","digest":%q,"size":5}]}`, unit.DigestOf([]byte("more"))), our.Client, 422, "field.invalid", "files[0].size"},
		{"a tree that climbs out", "POST", "/trees", fmt.Sprintf(`{"format":"gaon.tree/1","files":[{"path":"../a","digest":%q,"size":4}]}`, unit.DigestOf([]byte("more"))), our.Client, 422, "artifact.tree", "../a"},
		{"a tree of a bad digest", "POST", "/trees", `{"format":"gaon.tree/1","files":[{"path":"a","digest":"../../etc","size":4}]}`, our.Client, 422, "field.invalid", "files[0].digest"},
		{"a dataset of a bad digest", "POST", "/datasets", w.dataset(our, "../../etc"), our.Client, 422, "field.invalid", "tree"},
		{"a key of a bad digest", "POST", "/keys", fmt.Sprintf(`{"person":%q,"use":"api","secret":"x"}`, our.person), our.Client, 422, "field.invalid", "secret"},
		{"a job of a bad input", "POST", "/jobs", w.spec(our, `"argv"`, `"inputs":[{"name":"a","tree":"x"}],"argv"`), our.Client, 422, "field.invalid", "inputs[0].tree"},
		{"a dataset of nothing", "POST", "/datasets", w.dataset(our, unit.DigestOf([]byte("nowhere"))), our.Client, 404, "artifact.absent", ""},
		{"a dataset that is no tree", "POST", "/datasets", w.dataset(our, unit.DigestOf([]byte("more"))), our.Client, 422, "artifact.tree", "no listing"},
	} {
		a := w.send(row.method, Prefix+row.path, row.by.Key, row.body)
		text := a.problem.Detail
		for _, e := range a.problem.Errors {
			text += " " + e.Location + ": " + e.Message
		}
		if a.status != row.status || a.problem.Code != row.code || !strings.Contains(text, row.words) || a.problem.Title == "" {
			t.Errorf("%s: %d %s %q, want %d %s %q", row.name, a.status, a.problem.Code, text, row.status, row.code, row.words)
		}
	}
	if grown := w.writer.State().Seq - seq; grown != 0 {
		t.Errorf("refused commands left %d entries", grown)
	}
	if text := w.logged.String(); text != "" {
		t.Errorf("refusals are no faults, yet logged:\n%s", text)
	}
}

// A change that is so already succeeds and writes nothing; one that is sent
// again under its key is answered again.
func TestChangesAreSafeToRepeat(t *testing.T) {
	w := newWorld(t)
	send := func(c *Client, key, body string) (Made, int64) {
		t.Helper()
		a := w.send(http.MethodPost, Prefix+"/people", c.Key, body, "Idempotency-Key", key)
		var m Made
		if a.status != http.StatusOK || json.Unmarshal([]byte(a.body), &m) != nil {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return m, w.writer.State().Seq
	}
	body := `{"roles":[{"name":"auditor"}],"details":{"name":"once"}}`
	first, seq := send(w.office, "k1", body)
	again, after := send(w.office, "k1", body)
	if again != first || after != seq {
		t.Errorf("sent again: %+v after %+v, %d entries more", again, first, after-seq)
	}
	if other, _ := send(w.office, "k2", body); other.ID == first.ID {
		t.Error("another key made nothing new")
	}
	officer := w.made(w.office, "/people", `{"roles":[{"name":"operator"}],"details":{"name":"second operator"}}`)
	second, _ := w.key(w.office, officer, party.ForAPI)
	if theirs, _ := send(second, "k1", body); theirs.ID == first.ID {
		t.Error("another person's key of the same words was taken for this one's")
	}
	a := w.send(http.MethodPost, Prefix+"/people", w.office.Key, body, "Idempotency-Key", strings.Repeat("k", 300))
	if a.status != http.StatusUnprocessableEntity {
		t.Errorf("a key of 300 letters: %d", a.status)
	}
	// The longest key that the document allows is one that the core takes.
	if a := w.send(http.MethodPost, Prefix+"/people", w.office.Key, body, "Idempotency-Key", strings.Repeat("k", 180)); a.status != http.StatusOK {
		t.Errorf("a key of 180 letters: %d %s", a.status, a.body)
	}
	stopped := w.send(http.MethodPost, Prefix+"/jobs/"+w.ours.job+"/stop", w.ours.Key, `{}`)
	if stopped.status != http.StatusOK || !strings.Contains(stopped.body, `"entry":-1`) {
		t.Errorf("stopping what has ended: %d %s", stopped.status, stopped.body)
	}
}

// A fault is the operator's to read, whole; the caller learns only that there
// is one.
func TestFaultsShowNothingInside(t *testing.T) {
	w := newWorld(t)
	w.engine.say(engine.Attempt{Job: job.ID(w.ours.job), Number: 1}, "x")
	w.engine.mu.Lock()
	w.engine.err = fmt.Errorf("open /secret/path/stdout.log: input/output error")
	w.engine.mu.Unlock()
	step := ledger.StepBegin
	w.fault.Store(&step)
	for _, row := range []struct{ method, path, body string }{
		{"POST", "/jobs", w.spec(w.ours)},
		{"POST", "/people", fmt.Sprintf(`{"org":%q,"roles":[],"details":{"name":"x"}}`, w.ours.org)},
		{"GET", "/jobs/" + w.ours.job + "/progress", ""},
		{"GET", "/jobs/" + w.ours.job + "/metrics", ""},
	} {
		by := w.office
		if strings.HasPrefix(row.path, "/jobs") {
			by = w.ours.Client
		}
		a := w.send(row.method, Prefix+row.path, by.Key, row.body)
		if a.status != http.StatusInternalServerError || a.problem.Code != "fault" || a.problem.Hint == "" || strings.Contains(a.body, "secret") {
			t.Errorf("%s %s: %d %s", row.method, row.path, a.status, a.body)
		}
	}
	if n := strings.Count(w.logged.String(), "/secret/path"); n != 4 {
		t.Errorf("%d faults are logged, want 4:\n%s", n, w.logged.String())
	}
	w.fault.Store(nil)
	if err := w.writer.Close(); err != nil {
		t.Fatal(err)
	}
	a := w.send(http.MethodPost, Prefix+"/jobs", w.ours.Key, w.spec(w.ours))
	if a.status != http.StatusServiceUnavailable || a.problem.Code != "centre.stopping" {
		t.Errorf("after the writer stopped: %d %s", a.status, a.body)
	}
}

// A stored file that was changed is a fault of the store, not of who asks.
func TestChangedArtifact(t *testing.T) {
	w := newWorld(t)
	j, _ := w.writer.State().Jobs.Get(job.ID(w.ours.job))
	w.spoil(j.Outputs[0].Tree)
	a := w.send(http.MethodGet, Prefix+"/jobs/"+w.ours.job+"/outputs/result/files", w.ours.Key, "")
	if a.status != http.StatusInternalServerError || a.problem.Code != "artifact.corrupt" || !strings.Contains(w.logged.String(), j.Outputs[0].Tree.Short()) {
		t.Errorf("a changed listing: %d %s\n%s", a.status, a.body, w.logged.String())
	}
	w.spoil(unit.DigestOf([]byte("weights of " + w.ours.org)))
	stream, err := w.ours.Stream(t.Context(), "/models/"+w.ours.model+"/outputs/release/file?path=model.txt")
	if err != nil {
		return // refused before the first byte: as good
	}
	defer stream.Close()
	if data, err := io.ReadAll(stream); err == nil {
		t.Errorf("a changed file ended like a whole one: %q", data)
	}
}

func TestReceiptProves(t *testing.T) {
	w := newWorld(t)
	key := w.writer.State().Identity.LedgerKey
	verifier, err := proof.ParseVerifierKey(key)
	if err != nil {
		t.Fatal(err)
	}
	read := func() receipt.Document {
		t.Helper()
		a := w.send(http.MethodGet, Prefix+"/grants/"+w.ours.grant+"/receipt", w.ours.Key, "")
		d, err := receipt.Verify([]byte(a.body), func(entry []byte, text string) (int64, error) {
			_, seq, err := proof.VerifyReceipt(text, entry, verifier)
			return seq, err
		})
		if err != nil {
			t.Fatalf("%v\n%s", err, a.body)
		}
		return d
	}
	before := read()
	for id, g := range w.writer.State().Grants.Grants.All() {
		if string(id) == w.ours.grant && (before.Charged != g.Charged || before.Awarded != g.Credits || before.Charged == 0) {
			t.Errorf("receipt says %s of %s charged, the centre %s of %s", before.Charged, before.Awarded, g.Charged, g.Credits)
		}
	}
	if before.Requests != 1 || before.Prompt != 5 || before.Completion != 7 || before.Org != w.ours.org {
		t.Errorf("%+v", before)
	}
	id := w.made(w.ours.Client, "/jobs", w.spec(w.ours))
	w.start(id)
	w.control(centre.Controller, centre.FinishJob{Finished: job.Finished{ID: job.ID(id), Attempt: 1, State: job.Failed, Started: testNow - 5000, Ended: testNow}})
	if after := read(); len(after.Lines) != len(before.Lines)+1 || after.Use != before.Use+5 {
		t.Errorf("after another job: %d lines, use %d; before %d, %d", len(after.Lines), after.Use, len(before.Lines), before.Use)
	}
	entry := w.send(http.MethodGet, Prefix+"/entries/1", w.ours.Key, "")
	var proven Entry
	if err := json.Unmarshal([]byte(entry.body), &proven); err != nil {
		t.Fatal(err)
	}
	if _, seq, err := proof.VerifyReceipt(proven.Receipt, proven.Data, verifier); err != nil || seq != 1 {
		t.Errorf("entry 1: %d, %v", seq, err)
	}
	if a := w.send(http.MethodGet, "/log/checkpoint", "", ""); a.status != http.StatusOK || !strings.Contains(a.body, verifier.Name()) {
		t.Errorf("checkpoint: %d %s", a.status, a.body)
	}
}

// Erasing takes a person's details out of what anybody can read.
func TestErasePerson(t *testing.T) {
	w := newWorld(t)
	if a := w.send(http.MethodGet, Prefix+"/people", w.office.Key, ""); !strings.Contains(a.body, "person of ours") {
		t.Fatalf("%s", a.body)
	}
	person, _ := w.writer.State().Party.People.Get(party.PersonID(w.ours.person))
	if a := w.send(http.MethodPost, Prefix+"/people/"+w.ours.person+"/erase", w.ours.Key, ""); a.status != http.StatusForbidden {
		t.Errorf("a tenant erases: %d %s", a.status, a.body)
	}
	for range 2 { // again does no harm
		if a := w.send(http.MethodPost, Prefix+"/people/"+w.ours.person+"/erase", w.office.Key, ""); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if a := w.send(http.MethodPost, Prefix+"/people/P9999/erase", w.office.Key, ""); a.status != http.StatusNotFound {
		t.Errorf("nobody: %d %s", a.status, a.body)
	}
	a := w.send(http.MethodGet, Prefix+"/people", w.office.Key, "")
	if strings.Contains(a.body, "person of ours") || !strings.Contains(a.body, `"erased":true`) || !strings.Contains(a.body, "person of theirs") {
		t.Errorf("%s", a.body)
	}
	if _, err := w.seal.Open(t.Context(), person.Details); err == nil {
		t.Error("the details can still be opened")
	}
	if a := w.send(http.MethodGet, Prefix+"/centre", w.ours.Key, ""); a.status != http.StatusUnauthorized {
		t.Errorf("the erased person's key: %d", a.status)
	}
}
