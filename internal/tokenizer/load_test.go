package tokenizer_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/tokenizer"
)

// TestParseRefused changes one thing in a good file at a time.
func TestParseRefused(t *testing.T) {
	tok, _ := trained(t, []string{"가가 가가 나나 나나 ab ab"}, tokenizer.Config{Vocab: 270})
	good := string(tok.JSON())
	gpt2, _ := trained(t, []string{"가가 가가"}, tokenizer.Config{Vocab: 262, Pattern: tokenizer.GPT2})
	first := good[strings.Index(good, `"merges": [`)+len(`"merges": [`):]
	first = strings.TrimSpace(first[:strings.Index(first, ",")]) // the first merge, with its quotes
	for _, row := range []struct{ name, from, to, want string }{
		{"empty", good, "", "empty file"},
		{"not JSON", good, "weights", "at byte"},
		{"cut short", good, good[:len(good)/2], "at byte"},
		{"something behind", "\n}\n", "\n}\n{}", "more after the end"},
		{"unknown key", `"version"`, `"colour": 1, "version"`, `unknown field "colour"`},
		{"unknown key of the model", `"dropout"`, `"drop": 1, "dropout"`, `unknown field "drop"`},
		{"other version", `"1.0"`, `"2.0"`, `version "2.0": want 1.0`},
		{"normaliser", `"normalizer": null`, `"normalizer": {"type": "NFC"}`, `normalizer {"type": "NFC"}: not supported`},
		{"truncation", `"truncation": null`, `"truncation": {}`, "truncation {}: not supported"},
		{"padding", `"padding": null`, `"padding": {}`, "padding {}: not supported"},
		{"dropout", `"dropout": null`, `"dropout": 0.1`, "model.dropout 0.1: not supported"},
		{"other model", `"type": "BPE"`, `"type": "Unigram"`, `model.type "Unigram": not supported`},
		{"prefix", `"continuing_subword_prefix": null`, `"continuing_subword_prefix": "##"`, "continuing_subword_prefix"},
		{"suffix", `"end_of_word_suffix": null`, `"end_of_word_suffix": "</w>"`, "end_of_word_suffix"},
		{"byte fallback", `"byte_fallback": false`, `"byte_fallback": true`, "byte_fallback: not supported"},
		{"other pre-tokenizer", `"type": "Split"`, `"type": "Digits"`, "pre_tokenizer [Digits, ByteLevel]: not supported"},
		{"no pre-tokenizer", `"pre_tokenizer": {"type": "Sequence"`, `"pre_tokenizer": null, "pre_tokenizer": {"type": "Sequence", "pretokenizers": []}, "post_processor": {"type": "Sequence"`, "pre_tokenizer []"},
		{"other regex", `|\\s+(?!\\S)`, ``, "Split by regex"},
		{"split by string", `"Regex":`, `"String": "x", "Regex":`, `Split by string "x"`},
		{"other behaviour", `"Isolated"`, `"Removed"`, `behavior "Removed"`},
		{"prefix space", `"add_prefix_space": false`, `"add_prefix_space": true`, "add_prefix_space true"},
		{"other post-processor", `"TemplateProcessing"`, `"BertProcessing"`, `post_processor of type "BertProcessing"`},
		{"other decoder", `"decoder": {"type": "ByteLevel"`, `"decoder": {"type": "Metaspace"`, `decoder of type "Metaspace"`},
		{"decoder of another kind", `"decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}`, `"decoder": 7`, "decoder: json"},
		{"added and not special", `"special":true`, `"special":false`, "added but not special"},
		{"lstrip", `"lstrip":false`, `"lstrip":true`, "lstrip"},
		{"added token without id", `{"id":0,`, `{`, "added_tokens[0] has no id"},
		{"added token with another id", `{"id":0,`, `{"id":3,`, "has id 3 here and 0 in the vocabulary"},
		{"id too large", `"!": 5`, `"!": 5000`, "ids must be 0 to"},
		{"id twice", `"!": 5`, `"!": 6`, "id 6 belongs to two tokens"},
		{"negative id", `"!": 5`, `"!": -5`, "at byte"},
		{"token outside the alphabet", `"!": 5`, `"\u0000": 5`, "byte alphabet"},
		{"byte missing", `"!": 5`, `"!!": 5`, "no token for byte 0x21"},
		{"merge of unknown tokens", first, `"漢 字"`, `is not in the vocabulary`},
		{"merge with two spaces", first, `"a b c"`, "one space between"},
		{"merge of three", first, `["a", "b", "c"]`, "want two tokens"},
		{"merge of one", first, `"ab"`, "one space between"},
		{"merge twice", first, first + "," + first, "stands there twice"},
		{"merge of a special token", first, `"<|user|> a"`, "is not in the vocabulary"},
	} {
		t.Run(row.name, func(t *testing.T) {
			bad := strings.Replace(good, row.from, row.to, 1)
			if bad == good {
				t.Fatalf("%q is not in the good file", row.from)
			}
			_, err := tokenizer.Parse([]byte(bad))
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %v\nwant one with %q", err, row.want)
			}
		})
	}
	bad := strings.Replace(string(gpt2.JSON()), `"use_regex": true`, `"use_regex": false`, 1)
	if _, err := tokenizer.Parse([]byte(bad)); err == nil || !strings.Contains(err.Error(), "pre_tokenizer [ByteLevel]: not supported") {
		t.Errorf("ByteLevel without regex: %v", err)
	}
	bad = `{"version": "1.0", "pre_tokenizer": {"type": "ByteLevel"}, "model": {"type": "BPE"}}`
	if _, err := tokenizer.Parse([]byte(bad)); err == nil || !strings.Contains(err.Error(), "model.vocab is missing") {
		t.Errorf("no vocabulary: %v", err)
	}
	if _, err := tokenizer.Parse(make([]byte, 65<<20)); err == nil || !strings.Contains(err.Error(), "over 67108864 bytes") {
		t.Errorf("65 MiB: %v", err)
	}
}

// TestParseForms reads what other writers of the same tokenizer write: merges
// as pairs, special tokens outside the vocabulary, ignore_merges.
func TestParseForms(t *testing.T) {
	tok, _ := trained(t, small, goldenConfig(tokenizer.Llama3))
	good := string(tok.JSON())
	for _, row := range []struct{ name, from, to string }{
		{"merge as a pair", `"ì Ŀ"`, `["ì", "Ŀ"]`},
		{"special token only among the added", "\"<|begin_of_text|>\": 0,\n", ""},
		{"whole pieces first", `"ignore_merges": false`, `"ignore_merges": true`},
		{"unknown token named", `"unk_token": null`, `"unk_token": "<|pad|>"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			other := strings.Replace(good, row.from, row.to, 1)
			if other == good {
				t.Fatalf("%q is not in the good file", row.from)
			}
			read, err := tokenizer.Parse([]byte(other))
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range goldenTexts() {
				if !slices.Equal(read.Encode(text), tok.Encode(text)) {
					t.Errorf("%q: %v, want %v", text, read.Encode(text), tok.Encode(text))
				}
			}
		})
	}
}

func TestLoadMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokenizer.json")
	if _, err := tokenizer.Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that names the file", err)
	}
	if err := os.WriteFile(path, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := tokenizer.Load(path); err == nil || !strings.Contains(err.Error(), path+`: version "": want 1.0`) {
		t.Errorf("error %v, want one that names file and field", err)
	}
}

// FuzzParse: any bytes give an error or a tokenizer that works and that is
// written and read back the same.
func FuzzParse(f *testing.F) {
	for _, pattern := range []tokenizer.Pattern{tokenizer.Llama3, tokenizer.GPT2} {
		tok, _ := trained(f, small[:2], tokenizer.Config{Vocab: 300, Pattern: pattern})
		f.Add(tok.JSON())
		f.Add(bytes.ReplaceAll(tok.JSON(), []byte("false"), []byte("true")))
	}
	f.Add([]byte(`{"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": [["a"]]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := tokenizer.Parse(data)
		if err != nil {
			return
		}
		text := string(data[:min(len(data), 500)])
		if back := tok.Decode(tok.Encode(text)); string(back) != text {
			t.Errorf("round trip of %q gave %q", text, back)
		}
		again, err := tokenizer.Parse(tok.JSON())
		if err != nil {
			t.Fatalf("its own file is refused: %v", err)
		}
		if !bytes.Equal(again.JSON(), tok.JSON()) {
			t.Error("its own file is read back changed")
		}
	})
}

// FuzzEncode: any bytes come back, whole and as a stream, under both patterns.
func FuzzEncode(f *testing.F) {
	llama3, _ := trained(f, small, goldenConfig(tokenizer.Llama3))
	gpt2, _ := trained(f, small, goldenConfig(tokenizer.GPT2))
	for _, text := range goldenTexts() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, tok := range []*tokenizer.Tokenizer{llama3, gpt2} {
			ids := tok.Encode(text)
			if back := tok.Decode(ids); string(back) != text {
				t.Errorf("round trip of %q gave %q", text, back)
			}
			if slices.ContainsFunc(ids, tok.IsSpecial) {
				t.Errorf("%q became special: %v", text, ids)
			}
			if back := tok.Decode(tok.EncodeSpecial(text)); string(back) != text {
				t.Errorf("special round trip of %q gave %q", text, back)
			}
			s := tok.NewStream()
			var out strings.Builder
			for _, id := range ids {
				out.WriteString(s.Push(id))
			}
			out.WriteString(s.Flush())
			if want := string([]rune(text)); out.String() != want {
				t.Errorf("stream of %q gave %q, want %q", text, out.String(), want)
			}
		}
	})
}
