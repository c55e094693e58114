package corpus

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
)

func TestClean(t *testing.T) {
	for _, row := range []struct {
		given, in, want string
		removed         int
	}{
		{"clean text stays", "가나다 라마바.\n\n둘째 문단.", "가나다 라마바.\n\n둘째 문단.", 0},
		{"jamo compose", "한글", "한글", 0},
		{"hidden characters go", "\ufeff가\u200b나\u00ad다\u202e라", "가나다라", 4},
		{"what they kept apart composes", "ᄀ\u200bᅡ", "가", 1},
		{"blanks are one kind", "가\u00a0나\u3000다\t라", "가 나 다 라", 0},
		{"line ends are one kind", "가\r\n나\r다\u2028라", "가\n나\n다\n라", 0},
		{"one empty line is enough", "가\n\n\n\n나", "가\n\n나", 0},
		{"edges go", "  \n가 \n", "가", 0},
		{"indentation stays", "가\n  나", "가\n  나", 0},
		{"controls go", "가\x00나\x7f다\x1b", "가나다", 3},
		{"joined emoji stay", "👩\u200d🚀", "👩\u200d🚀", 0},
		{"nothing visible", "\u200b \n", "", 1},
	} {
		if got, removed := Clean(row.in); got != row.want || removed != row.removed {
			t.Errorf("%s: %q and %d removed, want %q and %d", row.given, got, removed, row.want, row.removed)
		}
	}
}

// TestComposed asks package norm about every character that isComposed takes:
// it must be normal alone and never join with the one before it.
func TestComposed(t *testing.T) {
	for r := rune(0); r <= 0x10FFFF; r++ {
		for form, compat := range map[norm.Form]bool{norm.NFC: false, norm.NFKC: true} {
			s := string(r)
			if isComposed(s, compat) && (!form.IsNormalString(s) || !form.PropertiesString(s).BoundaryBefore()) {
				t.Errorf("%U is not left alone by form %d", r, form)
			}
		}
	}
	if isComposed("가\u11A8", false) || !isComposed("한글 ABC 漢字 ㅋㅋ…", false) || isComposed("ㅋ", true) || isComposed("\xff", false) {
		t.Error("isComposed is wrong")
	}
}

func TestIdentify(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"오늘은 날씨가 좋다.", "ko"},
		{"ㅋㅋㅋ 웃겨", "ko"},
		{"PyTorch와 CUDA로 GPU를 쓴다", "ko"},
		{"The weather is good today.", "en"},
		{"good", "en"},
		{"El tiempo está muy bueno hoy y no hay nubes.", "es"},
		{"Pemerintah mengatakan bahwa polisi sudah menangkap mereka karena kasus itu.", "id"},
		{"Kerajaan berkata bahawa polis telah menangkap mereka kerana kes itu.", "ms"},
		{"今日は天気がいいです。", "ja"},
		{"今天天气很好。", "zh"},
		{"O tempo não está bom, mas você pode sair com a gente.", Other},
		{"Le temps est beau et il n'y a pas de nuages dans le ciel.", Other},
		{"Das Wetter ist heute gut und wir gehen in den Wald.", Other},
		{"Thời tiết hôm nay rất đẹp và không có mây.", Other},
		{"Сегодня хорошая погода.", Other},
		{"الطقس جميل اليوم", Other},
		{"lorem ipsum dolor sit amet", Other},
		{"deadbeefcafe0123 ffee00112233", Other},
		{"12345 67.8 %", Other},
		{"★☆★☆ !!!", Other},
		{"", Other},
	} {
		if lang, confidence := Identify(row.text); lang != row.want {
			t.Errorf("%q is %s (%d), want %s", row.text, lang, confidence, row.want)
		}
	}
}

func TestContamination(t *testing.T) {
	var c Contamination
	for name, line := range map[string]string{
		"long":   `{"question":"우리나라에서 가장 높은 산의 이름은 무엇이며 그 산은 어느 섬에 있는가?","choices":["한라산","지리산","설악산"],"answer":0}`,
		"short":  `{"question":"바다는 왜 푸른가?","choices":["하늘","물빛"],"answer":1}`,
		"choice": `{"question":"어디","choices":["서울","부산","대전"],"answer":1}`,
		"klue":   `{"premise":"흡연자분들은 발코니가 있는 방이면 발코니에서 흡연이 가능합니다.","hypothesis":"어떤 방에서도 흡연은 금지됩니다."}`,
	} {
		if err := c.addItem(name, 1, []byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct{ given, text, item string }{
		{"the question whole", "문제: 우리나라에서 가장 높은 산의 이름은 무엇이며 그 산은 어느 섬에 있는가?", "long:1"},
		{"eight words of it", "그는 가장 높은 산의 이름은 무엇이며 그 산은 어느, 하고 물었다", "long:1"},
		{"seven words of it", "그는 가장 높은 산의 이름은 무엇이며 그 산은, 하고 물었다", ""},
		{"other case, signs and line ends", "우리나라에서, 가장\n높은 산의... 이름은 “무엇이며” 그\n산은", "long:1"},
		{"full-width letters", "바다는 왜\u3000푸른가", "short:1"},
		{"a short question whole", "아이가 물었다. 바다는 왜 푸른가? 나는 몰랐다.", "short:1"},
		{"a part of a short question", "바다는 왜 짠가?", ""},
		{"a choice alone", "서울 이야기", ""},
		{"all choices in a row", "어디 서울 부산 대전", "choice:1"},
		{"a hypothesis", "안내문에는 어떤 방에서도 흡연은 금지됩니다, 라고 적혀 있다.", "klue:1"},
		{"nothing", "", ""},
	} {
		found, ok := c.Find(row.text)
		if found.Item != row.item || ok != (row.item != "") {
			t.Errorf("%s: found %q in %q, want %q", row.given, found.Item, row.text[found.Start:found.End], row.item)
		}
	}
}

// TestFormats reads the same documents from every form of file.
func TestFormats(t *testing.T) {
	docs := []Document{{ID: "1", Text: prose(1, 12)}, {ID: "2", Text: prose(2, 12)}}
	lines, text := jsonLines(docs...), []byte(docs[0].Text+"\n---\n"+docs[1].Text)
	for name, data := range map[string][]byte{
		"a.jsonl": lines, "a.jsonl.gz": gzipped(lines), "a.jsonl.zst": zstded(lines), "a.ndjson": lines,
		"a.JSONL": append([]byte("\ufeff"), lines...),
		"a.txt":   text, "a.txt.gz": gzipped(text), "a.txt.zst": zstded(text), "crlf.txt": bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")),
		"a.parquet": parquetOf(parquetRow{"1", docs[0].Text}, parquetRow{"2", docs[1].Text}),
	} {
		b := newBench(t)
		b.file("in/"+name, data)
		c := b.config()
		c.Separator = "---"
		report := b.curate(c)
		got := b.documents(TrainFile)
		if len(got) != 2 || got[0].Text != docs[0].Text || got[1].Text != docs[1].Text || got[0].Lang != "ko" || !strings.HasPrefix(got[0].Source, name+":1") {
			t.Errorf("%s: %d documents, %+v", name, len(got), got)
			continue
		}
		if !strings.Contains(name, "txt") && (got[0].ID != "1" || got[1].ID != "2") {
			t.Errorf("%s: ids %s and %s", name, got[0].ID, got[1].ID)
		}
		if report.BytesTrain != int64(len(docs[0].Text)+len(docs[1].Text)) {
			t.Errorf("%s: %d bytes to train on", name, report.BytesTrain)
		}
	}
}

// TestDocumentsErrors: a reader of the corpus learns the line at fault.
func TestDocumentsErrors(t *testing.T) {
	b := newBench(t)
	whole := zstded(jsonLines(Document{ID: "a", Text: prose(1, 200)}))
	for _, row := range []struct {
		given, name string
		data        []byte
		good        int
		says        string
	}{
		{"a broken line", "a.jsonl", []byte("{\"id\":\"1\"}\n{\"id\":\"2\"}\n{oops\n"), 2, "a.jsonl:3"},
		{"a file cut short", "b.jsonl.zst", whole[:len(whole)/2], 0, "b.jsonl.zst"},
		{"a file of another form", "c.txt", nil, 0, "not a .jsonl"},
	} {
		path, good := b.file(row.name, row.data), 0
		var last error
		for _, err := range Documents(path) {
			if last = err; err == nil {
				good++
			}
		}
		var file *FileError
		if good != row.good || !errors.As(last, &file) || !strings.Contains(last.Error(), row.says) {
			t.Errorf("%s: %d documents, then %v; want %d and %s", row.given, good, last, row.good, row.says)
		}
	}
	for _, err := range Documents(b.path("nowhere.jsonl")) {
		mustRefuse(t, err, "corpus.file", "nowhere.jsonl")
	}
	for d := range Documents(b.path("a.jsonl")) { // a reader may stop
		if d.ID != "1" {
			t.Errorf("first document %+v", d)
		}
		break
	}
}

// TestPage: the page needs nothing from elsewhere, speaks both languages and
// cannot be taken over by a text.
func TestPage(t *testing.T) {
	b := newBench(t)
	evil := `<script>alert(1)</script><img src=x onerror=alert(1)></script>`
	b.file("in/a.jsonl", jsonLines(Document{ID: "a", Text: prose(1, 12)}, Document{ID: evil, Text: evil + strings.Repeat(" 짧은글입니다", 20)}))
	report := b.curate(b.config())
	if report.Reasons.Documents(ReasonTooFewWords) != 1 {
		t.Fatalf("reasons %+v", report.Reasons)
	}
	page, err := report.page()
	b.check(err)
	text := string(page)
	if strings.Contains(text, "<script>alert") || strings.Contains(text, "<img src=x") {
		t.Error("a text reached the page as markup")
	}
	own := strings.ReplaceAll(text, pageCharts, "")
	for _, outside := range []string{"http://", "https://", "src=\"", "@import", "url("} {
		if strings.Contains(own, outside) {
			t.Errorf("the page holds %q", outside)
		}
	}
	for _, want := range []string{"말뭉치 정제 보고서", "Corpus curation report", "너무 짧은 글", "Too few words", "Apache ECharts"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for reason := range report.Reasons {
		if t := report.Reasons[reason]; reasonTexts[t.Name].Name.KO == "" {
			b.Errorf("reason %s has no name on the page", t.Name)
		}
	}
}

// TestTextsComplete: every wire name has words in both languages.
func TestTextsComplete(t *testing.T) {
	for i, m := range measureTexts {
		if m.KO == "" || m.EN == "" || measureNames[i] == "" {
			t.Errorf("measure %d lacks a name", i)
		}
	}
	for _, k := range personalKinds {
		if personalTexts[k].KO == "" || TokensKorean.Token(k) == "" || TokensLatin.Token(k) == "" {
			t.Errorf("%s lacks a name or token", k)
		}
	}
	for _, l := range append(Languages(), Other) {
		if languageTexts[l].KO == "" {
			t.Errorf("%s lacks a name", l)
		}
		if _, ok := DefaultLimits()[l]; !ok {
			t.Errorf("%s lacks limits", l)
		}
	}
	for _, r := range rules {
		if reasonTexts[r.reason].Why.EN == "" {
			t.Errorf("%s lacks words", r.reason)
		}
	}
}

// TestCells: each value falls into the cell that begins at or below it.
func TestCells(t *testing.T) {
	for measure := range measureCount {
		for v := range uint32(20_000) {
			c := cellOf(measure, v)
			if from := cellStart(measure, c); from > int(v) {
				t.Fatalf("%s: %d is in the cell from %d", measureNames[measure], v, from)
			}
			if c < qualityCells-1 && cellStart(measure, c+1) <= int(v) {
				t.Fatalf("%s: %d is in cell %d, the next begins at %d", measureNames[measure], v, c, cellStart(measure, c+1))
			}
		}
	}
}

// TestCopies: a document that stands for others says how many there were.
func TestCopies(t *testing.T) {
	b := newBench(t)
	text := prose(1, 12)
	b.file("in/a.jsonl", jsonLines(Document{ID: "a", Text: text}, Document{ID: "b", Text: text}, Document{ID: "c", Text: "또 실음. " + text}, Document{ID: "d", Text: prose(2, 12)}))
	report := b.curate(b.config())
	got := b.documents(TrainFile)
	if len(got) != 2 || got[0].Copies != 3 || got[1].Copies != 0 {
		t.Errorf("kept %+v", got)
	}
	if d := report.Duplicates; d.Exact != 1 || d.Near != 1 || d.Clusters != 1 || len(d.Largest) != 1 || d.Largest[0].Documents != 3 {
		t.Errorf("duplicates %+v", d)
	}
	if dropped := b.dropped(); dropped["b"].Detail != "of a.jsonl:1" || fmt.Sprint(dropped["c"].Detail) != "of a.jsonl:1" {
		t.Errorf("dropped %+v", dropped)
	}
}
