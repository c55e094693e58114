package tokenizer_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// small is a corpus of several scripts that every test may train on.
var small = []string{
	"가온은 나라의 인공지능 계산 센터를 처음부터 끝까지 운영하는 프로그램입니다. 센터는 누구에게 무엇을 주었는지 증명합니다.",
	"센터를 세우고, 계산 자원을 나누고, 자원을 쓴 만큼 값을 매깁니다. 센터가 멈추어도 장부는 남습니다.\n장부는 고칠 수 없습니다.",
	"봄이 오면 강가에 버들이 피고, 버들 아래에서 아이들이 놉니다. 강가의 바람은 아직 차갑습니다.",
	"2026년 3월 1일, 10,000원을 냈다. 전화는 02-1234-5678번이다.\r\n다음 줄입니다.",
	"The centre keeps one ledger. The ledger is append-only, and it's the only truth; we'll prove it.",
	"Pusat pengiraan negara menyimpan satu lejar. El centro guarda un solo libro: está a prueba de cambios.",
	"func main() {\n\tfmt.Println(\"안녕\")\n}\n\n\n  // 끝  ",
}

func docs(texts []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, text := range texts {
			if !yield(text, nil) {
				return
			}
		}
	}
}

// reviews returns up to size bytes of Korean film reviews, one document each,
// from the shared data. Where the data is missing it skips, but never in CI.
func reviews(tb testing.TB, size int) []string {
	tb.Helper()
	f, err := os.Open(filepath.Join(sharedData(tb), "ko-nsmc", "reviews.jsonl.gz"))
	if err != nil {
		missing(tb, err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for lines := bufio.NewScanner(z); size > 0 && lines.Scan(); {
		var row struct{ Text string }
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			tb.Fatal(err)
		}
		out = append(out, row.Text)
		size -= len(row.Text)
	}
	return out
}

func sharedData(tb testing.TB) string {
	tb.Helper()
	if dir := os.Getenv("GAON_SHARED_DATA"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		candidate := filepath.Join(dir, "shared", "data")
		if _, err := os.Stat(candidate); err == nil {
			return candidate
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			missing(tb, os.ErrNotExist)
		}
		dir = parent
	}
}

func missing(tb testing.TB, err error) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf("shared data is missing in CI: %v", err)
	}
	tb.Skipf("shared data is missing, set GAON_SHARED_DATA: %v", err)
}

// tricky returns random text made of what pre-tokenizers and decoders trip
// over: contractions, mixed white space, jamo, numbers, marks, broken UTF-8.
func tricky(r *rand.Rand, parts int) string {
	alphabet := []string{
		"'s", "'S", "'ſ", "'re", "'LL", "'", "ll", " ", "  ", "\t", "\n", "\r\n", "\n\n ", "\u00a0", "\u3000", "\u0085", "\u2028",
		"a", "the", "The", "안녕", "하세요", "ㅋㅋㅋㅋ", "ㅠ", "각", "가", "漢字", "е́", "नमस्ते", "ไทย", "١٢٣",
		"1", "12", "2026", "Ⅷ", "²", "½", "🙂", "👨‍👩‍👧", "…", "<|user|>", "<|end_of_text|>", "<|", "|>", "^^", "!!", ",", ".",
		"\xff", "\xed\x95", "\xea", "\x80", "\xf0\x9f\x99", "\x00", "\ufeff", "\ufffd", "\u200d", "ﬀ", "ß",
	}
	var b strings.Builder
	for range parts {
		b.WriteString(alphabet[r.IntN(len(alphabet))])
	}
	return b.String()
}
