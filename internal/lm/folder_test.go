package lm

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nlpodyssey/safetensors"
)

func tinyModel(t testing.TB) *Model {
	t.Helper()
	m, err := New(tinyConfig(), 3)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func weightsBytes(t testing.TB, m *Model) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := m.writeWeights(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSaveLoadRoundTrip(t *testing.T) {
	for _, tied := range []bool{false, true} {
		c := tinyConfig()
		c.TieEmbeddings, c.BOS, c.EOS, c.RopeTheta, c.NormEpsilon = tied, -1, 36, 123456.789, 1.0/3e5
		m, err := New(c, 3)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "models", "one")
		for range 2 { // the second time over the first
			if err := m.Save(dir); err != nil {
				t.Fatal(err)
			}
		}
		back, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if back.Config() != c {
			t.Errorf("config %+v came back as %+v", c, back.Config())
		}
		mustEqual(t, "loaded", back, m)
		if tied != (&back.head[0] == &back.embed[0]) {
			t.Errorf("tied=%v was not kept", tied)
		}
		want := []string{ConfigFile, GenerationFile, WeightsFile}
		if got := checkpoints(t, dir); !slices.Equal(got, want) {
			t.Errorf("the folder holds %v, want %v", got, want)
		}
	}
}

// Another program's reader of the format sees the same tensors.
func TestSafetensorsReadByAnotherLibrary(t *testing.T) {
	m := tinyModel(t)
	file, err := safetensors.Deserialize(weightsBytes(t, m))
	if err != nil {
		t.Fatal(err)
	}
	if file.Len() != len(m.tensors) {
		t.Fatalf("it sees %d tensors, want %d", file.Len(), len(m.tensors))
	}
	for _, want := range m.tensors {
		got, ok := file.Tensor(want.name)
		if !ok || got.DType() != safetensors.F32 || len(got.Shape()) != len(want.shape) {
			t.Fatalf("%s: it sees %v %v %v", want.name, ok, got.DType(), got.Shape())
		}
		for i, s := range got.Shape() {
			if int(s) != want.shape[i] {
				t.Fatalf("%s: it sees the shape %v, want %v", want.name, got.Shape(), want.shape)
			}
		}
		for i := range want.size() {
			if bits := binary.LittleEndian.Uint32(got.Data()[4*i:]); bits != math.Float32bits(m.weights[want.offset+i]) {
				t.Fatalf("%s: it sees another element %d", want.name, i)
			}
		}
	}
}

// Every bit of the header matters, and every byte of the data.
func TestSafetensorsFlips(t *testing.T) {
	m := tinyModel(t)
	good := weightsBytes(t, m)
	header := 8 + int(binary.LittleEndian.Uint64(good))
	read := func(data []byte) (*Model, error) {
		return readWeights(m.config, bytes.NewReader(data), int64(len(data)), "x")
	}
	if _, err := read(good); err != nil {
		t.Fatal(err)
	}
	for at := range header {
		for _, flip := range []byte{1, 2, 4, 8, 16, 32, 64, 128, 255} {
			bad := slices.Clone(good)
			bad[at] ^= flip
			if _, err := read(bad); err == nil {
				t.Fatalf("byte %d of the header changed from %q to %q: no error", at, good[at], bad[at])
			}
		}
	}
	for at := header; at < len(good); at += 997 {
		bad := slices.Clone(good)
		bad[at] ^= 16
		if back, err := read(bad); err == nil && slices.Equal(back.weights, m.weights) {
			t.Fatalf("byte %d of the data changed: nobody noticed", at)
		}
	}
}

func mustRefuse(t *testing.T, what string, err error, says ...string) {
	t.Helper()
	var format *FormatError
	var config *ConfigError
	if !errors.As(err, &format) && !errors.As(err, &config) {
		t.Errorf("%s: %v, want a refusal", what, err)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%s: %q, want it to name %q", what, err, s)
		}
	}
}

func TestSafetensorsRefusals(t *testing.T) {
	m := tinyModel(t)
	good := weightsBytes(t, m)
	length := int(binary.LittleEndian.Uint64(good))
	text, data := string(good[8:8+length]), good[8+length:]
	file := func(header string, data []byte) []byte {
		return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...), data...)
	}
	change := func(old, new string) []byte {
		if !strings.Contains(text, old) {
			t.Fatalf("the header has no %q: %s", old, text)
		}
		return file(strings.Replace(text, old, new, 1), data)
	}
	norm := `"model.norm.weight":`
	from := strings.Index(text, norm)
	entry := text[from : from+strings.Index(text[from:], "}")+1]
	infinite := slices.Clone(good)
	binary.LittleEndian.PutUint32(infinite[8+length+4:], math.Float32bits(float32(math.Inf(1))))
	for _, row := range []struct {
		what string
		data []byte
		says []string
	}{
		{"an empty file", nil, []string{"cut off"}},
		{"a few bytes", good[:7], []string{"7 bytes"}},
		{"cut off in the header", good[:100], []string{"header", "cut off"}},
		{"cut off in the data", good[:len(good)-1], []string{"lm_head.weight", "cut off"}},
		{"only a header", good[:8+length], []string{"cut off"}},
		{"bytes at the end", append(slices.Clone(good), 0), []string{"bytes"}},
		{"a header of 4 EB", append(bytes.Repeat([]byte{255}, 8), good[8:]...), []string{"header"}},
		{"a zip file", []byte("PK\x03\x04\x00\x00\x00\x00 and more"), []string{"header"}},
		{"a missing tensor", file(strings.Replace(text, ","+entry, "", 1), data), []string{"model.norm.weight", "missing"}},
		{"an extra tensor", change(entry, entry+`,"model.extra":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`), []string{"model.extra"}},
		{"a bias", change(entry, entry+`,"model.layers.0.self_attn.q_proj.bias":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`), []string{"q_proj.bias"}},
		{"a tensor twice", change(entry, entry+","+entry), []string{"twice"}},
		{"a wrong shape", change(`"shape":[24]`, `"shape":[12]`), []string{"input_layernorm", "[12]", "[24]"}},
		{"the shape of one number", change(`"shape":[37,24]`, `"shape":[888]`), []string{"embed_tokens", "[888]", "[37 24]"}},
		{"a negative shape", change(`"shape":[24]`, `"shape":[-24]`), []string{"input_layernorm"}},
		{"an 8-bit type", change(`"F32"`, `"F8_E4M3"`), []string{"embed_tokens", "F8_E4M3"}},
		{"offsets beyond the end", change(`"data_offsets":[0,3552]`, `"data_offsets":[999999,1003551]`), []string{"embed_tokens"}},
		{"offsets that overlap", change(`"data_offsets":[3552,3648]`, `"data_offsets":[0,96]`), []string{"begins at byte"}},
		{"one offset", change(`"data_offsets":[0,3552]`, `"data_offsets":[0]`), []string{"data_offsets", "two"}},
		{"a huge number", change(`"data_offsets":[0,3552]`, `"data_offsets":[0,99999999999999999999]`), []string{"data_offsets"}},
		{"an unknown key", change(`"data_offsets":[0,3552]`, `"data_offsets":[0,3552],"x":1`), []string{"embed_tokens"}},
		{"another framework", change(`"pt"`, `"tf"`), []string{"format"}},
		{"an array", file("[]", data), []string{"header"}},
		{"a weight without end", infinite, []string{"embed_tokens", "element 1", "+Inf"}},
	} {
		_, err := readWeights(m.config, bytes.NewReader(row.data), int64(len(row.data)), "model.safetensors")
		mustRefuse(t, row.what, err, append(row.says, "model.safetensors")...)
	}
	// Spaces after the header are the format's own padding.
	if _, err := readWeights(m.config, bytes.NewReader(file(text+"   ", data)), int64(len(good)+3), "x"); err != nil {
		t.Errorf("a padded header: %v", err)
	}
}

func TestSafetensorsHalves(t *testing.T) {
	for bits, want := range map[uint16]float64{0: 0, 0x3c00: 1, 0xc000: -2, 0x3555: 0.333251953125, 0x7bff: 65504, 1: 0x1p-24, 0x83ff: -0x1.ff8p-15, 0x0400: 0x1p-14, 0x7c00: math.Inf(1)} {
		if got := float64(half(bits)); got != want {
			t.Errorf("half %#04x is %g, want %g", bits, got, want)
		}
	}
	m := tinyModel(t)
	for kind, bits := range map[string]func(x float32) uint16{
		"BF16": func(x float32) uint16 { return uint16(math.Float32bits(x) >> 16) },
		"F16":  func(x float32) uint16 { return 0x3800 }, // one half throughout
	} {
		var header, data bytes.Buffer
		for i, tensor := range m.tensors {
			header.WriteString([]string{"{", ","}[min(i, 1)])
			entry := mustJSON(tensorEntry{kind, tensor.shape, [2]int64{int64(2 * tensor.offset), int64(2 * (tensor.offset + tensor.size()))}})
			header.WriteString(`"` + tensor.name + `":` + string(entry))
		}
		header.WriteString("}")
		for _, w := range m.weights {
			data.Write(binary.LittleEndian.AppendUint16(nil, bits(w)))
		}
		all := append(append(binary.LittleEndian.AppendUint64(nil, uint64(header.Len())), header.Bytes()...), data.Bytes()...)
		back, err := readWeights(m.config, bytes.NewReader(all), int64(len(all)), "x")
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		for i, w := range back.weights {
			if kind == "F16" && w != 0.5 || kind == "BF16" && math.Abs(float64(w-m.weights[i])) > 0.01*math.Abs(float64(m.weights[i])) {
				t.Fatalf("%s: weight %d is %g, was %g", kind, i, w, m.weights[i])
			}
		}
	}
}

// config.json is written for strict readers: each key that transformers'
// LlamaConfig has, floats as floats.
func TestConfigJSONText(t *testing.T) {
	c := tinyConfig()
	c.EOS = -1
	var got bytes.Buffer
	if err := json.Indent(&got, mustJSON(c.fileForm()), "", "  "); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "config.json")
	if *update {
		if err := os.WriteFile(path, append(got.Bytes(), '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String()+"\n" != string(want) {
		t.Errorf("config.json reads\n%s\nwant\n%s", got.String(), want)
	}
	if back, err := parseConfig(want, path); err != nil || back != c {
		t.Errorf("it is read as %+v, %v, want %+v", back, err, c)
	}
}

func TestConfigJSON(t *testing.T) {
	// As transformers 5 writes it: rope_parameters, dtype, a list of ends.
	text := `{"architectures":["LlamaForCausalLM"],"attention_bias":false,"bos_token_id":1,"dtype":"bfloat16","eos_token_id":[2,3],
		"hidden_act":"silu","hidden_size":64,"intermediate_size":128,"max_position_embeddings":256,"mlp_bias":false,"model_type":"llama",
		"num_attention_heads":4,"num_hidden_layers":2,"num_key_value_heads":2,"rope_parameters":{"rope_theta":500000.0,"rope_type":"default"},
		"transformers_version":"5.0.0","vocab_size":300}`
	got, err := parseConfig([]byte(text), "config.json")
	want := Config{VocabSize: 300, HiddenSize: 64, InnerSize: 128, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16, ContextLength: 256,
		RopeTheta: 500000, NormEpsilon: 1e-6, BOS: 1, EOS: 2}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, row := range []struct {
		what, from, to string
		want           func(c *Config)
	}{
		{"missing ids are transformers' defaults", `"bos_token_id":1,"dtype":"bfloat16","eos_token_id":[2,3],`, ``, func(c *Config) {}},
		{"null ids are none", `"bos_token_id":1,"dtype":"bfloat16","eos_token_id":[2,3]`, `"bos_token_id":null,"eos_token_id":null`, func(c *Config) { c.BOS, c.EOS = -1, -1 }},
		{"an empty list is none", `[2,3]`, `[]`, func(c *Config) { c.EOS = -1 }},
		{"an older base", `"rope_parameters":{"rope_theta":500000.0,"rope_type":"default"}`, `"rope_theta":777,"rope_scaling":null`, func(c *Config) { c.RopeTheta = 777 }},
		{"no base", `"rope_parameters":{"rope_theta":500000.0,"rope_type":"default"},`, ``, func(c *Config) { c.RopeTheta = 10000 }},
		{"all heads with their own keys", `"num_key_value_heads":2,`, ``, func(c *Config) { c.KVHeads = 4 }},
	} {
		want := want
		row.want(&want)
		if got, err := parseConfig([]byte(strings.Replace(text, row.from, row.to, 1)), "config.json"); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", row.what, got, err, want)
		}
	}
	change := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("no %q", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	for _, row := range []struct{ what, text, names string }{
		{"nothing", "", "JSON"},
		{"an array", "[]", "JSON"},
		{"two objects", text + text, "after its end"},
		{"a key twice", change(`"vocab_size":300`, `"vocab_size":300,"vocab_size":301`), "vocab_size"},
		{"no vocabulary", change(`,"vocab_size":300`, ``), "vocab_size: is missing"},
		{"a null size", change(`"hidden_size":64`, `"hidden_size":null`), "hidden_size: is missing"},
		{"a size in words", change(`"hidden_size":64`, `"hidden_size":"sixty-four"`), "hidden_size"},
		{"a fraction", change(`"hidden_size":64`, `"hidden_size":64.5`), "whole number"},
		{"no layers", change(`"num_hidden_layers":2`, `"num_hidden_layers":0`), "layers"},
		{"too many layers", change(`"num_hidden_layers":2`, `"num_hidden_layers":2000000000`), "layers"},
		{"another architecture", change(`LlamaForCausalLM`, `MistralForCausalLM`), "architectures"},
		{"another type", change(`"llama"`, `"gemma"`), "model_type"},
		{"no type", change(`"model_type":"llama",`, ``), "model_type"},
		{"another activation", change(`"silu"`, `"gelu"`), "hidden_act"},
		{"biases", change(`"attention_bias":false`, `"attention_bias":true`), "attention_bias"},
		{"scaled positions", change(`"rope_type":"default"`, `"rope_type":"llama3"`), "rope_type"},
		{"old scaled positions", change(`"vocab_size"`, `"rope_scaling":{"type":"linear","factor":2},"vocab_size"`), "rope_scaling"},
		{"quantised weights", change(`"vocab_size"`, `"quantization_config":{"bits":4},"vocab_size"`), "quantization_config"},
		{"uneven heads", change(`"num_key_value_heads":2`, `"num_key_value_heads":3`), "divisor"},
		{"an end outside the vocabulary", change(`[2,3]`, `[300]`), "end token"},
		{"an end in words", change(`[2,3]`, `["x"]`), "eos_token_id"},
		{"a megabyte", text + strings.Repeat(" ", configBytesMax), "bytes"},
	} {
		_, err := parseConfig([]byte(row.text), "config.json")
		mustRefuse(t, row.what, err, row.names, "config.json")
	}
}

func TestLoadRefusals(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(dir)
	mustRefuse(t, "an empty folder", err, ConfigFile, "missing")
	m := tinyModel(t)
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	weights := filepath.Join(dir, WeightsFile)
	if err := os.Rename(weights, weights+".index.json"); err != nil {
		t.Fatal(err)
	}
	_, err = Load(dir)
	mustRefuse(t, "weights in several files", err, WeightsFile, "index")
	if err := os.Remove(weights + ".index.json"); err != nil {
		t.Fatal(err)
	}
	_, err = Load(dir)
	mustRefuse(t, "no weights", err, WeightsFile, "missing")

	// A config that asks for eight gigabytes beside a small file: refused by the
	// header, before anything is allocated.
	c := m.config
	c.VocabSize, c.HiddenSize = 200_000, 4096
	text := string(mustJSON(c.fileForm()))
	if err := os.WriteFile(filepath.Join(dir, ConfigFile), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(weights, weightsBytes(t, m), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Load(dir)
	mustRefuse(t, "a config of another size", err, "embed_tokens", "[37 24]")

	// Saving that cannot be done says where.
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.Save(filepath.Join(dir, "file")); err == nil || !strings.Contains(err.Error(), "save model") {
		t.Errorf("saving below a file: %v", err)
	}
}

func FuzzSafetensors(f *testing.F) {
	c := Config{VocabSize: 3, HiddenSize: 2, InnerSize: 2, Layers: 1, Heads: 1, KVHeads: 1, HeadDim: 2, ContextLength: 4,
		RopeTheta: 10000, NormEpsilon: 1e-5, BOS: -1, EOS: -1, TieEmbeddings: true}
	m, err := New(c, 1)
	if err != nil {
		f.Fatal(err)
	}
	good := weightsBytes(f, m)
	f.Add(good)
	f.Add(good[:50])
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := readWeights(c, bytes.NewReader(data), int64(len(data)), "fuzz")
		if err != nil {
			return
		}
		again, err := readWeights(c, bytes.NewReader(weightsBytes(t, m)), int64(len(weightsBytes(t, m))), "again")
		if err != nil {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
		mustEqual(t, "again", again, m)
	})
}

func FuzzConfigJSON(f *testing.F) {
	f.Add(mustJSON(tinyConfig().fileForm()))
	f.Add([]byte(`{"model_type":"llama","rope_scaling":{"rope_type":"x"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseConfig(text, "fuzz")
		if err != nil {
			return
		}
		back, err := parseConfig(mustJSON(c.fileForm()), "again")
		if err != nil || back != c {
			t.Fatalf("%+v was written and read as %+v, %v", c, back, err)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	c := smallRun().withDefaults()
	c.Model = Config{VocabSize: 3, HiddenSize: 2, InnerSize: 2, Layers: 1, Heads: 1, KVHeads: 1, HeadDim: 2, ContextLength: 4,
		RopeTheta: 10000, NormEpsilon: 1e-5, BOS: -1, EOS: -1}
	r, err := newRun(c, []uint32{0, 1, 2})
	if err != nil {
		f.Fatal(err)
	}
	r.step = 5
	var good bytes.Buffer
	if err := r.write(&good); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add(good.Bytes()[:70])
	f.Fuzz(func(t *testing.T, data []byte) {
		to := &run{config: c, identity: r.identity}
		// The checksum would stop nearly all inputs, so it is made right: what is
		// behind it must bear any bytes too.
		for _, data := range [][]byte{data, sealed(data)} {
			if err := to.read(bytes.NewReader(data), int64(len(data)), "fuzz"); err == nil && (to.step < 0 || to.step > c.Steps) {
				t.Fatalf("took up step %d of %d", to.step, c.Steps)
			}
		}
	})
}
