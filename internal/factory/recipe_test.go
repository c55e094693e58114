package factory

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/unit"
)

func recipe() Recipe {
	return Recipe{
		Name: "우리말", Seed: 7, Curate: Curate{Languages: []string{"ko", "en"}, HeldOut: 50}, Tokenizer: Tokenizer{Vocabulary: 2048},
		Train: Train{Layers: 2, Width: 64, Hidden: 128, Heads: 4, KVHeads: 2, Context: 128, Batch: 8, Steps: 100, Warmup: 10,
			LearningRate: "0.003", WeightDecay: "0.1", CheckpointEvery: 50},
		Gate: []string{"bits_per_byte < baseline.byte_5gram and contamination < 0.001"}, Approvals: 2, Serve: Serve{Name: "urimal"},
	}
}

func TestRecipeCheck(t *testing.T) {
	long := strings.Repeat("가", nameRunesMax+1)
	for _, row := range []struct {
		name  string
		field string // empty: allowed
		given func(r *Recipe)
	}{
		{"as it should be", "", func(*Recipe) {}},
		{"no endpoint", "", func(r *Recipe) { r.Serve.Name = "" }},
		{"no approvals", "", func(r *Recipe) { r.Approvals = 0 }},
		{"the longest name", "", func(r *Recipe) { r.Name = long[3:] }},
		{"as many warmup steps as steps", "", func(r *Recipe) { r.Train.Warmup = 100 }},
		{"resources of its own", "", func(r *Recipe) { r.Train.Resources = Resources{2, 4, 1 << 30, 60} }},
		{"only the least slots", "", func(r *Recipe) { r.Train.Resources = Resources{SlotsMin: 100} }},
		{"no name", "name", func(r *Recipe) { r.Name = "" }},
		{"a name with a newline", "name", func(r *Recipe) { r.Name = "a\nb" }},
		{"a name that leaves no room for a stage's", "name", func(r *Recipe) { r.Name = long }},
		{"nothing held out", "curate.held_out", func(r *Recipe) { r.Curate.HeldOut = 0 }},
		{"more than half held out", "curate.held_out", func(r *Recipe) { r.Curate.HeldOut = 501 }},
		{"a language in capitals", "curate.languages[1]", func(r *Recipe) { r.Curate.Languages[1] = "EN" }},
		{"a language in words", "curate.languages[0]", func(r *Recipe) { r.Curate.Languages[0] = "korean" }},
		{"a language of digits", "curate.languages[0]", func(r *Recipe) { r.Curate.Languages[0] = "12" }},
		{"all languages there are", "curate.languages", func(r *Recipe) { r.Curate.Languages = make([]string, languagesMax+1) }},
		{"a vocabulary smaller than bytes", "tokenizer.vocabulary", func(r *Recipe) { r.Tokenizer.Vocabulary = 299 }},
		{"a vocabulary too large", "tokenizer.vocabulary", func(r *Recipe) { r.Tokenizer.Vocabulary = 1 << 20 }},
		{"no layers", "train.layers", func(r *Recipe) { r.Train.Layers = 0 }},
		{"no width", "train.width", func(r *Recipe) { r.Train.Width = 0 }},
		{"a width that does not split", "train.width", func(r *Recipe) { r.Train.Width = 66 }},
		{"heads of an odd size", "train.width", func(r *Recipe) { r.Train.Width = 60 }},
		{"no hidden layer", "train.hidden", func(r *Recipe) { r.Train.Hidden = 0 }},
		{"no heads", "train.heads", func(r *Recipe) { r.Train.Heads = 0 }},
		{"no key-value heads", "train.kv_heads", func(r *Recipe) { r.Train.KVHeads = 0 }},
		{"heads that share unevenly", "train.kv_heads", func(r *Recipe) { r.Train.KVHeads = 3 }},
		{"more key-value heads than heads", "train.kv_heads", func(r *Recipe) { r.Train.KVHeads = 8 }},
		{"no context", "train.context", func(r *Recipe) { r.Train.Context = 0 }},
		{"no batch", "train.batch", func(r *Recipe) { r.Train.Batch = 0 }},
		{"no steps", "train.steps", func(r *Recipe) { r.Train.Steps, r.Train.Warmup = 0, 0 }},
		{"more warmup than steps", "train.warmup", func(r *Recipe) { r.Train.Warmup = 101 }},
		{"negative warmup", "train.warmup", func(r *Recipe) { r.Train.Warmup = -1 }},
		{"no checkpoints", "train.checkpoint_every", func(r *Recipe) { r.Train.CheckpointEvery = 0 }},
		{"no learning rate", "train.learning_rate", func(r *Recipe) { r.Train.LearningRate = "" }},
		{"a learning rate above one", "train.learning_rate", func(r *Recipe) { r.Train.LearningRate = "1.000001" }},
		{"a learning rate with an exponent", "train.learning_rate", func(r *Recipe) { r.Train.LearningRate = "3e-4" }},
		{"a learning rate too fine", "train.learning_rate", func(r *Recipe) { r.Train.LearningRate = "0.0000001" }},
		{"a negative weight decay", "train.weight_decay", func(r *Recipe) { r.Train.WeightDecay = "-0.1" }},
		{"both wrong: the first is named", "train.learning_rate", func(r *Recipe) { r.Train.LearningRate, r.Train.WeightDecay = "x", "x" }},
		{"negative approvals", "approvals", func(r *Recipe) { r.Approvals = -1 }},
		{"more approvals than people", "approvals", func(r *Recipe) { r.Approvals = 17 }},
		{"no gate", "gate", func(r *Recipe) { r.Gate = nil }},
		{"too many conditions", "gate", func(r *Recipe) { r.Gate = make([]string, conditionsMax+1) }},
		{"a condition that is none", "gate[1]", func(r *Recipe) { r.Gate = append(r.Gate, "good enough") }},
		{"a condition too long", "gate[0]", func(r *Recipe) { r.Gate[0] = strings.Repeat("a", 200) + " < 1" }},
		{"a condition that is no text", "gate[0]", func(r *Recipe) { r.Gate[0] = "a\xff < 1" }},
		{"a name to serve under that is too long", "serve.name", func(r *Recipe) { r.Serve.Name = long }},
		{"a name to serve under with a tab", "serve.name", func(r *Recipe) { r.Serve.Name = "a\tb" }},
		{"negative slots", "curate", func(r *Recipe) { r.Curate.Slots = -1 }},
		{"more least than most", "tokenizer", func(r *Recipe) { r.Tokenizer.Resources = Resources{SlotsMin: 3, Slots: 2} }},
		{"more slots than a job may have", "train", func(r *Recipe) { r.Train.Slots = slotsMax + 1 }},
		{"more least slots than a job may have", "train", func(r *Recipe) { r.Train.SlotsMin = slotsMax + 1 }},
		{"negative memory", "evaluate", func(r *Recipe) { r.Evaluate.Memory = -1 }},
		{"negative time", "serve", func(r *Recipe) { r.Serve.TimeLimit = -1 }},
		{"time that would wrap", "serve", func(r *Recipe) { r.Serve.TimeLimit = 1 << 62 }},
	} {
		r := recipe()
		row.given(&r)
		err := r.Check()
		if row.field == "" && err != nil || row.field != "" && (err == nil || !strings.HasPrefix(err.Error(), row.field+": ")) {
			t.Errorf("%s: %v, want a refusal of %q", row.name, err, row.field)
		}
		if err == nil {
			mustMakeJobs(t, row.name, r)
		}
	}
}

// mustMakeJobs: a recipe that was accepted makes jobs that are accepted, or a
// run would begin that can never end.
func mustMakeJobs(t interface{ Errorf(string, ...any) }, name string, r Recipe) {
	for _, stage := range Stages {
		spec, err := Run{Recipe: r, Grant: "G1"}.JobFor("R1", stage, 2, strings.Repeat("k", 500))
		if err == nil {
			err = spec.Check()
		}
		if err != nil {
			t.Errorf("%s: stage %s: %v", name, stage, err)
		}
	}
}

func TestParseConditions(t *testing.T) {
	for _, row := range []struct {
		text string
		want string // empty: refused
	}{
		{"a < b", "a < b"},
		{"  a\t<=  0.5 ", "a <= 0.5"},
		{"a > -1 and b.c >= d_e and f < 2", "a > -1; b.c >= d_e; f < 2"},
		{"", ""}, {"a", ""}, {"a <", ""}, {"< b", ""}, {"a < b c", ""}, {"a<b", ""}, {"a = b", ""}, {"a == b", ""}, {"a => b", ""},
		{"a < b and", ""}, {"and a < b", ""}, {"a < b and and c < d", ""}, {"a < b or c < d", ""}, {"a < b AND c < d", ""},
		{"a < 1e3", ""}, {"a < 0.0000001", ""}, {"a < 1.2.3", ""}, {"a < .5", ""}, {"a < --1", ""}, {"a < $b", ""}, {"<a> < b", ""}, {"점수 < 1", ""},
	} {
		all, err := parseConditions(row.text)
		var words []string
		for _, c := range all {
			words = append(words, c.text)
		}
		if got := strings.Join(words, "; "); (err == nil) != (row.want != "") || got != row.want {
			t.Errorf("%q is read as %q, %v; want %q", row.text, got, err, row.want)
		}
	}
}

func TestDecideGate(t *testing.T) {
	scores := map[string]unit.Micro{"bits": 2_500_000, "base": 3_000_000, "same": 2_500_000, "zero": 0}
	for _, row := range []struct {
		name, gate string
		want       string
	}{
		{"below", "bits < base", "passed all 1 conditions"},
		{"not below itself", "bits < same", "failed: bits < same (2.5 against 2.5)"},
		{"at most itself", "bits <= same", "passed all 1 conditions"},
		{"at least itself", "bits >= same", "passed all 1 conditions"},
		{"not above itself", "bits > same", "failed: bits > same (2.5 against 2.5)"},
		{"not above", "bits >= base", "failed: bits >= base (2.5 against 3)"},
		{"above a number", "base > 2.999999", "passed all 1 conditions"},
		{"at the number", "base < 3", "failed: base < 3 (3 against 3)"},
		{"a negative number", "zero > -0.000001", "passed all 1 conditions"},
		{"both", "bits < base and zero < 0.001", "passed all 2 conditions"},
		{"one of two", "bits < base and zero > 0.001", "failed: zero > 0.001 (0 against 0.001)"},
		{"in two lines", "bits < base|base < bits", "failed: base < bits (3 against 2.5)"},
		{"a score that was not measured", "absent < 1", "failed: absent < 1 (absent was not measured)"},
		{"a limit that was not measured", "bits < absent", "failed: bits < absent (absent was not measured)"},
		{"silence is no proof beside proof", "bits < base and absent < 1", "failed: absent < 1 (absent was not measured)"},
		{"no conditions at all", "", "failed: "},
	} {
		var gate []string
		if row.gate != "" {
			gate = strings.Split(row.gate, "|")
		}
		v := DecideGate(gate, scores)
		if got := v.String(); got != row.want || v.Passed != strings.HasPrefix(row.want, "passed") {
			t.Errorf("%s: %v, %s; want %s", row.name, v.Passed, got, row.want)
		}
	}
	if v := DecideGate([]string{"a < b"}, nil); v.Passed {
		t.Error("passed with nothing measured")
	}
	if v := DecideGate([]string{"not a condition"}, scores); v.Passed || len(v.Lines) != 1 {
		t.Errorf("a condition that cannot be read: %+v", v)
	}
}

func FuzzGate(f *testing.F) {
	f.Add("bits < base and zero <= 0.001", int64(5), int64(7))
	f.Add("a < 1e3", int64(0), int64(0))
	f.Fuzz(func(t *testing.T, text string, a, b int64) {
		scores := map[string]unit.Micro{"a": unit.Micro(a), "b": unit.Micro(b)}
		conditions, err := parseConditions(text)
		v := DecideGate([]string{text}, scores)
		if err != nil && v.Passed {
			t.Fatalf("%q cannot be read and passes", text)
		}
		if err == nil && len(v.Lines) != len(conditions) {
			t.Fatalf("%q has %d conditions and %d decided lines", text, len(conditions), len(v.Lines))
		}
		for _, line := range v.Lines {
			if v.Passed && (!line.Holds || line.Missing != "") {
				t.Fatalf("%q passes though %+v", text, line)
			}
		}
		if again := DecideGate([]string{text}, scores); again.String() != v.String() {
			t.Fatalf("%q is decided %s, then %s", text, v, again)
		}
	})
}

func FuzzRecipe(f *testing.F) {
	good, _ := json.Marshal(recipe())
	f.Add(good)
	f.Add([]byte(`{"name":"a","gate":["a < 1"],"train":{"heads":0}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r Recipe
		if json.Unmarshal(data, &r) != nil || r.Check() != nil {
			return
		}
		mustMakeJobs(t, fmt.Sprintf("%q", data), r)
	})
}
