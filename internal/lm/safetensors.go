package lm

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// The safetensors format (github.com/huggingface/safetensors, README, section
// "Format"): the header's length in 8 bytes, a JSON header that names each
// tensor's type, shape and place, then the tensors' bytes without holes.

const (
	safetensorsHeaderMax = 16 << 20
	safetensorsAlign     = 8
	metadataKey          = "__metadata__"
)

// tensorEntry is one tensor in the header.
type tensorEntry struct {
	Type    string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// writeWeights writes all tensors as F32 in the order of the layout. The same
// weights give the same bytes.
func (m *Model) writeWeights(w io.Writer) error {
	var header bytes.Buffer
	header.WriteString(`{"` + metadataKey + `":{"format":"pt"}`)
	for _, t := range m.tensors {
		from := int64(4 * t.offset)
		entry := mustJSON(tensorEntry{"F32", t.shape, [2]int64{from, from + int64(4*t.size())}})
		fmt.Fprintf(&header, ",%q:%s", t.name, entry)
	}
	header.WriteByte('}')
	for header.Len()%safetensorsAlign != 0 {
		header.WriteByte(' ')
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint64(nil, uint64(header.Len()))); err != nil {
		return err
	}
	if _, err := w.Write(header.Bytes()); err != nil {
		return err
	}
	return writeFloats(w, m.weights)
}

// readWeights reads the weights of a model of shape c from size bytes. Nothing
// larger than the header is allocated before the header has been found to hold
// exactly the tensors of c, within size.
func readWeights(c Config, r io.ReaderAt, size int64, file string) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	entries, start, err := readTensorHeader(r, size, file)
	if err != nil {
		return nil, err
	}
	if err := matchTensors(layout(c), entries, size-start, file); err != nil {
		return nil, err
	}
	m, err := emptyModel(c)
	if err != nil {
		return nil, err
	}
	for _, t := range m.tensors {
		e := entries[t.name]
		data := io.NewSectionReader(r, start+e.Offsets[0], e.Offsets[1]-e.Offsets[0])
		part := m.weights[t.offset : t.offset+t.size()]
		if err := elementTypes[e.Type].read(data, part); err != nil {
			return nil, fmt.Errorf("%s: read tensor %s: %w", file, t.name, err)
		}
		for i, v := range part {
			if v-v != 0 {
				return nil, badFormat(file, t.name, "element %d is %g, want a finite number", i, v)
			}
		}
	}
	return m, nil
}

// readTensorHeader returns the tensors by name and where their bytes start.
func readTensorHeader(r io.ReaderAt, size int64, file string) (map[string]tensorEntry, int64, error) {
	var prefix [8]byte
	if size < int64(len(prefix)) {
		return nil, 0, badFormat(file, "", "has %d bytes, a safetensors file has at least 8: it was cut off", size)
	}
	if _, err := r.ReadAt(prefix[:], 0); err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", file, err)
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	if length > safetensorsHeaderMax {
		return nil, 0, badFormat(file, "header", "claims %d bytes, at most %d are read: this is no safetensors file", length, safetensorsHeaderMax)
	}
	if int64(length) > size-8 {
		return nil, 0, badFormat(file, "header", "claims %d bytes, the file has %d: it was cut off", length, size)
	}
	text := make([]byte, length)
	if _, err := r.ReadAt(text, 8); err != nil && !(errors.Is(err, io.EOF) && int64(length) == size-8) {
		return nil, 0, fmt.Errorf("read %s: %w", file, err)
	}
	if length == 0 || text[0] != '{' {
		return nil, 0, badFormat(file, "header", "does not begin with {: this is no safetensors file")
	}
	keys, values, err := parseObject(bytes.TrimRight(text, " "))
	if err != nil {
		return nil, 0, badFormat(file, "header", "%v", err)
	}
	entries := make(map[string]tensorEntry, len(keys))
	for i, key := range keys {
		if key == metadataKey {
			if err := checkMetadata(values[i], file); err != nil {
				return nil, 0, err
			}
			continue
		}
		e, err := parseEntry(values[i])
		if err != nil {
			return nil, 0, badFormat(file, key, "%v", err)
		}
		entries[key] = e
	}
	return entries, 8 + int64(length), nil
}

// checkMetadata wants the format that transformers wants: "pt".
func checkMetadata(value json.RawMessage, file string) error {
	keys, values, err := parseObject(value)
	if err != nil {
		return badFormat(file, metadataKey, "%v", err)
	}
	for i, key := range keys {
		if key == "format" && string(values[i]) == `"pt"` {
			return nil
		}
	}
	return badFormat(file, metadataKey, `names no format "pt": transformers would refuse the file too`)
}

// parseEntry reads one tensor's description, in which nothing may be missing
// and nothing may be unknown.
func parseEntry(value json.RawMessage) (e tensorEntry, err error) {
	keys, values, err := parseObject(value)
	if err != nil {
		return e, err
	}
	if len(keys) != 3 {
		return e, errors.New("wants dtype, shape and data_offsets")
	}
	for i, key := range keys {
		switch key {
		case "dtype":
			err = json.Unmarshal(values[i], &e.Type)
		case "shape":
			err = json.Unmarshal(values[i], &e.Shape)
		case "data_offsets":
			var pair []int64
			if err = json.Unmarshal(values[i], &pair); err == nil && len(pair) != 2 {
				err = errors.New("wants two numbers")
			} else if err == nil {
				e.Offsets = [2]int64(pair)
			}
		default:
			err = errors.New("is unknown")
		}
		if err != nil {
			return e, fmt.Errorf("%s: %w", key, err)
		}
	}
	return e, nil
}

// matchTensors checks that the entries are the tensors of c and fill data.
func matchTensors(tensors []tensor, entries map[string]tensorEntry, data int64, file string) error {
	known := make(map[string]bool, len(tensors))
	for _, t := range tensors {
		known[t.name] = true
		e, ok := entries[t.name]
		if !ok {
			return badFormat(file, t.name, "is missing")
		}
		element, ok := elementTypes[e.Type]
		if !ok {
			return badFormat(file, t.name, "has type %q, want F32, F16 or BF16", e.Type)
		}
		if !slices.Equal(e.Shape, t.shape) {
			return badFormat(file, t.name, "has shape %v, config.json makes it %v", e.Shape, t.shape)
		}
		want := int64(t.size()) * element.size
		if e.Offsets[0] < 0 || e.Offsets[1] > data || e.Offsets[1]-e.Offsets[0] != want {
			return badFormat(file, t.name, "lies from byte %d to %d of %d, want %d bytes: the file was cut off or its header is wrong",
				e.Offsets[0], e.Offsets[1], data, want)
		}
	}
	names := slices.SortedFunc(maps.Keys(entries), func(a, b string) int {
		return cmp.Or(cmp.Compare(entries[a].Offsets[0], entries[b].Offsets[0]), strings.Compare(a, b))
	})
	at := int64(0)
	for _, name := range names {
		// Old files hold the rotary frequencies, which follow from the config.
		if !known[name] && !strings.HasSuffix(name, ".rotary_emb.inv_freq") {
			return badFormat(file, name, "is no tensor of the Llama that config.json describes")
		}
		e := entries[name]
		if e.Offsets[0] != at || e.Offsets[1] < at {
			return badFormat(file, name, "begins at byte %d, the tensor before it ends at %d", e.Offsets[0], at)
		}
		at = e.Offsets[1]
	}
	if at != data {
		return badFormat(file, "", "has %d bytes of tensors, its header describes %d", data, at)
	}
	return nil
}

// elementTypes are the types that are read; all become float32.
var elementTypes = map[string]struct {
	size int64
	read func(r io.Reader, x []float32) error
}{
	"F32": {4, readFloats},
	"F16": {2, func(r io.Reader, x []float32) error { return readHalves(r, x, half) }},
	"BF16": {2, func(r io.Reader, x []float32) error {
		return readHalves(r, x, func(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) })
	}},
}

func readHalves(r io.Reader, x []float32, convert func(uint16) float32) error {
	buffer := make([]byte, 2*min(floatsPart, len(x)))
	for len(x) > 0 {
		n := min(floatsPart, len(x))
		if _, err := io.ReadFull(r, buffer[:2*n]); err != nil {
			return err
		}
		for i := range n {
			x[i] = convert(binary.LittleEndian.Uint16(buffer[2*i:]))
		}
		x = x[n:]
	}
	return nil
}

// half converts an IEEE 754 binary16.
func half(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch exponent {
	case 0:
		x := float32(fraction) / (1 << 24)
		return math.Float32frombits(math.Float32bits(x) | sign)
	case 31:
		return math.Float32frombits(sign | 255<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// parseObject reads a JSON object whose keys differ and returns them in their
// order. The standard decoder would take the last of two equal keys and ignore
// letters' case, so that two readers of one file could see two models.
func parseObject(text []byte) (keys []string, values []json.RawMessage, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	open, err := d.Token()
	if err != nil {
		return nil, nil, err
	}
	if open != json.Delim('{') {
		return nil, nil, errors.New("want a JSON object")
	}
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		key := token.(string) // the decoder lets nothing else stand here
		if seen[key] {
			return nil, nil, fmt.Errorf("has the key %q twice", key)
		}
		seen[key] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", key, err)
		}
		keys, values = append(keys, key), append(values, value)
	}
	if _, err := d.Token(); err != nil {
		return nil, nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("has something after its end")
	}
	return keys, values, nil
}
