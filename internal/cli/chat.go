package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gaon-ai/gaon/internal/api"
)

// asked is one question to an endpoint, in the OpenAI API's words.
type asked struct {
	Model         string        `json:"model"`
	Messages      []chatMessage `json:"messages"`
	Stream        bool          `json:"stream"`
	StreamOptions *includeUsage `json:"stream_options,omitempty"`
	MaxTokens     int           `json:"max_tokens,omitempty"`
	Temperature   float64       `json:"temperature"`
	TopP          float64       `json:"top_p,omitempty"`
	Seed          *int64        `json:"seed,omitempty"`
}

type chatMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type includeUsage struct {
	IncludeUsage bool `json:"include_usage"`
}

// usage is what an answer cost in tokens.
type usage struct {
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
}

func (s *settings) chat() *cobra.Command {
	q := asked{Stream: true, StreamOptions: &includeUsage{true}}
	c := &cobra.Command{Use: "chat ENDPOINT [PROMPT]", Short: "Talk to a served model", GroupID: groupTenant,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) > 2 {
				return &usageError{fmt.Errorf("%s wants ENDPOINT and perhaps PROMPT\nhint: see %s --help", c.CommandPath(), c.CommandPath())}
			}
			return nil
		},
		Example: "  gaon chat gaon-mini '봄이 오면'\n  gaon chat gaon-mini            asks for one line after another",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := s.client()
			if err != nil {
				return err
			}
			q.Model = args[0]
			if len(args) == 2 {
				return s.chatOnce(c.Context(), c.OutOrStdout(), client, q, args[1])
			}
			return s.chatLines(c.Context(), c.OutOrStdout(), client, q)
		}}
	c.Flags().IntVar(&q.MaxTokens, "max-tokens", 0, "most tokens of an answer (default: what the model's context leaves)")
	c.Flags().Float64Var(&q.Temperature, "temperature", 0.7, "0 always takes the most probable token")
	c.Flags().Float64Var(&q.TopP, "top-p", 0.9, "take from the smallest set with this probability")
	return c
}

// chatLines asks for one prompt after another until the input ends.
func (s *settings) chatLines(ctx context.Context, out io.Writer, client *api.Client, q asked) error {
	mark := ""
	if term.IsTerminal(int(os.Stdin.Fd())) {
		mark = "> "
	}
	lines := bufio.NewScanner(os.Stdin)
	for fmt.Fprint(out, mark); lines.Scan(); fmt.Fprint(out, mark) {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		if err := s.chatOnce(ctx, out, client, q, lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (s *settings) chatOnce(ctx context.Context, out io.Writer, client *api.Client, q asked, prompt string) error {
	q.Messages = []chatMessage{{"user", prompt}}
	if s.output != "table" {
		answer, used, err := ask(ctx, client, q, io.Discard)
		if err != nil {
			return err
		}
		return s.printValue(out, map[string]any{"model": q.Model, "answer": answer, "usage": used})
	}
	_, _, err := ask(ctx, client, q, out)
	fmt.Fprintln(out)
	return err
}

// ask sends a question and writes the answer as it comes.
func ask(ctx context.Context, client *api.Client, q asked, out io.Writer) (string, usage, error) {
	var used usage
	body, err := json.Marshal(q)
	if err != nil {
		return "", used, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, client.Address+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return "", used, err
	}
	request.Header.Set("Authorization", "Bearer "+client.Key)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.HTTP.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return "", used, ctx.Err()
		}
		return "", used, &api.UnreachableError{Address: client.Address, Err: err}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", used, readAnswerError(response)
	}
	var answer strings.Builder
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(make([]byte, 0, 4096), 1<<20)
	for lines.Scan() {
		data, isData := strings.CutPrefix(lines.Text(), "data: ")
		if !isData {
			continue
		}
		if data == "[DONE]" {
			return answer.String(), used, nil
		}
		var part struct {
			Choices []struct {
				Delta chatMessage `json:"delta"`
			} `json:"choices"`
			Usage *usage `json:"usage"`
			Error *struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if err := json.Unmarshal([]byte(data), &part); err != nil {
			return answer.String(), used, fmt.Errorf("answer: %w", err)
		}
		if part.Error != nil {
			return answer.String(), used, errors.New(part.Error.Message)
		}
		if part.Usage != nil {
			used = *part.Usage
		}
		for _, choice := range part.Choices {
			answer.WriteString(choice.Delta.Content)
			fmt.Fprint(out, choice.Delta.Content)
		}
	}
	if err := lines.Err(); err != nil {
		return answer.String(), used, err
	}
	return answer.String(), used, errors.New("the answer broke off before its end")
}

// readAnswerError reads an error in the OpenAI API's form.
func readAnswerError(response *http.Response) error {
	data, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	var body struct {
		Error struct {
			Message string `json:"message"`
			Code    string `json:"code"`
		} `json:"error"`
	}
	if json.Unmarshal(data, &body) != nil || body.Error.Message == "" {
		return fmt.Errorf("the centre answered %s: %.200s", response.Status, data)
	}
	return fmt.Errorf("%s\nhint: see what is served: gaon endpoint list", body.Error.Message)
}
