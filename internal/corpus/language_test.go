package corpus

import (
	"bufio"
	"compress/gzip"
	"os"
	"strings"
	"testing"
)

// linesOf reads a packed text file of the shared data.
func linesOf(t testing.TB, parts ...string) []string {
	t.Helper()
	file, err := os.Open(sharedData(t, parts...))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		list = append(list, lines.Text())
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// ntrex are aligned news sentences with the languages they are in.
var ntrex = []struct{ lang, file string }{
	{"ko", "newstest2019-ref.kor.txt.gz"}, {"en", "newstest2019-src.eng.txt.gz"},
	{"es", "newstest2019-ref.spa.txt.gz"}, {"es", "newstest2019-ref.spa-MX.txt.gz"},
	{"id", "newstest2019-ref.ind.txt.gz"}, {"ms", "newstest2019-ref.msa.txt.gz"},
}

// ntrexDocuments joins the sentences of each article.
func ntrexDocuments(t testing.TB, file string) []string {
	t.Helper()
	ids, err := os.ReadFile(sharedData(t, "ntrex", "DOCUMENT_IDS.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	var last string
	names := strings.Split(strings.TrimSpace(string(ids)), "\n")
	for i, s := range linesOf(t, "ntrex", file) {
		if names[i] != last {
			list = append(list, "")
		}
		last = names[i]
		list[len(list)-1] += s + "\n"
	}
	return list
}

// TestIdentifyNews holds Identify against single sentences and whole articles.
// Indonesian and Malay are neighbours that share most of their words, so one
// sentence of theirs may not tell (in a fifth of them no word does, and then
// Identify says Indonesian); an article must, save one in a hundred.
func TestIdentifyNews(t *testing.T) {
	floors := map[string]int{"ko": 990, "en": 985, "es": 980, "id": 930, "ms": 740} // sentences, per mille
	for _, set := range ntrex {
		hits := map[string]int{}
		sentences := linesOf(t, "ntrex", set.file)
		sentences = sentences[len(sentences)/2:] // the word lists were mended after a look at the first half
		for _, s := range sentences {
			lang, _ := Identify(s)
			hits[lang]++
		}
		wrong, articles := 0, ntrexDocuments(t, set.file)
		for _, a := range articles {
			if lang, confidence := Identify(a); lang != set.lang {
				wrong++
				t.Logf("article taken for %s (%d): %.80s", lang, confidence, a)
			}
		}
		share := hits[set.lang] * 1000 / len(sentences)
		t.Logf("%s %s: %d of 1000 sentences, %d of %d articles wrong, as %v", set.lang, set.file, share, wrong, len(articles), hits)
		if share < floors[set.lang] || wrong > 1 {
			t.Errorf("%s: %d of 1000 sentences (floor %d), %d articles wrong", set.file, share, floors[set.lang], wrong)
		}
	}
}
