package portal

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/artifact/folder"
	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/corpus"
	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/ledger/memory"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/programme"
	"github.com/gaon-ai/gaon/internal/sample"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/internal/writer"
	"github.com/gaon-ai/gaon/proof"
	"github.com/gaon-ai/gaon/proof/modelsign"
	"github.com/gaon-ai/gaon/proof/passport"
)

// world is a centre of two companies behind its pages. Its ledger has the key,
// and its models the key, of the sample that package passport keeps, so that a
// whole passport can be verified here.
type world struct {
	*testing.T
	writer  *writer.Writer
	store   *folder.Store
	engine  *fakeEngine
	gateway *fakeGateway
	portal  *Portal
	url     string
	clock   atomic.Int64

	operator     party.PersonID
	call         string
	first, other company
}

type company struct {
	org    party.OrgID
	person party.PersonID
	key    string // for the API
	keyID  party.KeyID
	asking string // for inference
	grant  grant.ID
}

const nodeID = fleet.NodeID("local/가온1")

// fakeEngine says what a test put there.
type fakeEngine struct {
	engine.Engine
	mu       sync.Mutex
	progress engine.Progress
	metrics  []engine.Metric
	logs     map[string]string // by stream
	asked    atomic.Int64
}

func (e *fakeEngine) Progress(context.Context, engine.Attempt) (engine.Progress, error) {
	e.asked.Add(1)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.progress, nil
}

func (e *fakeEngine) Metrics(_ context.Context, _ engine.Attempt, from int) ([]engine.Metric, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.metrics[min(from, len(e.metrics)):], nil
}

func (e *fakeEngine) Logs(_ context.Context, a engine.Attempt, stream string, offset int64) (io.ReadCloser, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	text, ok := e.logs[stream]
	if !ok {
		return nil, &engine.UnknownError{Attempt: a}
	}
	return io.NopCloser(strings.NewReader(text[min(offset, int64(len(text))):])), nil
}

// fakeGateway answers with a stream, and remembers whose key asked.
type fakeGateway struct {
	key  atomic.Value // party.KeyID
	body atomic.Value // string
}

func (g *fakeGateway) Ask(w http.ResponseWriter, r *http.Request, key party.KeyID) {
	data, _ := io.ReadAll(r.Body)
	g.key.Store(key)
	g.body.Store(string(data))
	w.Header().Set("Content-Type", "text/event-stream")
	for _, piece := range []string{" 인공지능을", " 스스로", " 만듭니다", ". <b>"} {
		fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"text\":%q}]}\n\n", piece)
		w.(http.Flusher).Flush()
	}
	fmt.Fprint(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n")
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, engine: &fakeEngine{logs: map[string]string{}}, gateway: &fakeGateway{}}
	w.clock.Store(1_795_600_000_000)
	key, err := proof.GenerateSigningKey(bytes.NewReader(bytes.Repeat([]byte{3}, 32)), "example.kr/centre")
	w.must(err)
	log, err := memory.Open(memory.NewDisk(), memory.Config{Key: key})
	w.must(err)
	w.writer, err = writer.Open(t.Context(), writer.Config{Ledger: log, Now: w.now})
	w.must(err)
	t.Cleanup(func() { w.writer.Close() })
	w.store, err = folder.Open(t.TempDir())
	w.must(err)
	w.found(key.Verifier().String())
	w.portal, err = New(Config{Writer: w.writer, Ledger: log, Store: w.store, Engines: map[string]engine.Engine{"local": w.engine},
		Gateway: w.gateway, Now: w.now, Version: "test", Log: slog.New(slog.DiscardHandler), Temp: t.TempDir()})
	w.must(err)
	mux := http.NewServeMux()
	w.portal.Register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) now() unit.Instant { return unit.Instant(w.clock.Load()) }

func (w *world) pass(d unit.Span) { w.clock.Add(int64(d)) }

// do sends a command and returns what it made.
func (w *world) do(by any, c centre.Command) string {
	w.Helper()
	outcome, err := w.writer.Do(context.Background(), writer.Order{By: fmt.Sprint(by), Command: c})
	if err != nil {
		w.Fatalf("%T: %v", c, err)
	}
	return outcome.Made
}

func digest() unit.Digest { return unit.DigestOf([]byte(rand.Text())) }

// modelKey is the one that signed package passport's sample: P-256 of RFC
// 6979, appendix A.2.5.
func (w *world) modelKey() *ecdsa.PrivateKey {
	raw, _ := hex.DecodeString("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	w.must(err)
	return key
}

func (w *world) found(ledgerKey string) {
	public, err := modelsign.EncodePublicKey(&w.modelKey().PublicKey)
	w.must(err)
	w.do(centre.Founder, centre.Found{Founded: centre.Founded{Name: "한빛 인공지능 센터", Country: "KR", Site: "세종", LedgerKey: ledgerKey, ModelKey: string(public)},
		Policy: policy.Default, Details: digest(), Secret: digest()})
	for id := range w.writer.State().Party.People.All() {
		w.operator = id
	}
	var devices []fleet.Device
	for i := range 4 {
		devices = append(devices, fleet.Device{ID: fmt.Sprintf("cpu%d", i), Chip: fleet.CPUSlot})
	}
	w.do(centre.Controller, centre.ReportNode{ID: nodeID, Node: fleet.Node{Engine: "local", Country: "KR", Devices: devices, Memory: 1 << 40,
		Enforce: fleet.Enforcement{Network: true, Inputs: true}}})
	p := w.do(w.operator, centre.PublishProgramme{Programme: programme.Programme{Name: "한국어 모델 지원 사업",
		Rule: programme.Rule{Ceiling: 500 * unit.Credit, PerOrg: 800 * unit.Credit, Length: 180 * unit.Day, Countries: []string{"KR"}, Kinds: []string{"company", "university"}}}})
	w.call = w.do(w.operator, centre.OpenCall{Programme: programme.ID(p), Name: "2026년 하반기", Budget: 10_000 * unit.Credit, Closes: w.now().Add(60 * unit.Day)})
	w.first, w.other = w.company("누리말 주식회사"), w.company("<script>alert(1)</script>")
}

func (w *world) company(name string) company {
	c := company{org: party.OrgID(w.do(w.operator, centre.AddOrganisation{Organisation: party.Organisation{Name: name, Country: "KR", Kind: "company"}}))}
	c.person = party.PersonID(w.do(w.operator, centre.AddPerson{Org: c.org, Details: digest(), Roles: []party.Role{{Name: party.Tenant}}}))
	c.key, c.keyID = w.key(c.person, party.ForAPI, 0)
	c.asking, _ = w.key(c.person, party.ForInference, 0)
	w.do(c.person, centre.Apply{Call: programme.CallID(w.call), Org: c.org, Purpose: "models", Credits: 120 * unit.Credit})
	for id, g := range w.writer.State().Grants.Grants.All() {
		if g.Org == c.org {
			c.grant = id
		}
	}
	return c
}

func (w *world) key(person party.PersonID, use string, until unit.Instant) (string, party.KeyID) {
	secret := rand.Text()
	id := w.do(person, centre.IssueKey{Person: person, Use: use, Secret: unit.DigestOf([]byte(secret)), Until: until})
	return secret, party.KeyID(id)
}

// start begins a run that nobody works on yet.
func (w *world) start(c company, name string) factory.ID {
	w.Helper()
	source := w.do(c.person, centre.RegisterDataset{Dataset: dataset.Dataset{Name: "우리 글", Org: c.org, Licence: "CC0-1.0", Consent: "own", Purpose: dataset.Training,
		Tree: digest(), Files: 1, Size: 1, Label: policy.Label{Class: policy.Internal}}})
	return factory.ID(w.do(c.person, centre.StartRun{Grant: c.grant, Training: []dataset.ID{dataset.ID(source)}, Recipe: factory.Recipe{
		Name: name, Curate: factory.Curate{HeldOut: 60}, Tokenizer: factory.Tokenizer{Vocabulary: 2048},
		Train: factory.Train{Layers: 4, Width: 192, Hidden: 512, Heads: 6, KVHeads: 2, Context: 128, Batch: 16, Steps: 300, CheckpointEvery: 50, LearningRate: "0.003", WeightDecay: "0.1"},
		Gate:  []string{"bits_per_byte < baseline.byte_5gram", "contamination < 0.001"}, Approvals: 2, Serve: factory.Serve{Name: name}}}))
}

// submit gives a run's stage its job.
func (w *world) submit(run factory.ID, stage string) job.ID {
	w.Helper()
	return job.ID(w.do(centre.Controller, centre.SubmitStage{Run: run, Stage: stage}))
}

// begin places a job on free slots, as many as it takes, and starts it.
func (w *world) begin(id job.ID) {
	w.Helper()
	state := w.writer.State()
	held := map[string]bool{}
	for _, j := range state.Jobs.Live.All() {
		for _, device := range j.Placement.Devices {
			held[device] = true
		}
	}
	j, _ := state.Jobs.Live.Get(id)
	node, _ := state.Fleet.Nodes.Get(nodeID)
	var slots []string
	for _, device := range node.Devices {
		if !held[device.ID] && len(slots) < min(2, j.Count) {
			slots = append(slots, device.ID)
		}
	}
	w.do(centre.Controller, centre.PlaceJob{Job: id, Placement: job.Placement{Node: nodeID, Devices: slots}})
	w.do(centre.Controller, centre.StartJob{Job: id, Attempt: j.Attempt + 1, At: w.now()})
}

func (w *world) finish(id job.ID, s factory.Statement, outputs ...job.Output) {
	w.Helper()
	w.do(centre.Controller, centre.FinishJob{Finished: job.Finished{ID: id, Attempt: 1, State: job.Succeeded, Ended: w.now(), Outputs: outputs}, Statement: &s})
}

var statements = map[string]factory.Statement{
	factory.StageCurate: {Stage: factory.StageCurate, Counts: map[string]int64{"documents_in": 12_345, "documents_train": 10_000, "documents_heldout": 600,
		"documents_duplicate": 1_200, "personal_replaced": 87}},
	factory.StageTokenizer: {Stage: factory.StageTokenizer, Counts: map[string]int64{"vocabulary": 2048}, Scores: map[string]unit.Micro{"tokens_per_eojeol": 2_913_000}},
	factory.StageTrain: {Stage: factory.StageTrain, Counts: map[string]int64{"parameters": 1_911_744, "steps": 300, "tokens": 614_400},
		Scores: map[string]unit.Micro{"final_loss": 4_012_345}},
	factory.StageEvaluate: {Stage: factory.StageEvaluate, Counts: map[string]int64{"held_out_documents": 600, "questions": 60},
		Scores: map[string]unit.Micro{"bits_per_byte": 2_104_000, "baseline.byte_5gram": 2_781_000, "baseline.byte_unigram": 5_012_000, "baseline.zstd": 2_633_000,
			"choice.accuracy": 366_666, "choice.accuracy_low": 256_000, "choice.chance": 250_000, "contamination": 0}, Notes: map[string]string{"compressor": "zstd 1.5"}},
	factory.StageGate: {Stage: factory.StageGate},
	factory.StageSign: {Stage: factory.StageSign, Counts: map[string]int64{"files": 5}},
}

// work does the run's stages up to and without the named one.
func (w *world) work(run factory.ID, until string) {
	w.Helper()
	for _, stage := range factory.Stages {
		if stage == until || stage == factory.StageSign && until == awaiting {
			return
		}
		id := w.submit(run, stage)
		w.begin(id)
		w.pass(40 * unit.Second)
		if stage == factory.StageServe {
			endpoint, _, _ := w.writer.State().Models.ByJob(id)
			w.do(centre.Controller, centre.ReportEndpoint{Endpoint: endpoint, Ready: true})
			w.do(centre.Controller, centre.MeterTokens{Metered: model.Metered{Endpoint: endpoint, Key: w.first.keyID, From: w.now(), Until: w.now(),
				Tokens: model.Tokens{Requests: 3, Prompt: 40, Completion: 160}}})
			return
		}
		var outputs []job.Output
		switch stage {
		case factory.StageCurate:
			outputs = append(outputs, w.put("corpus", w.report()))
		case factory.StageTrain:
			outputs = append(outputs, job.Output{Name: "model", Tree: digest()}, w.put("training", w.lossFolder()))
		}
		statement := statements[stage]
		if stage == factory.StageGate { // says again what was measured
			statement.Scores = statements[factory.StageEvaluate].Scores
		}
		w.finish(id, statement, outputs...)
		if stage == factory.StageGate && until != awaiting {
			w.approve(run, 2)
		}
		if stage == factory.StageSign {
			w.sign(run)
		}
	}
}

// awaiting stops a run's work where people must approve.
const awaiting = "approval"

// approve lets so many signers approve.
func (w *world) approve(run factory.ID, people int) {
	w.Helper()
	for range people {
		signer := w.do(w.operator, centre.AddPerson{Org: w.officeID(), Details: digest(), Roles: []party.Role{{Name: party.Signer}}})
		w.do(signer, centre.ApproveRelease{Run: run})
	}
}

// officeID is the centre's own organisation.
func (w *world) officeID() party.OrgID {
	operator, _ := w.writer.State().Party.People.Get(w.operator)
	return operator.Org
}

// put stores a folder as a job's output.
func (w *world) put(name, dir string) job.Output {
	w.Helper()
	tree, size, err := artifact.PutTree(w.Context(), w.store, dir)
	w.must(err)
	return job.Output{Name: name, Tree: tree, Size: size}
}

// curve is a loss that falls as losses do.
func curve(steps int) []engine.Metric {
	var all []engine.Metric
	for step := 1; step <= steps; step++ {
		x := float64(step)
		all = append(all, engine.Metric{Step: int64(step), Values: map[string]float64{
			"loss": 3.9 + 3.7*math.Exp(-x/40) + .12*math.Sin(x*1.7)*math.Exp(-x/400), "learning_rate": .003 * math.Min(x/20, .5+.5*math.Cos(x/300*math.Pi))}})
	}
	return all
}

func (w *world) lossFolder() string {
	dir := w.TempDir()
	var b strings.Builder
	for _, m := range curve(300) {
		fmt.Fprintf(&b, `{"step":%d,"values":{"loss":%v,"learning_rate":%v}}`+"\n", m.Step, m.Values["loss"], m.Values["learning_rate"])
	}
	w.must(os.WriteFile(filepath.Join(dir, lossFile), []byte(b.String()), 0o644))
	return dir
}

// curated is a report that package corpus wrote over some of the sample.
var curated = sync.OnceValues(func() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "gaon-portal-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	in := filepath.Join(dir, "in")
	if err := os.Mkdir(in, 0o755); err != nil {
		return nil, err
	}
	for i, d := range sample.Documents()[:60] {
		text := d.Text
		if i%7 == 0 {
			text += "\n문의: 010-1234-5678"
		}
		for copy := range 1 + i%5/4 {
			if err := os.WriteFile(filepath.Join(in, fmt.Sprintf("%03d-%d.txt", i, copy)), []byte(text), 0o644); err != nil {
				return nil, err
			}
		}
	}
	out := filepath.Join(dir, "out")
	if _, err := corpus.Curate(context.Background(), corpus.Config{Inputs: []string{in}, Out: out, HeldOut: 100, Languages: []string{"ko", "en"}, Workers: 1}); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, name := range []string{corpus.ReportFile, corpus.PageFile} {
		if files[name], err = os.ReadFile(filepath.Join(out, name)); err != nil {
			return nil, err
		}
	}
	return files, nil
})

func (w *world) report() string {
	w.Helper()
	files, err := curated()
	w.must(err)
	dir := w.TempDir()
	for name, data := range files {
		w.must(os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	return dir
}

// sign records the release of package passport's sample as the run's.
func (w *world) sign(run factory.ID) {
	w.Helper()
	data, err := os.ReadFile("../../proof/passport/testdata/passport-1.json")
	w.must(err)
	p, err := passport.Parse(data)
	w.must(err)
	dir := w.TempDir()
	for name, content := range map[string]string{"model.safetensors": strings.Repeat("weights ", 20), "tokenizer.json": `{"model":{"type":"BPE"}}`,
		"config.json": `{"model_type":"llama","hidden_size":64}`, "tokenizer_config.json": `{"model_max_length":128}`, "설명.md": "모델 설명\n"} {
		w.must(os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	_, err = passport.Write(dir, p)
	w.must(err)
	bundle, err := modelsign.Sign(dir, w.modelKey(), modelsign.Config{Name: "gaon-mini", Ignore: passport.Ignored()})
	w.must(err)
	w.must(os.WriteFile(filepath.Join(dir, modelsign.SignatureFile), bundle, 0o644))
	document, err := os.ReadFile(filepath.Join(dir, passport.File))
	w.must(err)
	found, _ := w.writer.State().Factory.Runs.Get(run)
	w.do(centre.Controller, centre.RecordSignature{WasSigned: model.WasSigned{ID: model.ID(found.Model), Release: w.put("release", dir).Tree,
		Bundle: unit.DigestOf(bundle), Passport: unit.DigestOf(document), Signer: digest()}})
}

// browser is a person's browser, with cookies and no script.
type browser struct {
	*world
	client *http.Client
	header http.Header
}

func (w *world) browser(lang string) *browser {
	jar, err := cookiejar.New(nil)
	w.must(err)
	return &browser{w, &http.Client{Jar: jar}, http.Header{"Accept-Language": {lang}, "Sec-Fetch-Site": {"same-origin"}}}
}

// enter signs in by a ticket.
func (b *browser) enter(c company) *browser {
	b.Helper()
	if r, _ := b.get(b.portal.Ticket(c.person)); r.StatusCode != http.StatusOK {
		b.Fatalf("the ticket is refused: %d", r.StatusCode)
	}
	return b
}

func (b *browser) get(path string) (*http.Response, string) {
	b.Helper()
	return b.send(http.MethodGet, path, "", "")
}

func (b *browser) post(path string, form url.Values) (*http.Response, string) {
	b.Helper()
	return b.send(http.MethodPost, path, "application/x-www-form-urlencoded", form.Encode())
}

func (b *browser) send(method, path, kind, body string) (*http.Response, string) {
	b.Helper()
	r, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	b.must(err)
	r.Header = b.header.Clone()
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	response, err := b.client.Do(r)
	b.must(err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	b.must(err)
	return response, string(data)
}

// mustShow wants the page to hold every word.
func (b *browser) mustShow(path string, words ...string) string {
	b.Helper()
	r, page := b.get(path)
	if r.StatusCode != http.StatusOK {
		b.Fatalf("GET %s: %d\n%s", path, r.StatusCode, page)
	}
	for _, word := range words {
		if !strings.Contains(page, word) {
			b.Errorf("GET %s: the page does not show %q", path, word)
		}
	}
	return page
}
