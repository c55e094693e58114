package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/gaon-ai/gaon/internal/api"
	"github.com/gaon-ai/gaon/internal/ledger"
)

func TestPrintError(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		want string
	}{
		{"nothing to do next", errors.New("it broke"), "gaon: it broke\n"},
		{"a hint in its text", errors.New("no centre is known\nhint: start one with: gaon up"), "gaon: no centre is known\ngaon: hint: start one with: gaon up\n"},
		{"a hint in its text, wrapped", fmt.Errorf("list jobs: %w", errors.New("no\nhint: yes")), "gaon: list jobs: no\ngaon: hint: yes\n"},
		{"a hint of its own", fmt.Errorf("open: %w", &api.UnreachableError{Address: "http://a", Err: errors.New("x")}),
			"gaon: open: no centre answers at http://a: x\ngaon: hint: start one with: gaon up, or name another with --server or GAON_SERVER\n"},
		{"a field with a hint", &ledger.HintError{Err: errors.New("in use"), Hint: "stop it"}, "gaon: in use\ngaon: hint: stop it\n"},
		{"a refusal of the centre", &api.Problem{Status: 402, Detail: "grant has 40 left, 60 wanted", Hint: "ask for more"}, "gaon: grant has 40 left, 60 wanted\ngaon: hint: ask for more\n"},
		{"a refusal without a hint", &api.Problem{Status: 404, Detail: "there is no job J9"}, "gaon: there is no job J9\n"},
	} {
		var b bytes.Buffer
		printError(&b, row.err)
		if b.String() != row.want {
			t.Errorf("%s:\n%swant:\n%s", row.name, b.String(), row.want)
		}
	}
}

type fruit struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func TestPrintRows(t *testing.T) {
	rows := []fruit{{"F1", "사과"}, {"F22", "a\npear"}}
	columns := []column[fruit]{{"id", func(f fruit) string { return f.ID }}, {"name", func(f fruit) string { return f.Name }}, {"end", func(fruit) string { return "." }}}
	for form, want := range map[string]string{
		"table": "ID   NAME    END\nF1   사과    .\nF22  a pear  .\n",
		"id":    "F1\nF22\n",
		"json":  "[\n  {\n    \"id\": \"F1\",\n    \"name\": \"사과\"\n  },\n  {\n    \"id\": \"F22\",\n    \"name\": \"a\\npear\"\n  }\n]\n",
		"yaml":  "- id: F1\n  name: 사과\n- id: F22\n  name: |-\n    a\n    pear\n",
	} {
		var b bytes.Buffer
		if err := printRows(&b, &settings{output: form}, rows, columns); err != nil || b.String() != want {
			t.Errorf("%s (%v):\n%swant:\n%s", form, err, b.String(), want)
		}
	}
	var b bytes.Buffer
	if err := printRows(&b, &settings{output: "table"}, nil, columns); err != nil || b.String() != "ID  NAME  END\n" {
		t.Errorf("no rows: %q, %v", b.String(), err)
	}
	for _, form := range []string{"table", "id", "json", "yaml"} {
		if printRows(fullDisk{}, &settings{output: form}, rows, columns) == nil {
			t.Errorf("%s: a write that failed is not told", form)
		}
	}
}

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestPrintMade(t *testing.T) {
	made, nothing := api.Made{ID: "J7", Entry: 12}, api.Made{ID: "", Entry: -1}
	for _, row := range []struct {
		form, lang string
		made       api.Made
		want       string
	}{
		{"table", "en", made, "J7 (ledger entry 12)\nnext: gaon job list\n"},
		{"table", "ko", made, "J7 (원장 항목 12)\n다음: gaon job list\n"},
		{"table", "en", nothing, "nothing changed: it is so already\n"},
		{"id", "en", made, "J7\n"},
		{"json", "en", made, "{\n  \"id\": \"J7\",\n  \"entry\": 12\n}\n"},
		{"yaml", "ko", made, "id: J7\nentry: 12\n"},
	} {
		var b bytes.Buffer
		if err := (&settings{output: row.form, lang: row.lang}).printMade(&b, row.made, "gaon job list"); err != nil || b.String() != row.want {
			t.Errorf("%s, %s (%v):\n%swant:\n%s", row.form, row.lang, err, b.String(), row.want)
		}
	}
}

// typed runs a command line and returns what it printed.
func typed(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := New("test")
	var b bytes.Buffer
	root.SetOut(&b)
	root.SetErr(io.Discard)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return b.String(), err
}

func TestNotUnderstood(t *testing.T) {
	t.Setenv("GAON_DATA", t.TempDir())
	for _, row := range []struct{ line, words string }{
		{"jbo", "did you mean: gaon job"},
		{"job lst", "did you mean: gaon job list"},
		{"job frobnicate", "see gaon job --help"},
		{"job show", "wants ID"},
		{"job show a b", "wants ID"},
		{"job list --colour red", "--colour"},
		{"job list -o xml", "want table, json, yaml or id"},
		{"--lang fr job list", "want ko or en"},
		{"up --slots many", "many"},
	} {
		_, err := typed(t, strings.Fields(row.line)...)
		var usage *usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), row.words) {
			t.Errorf("%s: %v, want it not understood, naming %q", row.line, err, row.words)
		}
	}
}

// Every command says what it does, and its help can be read.
func TestHelp(t *testing.T) {
	t.Setenv("GAON_DATA", t.TempDir())
	out, err := typed(t)
	for _, role := range []string{"Start here:", "Tenants", "Programme officers", "Operators:", "Auditors:"} {
		if err != nil || !strings.Contains(out, role) {
			t.Errorf("gaon alone does not show %q (%v)", role, err)
		}
	}
	var each func(c *cobra.Command)
	each = func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: %q", c.CommandPath(), c.Short)
		}
		if _, err := typed(t, append(strings.Fields(c.CommandPath())[1:], "--help")...); err != nil {
			t.Errorf("%s --help: %v", c.CommandPath(), err)
		}
		for _, sub := range c.Commands() {
			each(sub)
		}
	}
	each(New("test"))
}

// A command asks the centre that it was told of, and shows its answer in the
// form that was asked for.
func TestCommandsAsk(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer gaon_key" {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnauthorized)
			json.NewEncoder(w).Encode(api.Problem{Status: 401, Title: "Unauthorized", Detail: "no valid key", Hint: "send one", Code: "key.unknown"})
			return
		}
		switch r.Method + " " + r.URL.Path {
		case "GET /api/v1/orgs":
			io.WriteString(w, `[{"id":"O7","name":"한빛","country":"KR","kind":"company","since":0}]`)
		case "POST /api/v1/jobs/J1/stop":
			io.WriteString(w, `{"id":"J1","entry":9}`)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	t.Setenv("GAON_DATA", filepath.Join(t.TempDir(), "nothing"))
	t.Setenv("LANG", "en_US.UTF-8")
	t.Setenv("LC_ALL", "")
	if _, err := typed(t, "org", "list"); err == nil || !strings.Contains(err.Error(), "no centre is known") || !strings.Contains(err.Error(), "hint: ") {
		t.Errorf("no centre: %v", err)
	}
	t.Setenv("GAON_SERVER", server.URL)
	var problem *api.Problem
	if _, err := typed(t, "org", "list"); !errors.As(err, &problem) || problem.Hint != "send one" {
		t.Errorf("no key: %v", err)
	}
	t.Setenv("GAON_KEY", "gaon_key")
	for line, want := range map[string]string{"org list -o id": "O7\n", "org list": "한빛", "job stop J1 -o json": `"entry": 9`, "--lang ko job stop J1": "원장 항목 9"} {
		if out, err := typed(t, strings.Fields(line)...); err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %q, %v", line, out, err)
		}
	}
}
