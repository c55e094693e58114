package passport

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gaon-ai/gaon/internal/unit"
)

// sheet is a verified passport laid out for reading: what HTML and Text show,
// in one language, so that both always say the same.
type sheet struct {
	Lang    string
	Title   string
	State   State // of the whole; skipped means not signed at all
	Sign    string
	Verdict string   // one line
	Advice  string   // what that means for the reader
	Faults  []string // names of the checks that failed
	Facts   []fact
	Marks   []mark // checks over the document as a whole
	Parts   []part // empty if nothing signed could be read
	Claims  string // why the parts are not to be believed, or empty
	Foot    string
}

// part is one of the passport's ten sections.
type part struct {
	Number int
	Title  string
	State  State
	Sign   string
	Word   string
	Marks  []mark
	Facts  []fact
	Grids  []grid
}

// mark is a check's outcome.
type mark struct {
	State    State
	Sign     string
	Word     string
	Name     string
	Sentence string
	Problems []string
}

type fact struct {
	Label, Value string
	Code         bool // digests and the like
}

type grid struct {
	Title string
	Head  []string
	Rows  [][]string
}

// signs are read in print and by those who see no colours.
var signs = map[State]string{Passed: "✓", Failed: "✗", Skipped: "–"}

var stateWords = map[State]Words{
	Passed:  {"확인됨", "verified"},
	Failed:  {"어긋남", "does not hold"},
	Skipped: {"여기서 확인할 수 없음", "not checkable here"},
}

// checkNames are the checks' names as people read them.
var checkNames = map[string]Words{
	CheckSignature:    {"서명", "Signature"},
	CheckFiles:        {"파일", "Files"},
	CheckForm:         {"문서 형식", "Form"},
	CheckManifest:     {"파일 목록", "List of files"},
	CheckData:         {"데이터 장부", "Data ledger"},
	CheckChain:        {"만든 과정", "Chain"},
	CheckTraining:     {"학습 기록", "Training"},
	CheckLabels:       {"등급과 보관 국가", "Class and residency"},
	CheckIndependence: {"자립도", "Independence"},
	CheckEvaluation:   {"평가와 관문", "Evaluation and gate"},
	CheckViews:        {"파생 문서", "Views"},
	CheckApprovals:    {"승인", "Approvals"},
	CheckLedger:       {"원장 증명", "Ledger proofs"},
	CheckRelease:      {"출시 증명", "Proof of release"},
	CheckRevocation:   {"철회 여부", "Withdrawal"},
}

// layout builds a sheet.
type layout struct {
	v    Verified
	lang string
}

func (l layout) say(ko, en string) string { return Words{ko, en}.In(l.lang) }

func newSheet(v Verified, lang string) sheet {
	if lang != "ko" {
		lang = "en"
	}
	l := layout{v, lang}
	s := sheet{Lang: lang, Marks: l.marks(CheckSignature, CheckForm), Foot: l.foot()}
	s.Title = l.say("모델 여권", "Model passport")
	known := v.Passport.Format == Format && v.Outcome(CheckSignature).State == Passed
	if known {
		s.Title += ": " + v.Passport.Model.Name + " " + v.Passport.Model.Version
		s.Facts = l.summary()
		s.Parts = l.parts()
	}
	l.verdict(&s)
	s.Sign = signs[s.State]
	if known && s.State == Failed {
		s.Claims = l.say("아래 내용은 서명된 문서에 적힌 그대로이지만, 확인에 실패한 항목이 있으므로 믿어서는 안 됩니다.",
			"What follows is what the signed document says; since checks failed, do not rely on it.")
	}
	s.clean()
	return s
}

// clean keeps every text on its line and in its direction.
func (s *sheet) clean() {
	s.Title, s.Advice = plain(s.Title), plain(s.Advice)
	cleanFacts(s.Facts)
	cleanMarks(s.Marks)
	for _, p := range s.Parts {
		cleanFacts(p.Facts)
		cleanMarks(p.Marks)
		for _, g := range p.Grids {
			for _, row := range g.Rows {
				for i := range row {
					row[i] = plain(row[i])
				}
			}
		}
	}
}

func cleanFacts(facts []fact) {
	for i := range facts {
		facts[i].Value = plain(facts[i].Value)
	}
}

func cleanMarks(marks []mark) {
	for i := range marks {
		problems := make([]string, len(marks[i].Problems)) // those of the Verified stay as they are
		for j, problem := range marks[i].Problems {
			problems[j] = plain(problem)
		}
		marks[i].Problems = problems
	}
}

// plain replaces what would move a terminal's cursor, change its colours or
// turn the direction of writing, so that no document can hide or feign a line.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u2028', r == '\u2029':
			return utf8.RuneError
		}
		return r
	}, text)
}

// verdict weighs the outcomes into one line. A folder that nobody signed is
// told apart from one whose signature is false.
func (l layout) verdict(s *sheet) {
	var skipped []string
	for _, o := range l.v.Outcomes {
		name := checkNames[o.Check].In(l.lang)
		switch o.State {
		case Failed:
			s.Faults = append(s.Faults, name)
		case Skipped:
			skipped = append(skipped, name)
		}
	}
	switch {
	case l.v.unsignedFolder:
		s.State, s.Verdict = Skipped, l.say("서명이 없는 모델입니다", "This model is not signed")
		s.Advice = l.say("누가 만들었는지, 바뀌지 않았는지 아무것도 알 수 없습니다. 쓰지 마십시오.",
			"Nothing is known of who made it or whether it was changed. Do not use it.")
	case len(s.Faults) > 0:
		s.State, s.Verdict = Failed, l.say("믿을 수 없는 모델입니다", "Do not trust this model")
		s.Advice = l.say("확인에 실패한 항목: ", "Checks that failed: ") + strings.Join(s.Faults, ", ")
	case l.v.OK():
		s.State, s.Verdict = Passed, l.say("확인된 모델입니다", "This model is verified")
		s.Advice = l.say("서명, 모든 파일, 그리고 여권에 적힌 주장이 서로 맞습니다.",
			"The signature holds, every file is as signed, and the claims of the passport agree with each other.")
		if len(skipped) > 0 {
			s.Advice += " " + l.say("여기서 확인하지 못한 항목: ", "Not checkable here: ") + strings.Join(skipped, ", ")
		}
	default:
		s.State, s.Verdict = Failed, l.say("확인하지 않은 모델입니다", "This model was not verified")
	}
}

func (l layout) foot() string {
	return l.say("확인은 누가 말했는지, 그 뒤로 바뀌지 않았는지, 그때 원장에 기록되었는지를 밝힙니다. 센터가 그때 사실대로 적었는지까지 밝히지는 못합니다. 직접 확인하려면 센터의 공개 키로 다시 확인하십시오. 이 문서는 법률 자문이 아닙니다.",
		"The checks show who said this, that it was not changed since, and that the ledger recorded it at the time. They cannot show that the centre told the truth when it did. To be sure, repeat them with the centre's public keys. This is no legal advice.")
}

func (l layout) marks(checks ...string) []mark {
	var marks []mark
	for _, check := range checks {
		o := l.v.Outcome(check)
		text := o.Sentence
		if text == (Words{}) {
			text = sentence(check, o.State)
		}
		marks = append(marks, mark{o.State, signs[o.State], stateWords[o.State].In(l.lang), checkNames[check].In(l.lang), text.In(l.lang), o.Problems})
	}
	return marks
}

// part assembles one section; its state is the worst of its checks'.
func (l layout) part(number int, ko, en string, checks []string, facts []fact, grids ...grid) part {
	p := part{Number: number, Title: l.say(ko, en), State: Passed, Marks: l.marks(checks...), Facts: facts, Grids: grids}
	for _, m := range p.Marks {
		if m.State == Failed || m.State == Skipped && p.State == Passed {
			p.State = m.State
		}
	}
	p.Sign, p.Word = signs[p.State], stateWords[p.State].In(l.lang)
	return p
}

func (l layout) summary() []fact {
	m, issuer := l.v.Passport.Model, l.v.Passport.Issuer
	return []fact{
		{l.say("소개", "Summary"), m.Summary.In(l.lang), false},
		{l.say("쓰임새", "Uses"), m.Uses.In(l.lang), false},
		{l.say("한계", "Limits"), m.Limits.In(l.lang), false},
		{l.say("만든 곳", "Issuer"), fmt.Sprintf("%s (%s), %s, %s", issuer.Name, issuer.Country, issuer.Address, issuer.Contact), false},
		{l.say("발급", "Issued"), moment(l.v.Passport.Issued), false},
		{l.say("구조", "Architecture"), fmt.Sprintf("%s; %s %s, %s %s, %s %s", m.Architecture,
			group(m.Parameters), l.say("매개변수", "parameters"), group(m.Context), l.say("토큰 문맥", "tokens of context"), group(m.Vocabulary), l.say("어휘", "in the vocabulary")), false},
		{l.say("언어", "Languages"), strings.Join(m.Languages, ", "), false},
		{l.say("이용 허락", "Licence"), m.Licence, false},
		{l.say("등급", "Class"), m.Class + "; " + l.residency(m.Residency), false},
		{l.say("모델 지문", "Model digest"), string(m.Digest), true},
		{l.say("서명 지문", "Signature digest"), string(l.v.Bundle), true},
	}
}

func (l layout) residency(countries []string) string {
	if len(countries) == 0 {
		return l.say("보관 국가 제한 없음", "may be kept anywhere")
	}
	return l.say("보관 국가 ", "may be kept in ") + strings.Join(countries, ", ")
}

func (l layout) parts() []part {
	p := l.v.Passport
	return []part{
		l.part(1, "파일", "Files", []string{CheckFiles, CheckManifest}, nil, l.files(p)),
		l.part(2, "만든 과정", "Provenance", []string{CheckChain}, nil, l.stages(p)...),
		l.part(3, "데이터 장부", "Data ledger", []string{CheckData, CheckLabels}, l.dataFacts(p.Data), l.sources(p.Data), l.removed(p.Data), l.found(p.Data)),
		l.part(4, "학습 기록", "Training record", []string{CheckTraining}, l.trainingFacts(p.Training), l.devices(p.Training), l.stops(p.Training)),
		l.part(5, "자립도", "Independence", []string{CheckIndependence}, l.independence(p.Independence)),
		l.part(6, "평가와 관문", "Evaluation and gate", []string{CheckEvaluation}, nil, l.results(p.Evaluation), l.conditions(p.Gate)),
		l.part(7, "파생 문서", "Views", []string{CheckViews}, nil, l.views(p)),
		l.part(8, "승인", "Approvals", []string{CheckApprovals}, []fact{{l.say("필요한 사람", "People required"), fmt.Sprint(p.Approvals.Required), false}}, l.approvals(p)),
		l.part(9, "원장 증명", "Ledger proofs", []string{CheckLedger, CheckRelease}, []fact{{l.say("원장", "Ledger"), p.Ledger.Origin, true}}, l.entries(p)),
		l.part(10, "철회", "Withdrawal", []string{CheckRevocation}, []fact{
			{l.say("물어볼 곳", "Where to ask"), p.Revocation.Address, false},
			{l.say("발급 당시 목록의 지문", "Digest of the list when issued"), string(p.Revocation.Digest), true}}),
	}
}

func (l layout) files(p Passport) grid {
	g := grid{Head: []string{l.say("파일", "File"), l.say("역할", "Role"), l.say("크기", "Size"), "SHA-256"}}
	for _, f := range p.Files {
		g.Rows = append(g.Rows, []string{f.Path, f.Role, f.Size.String(), f.Digest.Hex()})
	}
	return g
}

func (l layout) stages(p Passport) []grid {
	overview := grid{Head: []string{l.say("단계", "Stage"), l.say("작업", "Job"), l.say("시작", "Started"), l.say("끝", "Finished"), l.say("도구", "Tools")}}
	materials := grid{Title: l.say("읽고 쓴 것", "Read and written"),
		Head: []string{l.say("단계", "Stage"), l.say("방향", "Way"), l.say("역할", "Role"), l.say("이름", "Name"), "SHA-256"}}
	for _, s := range p.Stages {
		var tools []string
		for _, t := range s.Tools {
			tools = append(tools, t.Name+" "+t.Version)
		}
		overview.Rows = append(overview.Rows, []string{s.Kind, s.Run + "/" + s.Job, moment(s.Started), moment(s.Finished), strings.Join(tools, ", ")})
		for _, m := range s.Inputs {
			materials.Rows = append(materials.Rows, []string{s.Kind, "←", m.Role, m.Name, m.Digest.Hex()})
		}
		for _, m := range s.Outputs {
			materials.Rows = append(materials.Rows, []string{s.Kind, "→", m.Role, m.Name, m.Digest.Hex()})
		}
	}
	return []grid{overview, materials}
}

func (l layout) dataFacts(d Data) []fact {
	return []fact{
		{l.say("말뭉치", "Corpus"), fmt.Sprintf("%s %s (%s %s), %s %s, %s", group(d.Corpus.Documents), l.say("문서", "documents"),
			group(d.Corpus.HeldOut), l.say("평가용", "held out"), l.number(d.Corpus.Tokens), l.say("토큰", "tokens"), d.Corpus.Size), false},
		{l.say("말뭉치 지문", "Corpus digest"), string(d.Corpus.Digest), true},
		{l.say("개인정보", "Personal data"), fmt.Sprintf("%s %s: %s", d.PersonalData.Method, d.PersonalData.Version, d.PersonalData.Action), false},
		{l.say("중복", "Duplicates"), fmt.Sprintf("%s; %s %s, %s %s", d.Duplicates.Method, group(d.Duplicates.Exact), l.say("똑같음", "exact"), group(d.Duplicates.Near), l.say("비슷함", "near")), false},
		{l.say("평가 문제와 겹침", "Overlap with evaluation"), fmt.Sprintf("%s; %s %s, %s %s", d.Decontamination.Method, group(d.Decontamination.Removed), l.say("문서 제거", "documents removed"), l.say("남은 비율", "share left"), d.Decontamination.Rate), false},
		{l.say("권리 유보", "Reservations of rights"), d.RightsReserved.In(l.lang), false},
		{l.say("불법 내용", "Illegal content"), d.IllegalContent.In(l.lang), false},
	}
}

func (l layout) sources(d Data) grid {
	g := grid{Title: l.say("출처", "Sources"), Head: []string{l.say("이름", "Name"), l.say("주인", "Owner"), l.say("이용 허락", "Licence"), l.say("근거", "Ground"),
		l.say("등급", "Class"), l.say("보관", "Residency"), l.say("쓴 문서", "Documents used"), l.say("토큰", "Tokens")}}
	for _, s := range d.Sources {
		g.Rows = append(g.Rows, []string{s.Name, s.Owner + " (" + s.Origin + ")", s.Licence, s.Consent, s.Class, l.residency(s.Residency),
			group(s.DocumentsUsed) + " / " + group(s.Documents), l.number(s.TokensUsed)})
	}
	return g
}

func (l layout) removed(d Data) grid {
	g := grid{Title: l.say("걸러낸 문서", "Documents removed"), Head: []string{l.say("거르개", "Filter"), l.say("판", "Version"), l.say("문서", "Documents")}}
	for _, r := range d.Removed {
		g.Rows = append(g.Rows, []string{r.Filter, r.Version, group(r.Documents)})
	}
	return g
}

func (l layout) found(d Data) grid {
	g := grid{Title: l.say("찾은 개인정보", "Personal data found"), Head: []string{l.say("종류", "Kind"), l.say("건", "Count")}}
	for _, c := range d.PersonalData.Found {
		g.Rows = append(g.Rows, []string{c.Kind, group(c.Count)})
	}
	return g
}

func (l layout) number(n int64) string {
	if n == Unknown {
		return l.say("알 수 없음", notStated)
	}
	return group(n)
}

func (l layout) trainingFacts(t Training) []fact {
	energy := t.EnergyKWh.String() + " kWh (" + t.EnergyClass + ": " + t.EnergyMethod + ")"
	if t.EnergyClass == EnergyUnknown {
		energy = l.say("측정하지 않음", "not measured") + " (" + t.EnergyMethod + ")"
	}
	return []fact{
		{l.say("걸음", "Steps"), group(t.Steps), false},
		{l.say("본 토큰", "Tokens seen"), group(t.Tokens), false},
		{l.say("누적 연산량", "Cumulative FLOP"), t.FLOP + " (" + t.FLOPMethod + ")", false},
		{l.say("한국 기준 10^26", "Threshold of Korea, 10^26"), l.threshold(koreaReached(l.v.Passport)), false},
		{l.say("유럽연합 기준 10^25", "Threshold of the Union, 10^25"), l.threshold(reached(l.v.Passport, unionThreshold)), false},
		{l.say("전력량", "Energy"), energy, false},
		{l.say("칩 시간", "Chip time"), group(int64(t.ChipSeconds)) + " " + l.say("칩·초", "chip-seconds"), false},
		{l.say("씨앗", "Seed"), t.Seed, true},
		{l.say("마지막 손실", "Final loss"), t.FinalLoss.String(), false},
		{l.say("손실 기록", "Loss log"), string(t.LossLog), true},
	}
}

func koreaReached(p Passport) string { return reached(p, koreaThreshold) }

func (l layout) threshold(word string) string {
	return map[string]string{"reached": l.say("이상", "reached"), "not reached": l.say("미만", "not reached")}[word]
}

func (l layout) devices(t Training) grid {
	g := grid{Title: l.say("장치", "Devices"), Head: []string{l.say("종류", "Kind"), l.say("이름", "Name"), l.say("개수", "Count"), l.say("장소", "Site"), l.say("국가", "Country")}}
	for _, d := range t.Devices {
		country := ""
		if i := slices.IndexFunc(t.Sites, func(s Site) bool { return s.Name == d.Site }); i >= 0 {
			country = t.Sites[i].Country
		}
		g.Rows = append(g.Rows, []string{d.Kind, d.Name, group(d.Count), d.Site, country})
	}
	return g
}

func (l layout) stops(t Training) grid {
	g := grid{Title: l.say("중단과 재개", "Interruptions"), Head: []string{l.say("중단", "Stopped"), l.say("까닭", "Reason"), l.say("재개", "Resumed"), l.say("걸음", "From step")}}
	for _, s := range t.Interruptions {
		g.Rows = append(g.Rows, []string{moment(s.At), s.Reason, moment(s.Resumed), group(s.Step)})
	}
	return g
}

func (l layout) independence(i Independence) []fact {
	none := l.say("없음", "none")
	base := lineageText(i.BaseWeights, none)
	if i.FromScratch {
		base = l.say("없음: 처음부터 학습했습니다", "none: trained from scratch")
	}
	return []fact{
		{l.say("기반 모델", "Base weights"), base, false},
		{l.say("국외이거나 모르는 데이터", "Data from abroad or of unknown origin"), lineageText(i.ForeignData, none), false},
		{l.say("국외이거나 모르는 도구", "Tools from abroad or of unknown origin"), lineageText(i.ForeignTools, none), false},
	}
}

func (l layout) results(e Evaluation) grid {
	g := grid{Title: l.say("결과", "Results"), Head: []string{l.say("이름", "Name"), l.say("값", "Value"), l.say("좋은 쪽", "Better"), l.say("문제", "Measured on"), l.say("표본", "Samples"), l.say("씨앗", "Seed")}}
	for _, r := range e.Results {
		g.Rows = append(g.Rows, []string{r.Name, r.Value.String(), map[string]string{"lower": "↓", "higher": "↑"}[r.Better], r.Set, group(r.Samples), r.Seed})
	}
	return g
}

func (l layout) conditions(gate Gate) grid {
	g := grid{Title: l.say("관문", "Gate"), Head: []string{l.say("조건", "Condition"), l.say("값", "Value"), l.say("기준", "Limit"), l.say("통과", "Holds")}}
	for _, c := range gate.Conditions {
		g.Rows = append(g.Rows, []string{c.Condition, c.Value.String(), c.Limit.String(), map[bool]string{true: l.say("예", "yes"), false: l.say("아니요", "no")}[c.Holds]})
	}
	return g
}

func (l layout) views(p Passport) grid {
	g := grid{Head: []string{l.say("종류", "Kind"), l.say("파일", "File"), "SHA-256"}}
	for _, v := range p.Views {
		g.Rows = append(g.Rows, []string{v.Kind, v.Path, v.Digest.Hex()})
	}
	return g
}

func (l layout) approvals(p Passport) grid {
	g := grid{Head: []string{l.say("사람", "Person"), l.say("역할", "Role"), l.say("때", "When")}}
	for _, a := range p.Approvals.Given {
		g.Rows = append(g.Rows, []string{a.Person, a.Role, moment(a.At)})
	}
	return g
}

func (l layout) entries(p Passport) grid {
	g := grid{Head: []string{l.say("무엇", "Of"), l.say("번호", "Entry"), "SHA-256"}}
	for _, e := range p.Ledger.Entries {
		g.Rows = append(g.Rows, []string{e.Of, fmt.Sprint(e.Index), unit.DigestOf(e.Entry).Hex()})
	}
	return g
}

// moment writes an instant for people, in UTC.
func moment(at unit.Instant) string {
	return time.UnixMilli(int64(at)).UTC().Format("2006-01-02 15:04:05 UTC")
}

// group writes a number with a comma after each three digits.
func group(n int64) string {
	digits := fmt.Sprint(n)
	sign, digits := digits[:len(digits)-len(strings.TrimPrefix(digits, "-"))], strings.TrimPrefix(digits, "-")
	var parts []string
	for len(digits) > 3 {
		parts = append([]string{digits[len(digits)-3:]}, parts...)
		digits = digits[:len(digits)-3]
	}
	return sign + strings.Join(append([]string{digits}, parts...), ",")
}
