package passport

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/gaon-ai/gaon/internal/unit"
)

// Thresholds of cumulative training compute, in floating-point operations.
var (
	// koreaThreshold: Enforcement Decree of Korea's AI Basic Act, on Article
	// 32: duties of safety from 10^26, where the decree's other criteria hold.
	koreaThreshold = new(big.Int).Exp(big.NewInt(10), big.NewInt(26), nil)
	// unionThreshold: Regulation (EU) 2024/1689, Article 51(2): presumed high
	// impact, and so systemic risk, above 10^25.
	unionThreshold = new(big.Int).Exp(big.NewInt(10), big.NewInt(25), nil)
)

// EUTrainingContent returns the public summary of training content after the
// Commission's template (C(2025) 5235, Annex) for Article 53(1)(d) of
// Regulation (EU) 2024/1689, in English. It follows the template's sections;
// what the passport does not know is said to be not stated.
func EUTrainingContent(p Passport) ([]byte, error) {
	if err := needDigests(p); err != nil {
		return nil, err
	}
	var w page
	w.line("# Public summary of training content")
	w.line("")
	w.line("Regulation (EU) 2024/1689, Article 53(1)(d). Generated from `%s` of the model; the passport is signed, this text follows from it.", File)
	w.line("")
	w.euGeneral(p)
	w.euSources(p)
	w.euProcessing(p)
	return w.bytes(), nil
}

// page collects lines; cells escapes what would break a table.
type page struct{ b strings.Builder }

func (w *page) line(format string, args ...any) {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = cell(text)
		}
	}
	fmt.Fprintf(&w.b, format+"\n", args...)
}

func (w *page) bytes() []byte { return []byte(w.b.String()) }

// cell keeps a text from the outside in its place: one line, no Markdown or
// HTML of its own.
func cell(text string) string {
	return strings.NewReplacer("\n", " ", "|", "\\|", "<", "&lt;", ">", "&gt;", "[", "\\[", "]", "\\]", "*", "\\*", "_", "\\_", "#", "\\#", "`", "'", "&", "&amp;").Replace(text)
}

func (w *page) euGeneral(p Passport) {
	w.line("Version of the summary: %s, %s", p.Model.Version, day(p.Issued))
	w.line("")
	w.line("## 1. General information")
	w.line("")
	w.line("### 1.1 Provider")
	w.line("")
	w.line("| | |")
	w.line("|---|---|")
	w.line("| Provider | %s (%s) |", p.Issuer.Name, p.Issuer.Country)
	w.line("| Contact | %s, %s |", p.Issuer.Contact, p.Issuer.Address)
	w.line("| Authorised representative in the Union | not stated |")
	w.line("")
	w.line("### 1.2 Model")
	w.line("")
	w.line("| | |")
	w.line("|---|---|")
	w.line("| Versioned name | %s %s |", p.Model.Name, p.Model.Version)
	w.line("| Digest | %s |", string(p.Model.Digest))
	w.line("| Model dependencies | %s |", lineageText(p.Independence.BaseWeights, "none: trained from scratch"))
	w.line("| Date of release | %s |", day(p.Issued))
	w.line("| Compute used for training | %s floating-point operations (%s); Article 51(2) threshold of 10^25: %s |",
		p.Training.FLOP, p.Training.FLOPMethod, reached(p, unionThreshold))
	w.line("")
	w.line("### 1.3 Modalities, overall size and other characteristics")
	w.line("")
	w.line("| | |")
	w.line("|---|---|")
	w.line("| Modality | text |")
	w.line("| Training data size | %s (%d tokens, %d documents, %s) |", sizeBand(p.Data.Corpus.Tokens), p.Data.Corpus.Tokens, p.Data.Corpus.Documents, p.Data.Corpus.Size.String())
	w.line("| Latest date of acquisition | %s |", day(latest(p.Data.Sources)))
	w.line("| Languages | %s |", strings.Join(p.Model.Languages, ", "))
	w.line("")
}

// sizeBand puts a number of tokens into the template's ranges for text.
func sizeBand(tokens int64) string {
	switch {
	case tokens < 1_000_000_000:
		return "less than 1 billion tokens"
	case tokens <= 10_000_000_000_000:
		return "1 billion to 10 trillion tokens"
	}
	return "more than 10 trillion tokens"
}

func latest(sources []Source) unit.Instant {
	var last unit.Instant
	for _, s := range sources {
		last = max(last, s.Collected)
	}
	return last
}

func reached(p Passport, threshold *big.Int) string {
	n, err := p.Training.Operations()
	if err != nil {
		return notStated
	}
	if n.Cmp(threshold) >= 0 {
		return "reached"
	}
	return "not reached"
}

func lineageText(list []Lineage, none string) string {
	if len(list) == 0 {
		return none
	}
	return nameList(list)
}

// euParts are the template's parts of section 2, with the kinds they hold.
var euParts = []struct{ title, kind string }{
	{"2.1 Publicly available datasets", KindPublic},
	{"2.2.1 Datasets commercially licensed by rightsholders or their representatives", KindLicensed},
	{"2.2.2 Private datasets obtained from other third parties", KindPrivate},
	{"2.3 Data crawled and scraped from online sources", KindCrawled},
	{"2.4 User data", KindUser},
	{"2.5 Synthetic data", KindSynthetic},
	{"2.6 Other sources of data", KindOther},
}

func (w *page) euSources(p Passport) {
	w.line("## 2. List of data sources")
	w.line("")
	for _, part := range euParts {
		w.line("### %s", part.title)
		w.line("")
		var sources []Source
		for _, s := range p.Data.Sources {
			if s.Kind == part.kind {
				sources = append(sources, s)
			}
		}
		if len(sources) == 0 {
			w.line("None used.")
			w.line("")
			continue
		}
		w.line("| Name | Owner | Licence | Ground of use | Languages | Documents used | Tokens | Address |")
		w.line("|---|---|---|---|---|---|---|---|")
		for _, s := range sources {
			w.line("| %s | %s (%s) | %s | %s | %s | %d of %d | %s | %s |", s.Name, s.Owner, s.Origin, s.Licence, s.Consent,
				strings.Join(s.Languages, ", "), s.DocumentsUsed, s.Documents, countText(s.TokensUsed), s.Address)
		}
		w.line("")
	}
}

func (w *page) euProcessing(p Passport) {
	d := p.Data
	w.line("## 3. Data processing")
	w.line("")
	w.line("### 3.1 Respect of reservations of rights from the text and data mining exception")
	w.line("")
	w.line("%s", d.RightsReserved.En)
	w.line("")
	w.line("### 3.2 Removal of illegal content")
	w.line("")
	w.line("%s", d.IllegalContent.En)
	w.line("")
	w.line("### 3.3 Other information")
	w.line("")
	w.line("Personal data: %s %s; %s.", d.PersonalData.Method, d.PersonalData.Version, d.PersonalData.Action)
	w.line("")
	w.line("| Filter | Version | Documents removed |")
	w.line("|---|---|---|")
	for _, r := range d.Removed {
		w.line("| %s | %s | %d |", r.Filter, r.Version, r.Documents)
	}
}

// NoticeKo returns the notice to users that Korea's AI Basic Act asks for
// (인공지능 발전과 신뢰 기반 조성 등에 관한 기본법, in force since 22 January
// 2026, Articles 31 and 32), in Korean, with what of it the passport proves.
func NoticeKo(p Passport) ([]byte, error) {
	if err := needDigests(p); err != nil {
		return nil, err
	}
	var w page
	w.line("# 인공지능 이용 고지: %s %s", p.Model.Name, p.Model.Version)
	w.line("")
	w.line("이 고지는 모델 여권(`%s`)에서 만든 것이며, 여권은 모델 파일과 함께 서명되어 있습니다.", File)
	w.line("")
	w.line("## 1. 이용자에게 미리 알리는 내용 (인공지능기본법 제31조)")
	w.line("")
	w.line("- 이 서비스는 **생성형 인공지능**으로 운용됩니다. 답은 사람이 아니라 인공지능 모델이 만듭니다.")
	w.line("- 이 모델이 만든 글을 밖에 내보낼 때에는 **인공지능이 만든 결과물**이라는 사실을 표시해야 합니다.")
	w.line("- 권장 표시 문구: “이 글은 생성형 인공지능 %s %s(이)가 만들었습니다.”", p.Model.Name, p.Model.Version)
	w.line("- 쓰임새: %s", p.Model.Uses.Ko)
	w.line("- 한계: %s", p.Model.Limits.Ko)
	w.line("")
	w.line("## 2. 학습에 쓴 누적 연산량 (같은 법 제32조)")
	w.line("")
	w.line("- 누적 연산량: %s FLOP (계산 방법: %s)", p.Training.FLOP, p.Training.FLOPMethod)
	w.line("- 시행령의 기준 10^26 FLOP: **%s**", reachedKo(p))
	w.line("")
	w.noticeFacts(p)
	return w.bytes(), nil
}

func reachedKo(p Passport) string {
	return map[string]string{
		"reached":     "이상입니다. 시행령의 다른 요건에도 해당하면 안전성 확보 의무가 있습니다",
		"not reached": "미만입니다. 안전성 확보 의무의 대상이 아닙니다",
		notStated:     "알 수 없습니다",
	}[reached(p, koreaThreshold)]
}

func (w *page) noticeFacts(p Passport) {
	w.line("## 3. 만든 곳과 만든 방법")
	w.line("")
	w.line("| 항목 | 내용 |")
	w.line("|---|---|")
	w.line("| 제공자 | %s (%s) |", p.Issuer.Name, p.Issuer.Country)
	w.line("| 문의 | %s, %s |", p.Issuer.Contact, p.Issuer.Address)
	w.line("| 발급일 | %s |", day(p.Issued))
	w.line("| 모델 지문 | %s |", string(p.Model.Digest))
	w.line("| 매개변수 | %d개 |", p.Model.Parameters)
	w.line("| 기반 모델 | %s |", lineageText(p.Independence.BaseWeights, "없음(처음부터 학습)"))
	w.line("| 국외이거나 출처를 모르는 데이터 | %s |", lineageText(p.Independence.ForeignData, "없음"))
	if p.Training.EnergyClass == EnergyUnknown {
		w.line("| 학습 전력량 | 측정하지 않음 (%s) |", p.Training.EnergyMethod)
	} else {
		w.line("| 학습 전력량 | %s kWh (%s) |", p.Training.EnergyKWh.String(), energyKo[p.Training.EnergyClass])
	}
	w.line("| 학습 문서 | %d건, %d토큰 |", p.Data.Corpus.Documents, p.Data.Corpus.Tokens)
	w.line("| 개인정보 처리 | %s %s, 찾은 항목 %d건 |", p.Data.PersonalData.Method, p.Data.PersonalData.Version, sumCounts(p.Data.PersonalData.Found))
	w.line("| 철회 확인 | %s |", p.Revocation.Address)
	w.line("")
	w.line("이 글은 법률 자문이 아닙니다. 고영향 인공지능인지의 판단(같은 법 제33조, 제34조)은 쓰이는 분야에 따라 제공자가 따로 해야 합니다.")
}

var energyKo = map[string]string{EnergyCounter: "계량기", EnergySampled: "표본 측정", EnergyEstimated: "추정"}

func sumCounts(counts []Count) int64 {
	var sum int64
	for _, c := range counts {
		sum += c.Count
	}
	return sum
}
