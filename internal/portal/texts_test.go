package portal

import (
	"html"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof/passport"
)

// made are the keys that are put together while a page is made.
func made() []string {
	var keys []string
	add := func(prefix string, names ...string) {
		for _, name := range names {
			keys = append(keys, prefix+name)
		}
	}
	add("stage.", factory.Stages...)
	add("stage.about.", factory.Stages...)
	add("state.", pending, serving, job.Waiting, job.Placed, job.Running, job.Succeeded, job.Failed, job.Stopped, factory.Awaiting)
	add("run.state.", factory.Running, factory.Failed, factory.Done)
	add("role.", party.Operator, party.Officer, party.Reviewer, party.Signer, party.Tenant, party.Auditor)
	add("kind.", "company", "university", "institute", "office")
	add("log.", engine.Stdout, engine.Stderr)
	add("lang.", Korean, English)
	add("funnel.", "read", "readable", "language", "unique", "quality", "evaluation", "heldout")
	for _, stage := range factory.Stages {
		add("fact.", countFacts[stage]...)
		for _, score := range scoreFacts[stage] {
			add("fact.", score.name)
		}
	}
	for _, bar := range evaluationOf(factory.Run{Stages: map[string]factory.Stage{factory.StageEvaluate: {Statement: &factory.Statement{
		Scores: map[string]unit.Micro{"bits_per_byte": 1, "baseline.byte_5gram": 1, "baseline.byte_unigram": 1, "baseline.zstd": 1}}}}}).Bars {
		keys = append(keys, bar.Name)
	}
	v, _ := passport.Verify("no such folder", passport.Keys{})
	for _, o := range v.Outcomes {
		add("check.", o.Check)
	}
	add("check.", string(passport.Passed), string(passport.Failed), string(passport.Skipped))
	return keys
}

// TestTexts: every key that a page uses is there, in both languages and in the
// language it claims, and every key that is there is used.
func TestTexts(t *testing.T) {
	used := map[string]bool{}
	for _, key := range made() {
		used[key] = true
	}
	sources, _ := filepath.Glob("*.go")
	pages, _ := filepath.Glob("templates/*.html")
	quoted := regexp.MustCompile(`"([a-z][a-zA-Z0-9_.-]*)"`)
	asked := regexp.MustCompile(`(?:\bt |say\(|refuse\(w, v, [A-Za-z.]+, )"([a-z][^"%]*)"`)
	for _, file := range append(sources, pages...) {
		if file == "texts.go" || strings.HasSuffix(file, "_test.go") {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range quoted.FindAllStringSubmatch(string(data), -1) {
			used[match[1]] = true
		}
		for _, match := range asked.FindAllStringSubmatch(string(data), -1) {
			if _, ok := texts[match[1]]; !ok && !strings.HasSuffix(match[1], ".") {
				t.Errorf("%s: there is no text %q", file, match[1])
			}
		}
	}
	for _, key := range made() {
		if _, ok := texts[key]; !ok {
			t.Errorf("there is no text %q", key)
		}
	}
	verbs := regexp.MustCompile(`%(\[\d\])?[sd]`)
	for key, w := range texts {
		if !used[key] {
			t.Errorf("the text %q is used nowhere", key)
		}
		if w.ko == "" || w.en == "" {
			t.Errorf("%q is not in both languages", key)
		}
		if len(verbs.FindAllString(w.ko, -1)) != len(verbs.FindAllString(w.en, -1)) {
			t.Errorf("%q takes more values in one language than in the other", key)
		}
		if strings.HasPrefix(key, "language.") { // each in the other language
			continue
		}
		if hangul(w.en) {
			t.Errorf("%q is Korean in English: %s", key, w.en)
		}
		if !hangul(w.ko) && !slices.Contains([]string{"curation.json"}, key) {
			t.Errorf("%q is not Korean: %s", key, w.ko)
		}
	}
}

func hangul(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Hangul, r) })
}

// TestNoPageMixes: a page in one language has no sentence of the other, names
// that people gave aside.
func TestNoPageMixes(t *testing.T) {
	w := newWorld(t)
	w.engine.logs["stdout"] = "output\n"
	done := w.start(w.first, "gaon-mini")
	w.work(done, "")
	live := w.start(w.first, "second")
	w.work(live, factory.StageTrain)
	w.begin(w.submit(live, factory.StageTrain))
	waiting := w.start(w.first, "third")
	w.work(waiting, awaiting)
	names := strings.NewReplacer("한빛 인공지능 센터", "", "누리말 주식회사", "", "한국어 모델 지원 사업", "", "2026년 하반기", "", "세종", "", "가온1", "", "설명.md", "")
	code := regexp.MustCompile(`(?s)<(code|pre)[ >].*?</(code|pre)>|<a class="button plain".*?</a>`)
	tag := regexp.MustCompile(`(?s)<[^>]*?(?:aria-label="([^"]*)")?[^>]*>`)
	for _, path := range []string{"/", "/runs/" + string(done), "/runs/" + string(live), "/runs/" + string(waiting), "/runs/" + string(done) + "/log/train", "/runs/none", "front", "/enter?ticket=none"} {
		for _, lang := range []string{Korean, English} {
			b := w.browser(lang)
			if path != "front" {
				b.enter(w.first)
			}
			_, page := b.get(strings.Replace(path, "front", "/", 1))
			text := names.Replace(html.UnescapeString(tag.ReplaceAllString(code.ReplaceAllString(page, ""), " $1 ")))
			text = strings.Join(strings.Fields(text), " ")
			if lang == English {
				if i := strings.IndexFunc(text, func(r rune) bool { return unicode.Is(unicode.Hangul, r) }); i >= 0 {
					t.Errorf("GET %s in English: … %s", path, text[max(0, i-40):min(len(text), i+60)])
				}
				continue
			}
			for key, w := range texts {
				if len(w.en) > 12 && strings.Contains(w.en, " ") && !strings.ContainsAny(w.en, "%{") && strings.Contains(text, w.en) {
					t.Errorf("GET %s in Korean: %q (%s)", path, w.en, key)
				}
			}
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, row := range []struct{ got, want string }{
		{group(0), "0"}, {group(999), "999"}, {group(1000), "1,000"}, {group(-1234567), "-1,234,567"},
		{decimal(2_104_500, 3), "2.105"}, {decimal(-2_104_500, 2), "-2.10"}, {decimal(999_999, 0), "1"}, {decimal(1_234_567_000_000, 1), "1,234,567.0"},
		{percent(366_666), "36.7 %"}, {percent(0), "0.0 %"},
		{credit(12_345 * unit.Credit), "12,345"}, {credit(-500_000), "-0.5"}, {credit(1_234_000_001), "1,234.000001"}, {credit(776), "0.000776"},
		{spell(English, 0), "0 s"}, {spell(English, 349), "0.3 s"}, {spell(Korean, 9_999), "9.9초"}, {spell(English, 10_900), "10 s"}, {spell(Korean, 65*unit.Second), "1분 5초"}, {spell(English, 2*unit.Hour), "2 h"}, {spell(Korean, 180*unit.Day), "180일"},
		{spell(English, 26*unit.Hour), "1 d 2 h"}, {spell(Korean, -5), "0초"},
		{at("runs", "R1/../x"), "/runs/R1%2F..%2Fx"},
	} {
		if row.got != row.want {
			t.Errorf("%q, want %q", row.got, row.want)
		}
	}
}
