package lm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Files of a model folder, as Hugging Face transformers names them.
const (
	ConfigFile     = "config.json"
	WeightsFile    = "model.safetensors"
	GenerationFile = "generation_config.json"

	configBytesMax = 1 << 20
)

// configJSON is config.json as transformers writes it for LlamaForCausalLM.
type configJSON struct {
	Architectures         []string `json:"architectures"`
	AttentionBias         bool     `json:"attention_bias"`
	AttentionDropout      float    `json:"attention_dropout"`
	BeginID               *int     `json:"bos_token_id"`
	EndID                 *int     `json:"eos_token_id"`
	HeadDim               int      `json:"head_dim"`
	Activation            string   `json:"hidden_act"`
	HiddenSize            int      `json:"hidden_size"`
	InitializerRange      float    `json:"initializer_range"`
	IntermediateSize      int      `json:"intermediate_size"`
	MaxPositionEmbeddings int      `json:"max_position_embeddings"`
	MLPBias               bool     `json:"mlp_bias"`
	ModelType             string   `json:"model_type"`
	NumAttentionHeads     int      `json:"num_attention_heads"`
	NumHiddenLayers       int      `json:"num_hidden_layers"`
	NumKeyValueHeads      int      `json:"num_key_value_heads"`
	PretrainingTP         int      `json:"pretraining_tp"`
	RMSNormEps            float    `json:"rms_norm_eps"`
	RopeScaling           *string  `json:"rope_scaling"`
	RopeTheta             float    `json:"rope_theta"`
	TieWordEmbeddings     bool     `json:"tie_word_embeddings"`
	TorchDtype            string   `json:"torch_dtype"`
	UseCache              bool     `json:"use_cache"`
	VocabSize             int      `json:"vocab_size"`
}

// float is written with a point or an exponent, as Python writes a float: strict
// readers take 10000 for another type than 10000.0.
type float float64

func (f float) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(float64(f))
	if err == nil && !bytes.ContainsAny(text, ".e") {
		text = append(text, ".0"...)
	}
	return text, err
}

// generationJSON is generation_config.json.
type generationJSON struct {
	FromModelConfig bool `json:"_from_model_config"`
	BeginID         *int `json:"bos_token_id"`
	EndID           *int `json:"eos_token_id"`
}

func idOrNull(id int) *int {
	if id < 0 {
		return nil
	}
	return &id
}

func (c Config) fileForm() configJSON {
	return configJSON{
		Architectures: []string{"LlamaForCausalLM"}, ModelType: "llama", Activation: "silu",
		BeginID: idOrNull(c.BOS), EndID: idOrNull(c.EOS),
		HeadDim: c.HeadDim, HiddenSize: c.HiddenSize, IntermediateSize: c.InnerSize,
		MaxPositionEmbeddings: c.ContextLength, NumAttentionHeads: c.Heads, NumHiddenLayers: c.Layers,
		NumKeyValueHeads: c.KVHeads, RMSNormEps: float(c.NormEpsilon), RopeTheta: float(c.RopeTheta),
		TieWordEmbeddings: c.TieEmbeddings, VocabSize: c.VocabSize,
		InitializerRange: initDeviation, PretrainingTP: 1, TorchDtype: "float32", UseCache: true,
	}
}

// Save writes config.json, generation_config.json and model.safetensors, which
// Hugging Face transformers reads as LlamaForCausalLM. dir is made if missing;
// other files in it stay. config.json is taken away first and written last, so
// a folder with a config.json is whole, after a crash at any instant.
func (m *Model) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	config := filepath.Join(dir, ConfigFile)
	if err := os.Remove(config); err == nil {
		if err := syncFolder(dir); err != nil {
			return fmt.Errorf("save model: %w", err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("save model: %w", err)
	}
	if err := writeFile(filepath.Join(dir, WeightsFile), m.writeWeights); err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	for _, f := range []struct {
		path  string
		value any
	}{
		{filepath.Join(dir, GenerationFile), generationJSON{true, idOrNull(m.config.BOS), idOrNull(m.config.EOS)}},
		{config, m.config.fileForm()},
	} {
		text, err := json.MarshalIndent(f.value, "", "  ")
		if err != nil {
			return fmt.Errorf("save model: %w", err)
		}
		write := func(w io.Writer) error { _, err := w.Write(append(text, '\n')); return err }
		if err := writeFile(f.path, write); err != nil {
			return fmt.Errorf("save model: %w", err)
		}
	}
	return nil
}

// Load reads a folder that Save or transformers wrote: config.json and one
// model.safetensors in F32, F16 or BF16. What the model here cannot do (another
// architecture, scaled rotary positions, biases, quantised or split weights) is
// refused by name with a *FormatError, never guessed at, and no memory is taken
// before the files agree with each other and with their sizes.
func Load(dir string) (*Model, error) {
	path := filepath.Join(dir, ConfigFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, badFormat(path, "", "is missing: no model was saved here, or saving it did not finish")
	}
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, configBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("load model: read %s: %w", path, err)
	}
	c, err := parseConfig(text, path)
	if err != nil {
		return nil, err
	}
	path = filepath.Join(dir, WeightsFile)
	w, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(path + ".index.json"); err == nil {
			return nil, badFormat(path, "", "is missing and there is an index of several files: put them together into one first")
		}
		return nil, badFormat(path, "", "is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	defer w.Close()
	info, err := w.Stat()
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	return readWeights(c, w, info.Size(), path)
}

// fields reads config.json key by key and keeps the first complaint.
type fields struct {
	file string
	text map[string]json.RawMessage
	err  error
}

func (f *fields) fail(key, format string, a ...any) {
	if f.err == nil {
		f.err = badFormat(f.file, key, format, a...)
	}
}

// take decodes the key into to, where it is present and not null.
func (f *fields) take(key string, to any) (present bool) {
	text, ok := f.text[key]
	if !ok || string(text) == "null" {
		return false
	}
	if err := json.Unmarshal(text, to); err != nil {
		shown := text
		if len(shown) > 40 {
			shown = append(bytes.Clone(shown[:40]), "…"...)
		}
		f.fail(key, "is %s, want %s", shown, map[bool]string{true: "a whole number", false: "another kind of value"}[isInt(to)])
	}
	return true
}

func isInt(to any) bool { _, ok := to.(*int); return ok }

func (f *fields) size(key string, standard int) int {
	n := standard
	if !f.take(key, &n) && standard == 0 {
		f.fail(key, "is missing")
	}
	return n
}

// must refuses a value other than the one this model implements.
func must[T comparable](f *fields, key string, want T) {
	got := want
	if f.take(key, &got); got != want {
		f.fail(key, "is %v, only %v can be run here", got, want)
	}
}

// id reads a token id, of which newer files hold lists: the first is taken.
// Null is none, a missing key the standard.
func (f *fields) id(key string, standard int) int {
	text, ok := f.text[key]
	if !ok {
		return standard
	}
	if len(text) > 0 && text[0] == '[' {
		var list []int
		if f.take(key, &list); len(list) > 0 {
			return list[0]
		}
		return -1
	}
	n := -1
	f.take(key, &n)
	return n
}

// parseConfig reads config.json. Keys missing have transformers' defaults
// (LlamaConfig), except those that make the shape.
func parseConfig(text []byte, file string) (Config, error) {
	if len(text) > configBytesMax {
		return Config{}, badFormat(file, "", "has more than %d bytes", configBytesMax)
	}
	keys, values, err := parseObject(text)
	if err != nil {
		return Config{}, badFormat(file, "", "is no JSON object: %v", err)
	}
	f := &fields{file: file, text: make(map[string]json.RawMessage, len(keys))}
	for i, key := range keys {
		f.text[key] = values[i]
	}
	must(f, "model_type", "llama")
	var architectures []string
	if f.take("architectures", &architectures) && (len(architectures) != 1 || architectures[0] != "LlamaForCausalLM") {
		f.fail("architectures", "are %v, only [LlamaForCausalLM] can be run here", architectures)
	}
	if _, ok := f.text["model_type"]; !ok {
		f.fail("model_type", "is missing")
	}
	must(f, "hidden_act", "silu")
	must(f, "attention_bias", false)
	must(f, "mlp_bias", false)
	if _, ok := f.text["quantization_config"]; ok {
		f.fail("quantization_config", "is there, only plain weights can be run here")
	}
	c := Config{
		VocabSize: f.size("vocab_size", 0), HiddenSize: f.size("hidden_size", 0), InnerSize: f.size("intermediate_size", 0),
		Layers: f.size("num_hidden_layers", 0), Heads: f.size("num_attention_heads", 0),
		ContextLength: f.size("max_position_embeddings", 0), BOS: f.id("bos_token_id", 1), EOS: f.id("eos_token_id", 2),
		RopeTheta: 10000, NormEpsilon: 1e-6,
	}
	c.KVHeads = f.size("num_key_value_heads", max(c.Heads, 1))
	c.HeadDim = f.size("head_dim", max(c.HiddenSize/max(c.Heads, 1), 1))
	f.take("rms_norm_eps", &c.NormEpsilon)
	f.take("tie_word_embeddings", &c.TieEmbeddings)
	f.rope(&c)
	if f.err != nil {
		return Config{}, f.err
	}
	if err := c.Validate(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// rope reads the rotary base, which transformers 5 moved into rope_parameters,
// and refuses scaled positions.
func (f *fields) rope(c *Config) {
	f.take("rope_theta", &c.RopeTheta)
	for _, key := range []string{"rope_scaling", "rope_parameters"} {
		var p map[string]json.RawMessage
		if !f.take(key, &p) {
			continue
		}
		inner := &fields{file: f.file, text: p}
		for _, kind := range []string{"rope_type", "type"} {
			must(inner, kind, "default")
		}
		inner.take("rope_theta", &c.RopeTheta)
		if inner.err != nil {
			f.fail(key, "%v", inner.err.(*FormatError).Field+" "+inner.err.(*FormatError).Reason)
		}
	}
}
