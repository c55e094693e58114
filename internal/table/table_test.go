package table

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func keys[V any](t *Table[string, V]) []string {
	var all []string
	for k := range t.All() {
		all = append(all, k)
	}
	return all
}

func TestTheZeroTableIsReady(t *testing.T) {
	var table Table[string, int]
	if _, ok := table.Get("a"); ok || table.Len() != 0 {
		t.Error("an empty table has something")
	}
	if _, _, ok := table.First(); ok {
		t.Error("an empty table has a first")
	}
	table.Delete("a")
	copied := table.Copy()
	copied.Put("a", 1)
	if table.Len() != 0 || copied.Len() != 1 {
		t.Error("a copy of an empty table shares with it")
	}
	if data, err := json.Marshal(table); err != nil || string(data) != "{}" {
		t.Errorf("%s, %v", data, err)
	}
}

func TestBadJSONIsRefused(t *testing.T) {
	for _, bad := range []string{"", "[]", "1", `{"a":"x"}`, `{"a":1`, `{a:1}`} {
		var table Table[string, int]
		if err := table.UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%q is read as a table", bad)
		}
	}
	var table Table[string, int]
	table.Put("old", 1)
	if err := table.UnmarshalJSON([]byte("null")); err != nil || table.Len() != 0 {
		t.Errorf("null leaves %d, %v", table.Len(), err)
	}
	var unencodable Table[string, func()]
	unencodable.Put("a", nil)
	if _, err := unencodable.MarshalJSON(); err == nil {
		t.Error("a function was encoded")
	}
}

// TestAgainstAMap: any sequence of steps on tables and their copies behaves as
// on Go maps, in key order, and equal contents encode to equal bytes.
func TestAgainstAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tables, models := []Table[string, int]{{}}, []map[string]int{{}}
		key := rapid.StringMatching(`[a-e가-마"\\ ]{0,2}`)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				i, k, v := rapid.IntRange(0, len(tables)-1).Draw(t, "table"), key.Draw(t, "key"), rapid.Int().Draw(t, "value")
				tables[i].Put(k, v)
				models[i][k] = v
			},
			"delete": func(t *rapid.T) {
				i, k := rapid.IntRange(0, len(tables)-1).Draw(t, "table"), key.Draw(t, "key")
				tables[i].Delete(k)
				delete(models[i], k)
			},
			"copy": func(t *rapid.T) {
				i := rapid.IntRange(0, len(tables)-1).Draw(t, "table")
				tables, models = append(tables, tables[i].Copy()), append(models, maps.Clone(models[i]))
			},
			"": func(t *rapid.T) {
				for i := range tables {
					want := slices.Sorted(maps.Keys(models[i]))
					if got := keys(&tables[i]); !slices.Equal(got, want) || tables[i].Len() != len(want) {
						t.Fatalf("table %d has %q, want %q", i, got, want)
					}
					for _, k := range want {
						if v, ok := tables[i].Get(k); !ok || v != models[i][k] {
							t.Fatalf("table %d has %d under %q, want %d", i, v, k, models[i][k])
						}
					}
					if k, v, ok := tables[i].First(); ok != (len(want) > 0) || ok && (k != want[0] || v != models[i][k]) {
						t.Fatalf("table %d begins with %q", i, k)
					}
					data, err := json.Marshal(tables[i])
					var back Table[string, int]
					if err != nil || json.Unmarshal(data, &back) != nil {
						t.Fatalf("table %d does not encode: %v", i, err)
					}
					if again, _ := json.Marshal(back); string(again) != string(data) {
						t.Fatalf("encoded %s, then %s", data, again)
					}
				}
			},
		})
	})
}

func TestRangingStops(t *testing.T) {
	var table Table[string, int]
	table.Put("a", 1)
	table.Put("b", 2)
	n := 0
	for range table.All() {
		n++
		break
	}
	if n != 1 {
		t.Errorf("went on for %d", n)
	}
}
