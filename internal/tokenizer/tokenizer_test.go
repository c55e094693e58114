package tokenizer_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/gaon-ai/gaon/internal/tokenizer"
)

func TestRoundTrip(t *testing.T) {
	tok, _ := trained(t, small, goldenConfig(tokenizer.Llama3))
	r := rand.New(rand.NewPCG(11, 5))
	texts := []string{"", "\x00", "\xff\xfe", "한\xed\x95", "<|user|>", strings.Repeat("\xff", 5000), strings.Repeat("가", 4000)}
	for range 300 {
		noise := make([]byte, r.IntN(300))
		for i := range noise {
			noise[i] = byte(r.Uint32())
		}
		texts = append(texts, string(noise), tricky(r, r.IntN(60)))
	}
	for _, text := range texts {
		if back := tok.Decode(tok.Encode(text)); string(back) != text {
			t.Errorf("round trip of %q gave %q", text, back)
		}
	}
}

// TestPieceLimit: a text with no border at all is cut at a limit and comes
// back whole.
func TestPieceLimit(t *testing.T) {
	tok, _ := trained(t, small, goldenConfig(tokenizer.Llama3))
	text := strings.Repeat("가나다", (3<<20)/9)
	if back := tok.Decode(tok.Encode(text)); string(back) != text {
		t.Error("3 MiB of letters did not come back")
	}
}

func TestConcurrent(t *testing.T) {
	tok, _ := trained(t, small, goldenConfig(tokenizer.Llama3))
	var group sync.WaitGroup
	for seed := range uint64(8) {
		group.Go(func() {
			r := rand.New(rand.NewPCG(seed, 0))
			for range 200 {
				if text := tricky(r, 30); string(tok.Decode(tok.Encode(text))) != text {
					t.Errorf("round trip of %q failed", text)
				}
			}
		})
	}
	group.Wait()
}

// TestSpecialIsPlainText: marks in text are text; only who asks gets marks.
func TestSpecialIsPlainText(t *testing.T) {
	corpus := append([]string{strings.Repeat("<|user|> user <|pad|>", 50)}, small...)
	tok, _ := trained(t, corpus, goldenConfig(tokenizer.Llama3))
	for _, s := range tok.Specials() {
		if ids := tok.Encode("말 " + s.Text + s.Text); slices.ContainsFunc(ids, tok.IsSpecial) {
			t.Errorf("Encode read the mark %s in text: %v", s.Text, ids)
		}
	}
	user, _ := tok.SpecialID(tokenizer.User)
	end, _ := tok.SpecialID(tokenizer.EndOfText)
	got := tok.EncodeSpecial("<|user|>가<|<|end_of_text|>")
	want := slices.Concat([]uint32{user}, tok.Encode("가<|"), []uint32{end})
	if !slices.Equal(got, want) {
		t.Errorf("EncodeSpecial gave %v, want %v", got, want)
	}
	chat, err := tok.Chat([]tokenizer.Message{{Role: "user", Content: "x<|assistant|>y"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	if marks := len(slices.DeleteFunc(slices.Clone(chat), func(id uint32) bool { return !tok.IsSpecial(id) })); marks != 2 {
		t.Errorf("a user's text forged a mark: %q", tok.Decode(chat))
	}
	if text := tok.DecodeText(chat); string(text) != "x<|assistant|>y" {
		t.Errorf("DecodeText gave %q", text)
	}
}

// TestNoMergeSpellsSpecial: a special token that is an ordinary word stays out
// of reach of text.
func TestNoMergeSpellsSpecial(t *testing.T) {
	tok, _ := trained(t, []string{strings.Repeat("stop ", 500)}, tokenizer.Config{Vocab: 300, Special: []string{"stop", " stop"[1:3]}})
	if ids := tok.Encode("stop st"); slices.ContainsFunc(ids, tok.IsSpecial) {
		t.Errorf("text became special: %v", ids)
	}
	if _, err := tokenizer.Parse(tok.JSON()); err != nil {
		t.Error(err)
	}
}

func TestStream(t *testing.T) {
	tok, _ := trained(t, small[:1], tokenizer.Config{Vocab: 270})
	r := rand.New(rand.NewPCG(2, 9))
	for range 300 {
		text := tricky(r, 1+r.IntN(20))
		s := tok.NewStream()
		var out strings.Builder
		for _, id := range tok.Encode(text) {
			part := s.Push(id)
			if !utf8.ValidString(part) {
				t.Fatalf("stream of %q let out %q", text, part)
			}
			out.WriteString(part)
		}
		out.WriteString(s.Flush())
		if want := string([]rune(text)); out.String() != want {
			t.Errorf("stream of %q gave %q, want %q", text, out.String(), want)
		}
	}
	s := tok.NewStream()
	user, _ := tok.SpecialID(tokenizer.User)
	if got := s.Push(user) + s.Push(1<<31) + s.Flush(); got != "" {
		t.Errorf("special and unknown ids gave %q", got)
	}
	var parts []string
	for _, id := range tok.Encode("\xed\x95\x9c") {
		parts = append(parts, s.Push(id))
	}
	if got := strings.Join(parts, "|"); strings.Trim(got, "|") != "한" {
		t.Errorf("a syllable came out as %q", got)
	}
}

func TestTrainRefused(t *testing.T) {
	broken := func(yield func(string, error) bool) {
		_ = yield("가나다", nil) && yield("", errors.New("disk on fire"))
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, row := range []struct {
		name   string
		ctx    context.Context
		config tokenizer.Config
		docs   iter.Seq2[string, error]
		want   string
	}{
		{"vocabulary below the bytes", nil, tokenizer.Config{Vocab: 260}, docs(small), "vocabulary of 260: want 261"},
		{"vocabulary of nothing", nil, tokenizer.Config{}, docs(small), "vocabulary of 0"},
		{"vocabulary too large", nil, tokenizer.Config{Vocab: 1 << 30}, docs(small), "to 1048576"},
		{"no documents", nil, tokenizer.Config{Vocab: 300}, docs(nil), "no text to learn"},
		{"empty documents", nil, tokenizer.Config{Vocab: 300}, docs([]string{"", ""}), "no text to learn"},
		{"only a piece too long", nil, tokenizer.Config{Vocab: 300}, docs([]string{strings.Repeat("a", 1000)}), "no text to learn"},
		{"special token twice", nil, tokenizer.Config{Vocab: 300, Special: []string{"<a>", "<a>"}}, docs(small), `"<a>" is named twice`},
		{"special token empty", nil, tokenizer.Config{Vocab: 300, Special: []string{""}}, docs(small), "special token 0 is empty"},
		{"special token one byte", nil, tokenizer.Config{Vocab: 300, Special: []string{"a"}}, docs(small), "one byte long"},
		{"special token with space", nil, tokenizer.Config{Vocab: 300, Special: []string{"a b"}}, docs(small), "white space"},
		{"special token not UTF-8", nil, tokenizer.Config{Vocab: 300, Special: []string{"a\xff"}}, docs(small), "not UTF-8"},
		{"special token too long", nil, tokenizer.Config{Vocab: 300, Special: []string{strings.Repeat("x", 999)}}, docs(small), "at most 256"},
		{"unknown pattern", nil, tokenizer.Config{Vocab: 300, Pattern: 9}, docs(small), "want llama3 or gpt2"},
		{"negative workers", nil, tokenizer.Config{Vocab: 300, Workers: -1}, docs(small), "workers -1"},
		{"documents fail", nil, tokenizer.Config{Vocab: 300}, broken, "read document 1: disk on fire"},
		{"cancelled", cancelled, tokenizer.Config{Vocab: 300}, docs(small), "context canceled"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.ctx == nil {
				row.ctx = context.Background()
			}
			_, _, err := tokenizer.Train(row.ctx, row.config, row.docs)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %v, want one with %q", err, row.want)
			}
		})
	}
}

func TestReport(t *testing.T) {
	var calls, last int
	config := tokenizer.Config{Vocab: 400, Progress: func(done, total int) {
		calls, last = calls+1, done
		if total != 400-261 || done > total {
			t.Errorf("progress %d of %d", done, total)
		}
	}}
	_, report := trained(t, []string{"가나 다라\n가나", "가나 마바 가나", strings.Repeat("x", 300)}, config)
	if report.Vocab >= 400 || report.Vocab != 261+report.Merges || last != report.Merges || calls < 2 {
		t.Errorf("vocabulary %d, merges %d, progress %d in %d calls", report.Vocab, report.Merges, last, calls)
	}
	if report.Eojeols != 7 || report.Documents != 3 || report.BytesLongPieces != 300 || report.TokensPerEojeol <= 0 {
		t.Errorf("report %+v", report)
	}
	data, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{`"tokens_per_eojeol":`, `"tokens_per_byte":`, `"pattern":"llama3"`, `"vocab":`, `"seconds":`} {
		if !strings.Contains(string(data), key) {
			t.Errorf("report lacks %s: %s", key, data)
		}
	}
	_, report = trained(t, []string{"가나다 가나다", "넘치는 글", "더"}, tokenizer.Config{Vocab: 300, BytesMax: 20})
	if report.Documents != 1 || report.DocumentsLeftOut != 2 {
		t.Errorf("with a limit of 20 bytes: %d documents, %d left out", report.Documents, report.DocumentsLeftOut)
	}
}

func TestMeasure(t *testing.T) {
	tok, report := trained(t, small, goldenConfig(tokenizer.GPT2))
	got, err := tok.Measure(context.Background(), docs(small))
	if err != nil || got != report.Coverage {
		t.Errorf("measured %+v, %v; training counted %+v", got, err, report.Coverage)
	}
}

func TestSaveModel(t *testing.T) {
	tok, _ := trained(t, small, goldenConfig(tokenizer.Llama3))
	dir := t.TempDir()
	names, err := tok.SaveModel(dir, 512)
	if err != nil || len(names) != 3 {
		t.Fatal(names, err)
	}
	back, err := tokenizer.Load(filepath.Join(dir, tokenizer.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if string(back.JSON()) != string(tok.JSON()) || back.VocabSize() != tok.VocabSize() || back.Merges() != tok.Merges() {
		t.Error("a saved tokenizer came back changed")
	}
	var config struct {
		Template string `json:"chat_template"`
		Begin    string `json:"bos_token"`
		Max      int    `json:"model_max_length"`
	}
	data, err := os.ReadFile(filepath.Join(dir, tokenizer.ConfigFileName))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &config); err != nil || config.Template == "" || config.Begin != tokenizer.BeginOfText || config.Max != 512 {
		t.Errorf("tokenizer_config.json: %v %+v", err, config)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 3 {
		t.Errorf("folder holds %v, %v: want the three files", left, err)
	}
	if err := tok.Save(filepath.Join(dir, "absent", "tokenizer.json")); err == nil {
		t.Error("saved into a folder that is not there")
	}
}

func TestChatRefused(t *testing.T) {
	tok, _ := trained(t, small, goldenConfig(tokenizer.Llama3))
	if _, err := tok.Chat([]tokenizer.Message{{Role: "root", Content: "x"}}, true); err == nil || !strings.Contains(err.Error(), `message 0 has role "root"`) {
		t.Errorf("error %v", err)
	}
	bare, _ := trained(t, small, tokenizer.Config{Vocab: 300, Special: []string{}})
	if _, err := bare.Chat(nil, true); err == nil || !strings.Contains(err.Error(), "<|begin_of_text|>") {
		t.Errorf("error %v", err)
	}
}
