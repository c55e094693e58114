package lm

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/reference-*.json anew; needs python3 with torch")

// referenceRequest is what testdata/reference.py reads.
type referenceRequest struct {
	Inputs      [][]uint32 `json:"inputs"`
	Targets     [][]uint32 `json:"targets"`
	Rates       []float64  `json:"rates"`
	WeightDecay float64    `json:"weight_decay"`
	Beta1       float64    `json:"beta1"`
	Beta2       float64    `json:"beta2"`
	Epsilon     float64    `json:"epsilon"`
	ClipNorm    float64    `json:"clip_norm"`
	Some        int        `json:"some"`
}

// referenceAnswer is what it writes.
type referenceAnswer struct {
	Torch     string               `json:"torch"`
	Logits    []float64            `json:"logits"`    // of the first step, batch × span × vocab
	Losses    []float64            `json:"losses"`    // of each step
	Norms     []float64            `json:"norms"`     // of each step's gradient
	Gradients map[string][]float64 `json:"gradients"` // some elements, first step
	Once      map[string][]float64 `json:"once"`      // some weights after one step
	Weights   map[string][]float64 `json:"weights"`   // some weights after the last
}

// some is the script's choice of elements.
func some(t tensor, flat []float32, count int) []float64 {
	var out []float64
	for i := 0; i < t.size(); i += max(1, t.size()/count) {
		out = append(out, float64(flat[t.offset+i]))
	}
	return out
}

// Logits, loss, gradients and 12 updates are held to PyTorch's numbers. They
// stand in testdata, so that the test needs no PyTorch; where the machine has
// it, the script is asked again and must still say the same.
func TestAgainstPyTorch(t *testing.T) {
	for name, change := range map[string]func(c *Config){
		"grouped": func(c *Config) { c.RopeTheta = 500 },
		"tied":    func(c *Config) { c.TieEmbeddings, c.KVHeads, c.NormEpsilon = true, 4, 1e-3 },
	} {
		t.Run(name, func(t *testing.T) {
			config := tinyConfig()
			change(&config)
			c := TrainConfig{Model: config, Steps: 12, Warmup: 3, Batch: 2, ClipNorm: 0.9, WeightDecay: 0.3, LearningRate: 0.01}.withDefaults()
			fresh := func() *Model {
				m, err := New(config, 21)
				if err != nil {
					t.Fatal(err)
				}
				return m
			}
			const span = 11
			inputs, targets := ids(31, 2*span, config.VocabSize), ids(32, 2*span, config.VocabSize)
			request := referenceRequest{
				Inputs: [][]uint32{inputs[:span], inputs[span:]}, Targets: [][]uint32{targets[:span], targets[span:]},
				WeightDecay: c.WeightDecay, Beta1: c.Beta1, Beta2: c.Beta2, Epsilon: c.Epsilon, ClipNorm: c.ClipNorm, Some: 9,
			}
			for s := range c.Steps {
				request.Rates = append(request.Rates, c.rate(s))
			}
			golden := filepath.Join("testdata", "reference-"+name+".json")
			want := ask(t, fresh(), request, golden)
			withKernels(t, func(t *testing.T) {
				m := fresh()
				got := ours(t, m, c, request, inputs, targets)
				compare(t, "logits", got.Logits, want.Logits, 2e-5)
				compare(t, "losses", got.Losses, want.Losses, 2e-5)
				compare(t, "norms", got.Norms, want.Norms, 1e-4)
				for _, x := range m.tensors {
					compare(t, "gradient of "+x.name, got.Gradients[x.name], want.Gradients[x.name], 2e-5)
					// An update is nearly the sign of the gradient: where that is close to
					// zero its rounding counts in full.
					compare(t, "once updated "+x.name, got.Once[x.name], want.Once[x.name], 5e-5)
					compare(t, "updated "+x.name, got.Weights[x.name], want.Weights[x.name], 1e-3)
				}
			})
		})
	}
}

// ours gives the same answer from this package.
func ours(t *testing.T, m *Model, c TrainConfig, request referenceRequest, inputs, targets []uint32) referenceAnswer {
	t.Helper()
	a := referenceAnswer{Gradients: map[string][]float64{}, Once: map[string][]float64{}, Weights: map[string][]float64{}}
	for at := 0; at < len(inputs); at += len(inputs) / c.Batch {
		for _, row := range fullLogits(m, inputs[at:at+len(inputs)/c.Batch]) {
			for _, l := range row {
				a.Logits = append(a.Logits, float64(l))
			}
		}
	}
	r := &run{config: c, team: newCrew(2), model: m, state: adamw{make([]float32, len(m.weights)), make([]float32, len(m.weights))}}
	p := newPass(m, c.Batch, len(inputs)/c.Batch, r.team, true)
	sums := make([]float64, blocks(len(m.weights), normPart))
	for ; r.step < c.Steps; r.step++ {
		s, err := r.update(p, inputs, targets, sums)
		if err != nil {
			t.Fatal(err)
		}
		a.Losses, a.Norms = append(a.Losses, s.Loss), append(a.Norms, s.GradNorm)
		for _, x := range m.tensors {
			if r.step == 0 {
				a.Gradients[x.name] = some(x, p.grad.flat, request.Some)
				a.Once[x.name] = some(x, m.weights, request.Some)
			}
			a.Weights[x.name] = some(x, m.weights, request.Some)
		}
	}
	return a
}

func compare(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%s: %d numbers, PyTorch has %d", what, len(got), len(want))
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= tolerance*(1+math.Abs(want[i]))) {
			t.Fatalf("%s: number %d is %.9f, PyTorch says %.9f", what, i, got[i], want[i])
		}
	}
}

// ask returns PyTorch's answer about the model.
func ask(t *testing.T, m *Model, request referenceRequest, golden string) referenceAnswer {
	t.Helper()
	var kept referenceAnswer
	text, err := os.ReadFile(golden)
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if err != nil && !*update {
		t.Fatal(err)
	}
	python := pythonWithTorch()
	if python == "" {
		if *update {
			t.Fatal("no python3 here has torch: apt-get install python3-torch")
		}
		return kept
	}
	dir := t.TempDir()
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	var out, complaints bytes.Buffer
	script := exec.Command(python, filepath.Join("testdata", "reference.py"), dir)
	script.Stdin, script.Stdout, script.Stderr = bytes.NewReader(mustJSON(request)), &out, &complaints
	if err := script.Run(); err != nil {
		t.Fatalf("reference.py: %v\n%s", err, complaints.Bytes())
	}
	var fresh referenceAnswer
	if err := json.Unmarshal(out.Bytes(), &fresh); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, append(rounded(t, out.Bytes()), '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	} else {
		compare(t, "kept losses", kept.Losses, fresh.Losses, 1e-7)
		compare(t, "kept logits", kept.Logits, fresh.Logits, 1e-7)
	}
	t.Logf("asked PyTorch %s", fresh.Torch)
	return fresh
}

// pythonWithTorch returns a Python that has PyTorch, "" if there is none.
// Debian's package belongs to Debian's Python, which need not be the first.
func pythonWithTorch() string {
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import torch").Run() == nil {
			return python
		}
	}
	return ""
}

// rounded shortens numbers to nine digits, beyond what float32 can show.
func rounded(t *testing.T, text []byte) []byte {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	var round func(v any) any
	round = func(v any) any {
		switch v := v.(type) {
		case float64:
			return json.Number(fmt.Sprintf("%.9g", v))
		case []any:
			for i := range v {
				v[i] = round(v[i])
			}
		case map[string]any:
			for key := range v {
				v[key] = round(v[key])
			}
		}
		return v
	}
	return mustJSON(round(value))
}
