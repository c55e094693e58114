package passport

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/proof/modelsign"
)

func shownPage(t *testing.T, v Verified, lang string) string {
	t.Helper()
	data, err := HTML(v, lang)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestShowGolden(t *testing.T) {
	r := newRelease(t)
	v := r.mustVerify()
	golden(t, "page-ko.html", []byte(shownPage(t, v, "ko")))
	golden(t, "text-en.txt", []byte(Text(v, "en")))
	golden(t, "text-ko.txt", []byte(Text(v, "ko")))
}

// TestShownStates: a reader sees at once which of the three it is.
func TestShownStates(t *testing.T) {
	rows := []struct {
		name    string
		change  func(*release)
		want    []string // in both forms, English
		wantKo  string
		without []string
	}{
		{"verified", func(*release) {}, []string{"✓ Model passport: gaon-mini 1", "This model is verified", "Not checkable here: Withdrawal", "한글 재단", "1.934"}, "확인된 모델입니다", []string{"Do not trust", "not signed"}},
		{"one file changed", func(r *release) { r.write("model.safetensors", "others") }, []string{"✗", "Do not trust this model", "Checks that failed: Files", "model.safetensors", "do not rely on it"}, "믿을 수 없는 모델입니다", []string{"This model is verified"}},
		{"not signed", func(r *release) { r.remove(modelsign.SignatureFile) }, []string{"This model is not signed", "Do not use it"}, "서명이 없는 모델입니다", []string{"한글 재단", "gaon-mini", "This model is verified"}},
		{"signed by somebody else", func(r *release) { r.keys.Model = otherKey(r).Public() }, []string{"✗", "Do not trust this model", "Signature"}, "믿을 수 없는 모델입니다", []string{"한글 재단", "gaon-mini"}},
		{"passport changed", func(r *release) { r.write(File, strings.Replace(r.read(File), "P12", "P99", 1)) }, []string{"✗", "Do not trust this model", File}, "믿을 수 없는 모델입니다", []string{"P99", "한글 재단"}},
		{"nothing verified", func(r *release) { r.keys = Keys{}; r.dir += "/nowhere" }, []string{"not signed"}, "서명이 없는", []string{"한글 재단"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := newRelease(t)
			row.change(r)
			v, _ := Verify(r.dir, r.keys)
			for _, shown := range []string{shownPage(t, v, "en"), "✓ " + Text(v, "en")} {
				mustName(t, shown, row.want...)
				for _, word := range row.without {
					if strings.Contains(shown, word) {
						t.Errorf("shows %q", word)
					}
				}
			}
			mustName(t, shownPage(t, v, "ko"), row.wantKo)
			mustName(t, Text(v, "ko"), row.wantKo)
		})
	}
	for _, shown := range []string{shownPage(t, Verified{}, "en"), Text(Verified{}, "en")} {
		mustName(t, shown, "not verified", "✗")
	}
}

// TestPageStandsAlone: nothing is loaded from anywhere and nothing runs, and
// the page is well formed.
func TestPageStandsAlone(t *testing.T) {
	r := newRelease(t)
	shown := shownPage(t, r.mustVerify(), "ko")
	for _, word := range []string{"<script", "src=", "href=", "@import", "url(", "onerror"} {
		if strings.Contains(shown, word) {
			t.Errorf("the page has %q", word)
		}
	}
	mustName(t, shown, `<html lang="ko">`, "default-src 'none'")
	d := xml.NewDecoder(strings.NewReader(shown))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for depth := 0; ; {
		token, err := d.Token()
		if err == io.EOF {
			if depth != 0 {
				t.Errorf("%d elements are not closed", depth)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		}
	}
}

// TestHostileText: what a document says can neither run in a page nor move a
// terminal's cursor.
func TestHostileText(t *testing.T) {
	r := newRelease(t)
	v := r.mustVerify()
	v.Passport.Model.Name = "<script>alert(1)</script>"
	v.Passport.Model.Languages = []string{"\x1b[2Jko\u202e"}
	v.Passport.Issuer.Address = "javascript:alert(1)"
	v.Passport.Data.Sources[0].Name = "a\r\n✓ Signature: fine\x1b]0;x\a"
	v.Outcomes[0].Problems = []string{"\x1b[32mfine"}
	html, text := shownPage(t, v, "en"), Text(v, "en")
	if strings.Contains(html, "<script") {
		t.Error("a script runs")
	}
	for _, shown := range []string{html, text} {
		if strings.ContainsAny(shown, "\x1b\a\r\u202e") {
			t.Error("control characters pass")
		}
		for line := range strings.Lines(shown) {
			if strings.HasPrefix(line, "✓ Signature: fine") {
				t.Error("a name begins a line of its own")
			}
		}
	}
}

func TestColumns(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "한글": 4, "a한": 3, "→": 1, "日本": 4} {
		if got := width(text); got != want {
			t.Errorf("width(%q) is %d, want %d", text, got, want)
		}
	}
	if got := short(strings.Repeat("한", 40)); width(got) > columnMax+1 || !strings.HasSuffix(got, "…") {
		t.Errorf("cut to %q", got)
	}
	if got := group(-1234567); got != "-1,234,567" {
		t.Errorf("group: %s", got)
	}
}
