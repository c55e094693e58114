package cli

import (
	"strings"
	"testing"
)

func TestRecipe(t *testing.T) {
	if _, err := demoRecipe(); err != nil {
		t.Fatalf("the demo's own recipe: %v", err)
	}
	text := string(demoRecipeText)
	for _, row := range []struct{ name, old, new, want string }{
		{"an unknown key names its line", "  layers: 3", "  layres: 3", "r.yaml:15:"},
		{"a word for a number", "layers: 3", "layers: four", "r.yaml:15:"},
		{"zero layers", "layers: 3", "layers: 0", "train.layers: 0 is outside"},
		{"heads that do not split", "heads: 4", "heads: 5", "train.width"},
		{"a decimal with seven places", `"0.006"`, `"0.0000001"`, "train.learning_rate"},
		{"a gate nobody can read", "contamination < 0.001", "contamination is low", "gate[1]"},
		{"no gate at all", "gate: ", "gates: ", "r.yaml:"},
		{"no YAML", "name: gaon-mini\nseed", "name: [\nseed", "r.yaml"},
	} {
		t.Run(row.name, func(t *testing.T) {
			changed := strings.Replace(text, row.old, row.new, 1)
			if changed == text {
				t.Fatalf("%q is not in the recipe", row.old)
			}
			_, err := parseRecipe("r.yaml", []byte(changed))
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), "hint:") {
				t.Fatalf("got %v, want it to name %q and a next step", err, row.want)
			}
		})
	}
}

func FuzzRecipe(f *testing.F) {
	f.Add(demoRecipeText)
	f.Add([]byte("name: x\ntrain: {layers: -1}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := parseRecipe("r.yaml", data); err == nil && r.Check() != nil {
			t.Fatalf("accepted a recipe that Check refuses: %q", data)
		}
	})
}
