package local

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/engine"
)

func FuzzStatement(f *testing.F) {
	for _, seed := range []string{`{"stage":"curate","counts":{"documents":2}}`, `{}`, `null`, `{"stage":"x"}{}`, `{"stage":"x","other":1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseStatement(data)
		if err != nil {
			return
		}
		if s == nil || s.Stage == "" || len(data) > statementBytesMax {
			t.Fatalf("accepted %q as %+v", data, s)
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseStatement(again); err != nil && len(again) <= statementBytesMax {
			t.Fatalf("%q was accepted, and written again it is not: %v", data, err)
		}
	})
}

func FuzzProgress(f *testing.F) {
	f.Add([]byte(`{"step":"train","done":1,"total":2,"values":{"loss":1.5}}`))
	f.Add([]byte(`{"done":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := parseProgress(data)
		if p.Done < 0 || p.Total < 0 || len(p.Values) > metricValuesMax {
			t.Fatalf("%q gives %+v", data, p)
		}
		if _, err := json.Marshal(p); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzMetrics: reading from a mark gives what reading from the beginning
// gives, and each point once.
func FuzzMetrics(f *testing.F) {
	f.Add([]byte("{\"step\":1,\"values\":{\"loss\":1}}\nnot\n{\"step\":2,\"values\":{\"loss\":2}}\n{\"step\":"), uint16(1))
	f.Add([]byte(strings.Repeat("x", metricLineMax+10)+"\n{\"step\":1,\"values\":{\"a\":1}}\n"), uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, from uint16) {
		all, _, err := readMetrics(bytes.NewReader(data), pointMark{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		part, _, err := readMetrics(bytes.NewReader(data), pointMark{}, int(from))
		if err != nil || fmt.Sprint(part) != fmt.Sprint(all[min(int(from), len(all)):]) {
			t.Fatalf("from %d on: %v and %v, all: %v", from, part, err, all)
		}
	})
}

func TestMetricMarks(t *testing.T) {
	var data bytes.Buffer
	for i := range 5000 {
		fmt.Fprintf(&data, "{\"step\":%d,\"values\":{\"loss\":1}}\n%s\n", i, strings.Repeat("noise ", i%7))
	}
	all, marks, err := readMetrics(bytes.NewReader(data.Bytes()), pointMark{}, 0)
	if err != nil || len(all) != 5000 || len(marks) != 5 {
		t.Fatalf("%d points, %d marks, %v", len(all), len(marks), err)
	}
	for _, m := range marks {
		rest, _, err := readMetrics(bytes.NewReader(data.Bytes()[m.offset:]), m, m.points)
		if err != nil || len(rest) != 5000-m.points || len(rest) > 0 && rest[0].Step != int64(m.points) {
			t.Fatalf("from mark %+v: %d points, %v", m, len(rest), err)
		}
	}
}

func FuzzTools(f *testing.F) {
	for _, r := range recorded {
		f.Add([]byte(r.output))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, v := range vendors {
			cards, err := v.parse(data)
			if err != nil {
				continue
			}
			seen := map[string]bool{}
			for _, d := range v.devices(cards) {
				if d.ID == "" || seen[d.ID] || d.Chip == "" || strings.ContainsAny(string(d.Chip)+d.value, " \n\x00,") && v.name == "nvidia" && strings.ContainsAny(d.value, ",\n\x00") {
					t.Fatalf("%s: %q gives %+v", v.name, data, d)
				}
				seen[d.ID] = true
			}
			for _, variable := range deviceEnvironment(v.devices(cards)) {
				if strings.ContainsAny(variable, "\x00\n") {
					t.Fatalf("%s: %q gives environment %q", v.name, data, variable)
				}
			}
		}
	})
}

// FuzzState: whatever stands in a state file, it is read or refused.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"lost":true,"ended":5,"exit_code":1,"cpu":3,"memory":4}`))
	f.Add([]byte(`{"version":1,"task":{"Job":"J1","Number":1,"Argv":["a"]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var end ending
		if json.Unmarshal(data, &end) == nil {
			a := attempt{end: &end}
			if o, err := a.look(); err != nil || o.State != engine.Ended && o.State != engine.Lost {
				t.Fatalf("%q gives %+v, %v", data, o, err)
			}
		}
		var l launch
		json.Unmarshal(data, &l)
	})
}
