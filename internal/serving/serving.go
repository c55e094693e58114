// Package serving answers the OpenAI API from one model: it is the inference
// server that runs inside a job.
//
// It knows no keys, no tenants and no prices, and it answers to any model
// name: package gateway, the public side, has settled all of that. Prompts and
// answers are kept nowhere and logged nowhere.
//
// Begin with Load and Server.Handler.
package serving

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"

	"github.com/gaon-ai/gaon/internal/lm"
	"github.com/gaon-ai/gaon/internal/tokenizer"
)

// queueMax bounds how many requests wait for a slot.
const queueMax = 64

// slotsMax bounds how many texts are written at once.
const slotsMax = 1024

// ChatKey in tokenizer_config.json, when true, says that the model was trained
// on conversations. Hugging Face's readers keep keys they do not know and look
// at none of them. Without it the model is a base model: it goes on with text.
const ChatKey = "gaon_chat"

// Server serves one model. Its methods may be called from any goroutine.
type Server struct {
	// QueueMax is how many requests may wait while every slot is busy; set it
	// before Handler is used.
	QueueMax int

	model       *lm.Model
	words       *tokenizer.Tokenizer
	config      lm.Config
	chat        bool
	fingerprint string
	ends        []uint32 // special tokens: each ends a text

	// slots holds one session for each text that may be written at once; it is
	// taken out while in use. A nil session has not been made yet.
	slots   chan *lm.Session
	waiting atomic.Int64
	drawn   atomic.Int64 // tokens, since the start
}

// Load reads a model folder, which the caller has verified: config.json,
// model.safetensors, tokenizer.json and tokenizer_config.json, if there. The
// server writes as many texts at once as the job has CPU slots: GAON_SLOTS in
// its environment, which engines set, else the number of processors.
func Load(dir string) (*Server, error) {
	model, err := lm.Load(dir)
	if err != nil {
		return nil, fmt.Errorf("load the model: %w", err)
	}
	words, err := tokenizer.Load(filepath.Join(dir, tokenizer.FileName))
	if err != nil {
		return nil, fmt.Errorf("load the tokenizer: %w", err)
	}
	if words.VocabSize() > model.Config().VocabSize {
		return nil, fmt.Errorf("the tokenizer has %d tokens, the model knows %d: they do not belong together", words.VocabSize(), model.Config().VocabSize)
	}
	chat, err := wasTrainedOnChat(filepath.Join(dir, tokenizer.ConfigFileName))
	if err != nil {
		return nil, err
	}
	if chat {
		if err := words.CanChat(); err != nil {
			return nil, fmt.Errorf("%s says %s: %w", tokenizer.ConfigFileName, ChatKey, err)
		}
	}
	fingerprint, err := fingerprintOf(dir)
	if err != nil {
		return nil, err
	}
	slots := runtime.GOMAXPROCS(0)
	if n, err := strconv.Atoi(os.Getenv("GAON_SLOTS")); err == nil && n > 0 {
		slots = n
	}
	s := &Server{QueueMax: queueMax, model: model, words: words, config: model.Config(), chat: chat, fingerprint: fingerprint}
	for _, special := range words.Specials() {
		s.ends = append(s.ends, special.ID)
	}
	s.SetSlots(slots)
	return s, nil
}

// SetSlots sets how many texts are written at once, before Handler is used.
func (s *Server) SetSlots(n int) {
	n = min(max(n, 1), slotsMax)
	s.slots = make(chan *lm.Session, n)
	for range n {
		s.slots <- nil
	}
}

func wasTrainedOnChat(path string) (bool, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return false, fmt.Errorf("%s: %w", tokenizer.ConfigFileName, err)
	}
	var chat bool
	if raw, ok := keys[ChatKey]; ok {
		if err := json.Unmarshal(raw, &chat); err != nil {
			return false, fmt.Errorf("%s: %s is %s, want true or false", tokenizer.ConfigFileName, ChatKey, raw)
		}
	}
	return chat, nil
}

// fingerprintOf names what decides an answer beside the request: the weights,
// the tokenizer and the arithmetic of this build.
func fingerprintOf(dir string) (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, lm.Kernel())
	for _, name := range []string{lm.ConfigFile, lm.WeightsFile, tokenizer.FileName} {
		file, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		_, err = io.Copy(sum, file)
		file.Close()
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
	}
	return "gaon-" + hex.EncodeToString(sum.Sum(nil)[:6]), nil
}

// Handler answers GET /health, GET /v1/models, POST /v1/completions and POST
// /v1/chat/completions.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /v1/models", s.listModels)
	mux.HandleFunc("POST /v1/completions", func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, parseCompletion) })
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, parseChat) })
	mux.HandleFunc("/", NotFound)
	return mux
}

// Details is what an entry of /v1/models says beyond the OpenAI API.
type Details struct {
	// Chat is "template" for a model trained on conversations. A base model
	// says "continuation": it goes on with the last user message as prose and
	// reads no other message.
	Chat          string `json:"chat"`
	ContextLength int    `json:"context_length"` // tokens, prompt and answer together
	Fingerprint   string `json:"system_fingerprint"`
}

// Model is one entry of /v1/models.
type Model struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"` // "model"
	Created int64    `json:"created"`
	OwnedBy string   `json:"owned_by"`
	Details *Details `json:"gaon,omitempty"`
}

// Models is the answer of /v1/models.
type Models struct {
	Object string  `json:"object"` // "list"
	Data   []Model `json:"data"`
}

func (s *Server) listModels(w http.ResponseWriter, _ *http.Request) {
	details := Details{Chat: "continuation", ContextLength: s.config.ContextLength, Fingerprint: s.fingerprint}
	if s.chat {
		details.Chat = "template"
	}
	WriteJSON(w, http.StatusOK, Models{"list", []Model{{"model", "model", 0, "gaon", &details}}})
}

// take waits for a slot. The session in it is empty.
func (s *Server) take(ctx context.Context) (*lm.Session, error) {
	var session *lm.Session
	select {
	case session = <-s.slots:
	default:
		if s.waiting.Add(1) > int64(s.QueueMax) {
			s.waiting.Add(-1)
			return nil, &Problem{Status: http.StatusTooManyRequests, Type: RateLimit, Kind: CodeOverloaded, RetryAfter: 1,
				Message: fmt.Sprintf("the model is busy and %d requests wait already: try again in a moment", s.QueueMax)}
		}
		defer s.waiting.Add(-1)
		select {
		case session = <-s.slots:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if session == nil {
		session = s.model.NewSession()
	}
	session.Truncate(0)
	return session, nil
}

// Drawn is how many tokens the server has drawn since it started.
func (s *Server) Drawn() int64 { return s.drawn.Load() }
