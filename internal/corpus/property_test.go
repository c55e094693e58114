package corpus

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// personalValues draw a value that no reader of the corpus may see, with words
// beside it where the form alone says nothing.
var personalValues = map[PersonalKind]func(t *rapid.T) (before, value string){
	Registration: func(t *rapid.T) (string, string) {
		return "주민등록번호 ", fmt.Sprintf("%02d%02d%02d-%d%06d", num(t, 0, 99), num(t, 1, 12), num(t, 1, 28), num(t, 1, 4), num(t, 0, 999999))
	},
	Mobile: func(t *rapid.T) (string, string) {
		sep := rapid.SampledFrom([]string{"-", ".", " ", ""}).Draw(t, "sep")
		return "연락은 ", fmt.Sprintf("010%s%04d%s%04d", sep, num(t, 2000, 9999), sep, num(t, 0, 9999))
	},
	Landline: func(t *rapid.T) (string, string) {
		return "전화 ", fmt.Sprintf("%s-%d-%04d", rapid.SampledFrom([]string{"02", "031", "051", "064", "070"}).Draw(t, "area"), num(t, 200, 9999), num(t, 0, 9999))
	},
	Business: func(t *rapid.T) (string, string) {
		return "사업자등록번호 ", fmt.Sprintf("%03d-%02d-%05d", num(t, 100, 999), num(t, 10, 99), num(t, 0, 99999))
	},
	Passport: func(t *rapid.T) (string, string) {
		return "여권번호 ", fmt.Sprintf("M%03dA%04d", num(t, 0, 999), num(t, 0, 9999))
	},
	Licence: func(t *rapid.T) (string, string) {
		return "운전면허 ", fmt.Sprintf("%02d-%02d-%06d-%02d", num(t, 11, 28), num(t, 0, 99), num(t, 0, 999999), num(t, 0, 99))
	},
	Account: func(t *rapid.T) (string, string) {
		return "입금 계좌 ", fmt.Sprintf("%03d-%06d-%05d", num(t, 100, 999), num(t, 0, 999999), num(t, 0, 99999))
	},
	Card: func(t *rapid.T) (string, string) {
		return "카드 번호 ", fmt.Sprintf("%04d-%04d-%04d-%04d", num(t, 4000, 5599), num(t, 0, 9999), num(t, 0, 9999), num(t, 0, 9999))
	},
	Email: func(t *rapid.T) (string, string) {
		return "주소는 ", fmt.Sprintf("%s%d@%s.kr", rapid.StringMatching(`[a-z]{2,8}`).Draw(t, "name"), num(t, 0, 999), rapid.StringMatching(`[a-z]{3,9}`).Draw(t, "domain"))
	},
	IPAddress: func(t *rapid.T) (string, string) {
		return "접속 주소 ", fmt.Sprintf("%d.%d.%d.%d", num(t, 1, 126), num(t, 0, 255), num(t, 0, 255), num(t, 1, 254))
	},
}

// unsynced makes files that are not forced to the disk: hundreds of runs would
// wait for it.
func unsynced(path string) (io.WriteCloser, error) {
	f, err := createFile(path)
	return struct{ io.WriteCloser }{f}, err
}

func num(t *rapid.T, least, most int) int { return rapid.IntRange(least, most).Draw(t, "n") }

// TestNothingPersonalSurvives plants personal data anywhere in documents that
// are kept and in some that are dropped, and in their names: it must stand in
// no file that is written, the page and the examples in the report included.
func TestNothingPersonalSurvives(t *testing.T) {
	base := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		dir := filepath.Join(base, fmt.Sprint(run))
		out := filepath.Join(dir, "out")
		if err := os.MkdirAll(filepath.Join(dir, "in"), 0o755); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		var values []string
		var docs []Document
		for i := range rapid.IntRange(1, 4).Draw(t, "documents") {
			kind := rapid.SampledFrom(personalKinds[:]).Draw(t, "kind")
			before, value := personalValues[kind](t)
			words := strings.Fields(prose(uint64(run*10+i), rapid.SampledFrom([]int{2, 12}).Draw(t, "sentences")))
			at := rapid.IntRange(0, len(words)).Draw(t, "at")
			words = slices.Insert(words, at, before+value)
			id := fmt.Sprint("d", i)
			if kind == Email && i%2 == 0 {
				id = value
			}
			docs = append(docs, Document{ID: id, Text: strings.Join(words, " ")})
			values = append(values, value)
		}
		if err := os.WriteFile(filepath.Join(dir, "in", "a.jsonl"), jsonLines(docs...), 0o644); err != nil {
			t.Fatal(err)
		}
		c := Config{Inputs: []string{filepath.Join(dir, "in")}, Out: out, Workers: 1, create: unsynced}
		if _, err := Curate(t.Context(), c); err != nil {
			if _, ok := err.(*EmptyError); !ok {
				t.Fatal(err)
			}
		}
		for _, name := range []string{TrainFile, HeldOutFile, DroppedFile, ReportFile, PageFile} {
			data, err := os.ReadFile(filepath.Join(out, name))
			if os.IsNotExist(err) {
				continue
			}
			if err == nil && strings.HasSuffix(name, ".zst") {
				data, err = unpacker().DecodeAll(data, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				if strings.Contains(string(data), v) {
					t.Fatalf("%s survived in %s: %v", v, name, docs)
				}
			}
		}
	})
}

// TestRepetitionNaive holds the measures of repetition against plain code that
// follows the definition word for word.
func TestRepetitionNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"가", "나다", "라마바", "a", "bc"}), 1, 60).Draw(t, "words")
		text := strings.Join(words, " ")
		var q measurer
		var m measures
		q.measure(&m, text, "ko", Limits{})
		total := len([]rune(text))
		for n := topGramMin; n <= topGramMax; n++ {
			counts, best, size := map[string]int{}, 1, 0
			for i := 0; i+n <= len(words); i++ {
				gram := strings.Join(words[i:i+n], " ")
				if counts[gram]++; counts[gram] > best {
					best, size = counts[gram], len([]rune(gram))
				}
			}
			if want := min(uint32(best*size*1000/total), 1000); m[measureTop2+n-2] != want {
				t.Fatalf("top %d-gram of %q: %d, want %d", n, text, m[measureTop2+n-2], want)
			}
		}
		for n := repeatGramMin; n <= repeatGramMax; n++ {
			seen, chars := map[string]bool{}, 0
			for i := 0; i+n <= len(words); {
				gram := strings.Join(words[i:i+n], " ")
				if seen[gram] {
					chars += len([]rune(gram))
					i += n
					continue
				}
				seen[gram] = true
				i++
			}
			if want := min(uint32(chars*1000/total), 1000); m[measureRepeated5+n-5] != want {
				t.Fatalf("repeated %d-grams of %q: %d, want %d", n, text, m[measureRepeated5+n-5], want)
			}
		}
	})
}

// TestSorter sorts more entries than fit in memory and holds the groups
// against those of a map.
func TestSorter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "sorter")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		s := newSorter(dir, "s", 1, createFile) // 1024 entries at a time
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		want := map[[2]uint64][]uint32{}
		n := rapid.IntRange(0, 5000).Draw(t, "n")
		for i := range n {
			key := [2]uint64{r.Uint64N(40), r.Uint64N(40)}
			want[key] = append(want[key], uint32(i))
			if err := s.add(entry{key[0], key[1], uint32(i)}); err != nil {
				t.Fatal(err)
			}
		}
		groups := map[uint32][]uint32{}
		var m meter
		if err := s.groups(t.Context(), &m.done, func(docs []uint32) error {
			groups[docs[0]] = slices.Clone(docs)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if m.done.Load() != int64(n) {
			t.Fatalf("%d of %d entries were counted", m.done.Load(), n)
		}
		for _, docs := range want {
			got := groups[docs[0]]
			if len(docs) == 1 && got != nil || len(docs) > 1 && !slices.Equal(got, docs) {
				t.Fatalf("group %v, want %v", got, docs)
			}
		}
	})
}

// TestMinHashEstimates holds the agreement of signatures against the true
// share of shingles in common: within four standard deviations of 112 draws.
func TestMinHashEstimates(t *testing.T) {
	var a, z signature
	var w rolling
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 3))
		words := make([]uint64, 300)
		for i := range words {
			words[i] = r.Uint64()
		}
		other := slices.Clone(words)
		for range seed * 2 {
			other[r.IntN(len(other))] = r.Uint64()
		}
		sketch(&a, words, &w)
		sketch(&z, other, &w)
		set := map[[shingleTerms]uint64]bool{}
		for i := 0; i+shingleTerms <= len(words); i++ {
			set[[shingleTerms]uint64(words[i:])] = true
		}
		both, all := 0, len(set)
		for i := 0; i+shingleTerms <= len(other); i++ {
			if set[[shingleTerms]uint64(other[i:])] {
				both++
			} else {
				all++
			}
		}
		truth := float64(both) / float64(all)
		got := float64(agreement(a.append(nil), z.append(nil))) / signatureRows
		if d := got - truth; d > 0.19 || d < -0.19 {
			t.Errorf("seed %d: estimated %.3f, true %.3f", seed, got, truth)
		}
		if seed == 0 && got != 1 {
			t.Errorf("the same text agrees in %.3f", got)
		}
	}
}
