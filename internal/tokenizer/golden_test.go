package tokenizer_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gaon-ai/gaon/internal/tokenizer"
)

var update = flag.Bool("update", false, "rewrite testdata/{llama3,gpt2}; then run testdata/golden.mjs")

// goldenCase is a text and what Hugging Face's own library makes of it,
// written by testdata/golden.mjs.
type goldenCase struct {
	Text  string   `json:"text"`
	IDs   []uint32 `json:"ids"`   // without special tokens around
	Begun []uint32 `json:"begun"` // with them
	Back  string   `json:"back"`  // decoded
}

type goldenChat struct {
	Messages []tokenizer.Message `json:"messages"`
	Prompt   bool                `json:"prompt"`
	Rendered string              `json:"rendered"`
	IDs      []uint32            `json:"ids"`
}

type golden struct {
	Library string       `json:"library"`
	Cases   []goldenCase `json:"cases"`
	Chats   []goldenChat `json:"chats"`
}

// goldenTexts are the texts to compare: the corpus, a list by hand and random
// ones, all valid UTF-8 because Hugging Face's libraries take nothing else.
func goldenTexts() []string {
	texts := slices.Clone(small)
	texts = append(texts,
		"", " ", "  ", "\n", " \n ", "a  b", "a\n\nb", "a \n\n  b", "끝 ", "끝\n", "끝  \n\n  처음", "\t\t탭", " \t 섞임",
		"It's WE'LL they'Re 'tis 'S'", "' s", "don't", "가's", "1234567890", " 12 345", "3.14159", "１２３４", "Ⅷ장", "²제곱",
		"ㅋㅋㅋㅋㅋㅋ", "ㅠㅠ!!", "각", "한국어 文章 и русский текст", "नमस्ते दुनिया", "👨‍👩‍👧 가족", "🇰🇷", "…!?~^^", "a…b", "x=1;y=2",
		"\u3000전각\u3000공백", "\u00a0줄\u00a0바꿈", "\u2028줄", "\ufeff머리", strings.Repeat("가", 200), strings.Repeat("ab", 150), strings.Repeat(" ", 40)+"끝",
	)
	r := rand.New(rand.NewPCG(2026, 3))
	for range 120 {
		text := strings.ToValidUTF8(tricky(r, 1+r.IntN(30)), "")
		// Special marks mean themselves to that library; Encode never reads them.
		texts = append(texts, strings.NewReplacer("<|user|>", "user", "<|end_of_text|>", "end").Replace(text))
	}
	return texts
}

var goldenConversations = []goldenChat{
	{Prompt: true, Messages: []tokenizer.Message{{Role: "user", Content: "안녕하세요?"}}},
	{Messages: []tokenizer.Message{
		{Role: "system", Content: "한국어로 답하라."}, {Role: "user", Content: "센터가 무엇인가요?\n"},
		{Role: "assistant", Content: "계산 센터입니다."}, {Role: "user", Content: " 고맙습니다"},
	}},
}

func goldenConfig(pattern tokenizer.Pattern) tokenizer.Config {
	return tokenizer.Config{Vocab: 640, Pattern: pattern}
}

// TestGolden holds our files and ids to those that Hugging Face's library
// computed from the same files.
func TestGolden(t *testing.T) {
	for _, pattern := range []tokenizer.Pattern{tokenizer.Llama3, tokenizer.GPT2} {
		t.Run(pattern.String(), func(t *testing.T) {
			dir := filepath.Join("testdata", pattern.String())
			learned, _ := trained(t, small, goldenConfig(pattern))
			if *update {
				writeGolden(t, dir, learned)
				t.Fatalf("wrote %s; now run: node testdata/golden.mjs %s", dir, dir)
			}
			file, err := os.ReadFile(filepath.Join(dir, tokenizer.FileName))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(file, learned.JSON()) {
				t.Errorf("the same corpus no longer gives the same %s/tokenizer.json: run with -update and review the change", dir)
			}
			loaded, err := tokenizer.Load(filepath.Join(dir, tokenizer.FileName))
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, loaded, readGolden(t, dir))
		})
	}
}

func checkGolden(t *testing.T, tok *tokenizer.Tokenizer, want golden) {
	t.Helper()
	if len(want.Cases) < 100 || len(want.Chats) != len(goldenConversations) {
		t.Fatalf("golden file holds %d cases and %d chats: it is cut short", len(want.Cases), len(want.Chats))
	}
	begin, _ := tok.SpecialID(tokenizer.BeginOfText)
	for _, c := range want.Cases {
		got := tok.Encode(c.Text)
		if !slices.Equal(got, c.IDs) {
			t.Errorf("Encode(%q)\n got %v %s\nwant %v %s", c.Text, got, pieces(tok, got), c.IDs, pieces(tok, c.IDs))
		}
		if begun := append([]uint32{begin}, got...); !slices.Equal(begun, c.Begun) {
			t.Errorf("with special tokens %q: they have %v, we %v", c.Text, c.Begun, begun)
		}
		if back := string(tok.Decode(c.IDs)); back != c.Text || c.Back != c.Text {
			t.Errorf("decoded %q: we %q, they %q", c.Text, back, c.Back)
		}
	}
	for _, c := range want.Chats {
		ids, err := tok.Chat(c.Messages, c.Prompt)
		if err != nil {
			t.Fatal(err)
		}
		if string(tok.Decode(ids)) != c.Rendered || !slices.Equal(ids, c.IDs) {
			t.Errorf("chat %v:\n got %q\nwant %q", c.Messages, tok.Decode(ids), c.Rendered)
		}
		if special := tok.EncodeSpecial(c.Rendered); !slices.Equal(special, c.IDs) {
			t.Errorf("EncodeSpecial(%q) = %v, want %v", c.Rendered, special, c.IDs)
		}
	}
}

func pieces(tok *tokenizer.Tokenizer, ids []uint32) string {
	var out []string
	for _, id := range ids {
		piece, _ := tok.Token(id)
		out = append(out, fmt.Sprintf("%q", piece))
	}
	return strings.Join(out, " ")
}

func readGolden(t *testing.T, dir string) golden {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func writeGolden(t *testing.T, dir string, tok *tokenizer.Tokenizer) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := tok.SaveModel(dir, 512); err != nil {
		t.Fatal(err)
	}
	g := golden{Chats: goldenConversations}
	for _, text := range goldenTexts() {
		if !utf8.ValidString(text) {
			t.Fatalf("%q is not UTF-8", text)
		}
		g.Cases = append(g.Cases, goldenCase{Text: text})
	}
	data, err := json.MarshalIndent(g, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "golden.json"), data, 0o644); err != nil {
		t.Fatal(err)
	}
}
