package corpus

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// measureAll measures texts of one language.
func measureAll(texts []string, lang string) []measures {
	var q measurer
	list := make([]measures, len(texts))
	for i, text := range texts {
		text, _ = Clean(text)
		q.measure(&list[i], text, lang, DefaultLimits()[lang])
	}
	return list
}

func medianOf(list []measures, measure int) float64 {
	values := make([]uint32, len(list))
	for i := range list {
		values[i] = list[i][measure]
	}
	slices.Sort(values)
	return float64(values[len(values)/2])
}

func sumOf(list []measures, measure int) (sum float64) {
	for i := range list {
		sum += float64(list[i][measure])
	}
	return sum
}

// TestKoreanLimits works the limits for Korean out again, as docs/curation.md
// tells, from the same news articles in English and in Korean.
func TestKoreanLimits(t *testing.T) {
	english := measureAll(ntrexDocuments(t, "newstest2019-src.eng.txt.gz"), "en")
	korean := measureAll(ntrexDocuments(t, "newstest2019-ref.kor.txt.gz"), "ko")
	words := sumOf(korean, measureWords) / sumOf(english, measureWords)
	length := medianOf(korean, measureWordLength) / medianOf(english, measureWordLength)
	t.Logf("%d articles: %.4f eojeols a word, %.4f of its length", len(korean), words, length)
	// gram is Gopher's limit for a run of so many words, carried on in a line.
	gram := func(at2, at3, n float64) float64 { return at2 + (n-2)*(at3-at2) }
	got := DefaultLimits()["ko"]
	rows := []struct {
		name string
		got  int
		want float64
		slip float64
	}{
		{"least words", got.WordsMin, 50 * words, 1},
		{"most words", got.WordsMax, 100_000 * words, 100},
		{"least length", got.WordLengthMin, 3000 * length, 50},
		{"most length", got.WordLengthMax, 10_000 * length, 50},
		{"symbols a word", got.SymbolsMax, 100 / words, 1},
		{"line ends a word", got.LineBreaksMax, 300 / words, 1},
	}
	for i, limit := range got.TopGramsMax {
		rows = append(rows, struct {
			name string
			got  int
			want float64
			slip float64
		}{"top grams", limit, gram(200, 180, float64(2+i)/words), 1})
	}
	for i, limit := range got.RepeatedGramsMax {
		rows = append(rows, struct {
			name string
			got  int
			want float64
			slip float64
		}{"repeated grams", limit, 150 - 10*(float64(5+i)/words-5), 1})
	}
	for _, r := range rows {
		t.Logf("%-18s %6d, derived %.1f", r.name, r.got, r.want)
		if d := float64(r.got) - r.want; d > r.slip || d < -r.slip {
			t.Errorf("%s: limit %d, derived %.1f", r.name, r.got, r.want)
		}
	}
}

// TestLimitsSpareProse holds the limits against prose that must pass: the news
// in each language and the prose that ships with the program.
func TestLimitsSpareProse(t *testing.T) {
	sets := map[string][]string{}
	for _, set := range ntrex {
		sets[set.lang] = append(sets[set.lang], ntrexDocuments(t, set.file)...)
	}
	files, _ := filepath.Glob(filepath.Join("..", "sample", "texts", "*.txt"))
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range strings.Split("\n"+string(data), "\n---\n") {
			if strings.TrimSpace(text) != "" {
				lang, _ := Identify(text)
				sets[lang] = append(sets[lang], text)
			}
		}
	}
	for lang, texts := range sets {
		limits, lost := DefaultLimits()[lang], 0
		for i, m := range measureAll(texts, lang) {
			if reason, detail := limits.verdict(&m); reason != "" {
				lost++
				t.Logf("%s: %s (%s): %.60q", lang, reason, detail, texts[i])
			}
		}
		t.Logf("%s: %d of %d lost", lang, lost, len(texts))
		if lost*100 > len(texts) {
			t.Errorf("%s: %d of %d good documents lost, at most 1 in 100", lang, lost, len(texts))
		}
	}
}
