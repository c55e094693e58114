package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Limits of what is read. The largest public byte-level tokenizers have about
// 20 MB and 260,000 tokens.
const (
	fileBytesMax = 64 << 20
	mergesMax    = 4 << 20
)

// Load reads a tokenizer.json. It is strict: whatever it does not know would
// silently change ids, so it is refused by name.
func Load(path string) (*Tokenizer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("load tokenizer %s: %w", path, err)
	}
	t, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer %s: %w", path, err)
	}
	return t, nil
}

// fileJSON is tokenizer.json as the tokenizers library writes it, version 1.0.
type fileJSON struct {
	Version       string          `json:"version"`
	Truncation    json.RawMessage `json:"truncation"`
	Padding       json.RawMessage `json:"padding"`
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         modelJSON       `json:"model"`
}

type modelJSON struct {
	Type         string            `json:"type"`
	Dropout      json.RawMessage   `json:"dropout"`
	Unknown      *string           `json:"unk_token"` // unused: every byte is known
	Prefix       string            `json:"continuing_subword_prefix"`
	Suffix       string            `json:"end_of_word_suffix"`
	FuseUnknown  bool              `json:"fuse_unk"` // unused too
	ByteFallback bool              `json:"byte_fallback"`
	IgnoreMerges bool              `json:"ignore_merges"`
	Vocab        map[string]uint32 `json:"vocab"`
	Merges       []mergeJSON       `json:"merges"`
}

// mergeJSON is a merge in either of the two forms: "a b" or ["a", "b"].
type mergeJSON [2]string

// UnmarshalJSON reads both forms.
func (m *mergeJSON) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		var pair []string
		if err := json.Unmarshal(data, &pair); err != nil {
			return err
		}
		if len(pair) != 2 {
			return fmt.Errorf("merge %.60s: want two tokens", data)
		}
		m[0], m[1] = pair[0], pair[1]
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	left, right, ok := strings.Cut(text, " ")
	if !ok || left == "" || right == "" || strings.Contains(right, " ") {
		return fmt.Errorf("merge %.60q: want two tokens and one space between them", text)
	}
	m[0], m[1] = left, right
	return nil
}

// Parse reads the bytes of a tokenizer.json, as Load does.
func Parse(data []byte) (*Tokenizer, error) {
	if len(data) > fileBytesMax {
		return nil, fmt.Errorf("over %d bytes", fileBytesMax)
	}
	var file fileJSON
	if err := decodeStrict(data, &file); err != nil {
		return nil, err
	}
	pattern, err := file.check()
	if err != nil {
		return nil, err
	}
	v, err := file.vocabulary()
	if err != nil {
		return nil, err
	}
	merges, err := v.merges(file.Model.Merges)
	if err != nil {
		return nil, err
	}
	t, err := newTokenizer(pattern, v.tokens, v.special, merges)
	if err != nil {
		return nil, err
	}
	if file.Model.IgnoreMerges {
		t.takeWhole()
	}
	return t, nil
}

// decodeStrict decodes one JSON value, no unknown keys, nothing behind it.
func decodeStrict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("empty file")
		}
		return fmt.Errorf("at byte %d: %w", d.InputOffset(), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("at byte %d: more after the end of the JSON value", d.InputOffset())
	}
	return nil
}

// check refuses every feature this package does not have.
func (f *fileJSON) check() (Pattern, error) {
	if f.Version != "1.0" {
		return 0, fmt.Errorf("version %q: want 1.0", f.Version)
	}
	absent := []struct {
		field string
		value json.RawMessage
	}{
		{"truncation", f.Truncation}, {"padding", f.Padding}, {"normalizer", f.Normalizer}, {"model.dropout", f.Model.Dropout},
	}
	for _, a := range absent {
		if !isNull(a.value) {
			return 0, fmt.Errorf("%s %.80s: not supported, only null is", a.field, a.value)
		}
	}
	switch m := &f.Model; {
	case m.Type != "BPE":
		return 0, fmt.Errorf("model.type %q: not supported, only BPE is", m.Type)
	case m.Prefix != "":
		return 0, fmt.Errorf("model.continuing_subword_prefix %q: not supported", m.Prefix)
	case m.Suffix != "":
		return 0, fmt.Errorf("model.end_of_word_suffix %q: not supported", m.Suffix)
	case m.ByteFallback:
		return 0, errors.New("model.byte_fallback: not supported, the vocabulary must be byte-level")
	}
	if err := checkStages("post_processor", f.PostProcessor, "processors", "ByteLevel", "TemplateProcessing"); err != nil {
		return 0, err
	}
	if err := checkStages("decoder", f.Decoder, "decoders", "ByteLevel"); err != nil {
		return 0, err
	}
	return parsePreTokenizer(f.PreTokenizer)
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// stageJSON is a pre-tokenizer, post-processor or decoder, of any type.
type stageJSON struct {
	Type           string            `json:"type"`
	Pretokenizers  []json.RawMessage `json:"pretokenizers"`
	Processors     []json.RawMessage `json:"processors"`
	Decoders       []json.RawMessage `json:"decoders"`
	AddPrefixSpace *bool             `json:"add_prefix_space"`
	UseRegex       *bool             `json:"use_regex"`
	Behavior       string            `json:"behavior"`
	Invert         bool              `json:"invert"`
	Pattern        struct {
		Regex  string  `json:"Regex"`
		String *string `json:"String"`
	} `json:"pattern"`
}

// stages opens a stage, or a Sequence of them one level deep.
func stages(field string, raw json.RawMessage, list string) ([]stageJSON, error) {
	var one stageJSON
	if err := json.Unmarshal(raw, &one); err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	if one.Type != "Sequence" {
		return []stageJSON{one}, nil
	}
	parts := map[string][]json.RawMessage{
		"pretokenizers": one.Pretokenizers, "processors": one.Processors, "decoders": one.Decoders,
	}[list]
	out := make([]stageJSON, len(parts))
	for i, part := range parts {
		if err := json.Unmarshal(part, &out[i]); err != nil {
			return nil, fmt.Errorf("%s.%s[%d]: %w", field, list, i, err)
		}
	}
	return out, nil
}

// checkStages refuses any type but those known.
func checkStages(field string, raw json.RawMessage, list string, known ...string) error {
	if isNull(raw) {
		return nil
	}
	parts, err := stages(field, raw, list)
	if err != nil {
		return err
	}
	for _, part := range parts {
		ok := false
		for _, name := range known {
			ok = ok || part.Type == name
		}
		if !ok {
			return fmt.Errorf("%s of type %q: not supported, only %s", field, part.Type, strings.Join(known, " and "))
		}
	}
	return nil
}

// parsePreTokenizer recognises the two patterns.
func parsePreTokenizer(raw json.RawMessage) (Pattern, error) {
	const field = "pre_tokenizer"
	if isNull(raw) {
		return 0, fmt.Errorf("%s null: not supported, want ByteLevel, or Split and ByteLevel", field)
	}
	parts, err := stages(field, raw, "pretokenizers")
	if err != nil {
		return 0, err
	}
	for i, part := range parts {
		if part.AddPrefixSpace != nil && *part.AddPrefixSpace {
			return 0, fmt.Errorf("%s[%d].add_prefix_space true: not supported", field, i)
		}
	}
	regex := func(s stageJSON) bool { return s.UseRegex == nil || *s.UseRegex }
	switch {
	case len(parts) == 1 && parts[0].Type == "ByteLevel" && regex(parts[0]):
		return GPT2, nil
	case len(parts) == 2 && parts[0].Type == "Split" && parts[1].Type == "ByteLevel" && !regex(parts[1]):
		return parseSplit(parts[0])
	}
	types := make([]string, 0, len(parts))
	for _, part := range parts {
		types = append(types, part.Type)
	}
	return 0, fmt.Errorf("%s [%.80s]: not supported, want ByteLevel with use_regex, or Split and ByteLevel without", field, strings.Join(types, ", "))
}

func parseSplit(s stageJSON) (Pattern, error) {
	switch {
	case s.Behavior != "Isolated" || s.Invert:
		return 0, fmt.Errorf("pre_tokenizer Split with behavior %q, invert %t: not supported, only Isolated", s.Behavior, s.Invert)
	case s.Pattern.String != nil:
		return 0, fmt.Errorf("pre_tokenizer Split by string %.40q: not supported, only by Regex", *s.Pattern.String)
	case s.Pattern.Regex == llama3Regex:
		return Llama3, nil
	case s.Pattern.Regex == gpt2Regex:
		return GPT2, nil
	}
	return 0, fmt.Errorf("pre_tokenizer Split by regex %.200q: not supported, only the patterns of GPT-2 and Llama 3", s.Pattern.Regex)
}

// vocabulary is the tokens of a file by id and by spelling.
type vocabulary struct {
	tokens  []string
	special []bool
	ids     map[string]uint32
}

// vocabulary puts the tokens in order and checks that their ids are 0, 1, … .
func (f *fileJSON) vocabulary() (*vocabulary, error) {
	ids := f.Model.Vocab
	if ids == nil {
		return nil, errors.New("model.vocab is missing")
	}
	specials := make([]string, 0, len(f.AddedTokens))
	for i, a := range f.AddedTokens {
		if err := a.check(i, ids); err != nil {
			return nil, err
		}
		ids[a.Content] = *a.ID
		specials = append(specials, a.Content)
	}
	if err := checkSpecials(specials); err != nil {
		return nil, fmt.Errorf("added_tokens: %w", err)
	}
	if len(ids) > vocabMax {
		return nil, fmt.Errorf("vocabulary of %d tokens, at most %d", len(ids), vocabMax)
	}
	v := &vocabulary{tokens: make([]string, len(ids)), special: make([]bool, len(ids)), ids: ids}
	taken := make([]bool, len(ids))
	for text, id := range ids {
		if int64(id) >= int64(len(ids)) {
			return nil, fmt.Errorf("token %.60q has id %d, but there are only %d tokens: ids must be 0 to %d", text, id, len(ids), len(ids)-1)
		}
		if taken[id] {
			return nil, fmt.Errorf("id %d belongs to two tokens, one of them %.60q", id, text)
		}
		taken[id] = true
		v.tokens[id] = text
	}
	for _, text := range specials {
		v.special[ids[text]] = true
	}
	return v, v.unspell()
}

// unspell turns the spelled tokens into the bytes they stand for.
func (v *vocabulary) unspell() error {
	for id, text := range v.tokens {
		if v.special[id] {
			continue
		}
		bytes, ok := unspell(text)
		switch {
		case !ok:
			return fmt.Errorf("token %.60q (id %d) is not written in the byte alphabet", text, id)
		case bytes == "" || len(bytes) > tokenBytesMax:
			return fmt.Errorf("token with id %d has %d bytes, want 1 to %d", id, len(bytes), tokenBytesMax)
		}
		v.tokens[id] = bytes
	}
	return nil
}

func (a *addedToken) check(i int, ids map[string]uint32) error {
	switch {
	case a.ID == nil:
		return fmt.Errorf("added_tokens[%d] has no id", i)
	case !a.Special:
		return fmt.Errorf("added_tokens[%d] %.60q: a token that is added but not special is not supported", i, a.Content)
	case a.LStrip || a.RStrip || a.SingleWord:
		return fmt.Errorf("added_tokens[%d] %.60q: lstrip, rstrip and single_word are not supported", i, a.Content)
	}
	if id, ok := ids[a.Content]; ok && id != *a.ID {
		return fmt.Errorf("added_tokens[%d] %.60q has id %d here and %d in the vocabulary", i, a.Content, *a.ID, id)
	}
	return nil
}

// merges checks each merge and finds its ids.
func (v *vocabulary) merges(list []mergeJSON) ([]merge, error) {
	if len(list) > mergesMax {
		return nil, fmt.Errorf("%d merges, at most %d", len(list), mergesMax)
	}
	out := make([]merge, 0, len(list))
	seen := make(map[[2]uint32]bool, len(list))
	for i, m := range list {
		var ids [3]uint32
		for k, text := range []string{m[0], m[1], m[0] + m[1]} {
			id, ok := v.ids[text]
			if !ok || v.special[id] {
				return nil, fmt.Errorf("model.merges[%d] %.60q: token %.60q is not in the vocabulary", i, m[0]+" "+m[1], text)
			}
			ids[k] = id
		}
		pair := [2]uint32{ids[0], ids[1]}
		if seen[pair] {
			return nil, fmt.Errorf("model.merges[%d] %.60q stands there twice", i, m[0]+" "+m[1])
		}
		seen[pair] = true
		out = append(out, merge{left: ids[0], right: ids[1], id: ids[2]})
	}
	return out, nil
}
