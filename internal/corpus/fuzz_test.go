package corpus

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// batchesOf reads one file as the first step does and returns its documents.
func batchesOf(t *testing.T, f inputFile, c Config, data []byte) (docs []raw, err error) {
	t.Helper()
	c, cerr := c.withDefaults()
	if cerr != nil {
		t.Fatal(cerr)
	}
	b := batcher{ctx: t.Context(), config: c, emit: func(b *batch) error {
		for _, d := range b.docs {
			if d.start < 0 || d.start > d.end || d.end > len(b.buf) {
				t.Fatalf("a document lies at %d to %d of %d", d.start, d.end, len(b.buf))
			}
			if d.reason == "" && int64(d.end-d.start) > 2*int64(c.LineBytesMax)+int64(c.SplitBytes)*2 {
				t.Fatalf("a document of %d bytes came through", d.end-d.start)
			}
			docs = append(docs, d)
		}
		return nil
	}}
	s := &source{Reader: bufio.NewReaderSize(bytes.NewReader(data), 64)}
	switch f.form {
	case formLines:
		err = b.readLines(&f, s)
	case formText:
		err = b.readText(&f, s)
	}
	if err == nil {
		err = b.flush()
	}
	return docs, err
}

func FuzzLines(f *testing.F) {
	for _, seed := range []string{"", "\n", `{"text":"가"}`, "{\"id\":1,\"text\":\"\\ud800\"}\r\n[1]\n\n\xff", `{"a":{"text":"나"}}`, "\ufeff{}", strings.Repeat("x", 200)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := Config{Inputs: []string{"x"}, Out: "x", LineBytesMax: 100, TextField: "a.text"}
		docs, err := batchesOf(t, inputFile{name: "f.jsonl", form: formLines}, c, data)
		if err != nil {
			t.Fatalf("reading lines from memory failed: %v", err)
		}
		line := int64(0)
		for _, d := range docs {
			if d.line <= line {
				t.Fatalf("line %d after %d", d.line, line)
			}
			line = d.line
		}
		c, _ = c.withDefaults()
		p := preparer{config: c, languages: map[string]bool{"ko": true}, files: map[*inputFile]uint32{}, index: &Contamination{}}
		file := &inputFile{name: "f.jsonl", form: formLines}
		b := &batch{buf: data, docs: []raw{{file: file, line: 1, end: len(data)}}}
		out, err := p.batch(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := out.frame.documents(func(_ uint32, d *draft) error {
			if !utf8.ValidString(d.Text) || !utf8.ValidString(d.ID) {
				t.Fatalf("invalid UTF-8 came through: %q %q", d.ID, d.Text)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "---", "가\n\n나\n---\n다", "\r\n\r\n", strings.Repeat("줄\n", 80), strings.Repeat("x", 500), "\xff\n\x00"} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, separated bool) {
		c := Config{Inputs: []string{"x"}, Out: "x", LineBytesMax: 120, SplitBytes: 60}
		if separated {
			c.Separator = "---"
		}
		docs, err := batchesOf(t, inputFile{name: "f.txt", form: formText}, c, data)
		if err != nil {
			t.Fatalf("reading text from memory failed: %v", err)
		}
		seen := map[string]bool{}
		for _, d := range docs {
			if seen[d.id] {
				t.Fatalf("two documents are named %q", d.id)
			}
			seen[d.id] = true
		}
	})
}

func FuzzParquet(f *testing.F) {
	f.Add(parquetOf(parquetRow{"1", "글 하나"}, parquetRow{"2", "글 둘"}))
	f.Add(parquetOf())
	f.Add([]byte("PAR1PAR1PAR1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := t.TempDir() + "/f.parquet"
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, _ := Config{Inputs: []string{"x"}, Out: "x", LineBytesMax: 1 << 20}.withDefaults()
		b := batcher{ctx: t.Context(), config: c, emit: func(*batch) error { return nil }}
		err := b.readParquet(&inputFile{path: path, name: "f.parquet", form: formParquet, size: int64(len(data))})
		var file *FileError
		var limit *LimitError
		if err != nil && !errors.As(err, &file) && !errors.As(err, &limit) {
			t.Fatalf("error %v (%T) is no refusal", err, err)
		}
	})
}

func FuzzPersonal(f *testing.F) {
	for _, seed := range []string{"", "주민번호 681015-2213254", "010-1234-5678", "+82 (10) 1234-5678", "a@b.co, ::1 fe80::1:2:3:4", "１２３-４５-６７８９０", "M123A4567 계좌 110-123-456789", "1.2.3.4.5", "@@@:::---"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		end := 0
		for _, s := range FindPersonal(text) {
			if s.Start < end || s.End <= s.Start || s.End > len(text) {
				t.Fatalf("span %+v after %d in %d bytes", s, end, len(text))
			}
			if utf8.ValidString(text) && (!utf8.ValidString(text[:s.Start]) || !utf8.ValidString(text[:s.End])) {
				t.Fatalf("span %+v cuts a character", s)
			}
			end = s.End
		}
		Redact(text, TokensKorean)
	})
}

func FuzzIdentify(f *testing.F) {
	for _, seed := range []string{"", "가나다", "The quick fox", "의 the 的 の", "¿qué?", "\xff\xfe", "İSTANBUL ẞ", strings.Repeat("a-", 100)} {
		f.Add(seed)
	}
	known := map[string]bool{Other: true}
	for _, l := range Languages() {
		known[l] = true
	}
	f.Fuzz(func(t *testing.T, text string) {
		if lang, confidence := Identify(text); !known[lang] || confidence < 0 || confidence > 1000 {
			t.Fatalf("%q is %s with %d", text, lang, confidence)
		}
	})
}

func FuzzClean(f *testing.F) {
	for _, seed := range []string{"", " \n", "가\u200b나", "a\r\n\r\n\r\n b", "e\u0301", "\ufeff글", "\u00a0x\u3000", "ᄀ\u200bᅡ", "\x00\x7f"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		clean, _ := Clean(text)
		if again, removed := Clean(clean); again != clean || removed != 0 {
			t.Fatalf("%q cleaned is %q, cleaned again %q", text, clean, again)
		}
		if !utf8.ValidString(clean) || !norm.NFC.IsNormalString(clean) {
			t.Fatalf("%q cleaned is %q, which is not NFC", text, clean)
		}
		if strings.Contains(clean, "\n\n\n") || strings.Contains(clean, "\r") || strings.TrimSpace(clean) != clean && clean != "" && clean[0] == '\n' {
			t.Fatalf("%q cleaned is %q", text, clean)
		}
	})
}

func FuzzEvaluation(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"question":"하나 둘 셋","choices":["가",{"text":"나"},1]}`, `{"text":5}`, "[]"} {
		f.Add([]byte(seed), "하나 둘 셋 넷")
	}
	f.Fuzz(func(t *testing.T, line []byte, text string) {
		var c Contamination
		if err := c.addItem("e", 1, line); err != nil {
			var file *FileError
			if !errors.As(err, &file) {
				t.Fatalf("error %v (%T) is no refusal", err, err)
			}
			return
		}
		if found, ok := c.Find(text); ok && (found.Start < 0 || found.End > len(text) || found.Start >= found.End) {
			t.Fatalf("found at %d to %d of %d", found.Start, found.End, len(text))
		}
	})
}
