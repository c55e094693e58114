package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// Client talks to a running centre in one person's name.
type Client struct {
	Address string // http://127.0.0.1:7600
	Key     string // the person's secret
	HTTP    *http.Client
}

// NewClient returns a client; streams have no time limit, so cancel them by
// their context.
func NewClient(address, key string) *Client {
	return &Client{Address: strings.TrimRight(address, "/"), Key: key,
		HTTP: &http.Client{Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			ResponseHeaderTimeout: 2 * time.Minute,
		}}}
}

// UnreachableError says that no centre answered.
type UnreachableError struct {
	Address string
	Err     error
}

func (e *UnreachableError) Error() string {
	if errors.Is(e.Err, syscall.ECONNREFUSED) {
		return fmt.Sprintf("no centre answers at %s", e.Address)
	}
	return fmt.Sprintf("no centre answers at %s: %v", e.Address, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Hint says what the person can do.
func (e *UnreachableError) Hint() string {
	return "start one with: gaon up, or name another with --server or GAON_SERVER"
}

// Get reads one thing into out.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.roundTrip(ctx, http.MethodGet, path, "", nil, out)
}

// Post sends a change. Key makes it safe to send again; empty is none.
func (c *Client) Post(ctx context.Context, path, key string, body any) (Made, error) {
	var made Made
	data, err := json.Marshal(body)
	if err != nil {
		return made, err
	}
	err = c.roundTrip(ctx, http.MethodPost, path, key, bytes.NewReader(data), &made)
	return made, err
}

// post sends a body whose answer is not what a command made.
func (c *Client) post(ctx context.Context, path string, body, out any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.roundTrip(ctx, http.MethodPost, path, "", bytes.NewReader(data), out)
}

// PutBlob stores bytes and returns their name.
func (c *Client) PutBlob(ctx context.Context, r io.Reader) (Stored, error) {
	var stored Stored
	err := c.roundTrip(ctx, http.MethodPut, "/blobs", "", r, &stored)
	return stored, err
}

// Stream opens a raw answer: a blob, a log. The caller closes it.
func (c *Client) Stream(ctx context.Context, path string) (io.ReadCloser, error) {
	response, err := c.send(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

// answerMax bounds how much of a JSON answer is read.
const answerMax = 256 << 20

func (c *Client) roundTrip(ctx context.Context, method, path, key string, body io.Reader, out any) error {
	response, err := c.send(ctx, method, path, key, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(io.LimitReader(response.Body, answerMax)).Decode(out); err != nil {
		return fmt.Errorf("answer of %s %s: %w", method, path, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path, key string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.Address+Prefix+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.Key)
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &UnreachableError{c.Address, err}
	}
	if response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	return nil, readProblem(response)
}

// readProblem reads a refusal; an answer that is none is told as it is.
func readProblem(response *http.Response) error {
	data, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	problem := &Problem{Status: response.StatusCode}
	if kind != "application/problem+json" || json.Unmarshal(data, problem) != nil || problem.Detail == "" {
		return &Problem{Status: response.StatusCode, Detail: fmt.Sprintf("the centre answered %s: %.200s", response.Status, data)}
	}
	var details struct {
		Errors []struct{ Location, Message string }
	}
	if json.Unmarshal(data, &details) == nil {
		for _, e := range details.Errors {
			problem.Detail += fmt.Sprintf("; %s: %s", strings.TrimPrefix(e.Location, "body."), e.Message)
		}
	}
	return problem
}
