package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Names of the files a Hugging Face model folder keeps a tokenizer in.
const (
	FileName            = "tokenizer.json"
	ConfigFileName      = "tokenizer_config.json"
	SpecialsMapFileName = "special_tokens_map.json"
)

// addedToken is a special token as tokenizer.json and tokenizer_config.json
// write it.
type addedToken struct {
	ID         *uint32 `json:"id,omitempty"`
	Content    string  `json:"content"`
	SingleWord bool    `json:"single_word"`
	LStrip     bool    `json:"lstrip"`
	RStrip     bool    `json:"rstrip"`
	Normalized bool    `json:"normalized"`
	Special    bool    `json:"special"`
}

// JSON returns the tokenizer as tokenizer.json, the same bytes each time. The
// special tokens stand in the vocabulary and among added_tokens, as the Hugging
// Face trainer writes them; begin_of_text, if there is one, goes before each
// text that a reader encodes "with special tokens".
func (t *Tokenizer) JSON() []byte {
	var b bytes.Buffer
	b.WriteString("{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": ")
	added := make([]addedToken, 0, len(t.specials))
	for _, s := range t.specials {
		added = append(added, addedToken{ID: &s.ID, Content: s.Text, Special: true})
	}
	b.Write(encodeJSON(added))
	b.WriteString(",\n  \"normalizer\": null,\n  \"pre_tokenizer\": ")
	b.WriteString(t.preTokenizerJSON())
	b.WriteString(",\n  \"post_processor\": ")
	b.WriteString(t.postProcessorJSON())
	b.WriteString(",\n  \"decoder\": " + byteLevelJSON(true) + ",\n  \"model\": ")
	t.writeModel(&b)
	b.WriteString("\n}\n")
	return b.Bytes()
}

func (t *Tokenizer) writeModel(b *bytes.Buffer) {
	b.WriteString(`{
    "type": "BPE",
    "dropout": null,
    "unk_token": null,
    "continuing_subword_prefix": null,
    "end_of_word_suffix": null,
    "fuse_unk": false,
    "byte_fallback": false,
    "ignore_merges": ` + strconv.FormatBool(t.whole != nil) + `,
    "vocab": {`)
	for id := range t.tokens {
		if id > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n      ")
		b.Write(encodeJSON(t.spelled(uint32(id))))
		b.WriteString(": " + strconv.Itoa(id))
	}
	b.WriteString("\n    },\n    \"merges\": [")
	for i, m := range t.merges {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n      ")
		b.Write(encodeJSON(t.spelled(m.left) + " " + t.spelled(m.right)))
	}
	b.WriteString("\n    ]\n  }")
}

// spelled returns the token as the vocabulary writes it.
func (t *Tokenizer) spelled(id uint32) string {
	if t.special[id] {
		return t.tokens[id]
	}
	return spell(t.tokens[id])
}

func byteLevelJSON(regex bool) string {
	return fmt.Sprintf(`{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": %t}`, regex)
}

func (t *Tokenizer) preTokenizerJSON() string {
	if t.pattern == GPT2 {
		return byteLevelJSON(true)
	}
	return `{"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": ` +
		string(encodeJSON(llama3Regex)) + `}, "behavior": "Isolated", "invert": false}, ` + byteLevelJSON(false) + `]}`
}

func (t *Tokenizer) postProcessorJSON() string {
	id, ok := t.ids[BeginOfText]
	if !ok {
		return byteLevelJSON(false)
	}
	begin := string(encodeJSON(BeginOfText))
	mark := `{"SpecialToken": {"id": ` + begin + `, "type_id": 0}}`
	a, second := `{"Sequence": {"id": "A", "type_id": 0}}`, `{"Sequence": {"id": "B", "type_id": 1}}`
	markSecond := `{"SpecialToken": {"id": ` + begin + `, "type_id": 1}}`
	return `{"type": "Sequence", "processors": [` + byteLevelJSON(false) +
		`, {"type": "TemplateProcessing", "single": [` + mark + `, ` + a +
		`], "pair": [` + mark + `, ` + a + `, ` + markSecond + `, ` + second +
		`], "special_tokens": {` + begin + `: {"id": ` + begin + `, "ids": [` + strconv.Itoa(int(id)) + `], "tokens": [` + begin + `]}}}]}`
}

// encodeJSON writes a value without the escapes that HTML needs, so that
// special tokens stay readable.
func encodeJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err)) // strings, numbers and flat structs always encode
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Save writes tokenizer.json at the path: whole, or not at all.
func (t *Tokenizer) Save(path string) error { return writeWhole(path, t.JSON()) }

// SaveModel writes into dir what a Hugging Face model folder holds of a
// tokenizer: tokenizer.json, tokenizer_config.json with the chat template, and
// special_tokens_map.json. contextMax is the model's longest input in tokens.
// It returns the names of the files.
func (t *Tokenizer) SaveModel(dir string, contextMax int) ([]string, error) {
	files := []struct {
		name string
		data []byte
	}{
		{FileName, t.JSON()},
		{ConfigFileName, t.ConfigJSON(contextMax)},
		{SpecialsMapFileName, t.SpecialsMapJSON()},
	}
	names := make([]string, 0, len(files))
	for _, f := range files {
		if err := writeWhole(filepath.Join(dir, f.name), f.data); err != nil {
			return nil, err
		}
		names = append(names, f.name)
	}
	return names, nil
}

// writeWhole writes beside the path, syncs and renames, so that a crash leaves
// the old file or the new one.
func writeWhole(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("save tokenizer: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("save tokenizer: %w", err)
		}
	}()
	if _, err = f.Write(data); err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// rolesOfSpecials are the special tokens that Hugging Face gives a role of
// their own.
var rolesOfSpecials = []struct{ role, text string }{
	{"bos_token", BeginOfText}, {"eos_token", EndOfText}, {"pad_token", Pad},
}

// ConfigJSON returns tokenizer_config.json: what transformers needs to know
// beside tokenizer.json, the chat template included. contextMax is the model's
// longest input in tokens.
func (t *Tokenizer) ConfigJSON(contextMax int) []byte {
	config := map[string]any{
		"tokenizer_class":              "PreTrainedTokenizerFast",
		"clean_up_tokenization_spaces": false,
		"model_input_names":            []string{"input_ids", "attention_mask"},
		"model_max_length":             contextMax,
	}
	decoder := make(map[string]addedToken, len(t.specials))
	for _, s := range t.specials {
		decoder[strconv.Itoa(int(s.ID))] = addedToken{Content: s.Text, Special: true}
	}
	config["added_tokens_decoder"] = decoder
	for _, r := range rolesOfSpecials {
		if _, ok := t.ids[r.text]; ok {
			config[r.role] = r.text
		}
	}
	if t.CanChat() == nil {
		config["chat_template"] = chatTemplate
	}
	return indentJSON(config)
}

// SpecialsMapJSON returns special_tokens_map.json.
func (t *Tokenizer) SpecialsMapJSON() []byte {
	roles := map[string]any{}
	for _, r := range rolesOfSpecials {
		if _, ok := t.ids[r.text]; ok {
			roles[r.role] = addedToken{Content: r.text, Special: true}
		}
	}
	var more []addedToken
	for _, s := range t.specials {
		if s.Text == User || s.Text == Assistant {
			more = append(more, addedToken{Content: s.Text, Special: true})
		}
	}
	if len(more) > 0 {
		roles["additional_special_tokens"] = more
	}
	return indentJSON(roles)
}

func indentJSON(v any) []byte {
	var b bytes.Buffer
	if err := json.Indent(&b, encodeJSON(v), "", "  "); err != nil {
		panic(fmt.Sprintf("indent %T: %v", v, err)) // encodeJSON wrote JSON
	}
	b.WriteByte('\n')
	return b.Bytes()
}
