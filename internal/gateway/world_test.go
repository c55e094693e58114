package gateway

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/ledger/ledgertest"
	"github.com/gaon-ai/gaon/internal/ledger/memory"
	"github.com/gaon-ai/gaon/internal/lm"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/programme"
	"github.com/gaon-ai/gaon/internal/serving"
	"github.com/gaon-ai/gaon/internal/tokenizer"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/internal/writer"
)

// sockets is an engine that knows only how to reach services: by the socket
// that a test put there for the attempt.
type sockets struct {
	engine.Engine
	dir   string
	dials atomic.Int64
}

func (s *sockets) path(a engine.Attempt) string { return filepath.Join(s.dir, a.String()) }

func (s *sockets) Dial(ctx context.Context, a engine.Attempt) (net.Conn, error) {
	s.dials.Add(1)
	return new(net.Dialer).DialContext(ctx, "unix", s.path(a))
}

// world is a centre of two companies with a gateway in front.
type world struct {
	testing.TB
	writer  *writer.Writer
	gateway *Gateway
	engine  *sockets
	url     string
	clock   atomic.Int64
	disk    *memory.Disk
	ledger  *memory.Ledger
	fault   atomic.Pointer[ledger.Fault]

	operator     string
	first, other company
	node         fleet.NodeID
	slots        int // placed so far
}

// company is an organisation, its tenant and keys.
type company struct {
	org    party.OrgID
	person string
	key    string // for inference
	keyID  party.KeyID
	api    string // for the API
	grant  grant.ID
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "gaon-gateway-") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &world{TB: t, engine: &sockets{dir: dir}, disk: memory.NewDisk(), node: "local/here"}
	w.clock.Store(1_795_000_000_000)
	w.reopen()
	t.Cleanup(func() { w.writer.Close() })
	w.found()
	c := Config{Writer: w.writer, Engines: map[string]engine.Engine{"local": w.engine}, Now: w.now, Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&c)
	}
	w.gateway = New(c)
	mux := http.NewServeMux()
	w.gateway.Register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// reopen is a new life of the centre over the ledger of the last.
func (w *world) reopen() {
	w.Helper()
	if w.ledger != nil {
		w.ledger.Close()
	}
	var err error
	w.ledger, err = memory.Open(w.disk, memory.Config{Key: ledgertest.Key(w), Fault: func(s ledger.Step) error {
		if f := w.fault.Load(); f != nil {
			return (*f)(s)
		}
		return nil
	}})
	if err != nil {
		w.Fatal(err)
	}
	if w.writer, err = writer.Open(context.Background(), writer.Config{Ledger: w.ledger, Now: w.now}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) now() unit.Instant { return unit.Instant(w.clock.Load()) }

func (w *world) pass(d unit.Span) { w.clock.Add(int64(d)) }

// do sends a command and returns what it made.
func (w *world) do(by string, c centre.Command) string {
	w.Helper()
	outcome, err := w.writer.Do(context.Background(), writer.Order{By: by, Command: c})
	if err != nil {
		w.Fatalf("%T: %v", c, err)
	}
	return outcome.Made
}

func digest() unit.Digest { return unit.DigestOf([]byte(rand.Text())) }

func (w *world) found() {
	w.do(centre.Founder, centre.Found{Founded: centre.Founded{Name: "Centre", Country: "KR", Site: "site"}, Policy: policy.Default,
		Details: digest(), Secret: digest()})
	for id := range w.writer.State().Party.People.All() {
		w.operator = string(id)
	}
	var devices []fleet.Device
	for i := range 16 {
		devices = append(devices, fleet.Device{ID: fmt.Sprintf("cpu%d", i), Chip: fleet.CPUSlot})
	}
	w.do(centre.Controller, centre.ReportNode{ID: w.node, Node: fleet.Node{Engine: "local", Country: "KR", Devices: devices, Memory: 1 << 40,
		Enforce: fleet.Enforcement{Network: true, Inputs: true}}})
	p := w.do(w.operator, centre.PublishProgramme{Programme: programme.Programme{Name: "Programme",
		Rule: programme.Rule{Ceiling: 1e12, PerOrg: 1e12, Length: 300 * unit.Day}}})
	call := w.do(w.operator, centre.OpenCall{Programme: programme.ID(p), Name: "Call", Budget: 1e13, Closes: w.now().Add(300 * unit.Day)})
	w.first, w.other = w.company("First", call), w.company("Other", call)
}

func (w *world) company(name, call string) company {
	c := company{org: party.OrgID(w.do(w.operator, centre.AddOrganisation{Organisation: party.Organisation{Name: name, Country: "KR", Kind: "company"}}))}
	c.person = w.do(w.operator, centre.AddPerson{Org: c.org, Details: digest(), Roles: []party.Role{{Name: party.Tenant}}})
	c.key, c.keyID = w.key(c.person, party.ForInference, 0)
	c.api, _ = w.key(c.person, party.ForAPI, 0)
	w.do(c.person, centre.Apply{Call: programme.CallID(call), Org: c.org, Purpose: "models", Credits: 1e12})
	for id, g := range w.writer.State().Grants.Grants.All() {
		if g.Org == c.org {
			c.grant = id
		}
	}
	return c
}

func (w *world) key(person, use string, until unit.Instant) (string, party.KeyID) {
	secret := rand.Text()
	id := w.do(person, centre.IssueKey{Person: party.PersonID(person), Use: use, Secret: unit.DigestOf([]byte(secret)), Until: until})
	return secret, party.KeyID(id)
}

// signed runs a whole factory run by its commands, up to a signed model whose
// serve stage is submitted, and returns the endpoint, still opening.
func (w *world) endpoint(c company, name string, class policy.Class) model.EndpointID {
	w.Helper()
	source := w.do(c.person, centre.RegisterDataset{Dataset: dataset.Dataset{Name: "text", Org: c.org, Licence: "CC0-1.0", Consent: "own", Purpose: dataset.Training,
		Tree: digest(), Files: 1, Size: 1, Label: policy.Label{Class: class}}})
	run := factory.ID(w.do(c.person, centre.StartRun{Grant: c.grant, Training: []dataset.ID{dataset.ID(source)}, Recipe: factory.Recipe{
		Name: name, Curate: factory.Curate{HeldOut: 10}, Tokenizer: factory.Tokenizer{Vocabulary: 300},
		Train: factory.Train{Layers: 1, Width: 8, Hidden: 8, Heads: 1, KVHeads: 1, Context: 8, Batch: 1, Steps: 1, CheckpointEvery: 1, LearningRate: "0.1", WeightDecay: "0"},
		Gate:  []string{"quality > 0"}, Serve: factory.Serve{Name: name}}}))
	scores := map[string]unit.Micro{"quality": 1}
	for _, stage := range factory.Stages[:len(factory.Stages)-1] {
		output := stage
		if stage == factory.StageTrain {
			output = "model"
		}
		id := job.ID(w.do(centre.Controller, centre.SubmitStage{Run: run, Stage: stage}))
		w.start(id)
		w.do(centre.Controller, centre.FinishJob{Finished: job.Finished{ID: id, Attempt: 1, State: job.Succeeded, Ended: w.now(),
			Outputs: []job.Output{{Name: output, Tree: digest()}}}, Statement: &factory.Statement{Stage: stage, Scores: scores}})
		w.slots--
	}
	found, _ := w.writer.State().Factory.Runs.Get(run)
	w.do(centre.Controller, centre.RecordSignature{WasSigned: model.WasSigned{ID: model.ID(found.Model), Release: digest(), Bundle: digest(), Passport: digest(), Signer: digest()}})
	serves := job.ID(w.do(centre.Controller, centre.SubmitStage{Run: run, Stage: factory.StageServe}))
	w.start(serves)
	id, _, ok := w.writer.State().Models.ByJob(serves)
	if !ok {
		w.Fatal("no endpoint")
	}
	return id
}

// start places and starts the job's next attempt.
func (w *world) start(id job.ID) {
	w.Helper()
	w.do(centre.Controller, centre.PlaceJob{Job: id, Placement: job.Placement{Node: w.node, Devices: []string{fmt.Sprintf("cpu%d", w.slots)}}})
	w.slots++
	j, _ := w.writer.State().Jobs.Live.Get(id)
	w.do(centre.Controller, centre.StartJob{Job: id, Attempt: j.Attempt, At: w.now()})
}

// serve opens an endpoint whose service is the handler.
func (w *world) serve(c company, name string, class policy.Class, h http.Handler) model.EndpointID {
	w.Helper()
	id := w.endpoint(c, name, class)
	w.listen(id, h)
	w.do(centre.Controller, centre.ReportEndpoint{Endpoint: id, Ready: true})
	return id
}

// listen puts a service behind the present attempt of an endpoint's job.
func (w *world) listen(id model.EndpointID, h http.Handler) *http.Server {
	w.Helper()
	state := w.writer.State()
	e, _ := state.Models.Endpoints.Get(id)
	j, _ := state.Jobs.Live.Get(e.Job)
	l, err := net.Listen("unix", w.engine.path(engine.Attempt{Job: e.Job, Number: j.Attempt}))
	if err != nil {
		w.Fatal(err)
	}
	server := &http.Server{Handler: h}
	go server.Serve(l)
	w.Cleanup(func() { server.Close() })
	return server
}

// used is what the ledger has of an endpoint and key.
func (w *world) used(id model.EndpointID, key party.KeyID) model.Tokens {
	t, _ := w.writer.State().Models.Use.Get(string(id) + "/" + string(key))
	return t
}

// flushed records what was used once every answer has ended.
func (w *world) flushed() {
	w.Helper()
	w.gateway.underway.Wait()
	if left := w.gateway.flush(context.Background()); left > 0 {
		w.Fatalf("%d batches left", left)
	}
}

// contextLength is long enough that an answer takes a while.
const contextLength = 4096

// tiny is a model that nobody trained, as its service.
var tiny = sync.OnceValues(func() (*serving.Server, error) {
	dir, err := os.MkdirTemp("", "gaon-gateway-model-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	words, _, err := tokenizer.Train(context.Background(), tokenizer.Config{Vocab: 300}, func(yield func(string, error) bool) {
		_ = yield("가온은 나라의 인공지능 센터를 운영한다.", nil) && yield("The centre runs models of its own. 가온은 나라의 자랑이다.", nil)
	})
	if err != nil {
		return nil, err
	}
	m, err := lm.New(lm.Config{VocabSize: words.VocabSize(), HiddenSize: 32, InnerSize: 64, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 8,
		ContextLength: contextLength, RopeTheta: 10000, NormEpsilon: 1e-5, TieEmbeddings: true, BOS: 0, EOS: 1}, 42)
	if err != nil {
		return nil, err
	}
	if err := m.Save(dir); err != nil {
		return nil, err
	}
	if _, err := words.SaveModel(dir, contextLength); err != nil {
		return nil, err
	}
	return serving.Load(dir)
})

func realService(t testing.TB) *serving.Server {
	t.Helper()
	s, err := tiny()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// script is a service that says what the test wants.
type script func(w http.ResponseWriter, r *http.Request, body map[string]any)

func (s script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
			return
		}
	}
	s(w, r, body)
}

// post asks with a key and returns the whole answer. The error is of a body
// that broke off.
func (w *world) post(path, key, body string) (*http.Response, string, error) {
	w.Helper()
	return w.send(http.MethodPost, path, key, body)
}

func (w *world) send(method, path, key, body string) (*http.Response, string, error) {
	w.Helper()
	r, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response, string(data), err
}

// mustProblem checks an error of the API.
func (w *world) mustProblem(what string, response *http.Response, body string, status int, code, says string) {
	w.Helper()
	var shape struct {
		Error struct{ Message, Type, Code string }
	}
	if err := json.Unmarshal([]byte(body), &shape); err != nil || response.StatusCode != status || shape.Error.Code != code ||
		!strings.Contains(shape.Error.Message, says) || shape.Error.Type == "" {
		w.Errorf("%s: %d %s (%v), want %d, code %s and %q", what, response.StatusCode, body, err, status, code, says)
	}
}

// soon waits for what other goroutines bring about.
func (w *world) soon(what string, is func() bool) {
	w.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.Fatalf("%s did not come about", what)
		}
	}
}
