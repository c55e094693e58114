package tokenizer_test

import (
	"context"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/gaon-ai/gaon/internal/tokenizer"
)

// The naive tokenizer is a second one, written from the definitions alone:
// pieces by Go's regexp and the look-ahead by hand, merges by joining strings,
// all counts anew before each merge. It shares no code with the package.

var naivePatterns = map[tokenizer.Pattern]*regexp.Regexp{
	tokenizer.Llama3: regexp.MustCompile(`^(?:(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^` + white + `\p{L}\p{N}]+[\r\n]*|[` + white + `]*[\r\n]+)`),
	tokenizer.GPT2:   regexp.MustCompile(`^(?:'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^` + white + `\p{L}\p{N}]+)`),
}

// white is White_Space, which RE2's \s is not.
const white = `\t\n\v\f\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}`

func naivePieces(pattern tokenizer.Pattern, text string) []string {
	var out []string
	for text != "" {
		end := 0
		if loc := naivePatterns[pattern].FindStringIndex(text); loc != nil && loc[1] > 0 {
			end = loc[1]
		} else { // \s+(?!\S)|\s+
			run := []rune(text)
			n := slices.IndexFunc(run, func(r rune) bool { return !unicode.Is(unicode.White_Space, r) })
			if n < 0 {
				n = len(run)
			} else if n > 1 {
				n--
			}
			end = len(string(run[:n]))
		}
		out = append(out, text[:end])
		text = text[end:]
	}
	return out
}

// naiveMerge joins every left, right in the symbols, leftmost first.
func naiveMerge(symbols []string, left, right string) []string {
	var out []string
	for i := 0; i < len(symbols); i++ {
		if i+1 < len(symbols) && symbols[i] == left && symbols[i+1] == right {
			out = append(out, left+right)
			i++
		} else {
			out = append(out, symbols[i])
		}
	}
	return out
}

// naiveTrain returns the merges in order. Ids follow the order of creation, so
// ties go to the pair whose tokens came first.
func naiveTrain(pattern tokenizer.Pattern, texts []string, merges int) [][2]string {
	counts := map[string]int{}
	for _, text := range texts {
		for _, piece := range naivePieces(pattern, text) {
			counts[piece]++
		}
	}
	words := map[string][]string{}
	for piece := range counts {
		words[piece] = strings.Split(bytesToLatin(piece), "")
	}
	order := map[string]int{}
	for i, b := range naiveAlphabet() {
		order[string(rune(b))] = i
	}
	var out [][2]string
	for len(out) < merges {
		pairs := map[[2]string]int{}
		for piece, symbols := range words {
			for i := 1; i < len(symbols); i++ {
				pairs[[2]string{symbols[i-1], symbols[i]}] += counts[piece]
			}
		}
		var best [2]string
		most := 1
		for p, n := range pairs {
			if n > most || n == most && most > 1 && slices.Compare([]int{order[p[0]], order[p[1]]}, []int{order[best[0]], order[best[1]]}) < 0 {
				best, most = p, n
			}
		}
		if most < 2 {
			break
		}
		for piece, symbols := range words {
			words[piece] = naiveMerge(symbols, best[0], best[1])
		}
		if _, ok := order[best[0]+best[1]]; !ok {
			order[best[0]+best[1]] = 256 + len(out)
		}
		out = append(out, best)
	}
	return out
}

func naiveEncode(pattern tokenizer.Pattern, merges [][2]string, text string) []string {
	var out []string
	for _, piece := range naivePieces(pattern, text) {
		symbols := strings.Split(bytesToLatin(piece), "")
		for _, m := range merges {
			symbols = naiveMerge(symbols, m[0], m[1])
		}
		out = append(out, symbols...)
	}
	return out
}

// bytesToLatin writes each byte as the character of that number.
func bytesToLatin(text string) string {
	var b strings.Builder
	for i := range len(text) {
		b.WriteRune(rune(text[i]))
	}
	return b.String()
}

// naiveAlphabet is GPT-2's order of bytes: printable Latin-1 first.
func naiveAlphabet() []int {
	var printable, rest []int
	for b := range 256 {
		if b > 0x20 && b < 0x7f || b > 0xa0 && b != 0xad {
			printable = append(printable, b)
		} else {
			rest = append(rest, b)
		}
	}
	return append(printable, rest...)
}

func TestNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	corpus := slices.Clone(small)
	for range 30 {
		corpus = append(corpus, strings.ToValidUTF8(tricky(r, 40), ""))
	}
	corpus = append(corpus, strings.Repeat("a", 57), strings.Repeat("ab", 31), "aaaa aaa aaaaa baaa")
	for _, pattern := range []tokenizer.Pattern{tokenizer.Llama3, tokenizer.GPT2} {
		t.Run(pattern.String(), func(t *testing.T) {
			const merges = 500
			want := naiveTrain(pattern, corpus, merges)
			tok, report := trained(t, corpus, tokenizer.Config{Vocab: 256 + merges, Special: []string{}, Pattern: pattern})
			if report.Merges != len(want) {
				t.Fatalf("%d merges, the naive trainer %d", report.Merges, len(want))
			}
			for i, m := range want {
				got, _ := tok.Token(uint32(256 + i))
				if bytesToLatin(string(got)) != m[0]+m[1] {
					t.Fatalf("merge %d gives %q, the naive trainer joins %q and %q", i, got, m[0], m[1])
				}
			}
			texts := []string{strings.Repeat("ab", 500), strings.Repeat("a", 1001), strings.Repeat("가나", 90) + "a"}
			for range 200 {
				texts = append(texts, strings.ToValidUTF8(tricky(r, 1+r.IntN(50)), ""))
			}
			var tokens int64
			for _, text := range texts {
				checkNaive(t, tok, pattern, want, text)
			}
			for _, text := range corpus {
				tokens += int64(len(tok.Encode(text)))
			}
			if report.Tokens != tokens {
				t.Errorf("report counts %d tokens in the corpus, encoding gives %d", report.Tokens, tokens)
			}
		})
	}
}

func checkNaive(t *testing.T, tok *tokenizer.Tokenizer, pattern tokenizer.Pattern, merges [][2]string, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Fatalf("%q is not UTF-8", text)
	}
	var got []string
	for _, id := range tok.Encode(text) {
		piece, _ := tok.Token(id)
		got = append(got, bytesToLatin(string(piece)))
	}
	if want := naiveEncode(pattern, merges, text); !slices.Equal(got, want) {
		t.Errorf("Encode(%q)\n got %q\nwant %q", text, got, want)
	}
}

// TestTrainOrder: neither the number of workers nor the order of documents
// shows in the result.
func TestTrainOrder(t *testing.T) {
	var corpus []string
	r := rand.New(rand.NewPCG(3, 1))
	for range 3000 {
		corpus = append(corpus, tricky(r, 60), small[r.IntN(len(small))])
	}
	var want []byte
	for _, workers := range []int{1, 2, 7} {
		tok, report, err := tokenizer.Train(context.Background(), tokenizer.Config{Vocab: 900, Workers: workers}, docs(corpus))
		if err != nil {
			t.Fatal(err)
		}
		report.Seconds = 0
		if want == nil {
			want = tok.JSON()
		}
		if string(want) != string(tok.JSON()) {
			t.Errorf("%d workers and another order of documents gave another tokenizer", workers)
		}
		r.Shuffle(len(corpus), func(i, j int) { corpus[i], corpus[j] = corpus[j], corpus[i] })
	}
}
