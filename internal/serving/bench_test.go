package serving

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"

	"github.com/gaon-ai/gaon/internal/lm"
)

// demoServer serves a model of the demo's shape that nobody trained, with the
// tests' tokenizer.
func demoServer(b *testing.B, slots int) string {
	b.Helper()
	dir, err := build(1)
	if err != nil {
		b.Fatal(err)
	}
	model, err := lm.New(lm.Config{VocabSize: 2048, HiddenSize: 192, InnerSize: 512, Layers: 4, Heads: 6, KVHeads: 2, HeadDim: 32,
		ContextLength: 128, RopeTheta: 10000, NormEpsilon: 1e-5, TieEmbeddings: true, BOS: 0, EOS: 1}, 1)
	if err != nil {
		b.Fatal(err)
	}
	if err := model.Save(dir); err != nil {
		b.Fatal(err)
	}
	server, err := Load(dir)
	os.RemoveAll(dir)
	if err != nil {
		b.Fatal(err)
	}
	server.SetSlots(slots)
	h := httptest.NewServer(server.Handler())
	b.Cleanup(h.Close)
	return h.URL
}

// BenchmarkCompletion draws 100 tokens an answer and reports tokens a second
// over all clients together.
func BenchmarkCompletion(b *testing.B) {
	for _, clients := range []int{1, 2} {
		for _, stream := range []bool{false, true} {
			b.Run(fmt.Sprintf("clients=%d/stream=%v", clients, stream), func(b *testing.B) {
				url := demoServer(b, clients)
				body := fmt.Appendf(nil, `{"prompt":[5,6,7,8],"max_tokens":100,"stream":%v,"logit_bias":{"0":-100,"1":-100,"2":-100,"3":-100,"4":-100}}`, stream)
				b.ResetTimer()
				var all sync.WaitGroup
				for range clients {
					all.Go(func() {
						for range b.N {
							response, err := http.Post(url+"/v1/completions", "application/json", bytes.NewReader(body))
							if err != nil {
								b.Error(err)
								return
							}
							data, err := io.ReadAll(response.Body)
							response.Body.Close()
							if err != nil || response.StatusCode != http.StatusOK {
								b.Errorf("%d %s %v", response.StatusCode, data, err)
							}
						}
					})
				}
				all.Wait()
				b.ReportMetric(float64(b.N*clients*100)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	}
}
