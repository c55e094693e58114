package strict

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

type sample struct {
	Name  string            `json:"name"`
	Count int64             `json:"count,omitempty"`
	Note  *string           `json:"note,omitempty"`
	Parts []part            `json:"parts,omitempty"`
	Any   json.RawMessage   `json:"any,omitempty"`
	Free  map[string]string `json:"free,omitempty"`
	Open  *open             `json:"open,omitempty"`
	Bytes []byte            `json:"bytes,omitempty"`
}

type open struct {
	_    struct{} `strict:"open"`
	Size int      `json:"size"`
}

type part struct {
	Size int `json:"size"`
}

func TestDecode(t *testing.T) {
	rows := []struct{ name, given, path, problem string }{
		{"plain", `{"name":"a"}`, "", ""},
		{"all fields", `{"name":"a","count":9007199254740993,"note":null,"parts":[{"size":1}],"any":{"x":[null,1.5]},"free":{"k":"v"}}`, "", ""},
		{"white space around", " {\"name\":\"a\"}\n", "", ""},
		{"field missing", `{"count":1}`, "name", "missing"},
		{"field missing inside", `{"name":"a","parts":[{"size":1},{}]}`, "parts[1].size", "missing"},
		{"unknown field", `{"name":"a","nome":"b"}`, "nome", "unknown"},
		{"other letter case", `{"Name":"a"}`, "Name", "unknown"},
		{"given twice", `{"name":"a","name":"b"}`, "name", "twice"},
		{"given twice by escape", `{"name":"a","n\u0061me":"b"}`, "name", "twice"},
		{"given twice in free part", `{"name":"a","any":{"x":{"y":1,"y":2}}}`, "any.x.y", "twice"},
		{"given twice in map", `{"name":"a","free":{"k":"v","k":"w"}}`, "free.k", "twice"},
		{"null for a string", `{"name":null}`, "name", "null"},
		{"null for a list", `{"name":"a","parts":null}`, "parts", "null"},
		{"unknown field in an open object", `{"name":"a","open":{"size":1,"more":[1]}}`, "", ""},
		{"letter case in an open object", `{"name":"a","open":{"size":1,"Size":2}}`, "open.Size", "unknown"},
		{"given twice in an open object", `{"name":"a","open":{"size":1,"more":1,"more":2}}`, "open.more", "twice"},
		{"missing in an open object", `{"name":"a","open":{"more":1}}`, "open.size", "missing"},
		{"bytes", `{"name":"a","bytes":"QQ=="}`, "", ""},
		{"bytes as a list of numbers", `{"name":"a","bytes":[1,2]}`, "bytes", "a list where"},
		{"bytes that are no base64", `{"name":"a","bytes":"Q"}`, "", "base64"},
		{"null for bytes", `{"name":"a","bytes":null}`, "bytes", "null"},
		{"trailing value", `{"name":"a"}{}`, "", "after the end"},
		{"trailing text", `{"name":"a"} x`, "", "after the end"},
		{"float for an integer", `{"name":"a","count":1.5}`, "count", "does not fit"},
		{"integer too large", `{"name":"a","count":9223372036854775808}`, "count", "does not fit"},
		{"number for a string", `{"name":1}`, "name", "does not fit"},
		{"list for an object", `[]`, "", "a list where"},
		{"object for a list", `{"name":"a","parts":{}}`, "parts", "an object where"},
		{"object for a string", `{"name":{}}`, "name", "an object where"},
		{"cut short", `{"name":"a"`, "", "does not end"},
		{"empty", ``, "", "too early"},
		{"bad UTF-8", "{\"name\":\"\xff\"}", "", "UTF-8"},
		{"not JSON", `{name:1}`, "", "not JSON"},
		{"too deep", `{"name":"a","any":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "any" + strings.Repeat("[0]", depthMax), "deeper"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var got sample
			err := Decode([]byte(row.given), &got)
			if row.problem == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			var bad *Error
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want a refusal naming %q", err, row.path)
			}
			if bad.Path != row.path || !strings.Contains(bad.Problem, row.problem) {
				t.Fatalf("got %q at %q, want %q at %q", bad.Problem, bad.Path, row.problem, row.path)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"name":"a","count":1,"parts":[{"size":1}],"any":{"x":[1,{}]}}`))
	f.Add([]byte(`{"name":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got sample
		if Decode(data, &got) != nil {
			return
		}
		// What strict accepts, encoding/json accepts too, and a second trip
		// through both gives the same document.
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatalf("accepted %q but cannot encode it: %v", data, err)
		}
		var second sample
		if err := Decode(again, &second); err != nil {
			t.Fatalf("accepted %q but not its own encoding %q: %v", data, again, err)
		}
	})
}
