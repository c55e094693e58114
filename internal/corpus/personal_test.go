package corpus

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// sharedData finds the test data that is never copied into the project.
func sharedData(t testing.TB, parts ...string) string {
	t.Helper()
	root := os.Getenv("GAON_SHARED_DATA")
	for dir, up := ".", 0; root == "" && up < 8; dir, up = filepath.Join("..", dir), up+1 {
		if _, err := os.Stat(filepath.Join(dir, "shared", "data")); err == nil {
			root = filepath.Join(dir, "shared", "data")
		}
	}
	if root == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("shared/data is missing; set GAON_SHARED_DATA")
		}
		t.Skip("shared/data is not here; set GAON_SHARED_DATA to measure against it")
	}
	return filepath.Join(append([]string{root}, parts...)...)
}

// goldKind maps the gold types to ours; decoys map to "".
func goldKind(gold string) PersonalKind {
	switch {
	case strings.HasPrefix(gold, "NOT_"):
		return ""
	case strings.HasPrefix(gold, "RRN"):
		return Registration
	case strings.HasPrefix(gold, "MOBILE"):
		return Mobile
	case strings.HasPrefix(gold, "PASSPORT"):
		return Passport
	}
	return map[string]PersonalKind{"LANDLINE": Landline, "BRN": Business, "DRIVER": Licence,
		"ACCOUNT": Account, "CARD": Card, "EMAIL": Email, "IP": IPAddress}[gold]
}

// TestPersonalGold measures the finder against the gold spans: exact bounds
// and the right kind count, nothing else.
func TestPersonalGold(t *testing.T) {
	file, err := os.Open(sharedData(t, "ko-pii", "pii.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	type tally struct{ gold, hit, wrong int }
	tallies := map[PersonalKind]*tally{}
	for _, k := range personalKinds {
		tallies[k] = &tally{}
	}
	decoys, hurt := 0, 0
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var item struct {
			ID, Text string
			Spans    []struct {
				Start, End int
				Type       string
				PII        bool
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &item); err != nil {
			t.Fatal(err)
		}
		type place struct {
			start, end int
			kind       PersonalKind
		}
		found := map[place]bool{}
		for _, s := range FindPersonal(item.Text) {
			found[place{utf8.RuneCountInString(item.Text[:s.Start]), utf8.RuneCountInString(item.Text[:s.End]), s.Kind}] = true
		}
		for _, g := range item.Spans {
			kind := goldKind(g.Type)
			if !g.PII {
				decoys++
				for p := range found {
					if p.start < g.End && g.Start < p.end {
						hurt++
						t.Logf("%s: decoy %s hurt as %s: %s", item.ID, g.Type, p.kind, item.Text)
					}
				}
				continue
			}
			tallies[kind].gold++
			if p := (place{g.Start, g.End, kind}); found[p] {
				tallies[kind].hit++
				delete(found, p)
			} else {
				t.Logf("%s: missed %s at %d-%d: %s (found %v)", item.ID, g.Type, g.Start, g.End, item.Text, found)
			}
		}
		for p := range found {
			tallies[p.kind].wrong++
		}
	}
	gold, hit, wrong := 0, 0, 0
	for _, k := range personalKinds {
		n := tallies[k]
		t.Logf("%-20s recall %3d/%3d, wrong %d", k, n.hit, n.gold, n.wrong)
		gold, hit, wrong = gold+n.gold, hit+n.hit, wrong+n.wrong
		if n.gold == 0 || n.hit*1000 < n.gold*995 || n.wrong*1000 > n.hit*5 {
			t.Errorf("%s: recall %d/%d, wrong %d; floor is 0.995 for both", k, n.hit, n.gold, n.wrong)
		}
	}
	precision, recall := float64(hit)/float64(hit+wrong), float64(hit)/float64(gold)
	t.Logf("all: precision %.4f recall %.4f, decoys hurt %d of %d", precision, recall, hurt, decoys)
	if precision < 0.995 || recall < 0.995 || hurt > 0 {
		t.Errorf("precision %.4f recall %.4f decoys hurt %d", precision, recall, hurt)
	}
}
