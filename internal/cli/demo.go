package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gaon-ai/gaon/internal/api"
	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/host"
	"github.com/gaon-ai/gaon/internal/lm"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/programme"
	"github.com/gaon-ai/gaon/internal/sample"
	"github.com/gaon-ai/gaon/internal/unit"
)

func (s *settings) demo() *cobra.Command {
	d := &demo{settings: s}
	c := &cobra.Command{Use: "demo", Short: "Watch a sovereign AI factory work on this machine, end to end", GroupID: groupStart, Args: exactly(),
		Long: `Starts a centre in the data folder and goes the whole way, every step real:
a company is awarded compute, its text becomes a model, the model passes its
gate, is signed, served and billed, and all of it is proved. Then it stays
until Ctrl-C. Stopped half-way, the same command goes on where it was.`,
		Example: `  gaon demo
  gaon demo --corpus ./my-texts      your own txt, jsonl, jsonl.gz, jsonl.zst or parquet files
  gaon demo --once --lang ko         exit at the end, in Korean`,
		RunE: func(c *cobra.Command, _ []string) error {
			d.out = c.OutOrStdout()
			s.withSIMD(c.Context(), d.out)
			return d.run(c.Context())
		}}
	s.centreFlags(c, &d.config)
	c.Flags().StringVar(&d.corpus, "corpus", "", "folder of your own text files (default: the text that ships with Gaon)")
	c.Flags().StringVar(&d.recipe, "recipe", "", "recipe file, YAML (default: the demo's own; see gaon run recipe)")
	c.Flags().BoolVar(&d.once, "once", false, "exit when all is shown, instead of staying")
	return c
}

// demo is one going through the whole chain. Each change it makes has a key of
// its own, so that doing it again continues what was begun.
type demo struct {
	*settings
	config host.Config
	corpus string
	recipe string
	once   bool
	out    io.Writer

	host    *host.Host
	office  *api.Client // as operator and programme officer
	tenant  *api.Client
	secrets demoSecrets
	org     string
	given   string // grant
	began   time.Time
}

// demoSecrets are the keys of the people who play a part, kept in the data
// folder so that a demo can go on after a stop.
type demoSecrets struct {
	Tenant    string    `json:"tenant"`
	Signers   [2]string `json:"signers"`
	Inference string    `json:"inference"`
}

const demoSecretsFile = "demo.json"

func (d *demo) run(ctx context.Context) error {
	d.began = time.Now()
	recipe, err := d.readRecipe(d.recipe)
	if err != nil {
		return err
	}
	h, done, err := d.open(ctx, d.config, slog.LevelError, os.Stderr)
	if err != nil {
		return err
	}
	defer done()
	d.host = h
	// Ctrl-C ends the showing, not the centre: that is still needed to close
	// the endpoint and settle its bill.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ctx, abandon := context.WithCancel(ctx)
	defer abandon()
	served := make(chan error, 1)
	go func() {
		served <- h.Serve(serving)
		abandon() // whatever the demo waits for will not come any more
	}()
	err = d.show(ctx, recipe)
	if err == nil && !d.once {
		fmt.Fprintf(d.out, d.say("\nThe centre stays up at %s until Ctrl-C.\n", "\nCtrl-C를 누를 때까지 센터가 %s 에서 계속 실행됩니다.\n"), h.URL())
		<-ctx.Done()
		fmt.Fprintln(d.out, d.say("\nclosing the endpoint and settling its bill …", "\n엔드포인트를 닫고 요금을 정산합니다 …"))
	}
	// A laptop should be left as it was found: nothing goes on in the background.
	err = errors.Join(err, d.closeEndpoints(serving))
	stop()
	if failed := <-served; failed != nil {
		err = failed
	}
	return errors.Join(err, h.Close())
}

// show goes the whole way.
func (d *demo) show(ctx context.Context, recipe factory.Recipe) error {
	d.office = api.NewClient(d.host.URL(), d.host.Access.Key)
	if err := d.loadSecrets(); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{d.showCentre, d.award} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	run, err := d.makeModel(ctx, recipe)
	if err != nil {
		return err
	}
	if err := d.talk(ctx, run); err != nil {
		return err
	}
	return d.prove(ctx, run)
}

func (d *demo) heading(n int, en, ko string) {
	fmt.Fprintf(d.out, "\n%d. %s\n", n, d.say(en, ko))
}

func (d *demo) line(en, ko string, args ...any) {
	fmt.Fprintf(d.out, "  "+d.say(en, ko)+"\n", args...)
}

func (d *demo) loadSecrets() error {
	path := filepath.Join(d.host.Dir, demoSecretsFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		d.secrets = demoSecrets{host.NewSecret(), [2]string{host.NewSecret(), host.NewSecret()}, host.NewSecret()}
		if data, err = json.MarshalIndent(d.secrets, "", " "); err != nil {
			return err
		}
		return writeAside(path, data)
	}
	if err == nil {
		err = json.Unmarshal(data, &d.secrets)
	}
	if err != nil {
		return fmt.Errorf("%s: %w\nhint: begin anew in another folder: gaon demo --data DIR", path, err)
	}
	return nil
}

// writeAside writes a secret file whole or not at all.
func writeAside(path string, data []byte) error {
	temp := path + ".new"
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func (d *demo) showCentre(ctx context.Context) error {
	d.heading(1, "The centre is founded", "센터를 세웁니다")
	var found api.Centre
	if err := d.office.Get(ctx, "/centre", &found); err != nil {
		return err
	}
	d.line("%s, country %s, site %s, ledger key %s", "%s, 국가 %s, 장소 %s, 원장 키 %s", found.Name, found.Country, found.Site, clipKey(found.LedgerKey))
	var nodes []api.Node
	for len(nodes) == 0 {
		if err := d.office.Get(ctx, "/nodes", &nodes); err != nil {
			return err
		}
		if err := pause(ctx, pollEvery); err != nil {
			return err
		}
	}
	for _, node := range nodes {
		d.line("node %s: %s, %s of memory", "노드 %s: %s, 메모리 %s", node.ID, nodeDevices(node), node.Memory)
		for _, remark := range node.Enforce.Remarks {
			d.line("  note: %s", "  참고: %s", remark)
		}
	}
	if lm.Kernel() == "gonum" {
		d.line("note: built without SIMD, so training takes about eight times as long; build with GOEXPERIMENT=simd, as make run does",
			"참고: SIMD 없이 빌드되어 학습이 약 8배 느립니다. make run 처럼 GOEXPERIMENT=simd 로 빌드하십시오")
	}
	d.line("watch it in a browser: %s", "브라우저에서 보기: %s", d.host.Link())
	return nil
}

// clipKey shortens a verifier key to its name and key id.
func clipKey(key string) string {
	parts := strings.SplitN(key, "+", 3) // name+id+key, and base64 may hold a plus
	return strings.Join(parts[:min(len(parts), 2)], "+")
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// post makes one change as part of the demo and returns what it made.
func (d *demo) do(ctx context.Context, client *api.Client, key, path string, body any) (string, error) {
	made, err := client.Post(ctx, path, "demo/"+key, body)
	return made.ID, err
}

// enrol admits a person with a key.
func (d *demo) enrol(ctx context.Context, key, name, role, secret string) (*api.Client, error) {
	person, err := d.do(ctx, d.office, "person-"+key, "/people", api.NewPerson{Org: party.OrgID(d.org), Roles: []party.Role{{Name: role}},
		Details: api.Details{Name: name, Email: key + "@example.kr"}})
	if err != nil {
		return nil, err
	}
	_, err = d.do(ctx, d.office, "key-"+key, "/keys", api.NewKey{Person: party.PersonID(person), Use: party.ForAPI, Secret: unit.DigestOf([]byte(secret))})
	return api.NewClient(d.host.URL(), secret), err
}

const (
	demoCeiling = 100 * unit.Credit
	demoAsked   = 40 * unit.Credit
)

func (d *demo) award(ctx context.Context) error {
	d.heading(2, "A company is awarded compute", "기업이 컴퓨팅 자원을 배정받습니다")
	var err error
	company := d.say("Hanbit Language Lab", "한빛언어연구소")
	if d.org, err = d.do(ctx, d.office, "org", "/orgs", api.NewOrganisation{Name: company, Country: d.host.Writer.State().Identity.Country, Kind: "company"}); err != nil {
		return err
	}
	if d.tenant, err = d.enrol(ctx, "haneul", "김하늘", party.Tenant, d.secrets.Tenant); err != nil {
		return err
	}
	rule := programme.Rule{Ceiling: demoCeiling, PerOrg: 10 * demoCeiling, Length: 180 * unit.Day, Countries: []string{}, Kinds: []string{"company", "university"}}
	published, err := d.do(ctx, d.office, "programme", "/programmes", programme.Programme{Name: d.say("AI Startups Forward", "AI 스타트업 도약"), Rule: rule})
	if err != nil {
		return err
	}
	call, err := d.do(ctx, d.office, "call", "/calls", api.NewCall{Programme: programme.ID(published), Name: d.say("open all year", "상시 모집"),
		Budget: 100 * demoCeiling, Closes: now().Add(90 * unit.Day)})
	if err != nil {
		return err
	}
	d.line("rule: a company or university may have up to %s credits at once; one credit is an hour of the reference chip",
		"규칙: 기업과 대학은 %s 크레딧까지 즉시 배정. 1크레딧은 기준 칩 1시간", demoCeiling)
	application, err := d.do(ctx, d.tenant, "application", "/applications", api.NewApplication{Call: programme.CallID(call), Org: party.OrgID(d.org),
		Purpose: d.say("a small Korean language model", "작은 한국어 언어 모델"), Credits: demoAsked})
	if err != nil {
		return err
	}
	var all []api.Application
	if err := d.tenant.Get(ctx, "/applications", &all); err != nil {
		return err
	}
	for _, a := range all {
		if string(a.ID) == application {
			d.given = a.Grant
			d.line("%s asked for %s credits: %s, grant %s (%s)", "%s의 %s 크레딧 신청: %s, 과제 %s (%s)", company, a.Credits, d.applicationState(a.State), dash(a.Grant), strings.Join(a.Reasons, "; "))
		}
	}
	if d.given == "" {
		return fmt.Errorf("application %s was not awarded\nhint: see why: gaon application list", application)
	}
	return nil
}

// applicationState is how an application stands, in the user's language.
func (d *demo) applicationState(state string) string {
	return d.say(state, map[string]string{programme.Awarded: "배정됨", programme.InReview: "심사 중", programme.Declined: "거절됨"}[state])
}

// makeModel uploads the text, runs the factory and has two people approve.
func (d *demo) makeModel(ctx context.Context, recipe factory.Recipe) (api.Run, error) {
	d.heading(3, "Its text becomes a model", "그 기업의 글이 모델이 됩니다")
	var run api.Run
	training, evaluation, err := d.upload(ctx)
	if err != nil {
		return run, err
	}
	encoded, err := json.Marshal(recipe)
	if err != nil {
		return run, err
	}
	key := "run-" + unit.DigestOf([]byte(string(encoded)+training+evaluation)).Short()
	id, err := d.do(ctx, d.tenant, key, "/runs", api.NewRun{Grant: grant.ID(d.given), Recipe: recipe,
		Training: []dataset.ID{dataset.ID(training)}, Evaluation: []dataset.ID{dataset.ID(evaluation)}})
	if err != nil {
		return run, err
	}
	d.line("factory run %s began", "팩토리 실행 %s 시작", id)
	told := map[string]bool{}
	for {
		if err := d.followRun(ctx, d.out, d.tenant, id, told); err != nil {
			return run, err
		}
		if err := d.tenant.Get(ctx, "/runs/"+id, &run); err != nil || run.State != factory.Awaiting {
			return run, err
		}
		if err := d.approve(ctx, id); err != nil {
			return run, err
		}
	}
}

// approve signs the release as two people, who here are both played by the
// demo; in a centre at work they are two.
func (d *demo) approve(ctx context.Context, run string) error {
	for i, name := range []string{"이서연", "박도윤"} {
		client, err := d.enrol(ctx, fmt.Sprintf("signer%d", i+1), name, party.Signer, d.secrets.Signers[i])
		if err != nil {
			return err
		}
		if _, err := d.do(ctx, client, fmt.Sprintf("approve-%s-%d", run, i), "/runs/"+run+"/approve", api.Empty{}); err != nil {
			return err
		}
		d.line("✓ approved by signer %d of 2", "✓ 승인 %d/2", i+1)
	}
	return nil
}

// upload stores the texts and questions and registers them as datasets.
func (d *demo) upload(ctx context.Context) (training, evaluation string, err error) {
	temp, err := os.MkdirTemp("", "gaon-demo-")
	if err != nil {
		return "", "", err
	}
	defer os.RemoveAll(temp)
	texts, questions := d.corpus, filepath.Join(temp, "questions")
	samples := filepath.Join(temp, "texts")
	truth, err := sample.Write(samples, questions)
	if err != nil {
		return "", "", err
	}
	body := dataset.Dataset{Org: party.OrgID(d.org), Name: d.say("the company's texts", "회사 글 모음"), Licence: "Apache-2.0",
		Consent: "owner's own text", Purpose: dataset.Training, Label: policy.Label{Class: policy.Internal, Residency: []string{d.host.Writer.State().Identity.Country}}}
	if texts == "" {
		texts = samples
		d.line("%d documents that ship with Gaon; sown into them: %d duplicates, %d near-duplicates, %d pieces of junk, %d leaked questions, invented personal data",
			"함께 제공되는 문서 %d건. 섞어 넣은 것: 중복 %d건, 유사 중복 %d건, 쓸모없는 글 %d건, 유출된 문제 %d건, 지어낸 개인정보",
			truth.Originals, len(truth.Exact), len(truth.Near), len(truth.Junk), len(truth.Contaminated))
	} else {
		body.Licence = "LicenseRef-own"
	}
	if training, err = d.register(ctx, texts, body); err != nil {
		return "", "", err
	}
	body.Name, body.Licence, body.Purpose = d.say("questions", "평가 문제"), "Apache-2.0", dataset.Evaluation
	evaluation, err = d.register(ctx, questions, body)
	return training, evaluation, err
}

func (d *demo) register(ctx context.Context, path string, body dataset.Dataset) (string, error) {
	stored, err := api.Upload(ctx, d.tenant, path, d.progress(d.out, "upload", "올리기"))
	if err != nil {
		return "", err
	}
	body.Tree = stored.Tree
	return d.do(ctx, d.tenant, "dataset-"+body.Purpose+"-"+stored.Tree.Short(), "/datasets", body)
}

// demoPrompt is how the first text begins that the model goes on with.
const demoPrompt = "봄이 오면 산과 들에는"

func (d *demo) talk(ctx context.Context, run api.Run) error {
	d.heading(4, "The model answers", "모델이 대답합니다")
	var m api.Model
	if err := d.tenant.Get(ctx, "/models/"+run.Model, &m); err != nil {
		return err
	}
	name, err := d.served(ctx, m)
	if err != nil {
		return err
	}
	var me api.Centre
	if err := d.tenant.Get(ctx, "/centre", &me); err != nil {
		return err
	}
	if _, err := d.do(ctx, d.tenant, "key-inference", "/keys", api.NewKey{Person: party.PersonID(me.Person), Use: party.ForInference,
		Secret: unit.DigestOf([]byte(d.secrets.Inference))}); err != nil {
		return err
	}
	before, err := d.requests(ctx, name)
	if err != nil {
		return err
	}
	seed := int64(7)
	fmt.Fprintf(d.out, "  %s > %s\n  ", name, demoPrompt)
	_, used, err := ask(ctx, api.NewClient(d.host.URL(), d.secrets.Inference), asked{Model: name, Messages: []chatMessage{{"user", demoPrompt}},
		Stream: true, StreamOptions: &includeUsage{true}, MaxTokens: answerTokens(run.Recipe.Train.Context), Temperature: 0.7, TopP: 0.9, Seed: &seed}, d.out)
	fmt.Fprintln(d.out)
	if err != nil {
		return err
	}
	answered := time.Since(d.began)
	d.line("%d tokens in, %d tokens out, metered to the company's key", "입력 토큰 %d개, 출력 토큰 %d개, 회사 키로 계량됨", used.Prompt, used.Completion)
	// The gateway records use every few seconds; the receipt is to have it.
	for now := before; now == before; {
		if err := pause(ctx, pollEvery); err != nil {
			return err
		}
		if now, err = d.requests(ctx, name); err != nil {
			return err
		}
	}
	d.line("(%.0f seconds from the start to this answer; a model this small writes in the manner of its text, not with its sense)",
		"(시작부터 이 대답까지 %.0f초. 이렇게 작은 모델은 글의 뜻보다 말투를 흉내 냅니다)", answered.Seconds())
	return nil
}

// requests counts what was asked of the named endpoint, as far as the ledger
// knows.
func (d *demo) requests(ctx context.Context, name string) (int64, error) {
	var all []api.Endpoint
	err := d.tenant.Get(ctx, "/endpoints", &all)
	sum := int64(0)
	for _, e := range all {
		for _, use := range e.Use {
			if e.Name == name {
				sum += use.Requests
			}
		}
	}
	return sum, err
}

// answerTokens bounds the demo's answer to half of the context; where that is
// short, 0 leaves it to what the prompt has left.
func answerTokens(context int) int {
	if context < 128 {
		return 0
	}
	return context / 2
}

// served returns the name of an endpoint that serves the model, opening one
// where a finished demo had closed its own.
func (d *demo) served(ctx context.Context, m api.Model) (string, error) {
	for {
		var all []api.Endpoint
		if err := d.tenant.Get(ctx, "/endpoints", &all); err != nil {
			return "", err
		}
		opening := false
		for _, e := range all {
			if e.Model != m.ID {
				continue
			}
			if e.State == model.Ready {
				return e.Name, nil
			}
			opening = opening || e.State == model.Opening
		}
		if !opening {
			if _, err := d.tenant.Post(ctx, "/endpoints", "", api.NewEndpoint{Model: m.ID, Grant: grant.ID(d.given)}); err != nil {
				return "", err
			}
		}
		if err := pause(ctx, pollEvery); err != nil {
			return "", err
		}
	}
}

// prove writes receipt and model, and verifies both and the ledger offline.
func (d *demo) prove(ctx context.Context, run api.Run) error {
	d.heading(5, "Everything is proved", "모든 것을 증명합니다")
	folder := d.host.Dir
	receiptFile, modelDir := filepath.Join(folder, "receipt-"+d.given+".json"), filepath.Join(folder, "models", run.Recipe.Name+"-"+run.Model)
	if err := saveReceipt(ctx, d.tenant, d.given, receiptFile); err != nil {
		return err
	}
	if err := downloadModel(ctx, d.office, run.Model, modelDir, d.progress(d.out, "download", "내려받기")); err != nil {
		return err
	}
	ledgerKey, modelKey, err := host.PublicKeys(folder)
	if err != nil {
		return err
	}
	v := verifier{s: d.settings, ledger: ledgerKey, model: modelKey, bar: newBar(io.Discard)}
	var all []checked
	failed := &VerifyError{}
	for _, path := range []string{receiptFile, modelDir, folder} {
		result := v.check(ctx, path)
		if !result.OK {
			failed.Failed++
		}
		all = append(all, result)
	}
	if err := d.printChecked(indent{d.out}, all); err != nil {
		return err
	}
	if failed.Failed > 0 {
		return failed
	}
	d.summary(run, receiptFile, modelDir)
	return nil
}

func (d *demo) summary(run api.Run, receiptFile, modelDir string) {
	scores := run.Stages[factory.StageEvaluate].Statement.Scores
	fmt.Fprintf(d.out, "\n%s\n", d.say("Bits per byte on text it never saw (lower is better):", "처음 보는 글에서 바이트당 비트 (낮을수록 좋음):"))
	for _, row := range []struct{ name, score string }{
		{d.say("this model", "이 모델"), "bits_per_byte"}, {d.say("byte 5-gram", "바이트 5-gram"), "baseline.byte_5gram"},
		{"zstd -19", "baseline.zstd"}, {d.say("byte unigram", "바이트 unigram"), "baseline.byte_unigram"},
	} {
		fmt.Fprintf(d.out, "  %s  %s\n", short(scores[row.score]), row.name)
	}
	fmt.Fprintf(d.out, "\n%s\n", d.say("What was made:", "만들어진 것:"))
	for _, path := range []string{modelDir, receiptFile, host.LedgerFolder(d.host.Dir)} {
		fmt.Fprintf(d.out, "  %s\n", path)
	}
	data := ""
	if d.data != "gaon-data" {
		data = " --data " + d.data
	}
	fmt.Fprintf(d.out, "\n%s\n", d.say("Try next, in another terminal:", "다른 터미널에서 해 볼 것:"))
	fmt.Fprintf(d.out, "  gaon%s chat %s '%s'\n  gaon%s model passport %s\n  gaon%s verify\n  gaon%s job list\n  gaon%s grant list\n",
		data, run.Recipe.Serve.Name, demoPrompt, data, modelDir, data, data, data)
}

// indent sets what is printed under its heading.
type indent struct{ io.Writer }

func (i indent) Write(p []byte) (int, error) {
	for _, line := range strings.SplitAfter(string(p), "\n") {
		if line != "" {
			if _, err := io.WriteString(i.Writer, "  "+line); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

// closeTimeout bounds how long the demo waits for its endpoint to end.
const demoCloseTimeout = 20 * time.Second

// closeEndpoints ends what the demo serves and waits until it is billed.
func (d *demo) closeEndpoints(ctx context.Context) error {
	if d.office == nil {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, demoCloseTimeout)
	defer stop()
	for {
		open := 0
		state := d.host.Writer.State()
		for id, e := range state.Models.Endpoints.All() {
			if _, live := state.Jobs.Live.Get(e.Job); !live {
				continue
			}
			open++
			if e.State != model.Closed {
				if _, err := d.office.Post(ctx, "/endpoints/"+string(id)+"/close", "", api.Empty{}); err != nil {
					return err
				}
			}
		}
		if open == 0 {
			return nil
		}
		if err := pause(ctx, pollEvery); err != nil {
			return fmt.Errorf("the endpoint did not end within %s; gaon up finds it again", demoCloseTimeout)
		}
	}
}
