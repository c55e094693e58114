package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/serving"
)

// BenchmarkGateway is what the gateway adds to a request: the service answers
// at once.
func BenchmarkGateway(b *testing.B) {
	for _, events := range []int{0, 100} {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			w := newWorld(b, func(c *Config) { c.RequestsPerMinute = 1 << 30 })
			w.serve(w.first, "ours", policy.Internal, script(func(rw http.ResponseWriter, _ *http.Request, _ map[string]any) {
				if events == 0 {
					rw.Write([]byte(`{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}`))
					return
				}
				serving.StartStream(rw)
				for i := range events {
					serving.SendEvent(rw, fmt.Sprintf(": usage 1 %d", i), []byte(chunk("a")))
				}
				serving.SendEvent(rw, "", []byte(serving.DoneEvent))
			}))
			body := question
			if events > 0 {
				body = streamed
			}
			b.ResetTimer()
			for range b.N {
				if w.ask(httptest.NewRecorder(), b.Context(), w.first.key, body) {
					b.Fatal("cut")
				}
			}
		})
	}
}
