package serving

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"unicode/utf8"
)

// Limits of what is read from outside.
const (
	BodyBytesMax = 1 << 20
	depthMax     = 16 // of arrays and objects in a body
)

// Types and codes of problems, as the OpenAI API names them.
const (
	InvalidRequest = "invalid_request_error"
	Authentication = "authentication_error"
	RateLimit      = "rate_limit_error"
	ServerError    = "server_error"

	CodeContext     = "context_length_exceeded"
	CodeUnsupported = "unsupported_parameter"
	CodeUnknown     = "unknown_parameter"
	CodeInvalid     = "invalid_value"
	CodeOverloaded  = "overloaded"
)

// Problem is an error as the OpenAI API writes it:
//
//	{"error":{"message":"...","type":"...","param":"..."|null,"code":"..."|null}}
type Problem struct {
	Status  int
	Message string
	Type    string
	Param   string
	Kind    string // the field "code"
	// RetryAfter is in seconds; 0 sends no such header.
	RetryAfter int
}

func (p *Problem) Error() string { return p.Message }

// Code names the refusal for programs.
func (p *Problem) Code() string { return p.Kind }

// MarshalJSON writes the error object with its envelope.
func (p *Problem) MarshalJSON() ([]byte, error) {
	orNull := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	type inner struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	return encode(struct {
		Error inner `json:"error"`
	}{inner{p.Message, p.Type, orNull(p.Param), orNull(p.Kind)}})
}

// Write answers the request with the problem.
func (p *Problem) Write(w http.ResponseWriter) {
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	WriteJSON(w, p.Status, p)
}

// bad refuses a request for one of its parameters.
func bad(param, format string, a ...any) *Problem {
	return &Problem{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, a...), Type: InvalidRequest, Param: param, Kind: CodeInvalid}
}

// NotFound answers for a path that is not there.
func NotFound(w http.ResponseWriter, r *http.Request) {
	p := &Problem{Status: http.StatusNotFound, Type: InvalidRequest, Kind: "unknown_url",
		Message: fmt.Sprintf("there is no %s %s here: ask GET /v1/models, POST /v1/completions or POST /v1/chat/completions", r.Method, r.URL.Path)}
	p.Write(w)
}

// WriteJSON answers with v. An error of writing means that nobody listens any
// more, and there is nobody to tell.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	data, err := encode(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err)) // only our own types come here
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}

// encode is json.Marshal without escaping what is only special in HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// ReadBody reads a request's body as a JSON object, its values still encoded.
func ReadBody(w http.ResponseWriter, r *http.Request) (map[string]json.RawMessage, error) {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if name, _, err := mime.ParseMediaType(kind); err != nil || name != "application/json" {
			return nil, &Problem{Status: http.StatusUnsupportedMediaType, Type: InvalidRequest,
				Message: fmt.Sprintf("the body's type is %q: send application/json", kind)}
		}
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, BodyBytesMax))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &Problem{Status: http.StatusRequestEntityTooLarge, Type: InvalidRequest,
			Message: fmt.Sprintf("the body is larger than %d bytes", BodyBytesMax)}
	case err != nil:
		return nil, bad("", "the body ended before it was read: %v", err)
	}
	return ParseBody(data)
}

// ParseBody is ReadBody for bytes at hand.
func ParseBody(data []byte) (map[string]json.RawMessage, error) {
	// encoding/json would put U+FFFD in place of what is no UTF-8, and the model
	// would be asked something that nobody wrote.
	if !utf8.Valid(data) {
		return nil, bad("", "the body is not UTF-8")
	}
	if depth(data) > depthMax {
		return nil, bad("", "the body is nested deeper than %d", depthMax)
	}
	var body map[string]json.RawMessage
	if err := json.Unmarshal(data, &body); err != nil {
		return nil, bad("", "the body is no JSON object: %v", err)
	}
	if body == nil {
		return nil, bad("", "the body is null, want a JSON object")
	}
	return body, nil
}

// depth is how deeply arrays and objects are nested in data, valid JSON or not.
func depth(data []byte) int {
	deepest, now, quoted := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// isNull says that a value is there in form only.
func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }
