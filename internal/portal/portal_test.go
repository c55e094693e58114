package portal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/corpus"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof"
	"github.com/gaon-ai/gaon/proof/passport"
	"github.com/gaon-ai/gaon/proof/receipt"
)

func TestFrontPage(t *testing.T) {
	w := newWorld(t)
	w.start(w.first, "geheim")
	b := w.browser("ko-KR,ko;q=0.9,en;q=0.8")
	page := b.mustShow("/", `<html lang="ko">`, "한빛 인공지능 센터", "한국어 모델 지원 사업", "500 크레딧", "기업, 대학", "2026년 하반기", "10,000", "모집 중", "180일",
		fmt.Sprintf("기록 %d건", w.writer.State().Seq), "/log/checkpoint", "example.kr/centre", "API 키")
	if strings.Contains(page, "geheim") || strings.Contains(page, "누리말") {
		t.Error("the front page shows what belongs to an organisation")
	}
	w.pass(61 * unit.Day)
	b.mustShow("/", "마감")
}

func TestLanguage(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct{ accepts, want string }{
		{"ko", "ko"}, {"ko-KR,ko;q=0.9,en-US;q=0.8", "ko"}, {"en-GB,en;q=0.9,ko;q=0.8", "en"}, {"de,ko;q=0.2,en;q=0.3", "en"}, {"", "en"}, {"de", "en"}, {";;,q=,ko;q=x", "ko"},
	} {
		w.browser(row.accepts).mustShow("/", `<html lang="`+row.want+`">`)
	}
	b := w.browser("en").enter(w.first)
	run := string(w.start(w.first, "gaon-mini"))
	page := b.mustShow("/runs/"+run+"?lang=ko", `<html lang="ko">`, `href="/runs/`+run+`?lang=en"`)
	if b.mustShow("/", `<html lang="ko">`); strings.Contains(page, "?lang=ko\"") {
		t.Error("the page offers the language it is in")
	}
	for _, odd := range []string{"/?lang=de", "/?lang=", "/?lang=ko%0d%0a"} {
		b.mustShow(odd, `<html lang="ko">`)
	}
}

// TestRunLive: each state of a run is shown as it is.
func TestRunLive(t *testing.T) {
	w := newWorld(t)
	w.engine.logs[engine.Stderr] = "first line\n</pre><script>alert(2)</script>\n"
	run := w.start(w.first, "gaon-mini")
	here := "/runs/" + string(run)
	b := w.browser("en").enter(w.first)
	b.mustShow("/", "gaon-mini", "누리말 주식회사", "Running", "To come", "Figures appear once the model is measured", "The passport appears once")

	id := w.submit(run, factory.StageCurate)
	b.mustShow(here, "Waiting")
	w.begin(id)
	w.engine.progress = engine.Progress{Step: "filter", Done: 30, Total: 120}
	w.pass(65 * unit.Second)
	b.mustShow(here, "25.0 %", "filtering", "1 min 5 s", "2 × CPU slot", here+"/log/curate")
	b.mustShow(here+"/log/curate", "first line", "&lt;/pre&gt;&lt;script&gt;alert(2)")

	w.finish(id, statements[factory.StageCurate], w.put("corpus", w.report()))
	b.mustShow(here, "12,345", "personal data hidden", "Documents left after each step", "right language", "0.00018 credits")
	files, _ := curated()
	if page := b.mustShow(here + "/curation/report.html"); page != string(files[corpus.PageFile]) {
		t.Error("the report is not the one that curation wrote")
	}
	if r, _ := b.get(here + "/curation/train.jsonl"); r.StatusCode != http.StatusNotFound {
		t.Errorf("the corpus itself is handed out: %d", r.StatusCode)
	}

	tokens := w.submit(run, factory.StageTokenizer)
	w.begin(tokens)
	w.finish(tokens, statements[factory.StageTokenizer])
	b.mustShow(here, "2,048", "2.91")
}

// TestRunWaits: a stage that waits says why, in the reader's language.
func TestRunWaits(t *testing.T) {
	w := newWorld(t)
	var held []job.ID
	for range 2 {
		run := w.start(w.other, "first")
		held = append(held, w.submit(run, factory.StageCurate))
		w.begin(held[len(held)-1])
	}
	run := w.start(w.first, "later")
	w.submit(run, factory.StageCurate)
	reason, waits := w.writer.State().Why(job.ID(w.jobOf(run, factory.StageCurate)))
	if !waits {
		t.Fatal("the job does not wait")
	}
	w.browser("en").enter(w.first).mustShow("/", html.EscapeString(reason.EN))
	w.browser("ko").enter(w.first).mustShow("/", html.EscapeString(reason.KO))
}

func (w *world) jobOf(run factory.ID, stage string) job.ID {
	found, _ := w.writer.State().Factory.Runs.Get(run)
	return found.Stages[stage].Job
}

func TestRunFailsAndWaitsForPeople(t *testing.T) {
	w := newWorld(t)
	b := w.browser("en").enter(w.first)
	run := w.start(w.first, "good")
	w.work(run, awaiting)
	w.approve(run, 1)
	b.mustShow("/runs/"+string(run), "Awaiting approval", "Signers must approve the release: 1 of 2 have", "gaon run approve "+string(run), "The gate is passed", "value 2.104 · limit 2.781")
	b.header.Set("Accept-Language", "ko")
	b.mustShow("/runs/"+string(run), "2명 중 1명이 승인했습니다")
	b.header.Set("Accept-Language", "en")

	bad := w.start(w.first, "bad")
	w.do(centre.Controller, centre.FailRun{Run: bad, Reason: "the disk is <full>"})
	b.mustShow("/runs/"+string(bad), "Failed", "This run failed: the disk is &lt;full&gt;")
}

func TestRunDone(t *testing.T) {
	w := newWorld(t)
	run := w.start(w.first, "gaon-mini")
	w.work(run, "")
	b := w.browser("en").enter(w.first)
	page := b.mustShow("/", "Done", "Serving", "Everything that was checked holds", "14 hold · 1 not checkable here", "This model", "2.104", "36.7 %", "160", "Playground", "<option>gaon-mini</option>",
		"Download the receipt", "1,911,744", "polyline")
	for i, of := range []passport.State{passport.Passed, passport.Failed} {
		if n := strings.Count(page, `<li class="`+string(of)+`">`); n != []int{14 + 2, 0}[i] {
			t.Errorf("%d checks and conditions are %s", n, of)
		}
	}
	id := w.modelOf(run)
	b.mustShow("/models/"+id+"/passport", "Model passport: gaon-mini", "verified")
	for _, file := range []string{"passport.json", "model.sig", "passport.proof", "passport/bom.spdx.json"} {
		r, data := b.get("/models/" + id + "/files/" + file)
		if r.StatusCode != http.StatusOK || data == "" || !strings.HasPrefix(r.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%s: %d, %d bytes", file, r.StatusCode, len(data))
		}
	}
	for _, file := range []string{"model.safetensors", "passport/../model.safetensors", "passport/none", ""} {
		if r, _ := b.get("/models/" + id + "/files/" + file); r.StatusCode != http.StatusNotFound {
			t.Errorf("%q is handed out: %d", file, r.StatusCode)
		}
	}
}

// TestReceiptProvesItself: what the page hands out verifies with the ledger's
// key alone.
func TestReceiptProvesItself(t *testing.T) {
	w := newWorld(t)
	w.work(w.start(w.first, "gaon-mini"), "")
	b := w.browser("ko").enter(w.first)
	key, err := proof.ParseVerifierKey(w.writer.State().Identity.LedgerKey)
	w.must(err)
	check := func(entry []byte, receipt string) (int64, error) {
		_, index, err := proof.VerifyReceipt(receipt, entry, key)
		return index, err
	}
	for range 2 { // asked again it goes on where it was
		r, document := b.get("/receipt/" + string(w.first.grant))
		if r.StatusCode != http.StatusOK {
			t.Fatal(r.StatusCode)
		}
		found, err := receipt.Verify([]byte(document), check)
		w.must(err)
		g, _ := w.writer.State().Grants.Grants.Get(w.first.grant)
		if found.Charged != g.Charged || found.Awarded != g.Credits || found.Completion == 0 {
			t.Errorf("the receipt says %v of %v and %d tokens, the grant %v of %v", found.Charged, found.Awarded, found.Completion, g.Charged, g.Credits)
		}
		w.work(w.start(w.first, "second"), factory.StageTrain)
	}
}

// TestOthersSeeNothing: what belongs to another organisation is as if it were
// not there, for its people and for who is not signed in.
func TestOthersSeeNothing(t *testing.T) {
	w := newWorld(t)
	run := w.start(w.first, "geheim")
	w.work(run, "")
	other, nobody, operator := w.browser("en").enter(w.other), w.browser("en"), w.browser("en").enter(company{person: w.operator})
	here, model := "/runs/"+string(run), "/models/"+w.modelOf(run)
	for _, path := range []string{here, here + "/live", here + "/loss", here + "/log/train", here + "/curation/report.html", here + "/curation/report.json",
		model + "/passport", model + "/files/passport.json", "/receipt/" + string(w.first.grant)} {
		hidden, absent := strings.Replace(path, string(run), "R99999", 1), ""
		if r, page := other.get(path); r.StatusCode != http.StatusNotFound || strings.Contains(page, "geheim") {
			t.Errorf("GET %s as another company: %d", path, r.StatusCode)
		} else {
			absent = page
		}
		if strings.HasPrefix(path, here) {
			if _, page := other.get(hidden); strings.ReplaceAll(page, "R99999", string(run)) != absent {
				t.Errorf("GET %s: what is hidden and what is absent look different", path)
			}
		}
		if r, page := nobody.get(path); r.StatusCode != http.StatusUnauthorized || strings.Contains(page, "geheim") {
			t.Errorf("GET %s as nobody: %d", path, r.StatusCode)
		}
		if r, _ := operator.get(path); r.StatusCode >= 400 {
			t.Errorf("GET %s as the operator: %d", path, r.StatusCode)
		}
	}
	if page := other.mustShow("/"); strings.Contains(page, "geheim") {
		t.Error("another company's run is on the page")
	}
	operator.mustShow("/", "geheim")
}

// TestNamesAreEscaped: no name becomes markup.
func TestNamesAreEscaped(t *testing.T) {
	w := newWorld(t)
	run := w.start(w.other, `<img src=x onerror=alert(3)>`)
	w.work(run, factory.StageTrain)
	w.submit(run, factory.StageTrain)
	for _, lang := range []string{"en", "ko"} {
		b := w.browser(lang).enter(w.other)
		for _, path := range []string{"/", "/runs/" + string(run) + "/live"} {
			page := b.mustShow(path, "&lt;img src=x", "&lt;script&gt;alert(1)")
			if strings.Contains(page, "<img") || strings.Contains(page, "<script>") {
				t.Errorf("%s, GET %s: a name is markup", lang, path)
			}
		}
	}
}

var seenPattern = regexp.MustCompile(`name="seen" value="([a-z]+:[0-9a-f]+)"`)

// TestLiveSendsWhatChanged: who has every panel is sent nothing, and after a
// change only what changed.
func TestLiveSendsWhatChanged(t *testing.T) {
	w := newWorld(t)
	run := w.start(w.first, "gaon-mini")
	w.work(run, factory.StageTrain)
	b := w.browser("en").enter(w.first)
	here := "/runs/" + string(run)
	versions := func(page string) string {
		var query []string
		for _, match := range seenPattern.FindAllStringSubmatch(page, -1) {
			query = append(query, "seen="+match[1])
		}
		return here + "/live?" + strings.Join(query, "&")
	}
	ask := versions(b.mustShow(here))
	if n := strings.Count(ask, "seen="); n != 7 {
		t.Fatalf("%d panels: %s", n, ask)
	}
	if r, page := b.get(ask); r.StatusCode != http.StatusNoContent || page != "" {
		t.Fatalf("nothing changed: %d %s", r.StatusCode, page)
	}
	w.begin(w.submit(run, factory.StageTrain))
	r, page := b.get(ask)
	if r.StatusCode != http.StatusOK || strings.Count(page, "hx-swap-oob") != 2 || !strings.Contains(page, `id="stages"`) || !strings.Contains(page, `id="credits"`) {
		t.Fatalf("a stage began: %d\n%s", r.StatusCode, page)
	}
	if _, whole := b.get(here + "/live?seen=stages:x" + strings.Repeat("&seen=a:b", 1000)); strings.Count(whole, "hx-swap-oob") != 7 {
		t.Error("who has nothing is not sent everything")
	}
	other := w.browser("en")
	other.header.Set("HX-Request", "true")
	if r, _ := other.get(ask); r.StatusCode != http.StatusUnauthorized || r.Header.Get("HX-Redirect") != "/" {
		t.Errorf("a page whose session is over: %d", r.StatusCode)
	}
}

// TestManyViewers: the engine is asked no more often for a hundred viewers
// than for one.
func TestManyViewers(t *testing.T) {
	w := newWorld(t)
	run := w.start(w.first, "gaon-mini")
	w.work(run, factory.StageTrain)
	w.begin(w.submit(run, factory.StageTrain))
	w.engine.progress = engine.Progress{Done: 1, Total: 2}
	for i := range 20 {
		b := w.browser([]string{"ko", "en"}[i%2]).enter(w.first)
		for range 5 {
			b.mustShow("/runs/"+string(run), "50.0 %")
		}
	}
	if n := w.engine.asked.Load(); n != 1 {
		t.Errorf("the engine was asked %d times within half a second", n)
	}
}

func TestLoss(t *testing.T) {
	w := newWorld(t)
	run := w.start(w.first, "gaon-mini")
	w.work(run, factory.StageTrain)
	b := w.browser("en").enter(w.first)
	type answer struct {
		From    int
		Points  [][3]float64
		Steps   int
		Growing bool
	}
	get := func(from string) (a answer) {
		t.Helper()
		page := b.mustShow("/runs/" + string(run) + "/loss?from=" + from)
		w.must(json.Unmarshal([]byte(page), &a))
		return a
	}
	mustBe := func(what string, got answer, from, points int, growing bool) {
		t.Helper()
		if got.From != from || len(got.Points) != points || got.Growing != growing || got.Steps != 300 {
			t.Errorf("%s: from %d, %d points, growing %v of %d; want %d, %d, %v", what, got.From, len(got.Points), got.Growing, got.Steps, from, points, growing)
		}
	}
	mustBe("before the training", get("0"), 0, 0, true)
	w.begin(w.submit(run, factory.StageTrain))
	w.pass(unit.Second)
	w.engine.metrics = curve(100)
	mustBe("all so far", get("0"), 0, 100, true)
	mustBe("the rest", get("90"), 90, 10, true)
	mustBe("nothing new", get("100"), 100, 0, true)
	mustBe("more than there are", get("101"), 0, 100, true)
	mustBe("no number", get("x"), 0, 100, true)
	w.engine.metrics = curve(120)
	mustBe("asked again at once", get("0"), 0, 100, true)
	w.pass(unit.Second)
	last := get("100")
	mustBe("a second later", last, 100, 20, true)
	if point := last.Points[19]; point[0] != 120 || math.Abs(point[1]-curve(120)[119].Values["loss"]) > 1e-9 {
		t.Errorf("the last point is %v", point)
	}
	w.finish(w.jobOf(run, factory.StageTrain), statements[factory.StageTrain], w.put("training", w.lossFolder()))
	mustBe("of the finished training", get("0"), 0, 300, false)
}

// TestLossOfALongTraining: a curve of any length is drawn with a bounded
// number of points, and the parts that were sent before do not change.
func TestLossOfALongTraining(t *testing.T) {
	run := factory.Run{Recipe: factory.Recipe{Train: factory.Train{Steps: 1_234_567}}}
	stride := strideOf(run)
	log := &lossLog{}
	var before []lossPoint
	for step := int64(1); step <= 1_234_567; step++ {
		log.add(engine.Metric{Step: step, Values: map[string]float64{"loss": float64(step)}}, stride)
		if step == 600_000 {
			before = slices.Clone(log.points)
		}
	}
	points := log.shown()
	if len(points) > lossPointsMax || len(points) < lossPointsMax*9/10 {
		t.Errorf("%d points", len(points))
	}
	if !slices.Equal(before, points[:len(before)]) {
		t.Error("points that were full have changed")
	}
	if last := points[len(points)-1]; last.step != 1_234_567 {
		t.Errorf("the last point is of step %d", last.step)
	}
}

func TestPlayground(t *testing.T) {
	w := newWorld(t)
	b := w.browser("en").enter(w.first)
	run := w.start(w.first, "gaon-mini")
	w.work(run, factory.StageServe)
	b.mustShow("/", "You can try the model here once it is served")
	w.begin(w.submit(run, factory.StageServe))
	b.mustShow("/", "You can try the model here once it is served") // its endpoint is not ready
	endpoint, _, _ := w.writer.State().Models.ByJob(w.jobOf(run, factory.StageServe))
	w.do(centre.Controller, centre.ReportEndpoint{Endpoint: endpoint, Ready: true})
	b.mustShow("/", "<option>gaon-mini</option>")

	r, answer := b.send(http.MethodPost, "/ask", "application/json", `{"model":"gaon-mini","prompt":"가온은"}`)
	if r.StatusCode != http.StatusOK || !strings.HasSuffix(answer, "data: [DONE]\n\n") {
		t.Errorf("%d %s", r.StatusCode, answer)
	}
	key, _ := w.gateway.key.Load().(party.KeyID)
	if held, _ := w.writer.State().Party.Keys.Get(key); held.Person != w.first.person || w.gateway.body.Load() != `{"model":"gaon-mini","prompt":"가온은"}` {
		t.Errorf("asked with key %s of %s: %v", key, held.Person, w.gateway.body.Load())
	}
	if page := w.browser("en").enter(w.other).mustShow("/"); strings.Contains(page, "gaon-mini") {
		t.Error("another company is offered the model")
	}
	if r, _ := w.browser("en").send(http.MethodPost, "/ask", "application/json", "{}"); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("nobody asked: %d", r.StatusCode)
	}
	for id, key := range w.writer.State().Party.Keys.All() {
		if key.Person == w.first.person {
			w.do(w.first.person, centre.RevokeKey{Key: id})
		}
	}
	b.mustShow("/", "To ask a model you need a key")
	if r, _ := b.send(http.MethodPost, "/ask", "application/json", "{}"); r.StatusCode != http.StatusForbidden {
		t.Errorf("asked without a key: %d", r.StatusCode)
	}
}

// TestPassportThatDoesNotHold: a release whose file was changed is shown as
// what it is.
func TestPassportThatDoesNotHold(t *testing.T) {
	w := newWorld(t)
	run := w.start(w.first, "gaon-mini")
	w.work(run, "")
	state := w.writer.State()
	found, _ := state.Factory.Runs.Get(run)
	check := w.portal.verification(state, found.Model)
	<-check.done
	changed := check.found
	changed.Outcomes = slices.Clone(changed.Outcomes)
	changed.Outcomes[1] = passport.Outcome{Check: passport.CheckFiles, State: passport.Failed, Problems: []string{"model.safetensors has <changed>"}}
	view := w.portal.passportOf(state, found, &verification{done: check.done, found: changed})
	for _, lang := range []string{Korean, English} {
		page, err := w.portal.render(lang, "panel-passport", view)
		w.must(err)
		for _, want := range []string{say(lang, "passport.bad"), "model.safetensors has &lt;changed&gt;", "<details open>"} {
			if !bytes.Contains(page, []byte(want)) {
				t.Errorf("%s: the panel does not show %q", lang, want)
			}
		}
		if bytes.Contains(page, []byte("1,920,000")) {
			t.Error("claims of a passport that does not hold are shown")
		}
	}
}

// TestPassportThatCannotBeRead: a fault is no refusal, and is tried again.
func TestPassportThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	run := w.start(w.first, "gaon-mini")
	w.work(run, "")
	temp := w.portal.Temp
	w.portal.Temp = filepath.Join(temp, "absent")
	b := w.browser("en").enter(w.first)
	b.mustShow("/", "It cannot be checked now")
	if r, _ := b.get("/models/" + w.modelOf(run) + "/passport"); r.StatusCode != http.StatusInternalServerError {
		t.Error(r.StatusCode)
	}
	w.portal.Temp = temp
	w.pass(2 * unit.Minute)
	b.mustShow("/", "Everything that was checked holds")
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("%d folders are left behind: %v", len(left), err)
	}
}

func TestAssets(t *testing.T) {
	w := newWorld(t)
	b := w.browser("en")
	page := b.mustShow("/")
	for _, match := range regexp.MustCompile(`(?:href|src)="(/assets/[^"]+)"`).FindAllStringSubmatch(page, -1) {
		r, data := b.get(match[1])
		if r.StatusCode != http.StatusOK || data == "" || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") || r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d", match[1], r.StatusCode)
		}
	}
	for _, path := range []string{"/assets/x/portal.css", w.portal.assets.path("none"), w.portal.assets.path("../portal.go"), "/assets/"} {
		if r, _ := b.get(path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
	var size int
	for name, file := range w.portal.assets.files {
		size += len(file.data)
		if file.kind == "" {
			t.Errorf("%s has no type", name)
		}
	}
	if size > 3<<20 {
		t.Errorf("the assets have %d bytes", size)
	}
}

func TestLogEnd(t *testing.T) {
	line := strings.Repeat("가", 100) + "\n"
	whole := strings.Repeat(line, 3*logBytesMax/len(line))
	end := logEnd{}
	for at := 0; at < len(whole); at += 10_007 {
		var err error
		if end, err = end.readOn(strings.NewReader(whole[at:min(len(whole), at+10_007)])); err != nil {
			t.Fatal(err)
		}
	}
	if end.read != int64(len(whole)) || string(end.last) != whole[len(whole)-logBytesMax:] {
		t.Errorf("%d bytes read, %d kept", end.read, len(end.last))
	}
	if _, err := end.readOn(io.MultiReader(strings.NewReader("x"), failing{})); err == nil {
		t.Error("a failed read is none")
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestMemo(t *testing.T) {
	m := newMemo[int, int](3)
	made := 0
	get := func(key int, at stamp) int {
		return m.get(key, at, func(old int) int { made++; return old + key })
	}
	for key := range 10 {
		get(key, stamp{})
		get(key, stamp{})
	}
	if made != 10 || len(m.entries) != 3 {
		t.Errorf("made %d times, %d kept", made, len(m.entries))
	}
	if got := get(9, stamp{seq: 1}); got != 18 {
		t.Errorf("under a new stamp it is %d: the old value was not given", got)
	}
	m.drop(9)
	if got := get(9, stamp{seq: 1}); got != 9 {
		t.Errorf("after it was dropped it is %d", got)
	}
}

func FuzzParseLoss(f *testing.F) {
	f.Add([]byte(`{"step":1,"values":{"loss":7.6,"learning_rate":0.0001}}`+"\n"), int64(1))
	f.Add([]byte(`{"step":1,"values":{"loss":1e308}}`+"\n"+`{"step":2,"values":{"loss":1e308}}`), int64(3))
	f.Add([]byte("{}\nnull\n"), int64(2))
	f.Fuzz(func(t *testing.T, data []byte, stride int64) {
		log, err := parseLoss(bytes.NewReader(data), max(1, stride))
		if err != nil {
			return
		}
		if _, err := json.Marshal(log.shown()); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzReport(f *testing.F) {
	files, err := curated()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(files[corpus.ReportFile])
	f.Add([]byte(`{"documents_in":-1,"funnel":[{"name":"read","documents":9223372036854775807}]}`))
	p, err := New(Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r corpus.Report
		if json.Unmarshal(data, &r) != nil {
			return
		}
		for _, lang := range []string{Korean, English} {
			if _, err := p.render(lang, "panel-curation", summarise(r)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzLanguage(f *testing.F) {
	f.Add("ko-KR,ko;q=0.9,en;q=0.8")
	f.Fuzz(func(t *testing.T, accepts string) {
		r := &http.Request{Header: http.Header{"Accept-Language": {accepts}}}
		if got := language(r); got != Korean && got != English {
			t.Fatalf("%q", got)
		}
	})
}
