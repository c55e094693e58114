package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/artifact/folder"
	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/ledger/ledgertest"
	"github.com/gaon-ai/gaon/internal/ledger/memory"
	"github.com/gaon-ai/gaon/internal/ledger/sealed"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/internal/writer"
)

// talk is an engine that knows only what attempts say while they work.
type talk struct {
	engine.Engine
	mu   sync.Mutex
	logs map[engine.Attempt]string // guarded by mu
	err  error                     // guarded by mu: what every question is answered with
}

func (e *talk) say(a engine.Attempt, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.logs[a] += text
}

func (e *talk) Logs(_ context.Context, a engine.Attempt, stream string, offset int64) (io.ReadCloser, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	text, known := e.logs[a]
	if !known {
		return nil, errors.Join(e.err, &engine.UnknownError{Attempt: a})
	}
	if stream == engine.Stderr {
		text = "err: " + text
	}
	return io.NopCloser(strings.NewReader(text[min(int(offset), len(text)):])), e.err
}

func (e *talk) Progress(_ context.Context, a engine.Attempt) (engine.Progress, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.logs[a]; !known {
		return engine.Progress{}, &engine.UnknownError{Attempt: a}
	}
	return engine.Progress{Step: "steps", Done: 3, Total: 9}, e.err
}

func (e *talk) Metrics(_ context.Context, a engine.Attempt, from int) ([]engine.Metric, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.logs[a]; !known {
		return nil, &engine.UnknownError{Attempt: a}
	}
	points := []engine.Metric{{Step: 1, Values: map[string]float64{"loss": 7}}, {Step: 2, Values: map[string]float64{"loss": 6}}}
	return points[min(from, 2):], e.err
}

// world is a centre of two companies behind its API.
type world struct {
	*testing.T
	writer *writer.Writer
	ledger *memory.Ledger
	store  *folder.Store
	dir    string // of the store
	engine *talk
	seal   *sealed.Records
	fault  atomic.Pointer[ledger.Step] // where every write fails
	logged lockedBuffer
	url    string

	office *Client // operator and officer
	ours   company
	theirs company
	signer [2]*Client
}

// company is an organisation with a tenant, and one of each thing it can own.
type company struct {
	*Client
	org         string
	person      string
	key         string // id of the API key
	inference   string // a secret
	inferenceID party.KeyID
	application string
	grant       string
	dataset     string
	tree        unit.Digest
	job         string // done, with an output called result
	run         string
	model       string // signed
	endpoint    string
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const testNow = unit.Instant(1_795_500_000_000)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), engine: &talk{logs: map[engine.Attempt]string{}}}
	var err error
	w.ledger, err = memory.Open(memory.NewDisk(), memory.Config{Key: ledgertest.Key(t), Fault: func(s ledger.Step) error {
		if at := w.fault.Load(); at != nil && *at == s {
			return errors.New("/secret/path: input/output error")
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if w.writer, err = writer.Open(context.Background(), writer.Config{Ledger: w.ledger, Now: func() unit.Instant { return testNow }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.writer.Close() })
	if w.store, err = folder.Open(w.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	w.seal = sealed.New(w.ledger)
	mux := http.NewServeMux()
	New(mux, Config{Writer: w.writer, Ledger: w.ledger, Store: w.store, Engines: map[string]engine.Engine{"local": w.engine}, Seal: w.seal,
		Now: func() unit.Instant { return testNow }, Version: "test", Log: slog.New(slog.NewTextHandler(&w.logged, nil))})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	w.url = server.URL
	w.found()
	return w
}

func (w *world) found() {
	w.Helper()
	secret := rand.Text()
	bound, record, err := w.seal.Close([]byte(`{"name":"local operator"}`))
	if err != nil {
		w.Fatal(err)
	}
	w.control(centre.Founder, centre.Found{Founded: centre.Founded{Name: "Centre", Country: "KR", Site: "site", LedgerKey: ledgertest.Key(w).Verifier().String()},
		Policy: policy.Default, Details: bound, Secret: unit.DigestOf([]byte(secret))}, record)
	w.office = NewClient(w.url, secret)
	devices := []fleet.Device{}
	for i := range 16 {
		devices = append(devices, fleet.Device{ID: fmt.Sprintf("cpu%d", i), Chip: fleet.CPUSlot})
	}
	w.control(centre.Controller, centre.ReportNode{ID: "local/here", Node: fleet.Node{Engine: "local", Country: "KR", Devices: devices, Memory: 1 << 40,
		Enforce: fleet.Enforcement{Network: true, Inputs: true}}})
	programme := w.made(w.office, "/programmes", `{"name":"Programme","rule":{"ceiling":1000000000,"per_org":1000000000000,"countries":[],"kinds":[],"length":25920000000}}`)
	call := w.made(w.office, "/calls", fmt.Sprintf(`{"programme":%q,"name":"Call","budget":1000000000000,"closes":%d}`, programme, testNow+1_000_000))
	for i := range w.signer {
		person := w.made(w.office, "/people", fmt.Sprintf(`{"roles":[{"name":"signer"}],"details":{"name":"signer %d"}}`, i))
		w.signer[i], _ = w.key(w.office, person, party.ForAPI)
	}
	w.ours, w.theirs = w.company("ours", call), w.company("theirs", call)
}

// key makes a person a key.
func (w *world) key(by *Client, person, use string) (*Client, string) {
	w.Helper()
	secret := rand.Text()
	id := w.made(by, "/keys", fmt.Sprintf(`{"person":%q,"use":%q,"secret":%q}`, person, use, unit.DigestOf([]byte(secret))))
	return NewClient(w.url, secret), id
}

func (w *world) company(name, call string) company {
	w.Helper()
	c := company{org: w.made(w.office, "/orgs", fmt.Sprintf(`{"name":%q,"country":"KR","kind":"company"}`, name))}
	c.person = w.made(w.office, "/people", fmt.Sprintf(`{"org":%q,"roles":[{"name":"tenant"}],"details":{"name":"person of %s","email":"a@example.kr"}}`, c.org, name))
	c.Client, c.key = w.key(w.office, c.person, party.ForAPI)
	inference, id := w.key(c.Client, c.person, party.ForInference)
	c.inference, c.inferenceID = inference.Key, party.KeyID(id)
	c.application = w.made(c.Client, "/applications", fmt.Sprintf(`{"call":%q,"org":%q,"purpose":"models","credits":1000000000}`, call, c.org))
	for id, g := range w.writer.State().Grants.Grants.All() {
		if string(g.Org) == c.org {
			c.grant = string(id)
		}
	}
	c.tree = w.tree(map[string]string{"a.txt": "text of " + name, "folder/b.txt": "more"})
	c.dataset = w.made(c.Client, "/datasets", w.dataset(c, c.tree))
	c.job = w.made(c.Client, "/jobs", w.spec(c))
	w.start(c.job)
	w.control(centre.Controller, centre.FinishJob{Finished: job.Finished{ID: job.ID(c.job), Attempt: 1, State: job.Succeeded, Started: testNow - 60_000, Ended: testNow,
		Outputs: []job.Output{{Name: "result", Tree: w.tree(map[string]string{"out.txt": "result of " + name}), Size: 9}}}})
	w.factory(&c)
	return c
}

func (w *world) dataset(c company, tree unit.Digest) string {
	return fmt.Sprintf(`{"org":%q,"name":"text","licence":"CC0-1.0","consent":"own","purpose":"training","tree":%q,"files":0,"size":0,"recorded":0,
		"label":{"class":"internal","residency":["KR"]}}`, c.org, tree)
}

func (w *world) spec(c company, change ...string) string {
	spec := fmt.Sprintf(`{"name":"work","grant":%q,"argv":["true"],"chip":"cpu-slot","count_min":1,"count":1,"memory":1024,"time_limit":3600000,"label":{"class":"internal"}}`, c.grant)
	for i := 0; i+1 < len(change); i += 2 {
		spec = strings.Replace(spec, change[i], change[i+1], 1)
	}
	return spec
}

// recipe is the smallest that the core takes, as JSON.
func (w *world) recipe(name string) string {
	data, err := json.Marshal(factory.Recipe{Name: name, Curate: factory.Curate{HeldOut: 10}, Tokenizer: factory.Tokenizer{Vocabulary: 300},
		Train: factory.Train{Layers: 1, Width: 8, Hidden: 8, Heads: 1, KVHeads: 1, Context: 8, Batch: 1, Steps: 1, CheckpointEvery: 1, LearningRate: "0.1", WeightDecay: "0"},
		Gate:  []string{"quality > 0"}, Approvals: 2, Serve: factory.Serve{Name: name}})
	if err != nil {
		w.Fatal(err)
	}
	return string(data)
}

// factory takes a company's run through to a served model.
func (w *world) factory(c *company) {
	w.Helper()
	c.run = w.made(c.Client, "/runs", fmt.Sprintf(`{"grant":%q,"recipe":%s,"training":[%q]}`, c.grant, w.recipe("model-"+strings.ToLower(c.org)), c.dataset))
	for _, s := range [][2]string{{"curate", "corpus"}, {"tokenizer", "tokenizer"}, {"train", "model"}, {"evaluate", "evaluation"}, {"gate", "scores"}} {
		w.stage(c.run, s[0], unit.DigestOf([]byte(s[1]+c.org)), s[1])
	}
	for _, signer := range w.signer {
		w.made(signer, "/runs/"+c.run+"/approve", `{}`)
	}
	w.stage(c.run, "sign", unit.DigestOf([]byte("unsigned"+c.org)), "release")
	r, _ := w.writer.State().Factory.Runs.Get(factory.ID(c.run))
	c.model = r.Model
	w.control(centre.Controller, centre.RecordSignature{WasSigned: model.WasSigned{ID: model.ID(c.model), Release: w.tree(map[string]string{"model.txt": "weights of " + c.org}),
		Bundle: unit.DigestOf(nil), Passport: unit.DigestOf(nil), Signer: unit.DigestOf(nil)}})
	serves := w.control(centre.Controller, centre.SubmitStage{Run: factory.ID(c.run), Stage: factory.StageServe})
	id, _, _ := w.writer.State().Models.ByJob(job.ID(serves))
	c.endpoint = string(id)
	w.start(serves)
	w.control(centre.Controller, centre.ReportEndpoint{Endpoint: id, Ready: true})
	w.control(centre.Controller, centre.MeterTokens{Metered: model.Metered{Endpoint: id, Key: c.inferenceID, Tokens: model.Tokens{Requests: 1, Prompt: 5, Completion: 7}}})
}

// stage does one stage of a run.
func (w *world) stage(run, name string, tree unit.Digest, output string) {
	w.Helper()
	id := w.control(centre.Controller, centre.SubmitStage{Run: factory.ID(run), Stage: name})
	w.start(id)
	w.control(centre.Controller, centre.FinishJob{Finished: job.Finished{ID: job.ID(id), Attempt: 1, State: job.Succeeded, Ended: testNow,
		Outputs: []job.Output{{Name: output, Tree: tree, Size: 1}}},
		Statement: &factory.Statement{Stage: name, Scores: map[string]unit.Micro{"quality": 1}}})
}

// spoil changes a stored blob behind the store's back.
func (w *world) spoil(d unit.Digest) {
	w.Helper()
	path := filepath.Join(w.dir, "sha256", d.Hex()[:2], d.Hex()[2:])
	data, err := os.ReadFile(path)
	if err == nil {
		data[len(data)/2] ^= 1
		err = errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, data, 0o644))
	}
	if err != nil {
		w.Fatal(err)
	}
}

// start places a waiting job on a free slot and starts it.
func (w *world) start(id string) {
	w.Helper()
	state := w.writer.State()
	held := map[string]bool{}
	for _, j := range state.Jobs.Live.All() {
		for _, d := range j.Placement.Devices {
			held[d] = true
		}
	}
	j, _ := state.Jobs.Get(job.ID(id))
	var free []string
	for i := 0; len(free) < j.CountMin; i++ {
		if d := fmt.Sprintf("cpu%d", i); !held[d] {
			free = append(free, d)
		}
	}
	w.control(centre.Controller, centre.PlaceJob{Job: job.ID(id), Placement: job.Placement{Node: "local/here", Devices: free}})
	w.control(centre.Controller, centre.StartJob{Job: job.ID(id), Attempt: j.Attempt + 1, At: testNow})
}

// tree stores files.
func (w *world) tree(files map[string]string) unit.Digest {
	w.Helper()
	t := artifact.Tree{Format: artifact.TreeFormat}
	for path, text := range files {
		d, size, err := w.store.Put(context.Background(), strings.NewReader(text))
		if err != nil {
			w.Fatal(err)
		}
		t.Files = append(t.Files, artifact.File{Path: path, Digest: d, Size: size})
	}
	d, err := artifact.PutTreeOf(context.Background(), w.store, t)
	if err != nil {
		w.Fatal(err)
	}
	return d
}

// control sends a command past the API, as the controllers do.
func (w *world) control(by string, c centre.Command, side ...ledger.Side) string {
	w.Helper()
	outcome, err := w.writer.Do(context.Background(), writer.Order{By: by, Command: c, Side: side})
	if err != nil {
		w.Fatalf("%T: %v", c, err)
	}
	return outcome.Made
}

// answer is what a raw request led to.
type answer struct {
	status  int
	kind    string
	body    string
	problem struct {
		Problem
		Errors []struct{ Location, Message string }
	}
}

// send makes a raw request; empty secret sends no key.
func (w *world) send(method, path, secret, body string, header ...string) answer {
	w.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request, err := http.NewRequest(method, w.url+path, reader)
	if err != nil {
		w.Fatal(err)
	}
	if secret != "" {
		request.Header.Set("Authorization", "Bearer "+secret)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
	a := answer{status: response.StatusCode, kind: response.Header.Get("Content-Type"), body: string(data)}
	if a.status >= 300 {
		if err := json.Unmarshal(data, &a.problem); err != nil || a.kind != "application/problem+json" {
			w.Errorf("%s %s: %d is no problem: %s %.300s", method, path, a.status, a.kind, data)
		}
	}
	return a
}

// made posts a change that must succeed and returns what it made.
func (w *world) made(c *Client, path, body string) string {
	w.Helper()
	a := w.send(http.MethodPost, Prefix+path, c.Key, body)
	var m Made
	if a.status != http.StatusOK || json.Unmarshal([]byte(a.body), &m) != nil || m.ID == "" || m.Entry < 0 {
		w.Fatalf("POST %s: %d %s", path, a.status, a.body)
	}
	return m.ID
}

// awaiting begins a second run of ours and takes it to its approvals.
func (w *world) awaiting() string {
	w.Helper()
	id := w.made(w.ours.Client, "/runs", fmt.Sprintf(`{"grant":%q,"recipe":%s,"training":[%q]}`, w.ours.grant, w.recipe("second"), w.ours.dataset))
	for _, s := range [][2]string{{"curate", "corpus"}, {"tokenizer", "tokenizer"}, {"train", "model"}, {"evaluate", "evaluation"}, {"gate", "scores"}} {
		w.stage(id, s[0], unit.DigestOf([]byte(s[1]+"2")), s[1])
	}
	return id
}
