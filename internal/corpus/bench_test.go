package corpus

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"syscall"
	"testing"

	"github.com/klauspost/compress/gzip"
)

const benchBytes = 8 << 20

// reviews returns Korean film reviews joined into documents of about two
// kilobytes, as jsonl, and the text of each.
func reviews(b *testing.B) (lines []byte, texts []string) {
	b.Helper()
	file, err := os.Open(sharedData(b, "ko-nsmc", "reviews.jsonl.gz"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		b.Fatal(err)
	}
	var all bytes.Buffer
	var text []byte
	for rows := bufio.NewScanner(z); rows.Scan() && all.Len() < benchBytes; {
		var row struct{ Text string }
		if err := json.Unmarshal(rows.Bytes(), &row); err != nil {
			b.Fatal(err)
		}
		if text = append(append(text, row.Text...), '\n'); len(text) > 2000 {
			texts = append(texts, string(text))
			appendJSONLine(&all, map[string]string{"text": string(text)})
			text = text[:0]
		}
	}
	return all.Bytes(), texts
}

// each runs f over all texts.
func each(b *testing.B, texts []string, f func(text string)) {
	b.Helper()
	measureCPU(b, sizeOf(texts), func() {
		for _, t := range texts {
			f(t)
		}
	})
}

func sizeOf(texts []string) (size int) {
	for _, t := range texts {
		size += len(t)
	}
	return size
}

// measureCPU runs f and reports, beside the time on the clock, megabytes a
// second of processor time: what a core does, whoever else uses the machine.
func measureCPU(b *testing.B, size int, f func()) {
	b.Helper()
	b.SetBytes(int64(size))
	b.ResetTimer()
	before := cpuSeconds(b)
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(size)*float64(b.N)/1e6/(cpuSeconds(b)-before), "MB/core-s")
}

func cpuSeconds(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func BenchmarkRead(b *testing.B) {
	lines, _ := reviews(b)
	path := b.TempDir() + "/a.jsonl"
	if err := os.WriteFile(path, lines, 0o600); err != nil {
		b.Fatal(err)
	}
	c, err := Config{Inputs: []string{path}, Out: "x"}.withDefaults()
	if err != nil {
		b.Fatal(err)
	}
	measureCPU(b, len(lines), func() {
		r := batcher{ctx: b.Context(), config: c, emit: func(x *batch) error {
			for _, d := range x.docs {
				if _, _, err := parseLine(x.buf[d.start:d.end], "text", "id"); err != nil {
					return err
				}
			}
			return nil
		}}
		if err := r.readAll([]inputFile{{path: path, name: "a.jsonl", form: formLines, size: int64(len(lines))}}); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkClean(b *testing.B) {
	_, texts := reviews(b)
	each(b, texts, func(t string) { Clean(t) })
}

func BenchmarkIdentify(b *testing.B) {
	_, texts := reviews(b)
	each(b, texts, func(t string) { Identify(t) })
}

// BenchmarkIdentifyEnglish looks words up, which Korean is spared.
func BenchmarkIdentifyEnglish(b *testing.B) {
	each(b, ntrexDocuments(b, "newstest2019-src.eng.txt.gz"), func(t string) { Identify(t) })
}

func BenchmarkPersonal(b *testing.B) {
	_, texts := reviews(b)
	each(b, texts, func(t string) { Redact(t, TokensKorean) })
}

func BenchmarkQuality(b *testing.B) {
	_, texts := reviews(b)
	var q measurer
	var m measures
	limits := DefaultLimits()["ko"]
	each(b, texts, func(t string) {
		q.measure(&m, t, "ko", limits)
		limits.verdict(&m)
	})
}

func BenchmarkMinHash(b *testing.B) {
	_, texts := reviews(b)
	var s signature
	var w rolling
	var terms []uint64
	each(b, texts, func(t string) {
		terms = appendTerms(terms[:0], t, true)
		sketch(&s, terms, &w)
	})
}

func BenchmarkOverlap(b *testing.B) {
	_, texts := reviews(b)
	var c Contamination
	for i, t := range texts[:200] {
		if err := c.Add(string(rune('a'+i%26)), t); err != nil {
			b.Fatal(err)
		}
	}
	var o overlapper
	each(b, texts[200:], func(t string) { c.find(&o, t) })
}

// benchmarkCurate curates whole, with a held-out share.
func benchmarkCurate(b *testing.B, workers int) {
	lines, texts := reviews(b)
	w := newBench(b)
	w.file("in/a.jsonl", lines)
	c := w.config()
	c.Workers, c.HeldOut = workers, 20
	measureCPU(b, sizeOf(texts), func() { w.curate(c) })
}

func BenchmarkCurate1(b *testing.B) { benchmarkCurate(b, 1) }
func BenchmarkCurate2(b *testing.B) { benchmarkCurate(b, 2) }
