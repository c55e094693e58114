package serving

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gaon-ai/gaon/internal/lm"
	"github.com/gaon-ai/gaon/internal/tokenizer"
)

// verse is what the tests' model knows by heart: syllables of three bytes in
// several tokens, so that cutting one in two would show.
const verse = "동해 물과 백두산이 마르고 닳도록 하느님이 보우하사 우리나라 만세. Spring came, 꽃이 피고 새가 울었다."

const testContext = 96

// folder holds a model trained for a fraction of a second to recite the verse, shared
// by all tests of the package.
var folder = sync.OnceValues(func() (string, error) {
	trained = true
	return build(100)
})

// trained says that folder was called, so that a fuzz worker, which does not
// call it, does not train only to remove.
var trained bool

// build makes a model folder in so many steps of training.
func build(steps int) (string, error) {
	dir, err := os.MkdirTemp("", "gaon-serving-")
	if err != nil {
		return "", err
	}
	words, _, err := tokenizer.Train(context.Background(), tokenizer.Config{Vocab: 300}, func(yield func(string, error) bool) {
		yield(strings.Repeat(verse+"\n", 3), nil)
	})
	if err != nil {
		return "", err
	}
	begin, _ := words.SpecialID(tokenizer.BeginOfText)
	end, _ := words.SpecialID(tokenizer.EndOfText)
	var ids []uint32
	for range 8 {
		ids = append(words.AppendEncode(append(ids, begin), verse), end)
	}
	model, _, err := lm.Train(context.Background(), lm.TrainConfig{
		Model: lm.Config{VocabSize: words.VocabSize(), HiddenSize: 48, InnerSize: 96, Layers: 1, Heads: 4, KVHeads: 2, HeadDim: 12,
			ContextLength: testContext, RopeTheta: 10000, NormEpsilon: 1e-5, TieEmbeddings: true, BOS: int(begin), EOS: int(end)},
		Seed: 7, Steps: steps, Batch: 2, LearningRate: 0.01,
	}, ids)
	if err != nil {
		return "", err
	}
	if err := model.Save(dir); err != nil {
		return "", err
	}
	_, err = words.SaveModel(dir, testContext)
	return dir, err
}

func TestMain(m *testing.M) {
	code := m.Run()
	if trained {
		dir, _ := folder()
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// tester asks a server over HTTP.
type tester struct {
	*testing.T
	server *Server
	url    string
}

func newTester(t *testing.T, change ...func(*Server)) *tester {
	t.Helper()
	dir, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	return newTesterOf(t, dir, change...)
}

func newTesterOf(t *testing.T, dir string, change ...func(*Server)) *tester {
	t.Helper()
	server, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(server)
	}
	h := httptest.NewServer(server.Handler())
	t.Cleanup(h.Close)
	return &tester{t, server, h.URL}
}

// copyFolder returns the model folder with tokenizer_config.json as given.
func copyFolder(t *testing.T, config string) string {
	t.Helper()
	from, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, tokenizer.ConfigFileName), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fields of a JSON object in the tests.
type object = map[string]any

func (t *tester) post(path string, body any) (int, http.Header, []byte) {
	t.Helper()
	data, ok := body.(string)
	if !ok {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		data = string(encoded)
	}
	response, err := http.Post(t.url+path, "application/json", strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, got
}

// answer is any answer of the API.
type answer struct {
	ID, Object, Model string
	Fingerprint       string `json:"system_fingerprint"`
	Choices           []struct {
		Index   int
		Text    string
		Message struct{ Role, Content string }
		Delta   struct {
			Role    string
			Content string
		}
		Finish   *string `json:"finish_reason"`
		Logprobs *struct {
			Content []struct {
				Token   string
				Logprob float64
				Bytes   []int
				Top     []struct {
					Token   string
					Logprob float64
				} `json:"top_logprobs"`
			}
			Tokens  []string
			Values  []*float64           `json:"token_logprobs"`
			Top     []map[string]float64 `json:"top_logprobs"`
			Offsets []int                `json:"text_offset"`
		}
	}
	Usage *Usage
	Error *struct{ Message, Type, Param, Code string }
}

func (t *tester) must(path string, body object) answer {
	t.Helper()
	status, _, data := t.post(path, body)
	if status != http.StatusOK {
		t.Fatalf("%s %v: %d %s", path, body, status, data)
	}
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return a
}

// events reads a stream whole and checks its framing: each event is one line
// "data: ..." and an empty one, and the last is [DONE].
func (t *tester) events(path string, body object) []answer {
	t.Helper()
	body["stream"] = true
	status, header, data := t.post(path, body)
	if status != http.StatusOK || !strings.HasPrefix(header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("%d %s: %s", status, header.Get("Content-Type"), data)
	}
	if !bytes.HasSuffix(data, []byte("\n\n")) {
		t.Fatalf("the stream ends in %q", data[max(len(data)-20, 0):])
	}
	var all []answer
	lines := strings.Split(strings.TrimSuffix(string(data), "\n\n"), "\n\n")
	for i, event := range lines {
		payload, ok := strings.CutPrefix(event, "data: ")
		if !ok || strings.Contains(event, "\n") {
			t.Fatalf("event %d is %q", i, event)
		}
		if payload == DoneEvent {
			if i != len(lines)-1 {
				t.Fatal("[DONE] is not the last event")
			}
			return all
		}
		var a answer
		if err := json.Unmarshal([]byte(payload), &a); err != nil {
			t.Fatalf("event %d: %v: %s", i, err, payload)
		}
		all = append(all, a)
	}
	t.Fatal("the stream has no [DONE]")
	return nil
}

// texts joins the text of each choice of a stream.
func texts(events []answer) map[int]string {
	all := map[int]string{}
	for _, e := range events {
		for _, c := range e.Choices {
			all[c.Index] += c.Text + c.Delta.Content
		}
	}
	return all
}

func half() (begun, rest string) {
	begun, _, _ = strings.Cut(verse, "하느님이")
	return begun, strings.TrimPrefix(verse, begun)
}
