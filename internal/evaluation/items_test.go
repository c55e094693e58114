package evaluation_test

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gaon-ai/gaon/internal/evaluation"
)

const goodItem = `{"id": "1", "question": "하늘은?", "choices": ["푸르다", "붉다"], "answer": 0}`

func TestReadItems(t *testing.T) {
	items, err := evaluation.ReadItems("q.jsonl", strings.NewReader("\ufeff"+goodItem+"\r\n\n  \n"+strings.Replace(goodItem, `"1"`, `"2"`, 1)))
	if err != nil || len(items) != 2 || items[1].ID != "2" || items[0].Choices[1] != "붉다" {
		t.Errorf("read %v, %v", items, err)
	}
	items, err = evaluation.ReadItems("q.jsonl", strings.NewReader(""))
	if err != nil || len(items) != 0 {
		t.Errorf("an empty file gave %v, %v", items, err)
	}
}

func TestReadItemsRefused(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"not JSON", "hello", "q.jsonl:1: invalid character"},
		{"cut short", goodItem[:12], "q.jsonl:1: unexpected EOF"},
		{"second line", goodItem + "\n[]", "q.jsonl:2: json: cannot unmarshal array"},
		{"two on one line", goodItem + goodItem, "more after the end"},
		{"id twice", goodItem + "\n" + goodItem, `q.jsonl:2: id "1" stands already in line 1`},
		{"unknown key", `{"id": "1", "hint": 3}`, `unknown field "hint"`},
		{"no id", `{"question": "?", "choices": ["a", "b"], "answer": 0}`, "id is missing"},
		{"empty id", `{"id": "", "question": "?", "choices": ["a", "b"], "answer": 0}`, "id has 0 bytes"},
		{"id is a number", `{"id": 1, "question": "?", "choices": ["a", "b"], "answer": 0}`, "cannot unmarshal number"},
		{"no question", `{"id": "1", "choices": ["a", "b"], "answer": 0}`, "question is missing"},
		{"empty question", `{"id": "1", "question": "", "choices": ["a", "b"], "answer": 0}`, "question is empty"},
		{"no choices", `{"id": "1", "question": "?", "answer": 0}`, "choices are missing"},
		{"one choice", `{"id": "1", "question": "?", "choices": ["a"], "answer": 0}`, "choices has 1 entries, want 2 to 26"},
		{"27 choices", `{"id": "1", "question": "?", "choices": [` + strings.Repeat(`"a",`, 26) + `"b"], "answer": 0}`, "choices has 27 entries"},
		{"choice twice", `{"id": "1", "question": "?", "choices": ["a", "a"], "answer": 0}`, `choices[1] "a" stands there twice`},
		{"choice empty", `{"id": "1", "question": "?", "choices": ["a", ""], "answer": 0}`, "choices[1] is empty"},
		{"no answer", `{"id": "1", "question": "?", "choices": ["a", "b"]}`, "answer is missing"},
		{"answer is null", `{"id": "1", "question": "?", "choices": ["a", "b"], "answer": null}`, "answer is missing"},
		{"answer beyond", `{"id": "1", "question": "?", "choices": ["a", "b"], "answer": 2}`, "answer 2, want 0 to 1"},
		{"answer negative", `{"id": "1", "question": "?", "choices": ["a", "b"], "answer": -1}`, "answer -1, want 0 to 1"},
		{"answer is a letter", `{"id": "1", "question": "?", "choices": ["a", "b"], "answer": "A"}`, "cannot unmarshal string"},
		{"answer is a fraction", `{"id": "1", "question": "?", "choices": ["a", "b"], "answer": 0.5}`, "cannot unmarshal number"},
		{"not UTF-8", "{\"id\": \"\xff\"}", "q.jsonl:1: not UTF-8"},
		{"line too long", goodItem + "\n" + strings.Repeat("x", 2<<20), "q.jsonl:2: line of over 1048576 bytes"},
		{"text too long", strings.Replace(goodItem, "푸르다", strings.Repeat("x", 300<<10), 1), "question and choices have"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := evaluation.ReadItems("q.jsonl", strings.NewReader(row.text))
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %v, want one with %q", err, row.want)
			}
		})
	}
	broken := io.MultiReader(strings.NewReader(goodItem+"\n"), iotest.ErrReader(errors.New("disk on fire")))
	if _, err := evaluation.ReadItems("q.jsonl", broken); err == nil || !strings.Contains(err.Error(), "q.jsonl:2: disk on fire") {
		t.Errorf("error %v", err)
	}
}

// FuzzReadItems: any bytes give an error or items that can be written, read
// again and evaluated.
func FuzzReadItems(f *testing.F) {
	f.Add(goodItem)
	f.Add(goodItem + "\n\n" + strings.Replace(goodItem, `"1"`, `"2"`, 1))
	f.Add(`{"id": "\ud800", "question": "?", "choices": ["a", "b", null], "answer": 1e0}`)
	f.Fuzz(func(t *testing.T, text string) {
		items, err := evaluation.ReadItems("q.jsonl", strings.NewReader(text))
		if err != nil {
			return
		}
		var lines []string
		for _, item := range items {
			line, err := json.Marshal(item)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, string(line))
		}
		again, err := evaluation.ReadItems("q.jsonl", strings.NewReader(strings.Join(lines, "\n")))
		if err != nil {
			t.Fatalf("its own items are refused: %v", err)
		}
		if !slices.EqualFunc(items, again, func(a, b evaluation.Item) bool {
			return a.ID == b.ID && a.Question == b.Question && slices.Equal(a.Choices, b.Choices) && a.Answer == b.Answer
		}) {
			t.Errorf("%v came back as %v", items, again)
		}
	})
}

// TestContamination: each row is one held-out text and whether the training
// documents give it away.
func TestContamination(t *testing.T) {
	train := []string{
		"머리말.",
		"하나 둘 셋 넷 다섯 여섯 일곱 여덟 아홉 열",
		"One two, THREE four (five) six seven eight nine ten.",
		"짧은 글 하나",
	}
	for _, row := range []struct {
		name, text string
		want       bool
	}{
		{"eight in a row", "앞말 둘 셋 넷 다섯 여섯 일곱 여덟 아홉 뒷말", true},
		{"seven in a row", "앞말 셋 넷 다섯 여섯 일곱 여덟 아홉 뒷말 그리고", false},
		{"other case and marks", "one TWO three — four five six; seven eight!", true},
		{"full-width forms", "Ｏｎｅ ｔｗｏ three four five six seven eight", true},
		{"decomposed jamo", "하나 둘 셋 넷 다섯 여섯 일곱 여덟", true},
		{"a word missing", "one two three five six seven eight nine", false},
		{"shorter, all of it", "둘 셋 넷", true},
		{"shorter, part of it", "짧은 글 둘", false},
		{"a single word", "머리말", true},
		{"across two documents", "짧은 글 하나 머리말", false},
		{"no words", "…!?", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := evaluation.Input{Train: docs(train), HeldOut: []evaluation.Document{{ID: "h", Text: row.text}}}
			report := mustEvaluate(t, evaluation.Config{Zstd: "-"}, fixed{}, in)
			c := report.Contamination
			if got := c.Found == 1; got != row.want || (len(c.Examples) == 1) != row.want {
				t.Errorf("contaminated %t, want %t: %+v", got, row.want, c)
			}
		})
	}
	in := evaluation.Input{Train: docs(train), HeldOut: held([]string{"아주 다른 글", "다섯 여섯"}), Items: []evaluation.Item{
		{ID: "leaked", Question: "하나 둘 셋 넷 다섯 여섯 일곱 여덟 다음은?", Choices: []string{"아홉", "열"}},
		{ID: "new", Question: "열 다음은 무엇인가요?", Choices: []string{"열하나", "열둘"}},
		{ID: "new too", Question: "스물 다음은 무엇인가요?", Choices: []string{"스물하나", "서른"}},
		{ID: "fourth", Question: "서른 다음은 무엇인가요?", Choices: []string{"서른하나", "마흔"}},
	}}
	c := mustEvaluate(t, evaluation.Config{Zstd: "-"}, fixed{}, in).Contamination
	if c.Items != 6 || c.Found != 2 || c.Choice != 0.25 || c.HeldOut != 0.5 || c.Examples[0].ID != "leaked" || c.Examples[0].Document != 1 {
		t.Errorf("contamination %+v", c)
	}
}
