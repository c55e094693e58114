package portal

import (
	"embed"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/gaon-ai/gaon/internal/unit"
)

//go:embed templates
var templateFiles embed.FS

// words are one text in both languages.
type words struct{ ko, en string }

// say returns the text of the key. A key that is not there is shown as it is,
// so that nobody stands before an empty page; a test finds it first.
func say(lang, key string, args ...any) string {
	text, ok := texts[key]
	if !ok {
		return key
	}
	chosen := text.en
	if lang == Korean {
		chosen = text.ko
	}
	if len(args) == 0 {
		return chosen
	}
	return fmt.Sprintf(chosen, args...)
}

// parseTemplates parses the pages once for each language, so that a template
// need not be told which one it is in.
func (p *Portal) parseTemplates() (map[string]*template.Template, error) {
	all := map[string]*template.Template{}
	for _, lang := range []string{Korean, English} {
		t := template.New("").Option("missingkey=error").Funcs(template.FuncMap{
			"t":       func(key string, args ...any) string { return say(lang, key, args...) },
			"pick":    func(ko, en string) string { return map[string]string{Korean: ko, English: en}[lang] },
			"asset":   p.assets.path,
			"path":    at,
			"group":   func(n any) string { return group(integer(n)) },
			"decimal": decimal,
			"credits": credit,
			"span":    func(d unit.Span) string { return spell(lang, d) },
			"when":    when,
			"day":     day,
			"permille": func(n int64) string {
				return decimal(unit.Micro(n*100_000), 1)
			},
			"str": func(v any) string { return fmt.Sprint(v) },
		})
		parsed, err := t.ParseFS(templateFiles, "templates/*.html")
		if err != nil {
			return nil, fmt.Errorf("pages: %w", err)
		}
		all[lang] = parsed
	}
	return all, nil
}

func integer(n any) int64 {
	v, err := strconv.ParseInt(fmt.Sprintf("%d", n), 10, 64)
	if err != nil {
		panic(fmt.Sprintf("a page groups the digits of %v, which is no integer", n)) // the template's error
	}
	return v
}

// group writes 1234567 as 1,234,567, which both languages do.
func group(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return sign + b.String()
}

// decimal writes a score with so many places, at most six, rounded half up.
func decimal(m unit.Micro, places int) string {
	step := int64(1)
	for range 6 - min(max(places, 0), 6) {
		step *= 10
	}
	sign, v := "", int64(m)
	if v < 0 {
		sign, v = "-", -v
	}
	v = (v + step/2) / step
	scale := 1_000_000 / step
	if scale == 1 {
		return sign + group(v)
	}
	return sign + group(v/scale) + "." + fmt.Sprintf("%0*d", places, v%scale)
}

// credit writes credits with all the decimals that matter and groups the rest.
func credit(c unit.Credits) string {
	whole, part, has := strings.Cut(c.String(), ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n == 0 { // keeps the sign of -0.5
		return c.String()
	}
	if !has {
		return group(n)
	}
	return group(n) + "." + part
}

// percent writes a share in per cent.
func percent(share unit.Micro) string { return decimal(share*100, 1) + " %" }

// spell writes a span as people say it: in whole seconds, and below ten of
// them with a tenth.
func spell(lang string, d unit.Span) string {
	seconds := int64(max(d, 0)) / 1000
	days, hours, minutes := seconds/86400, seconds/3600%24, seconds/60%60
	names := map[string][4]string{Korean: {"일", "시간", "분", "초"}, English: {"d", "h", "min", "s"}}[lang]
	gap := map[string]string{Korean: "", English: " "}[lang]
	part := func(n int64, i int) string { return fmt.Sprintf("%d%s%s", n, gap, names[i]) }
	two := func(big int64, i int, small int64) string {
		if small == 0 {
			return part(big, i)
		}
		return part(big, i) + " " + part(small, i+1)
	}
	switch {
	case days > 0:
		return two(days, 0, hours)
	case hours > 0:
		return two(hours, 1, minutes)
	case minutes > 0:
		return two(minutes, 2, seconds%60)
	}
	if tenths := int64(max(d, 0)) % 1000 / 100; seconds < 10 && tenths > 0 {
		return fmt.Sprintf("%d.%d%s%s", seconds, tenths, gap, names[3])
	}
	return part(seconds, 3)
}

// when marks an instant up. It is written in UTC; a script writes it in the
// reader's own time.
func when(at unit.Instant) template.HTML {
	t := time.UnixMilli(int64(at)).UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s UTC</time>`, t.Format(time.RFC3339), t.Format("2006-01-02 15:04")))
}

// day is the date of an instant.
func day(at unit.Instant) template.HTML {
	t := time.UnixMilli(int64(at)).UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s" data-day>%s</time>`, t.Format(time.RFC3339), t.Format("2006-01-02")))
}
