package gateway

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/serving"
)

func (w *world) client(key string) openai.Client {
	return openai.NewClient(option.WithBaseURL(w.url+"/v1/"), option.WithAPIKey(key), option.WithMaxRetries(0))
}

// The OpenAI client itself reads everything that the gateway says.
func TestOfficialClient(t *testing.T) {
	w := newWorld(t)
	w.serve(w.first, "ours", policy.Internal, realService(t).Handler())
	c, ctx := w.client(w.first.key), t.Context()

	models, err := c.Models.List(ctx)
	if err != nil || len(models.Data) != 1 || models.Data[0].ID != "ours" || models.Data[0].OwnedBy != "First" {
		t.Fatalf("models: %+v, %v", models, err)
	}
	if m, err := c.Models.Get(ctx, "ours"); err != nil || m.ID != "ours" {
		t.Errorf("model: %+v, %v", m, err)
	}
	ask := openai.ChatCompletionNewParams{Model: "ours", Messages: []openai.ChatCompletionMessageParamUnion{
		openai.SystemMessage("짧게"), openai.UserMessage("가온은")},
		MaxCompletionTokens: openai.Int(24), Seed: openai.Int(3), N: openai.Int(2), Logprobs: openai.Bool(true), TopLogprobs: openai.Int(2),
		Stop: openai.ChatCompletionNewParamsStopUnion{OfStringArray: []string{"끝"}}, User: openai.String("someone")}
	chat, err := c.Chat.Completions.New(ctx, ask)
	if err != nil {
		t.Fatal(err)
	}
	if len(chat.Choices) != 2 || chat.Choices[0].Message.Role != "assistant" || chat.Usage.TotalTokens != chat.Usage.PromptTokens+chat.Usage.CompletionTokens ||
		len(chat.Choices[0].Logprobs.Content) == 0 || len(chat.Choices[0].Logprobs.Content[0].TopLogprobs) != 2 {
		t.Errorf("chat: %s", chat.RawJSON())
	}
	ask.StreamOptions.IncludeUsage = openai.Bool(true)
	stream := c.Chat.Completions.NewStreaming(ctx, ask)
	var sum openai.ChatCompletionAccumulator
	for stream.Next() {
		if !sum.AddChunk(stream.Current()) {
			t.Fatalf("chunk does not fit: %s", stream.Current().RawJSON())
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	for i, choice := range chat.Choices {
		if got := sum.Choices[i]; got.Message.Content != choice.Message.Content || got.FinishReason != choice.FinishReason {
			t.Errorf("choice %d streams %q (%s), whole %q (%s)", i, got.Message.Content, got.FinishReason, choice.Message.Content, choice.FinishReason)
		}
	}
	if sum.Usage.TotalTokens != chat.Usage.TotalTokens {
		t.Errorf("streamed usage %+v, want %+v", sum.Usage, chat.Usage)
	}

	text, err := c.Completions.New(ctx, openai.CompletionNewParams{Model: "ours", Prompt: openai.CompletionNewParamsPromptUnion{OfArrayOfStrings: []string{"가온", "센터"}},
		MaxTokens: openai.Int(5), Logprobs: openai.Int(1), Echo: openai.Bool(true), Seed: openai.Int(1), Temperature: openai.Float(0.5)})
	if err != nil || len(text.Choices) != 2 || !strings.HasPrefix(text.Choices[1].Text, "센터") || len(text.Choices[0].Logprobs.Tokens) == 0 {
		t.Errorf("completion: %+v, %v", text, err)
	}
	streamed := c.Completions.NewStreaming(ctx, openai.CompletionNewParams{Model: "ours", Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("가온")}, MaxTokens: openai.Int(5)})
	chunks := 0
	for streamed.Next() {
		chunks++
	}
	if streamed.Err() != nil || chunks == 0 {
		t.Errorf("%d chunks, %v", chunks, streamed.Err())
	}
}

func TestOfficialClientSeesErrors(t *testing.T) {
	w := newWorld(t)
	w.serve(w.first, "ours", policy.Internal, realService(t).Handler())
	w.serve(w.first, "dies", policy.Internal, script(func(rw http.ResponseWriter, _ *http.Request, _ map[string]any) {
		serving.StartStream(rw)
		serving.SendEvent(rw, "", []byte(`{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}`))
		panic(http.ErrAbortHandler)
	}))
	ask := func(key, name, text string) openai.ChatCompletionNewParams {
		return openai.ChatCompletionNewParams{Model: name, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(text)}}
	}
	for _, row := range []struct {
		name, key, model, text string
		status                 int
		code                   string
	}{
		{"a wrong key", "nonsense", "ours", "a", 401, "invalid_api_key"},
		{"an unknown model", w.first.key, "gpt-5", "a", 404, "model_not_found"},
		{"another's model", w.other.key, "ours", "a", 404, "model_not_found"},
		{"a long prompt", w.first.key, "ours", strings.Repeat("각", contextLength), 400, "context_length_exceeded"},
	} {
		client := w.client(row.key)
		_, err := client.Chat.Completions.New(t.Context(), ask(row.key, row.model, row.text))
		var e *openai.Error
		if !errors.As(err, &e) || e.StatusCode != row.status || e.Code != row.code || e.Message == "" || !slices.Contains([]string{"authentication_error", "invalid_request_error"}, e.Type) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	client := w.client(w.first.key)
	stream := client.Chat.Completions.NewStreaming(t.Context(), ask(w.first.key, "dies", "a"))
	n := 0
	for stream.Next() {
		n++
	}
	if n != 1 || stream.Err() == nil || !strings.Contains(stream.Err().Error(), "service failed") {
		t.Errorf("after %d chunks of a broken stream: %v", n, stream.Err())
	}
}
