package corpus

import (
	"bytes"
	_ "embed" // the page and the chart library
	"html/template"
	"strconv"
	"strings"

	"github.com/gaon-ai/gaon/internal/unit"
)

//go:embed assets/report.html.tmpl
var pageTemplate string

//go:embed assets/report.css
var pageStyle string

//go:embed assets/report.js
var pageScript string

//go:embed assets/echarts.simple.min.js
var pageCharts string

const pageSourcesMax = 200 // files listed on the page; the JSON has all

var pageParsed = template.Must(template.New("report").Funcs(template.FuncMap{
	"number": groupDigits[int64], "count": groupDigits[int], "bytes": func(n int64) string { return unit.Bytes(n).String() },
	"tenths": tenths, "width": func(a, b int64) template.CSS { return template.CSS(strings.ReplaceAll(tenths(a, b), " ", "")) }, "token": func(k PersonalKind) string { return TokensKorean.Token(k) },
	"sum": func(a, b int64) int64 { return a + b }, "neg": func(a int64) int64 { return -a },
}).Parse(pageTemplate))

// pageData is what the template and the script of the page work on.
type pageData struct {
	Report   *Report
	Style    template.CSS
	Charts   template.JS
	Script   template.JS
	Data     chartData
	Reasons  []pageReason
	Personal []pagePersonal
	Sources  []SourceCount
	Hidden   int // sources not listed
	Replaced int64
	Kept     int64
	Copies   int64
}

type pageReason struct {
	Reason
	Title, Why both
}

type pagePersonal struct {
	PersonalCount
	Title both
}

// chartData goes into the page as JSON.
type chartData struct {
	Funnel    []chartBar     `json:"funnel"`
	Reasons   []chartBar     `json:"reasons"`
	Languages []chartLang    `json:"languages"`
	Measures  []chartMeasure `json:"measures"`
}

type chartBar struct {
	KO    string `json:"ko"`
	EN    string `json:"en"`
	Value int64  `json:"value"`
}

type chartLang struct {
	KO      string `json:"ko"`
	EN      string `json:"en"`
	Train   int64  `json:"train"`
	HeldOut int64  `json:"heldout"`
	Dropped int64  `json:"dropped"`
}

type chartMeasure struct {
	KO     string    `json:"ko"`
	EN     string    `json:"en"`
	Scale  string    `json:"scale"` // how values are shown: "length", "share" or "count"
	Bins   []Bin     `json:"bins"`
	Before Quantiles `json:"before"`
	After  Quantiles `json:"after"`
}

// page renders the report for people: one file that needs nothing else.
func (r *Report) page() ([]byte, error) {
	d := pageData{Report: r, Style: template.CSS(pageStyle), Charts: template.JS(pageCharts), Script: template.JS(pageScript),
		Kept: r.DocumentsTrain + r.DocumentsHeldOut, Copies: r.Duplicates.Exact + r.Duplicates.Near}
	for _, c := range r.Funnel {
		d.Data.Funnel = append(d.Data.Funnel, chartBar{funnelTexts[c.Name].KO, funnelTexts[c.Name].EN, c.Documents})
	}
	for _, x := range r.Reasons {
		t := reasonTexts[x.Name]
		d.Reasons = append(d.Reasons, pageReason{x, t.Name, t.Why})
		d.Data.Reasons = append(d.Data.Reasons, chartBar{t.Name.KO, t.Name.EN, x.Documents})
	}
	for _, l := range r.Languages {
		t := languageTexts[l.Lang]
		d.Data.Languages = append(d.Data.Languages, chartLang{t.KO, t.EN, l.DocumentsTrain, l.DocumentsHeldOut, l.DocumentsIn - l.DocumentsTrain - l.DocumentsHeldOut})
	}
	for i, m := range r.Quality {
		d.Data.Measures = append(d.Data.Measures, chartMeasure{measureTexts[i].KO, measureTexts[i].EN, scaleOf(i), m.Bins, m.Before, m.After})
	}
	for _, p := range r.Personal {
		if p.Certain+p.Probable > 0 {
			d.Personal = append(d.Personal, pagePersonal{p, personalTexts[p.Kind]})
		}
		d.Replaced += p.Certain + p.Probable
	}
	d.Sources = r.Sources[:min(len(r.Sources), pageSourcesMax)]
	d.Hidden = len(r.Sources) - len(d.Sources)
	var b bytes.Buffer
	err := pageParsed.Execute(&b, &d)
	return b.Bytes(), err
}

func scaleOf(measure int) string {
	switch measure {
	case measureWordLength:
		return "length"
	case measureWords, measureStopWords, measureSymbols, measureLineBreaks:
		return "count"
	}
	return "share"
}

// groupDigits writes 1234567 as 1,234,567.
func groupDigits[N int | int64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 && s[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// tenths writes the share of a in b in per cent with one place: "97.3 %".
func tenths(a, b int64) string {
	if b == 0 {
		return "0 %"
	}
	t := (a*1000 + b/2) / b
	return strconv.FormatInt(t/10, 10) + "." + strconv.FormatInt(t%10, 10) + " %"
}
