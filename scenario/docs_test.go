package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/sample"
)

// pages are run in this order on one centre: what a tenant asks for on one
// page is what an officer decides on the next. As says whose key they have.
var pages = []struct {
	path string
	as   string
	lang string
}{
	{"README.md", operator, "en_US.UTF-8"},
	{"README.ko.md", operator, "ko_KR.UTF-8"},
	{"docs/tenant.md", tenant, "en_US.UTF-8"},
	{"docs/officer.md", officer, "en_US.UTF-8"},
	{"docs/ko/tenant.md", tenant, "ko_KR.UTF-8"},
	{"docs/ko/officer.md", officer, "ko_KR.UTF-8"},
	{"docs/auditor.md", auditor, "en_US.UTF-8"},
	{"docs/operator.md", operator, "en_US.UTF-8"},
	{"docs/developer.md", developer, "en_US.UTF-8"},
}

// Who reads a page.
const (
	operator  = "operator" // on the centre's machine, as its local user
	tenant    = "tenant"   // elsewhere: knows an address, a key and two public keys
	officer   = "officer"
	auditor   = "auditor"
	developer = "developer" // in the repository
)

// pageTimeout bounds the commands of one page: some wait for a run to end.
const pageTimeout = 4 * time.Minute

// docsRecipe makes the model that the pages find when they begin.
const docsRecipe = `name: gaon-mini
seed: 7
curate: {languages: [ko, en], held_out: 60}
tokenizer: {vocabulary: 512}
train: {layers: 1, width: 64, hidden: 128, heads: 2, kv_heads: 1, context: 64, batch: 8, steps: 20, warmup: 4, learning_rate: "0.01", weight_decay: "0.1", checkpoint_every: 10}
gate: ["bits_per_byte < baseline.byte_unigram", "contamination < 0.001"]
approvals: 2
serve: {name: gaon-mini}
`

// TestDocs types what the pages say. The lines of a page's bash blocks, in
// order, are one script; a command that fails is named with page and line.
func TestDocs(t *testing.T) {
	c := startDocsCentre(t)
	for _, page := range pages {
		t.Run(strings.ReplaceAll(page.path, "/", "-"), func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("..", page.path))
			if err != nil {
				t.Fatal(err)
			}
			script, commands := pageScript(string(text))
			if commands == 0 {
				t.Fatalf("%s has no bash block", page.path)
			}
			c.runPage(t, page.path, page.as, page.lang, script)
		})
	}
}

var fence = regexp.MustCompile("^\\s*```\\s*([a-z]*)\\s*$")

// pageScript keeps the lines of bash blocks where they stand and empties all
// others, so that bash counts lines as the page does. The first line of a page
// is its title, so there is room for what must come first.
func pageScript(page string) (script string, commands int) {
	lines := strings.Split(page, "\n")
	in, language := false, ""
	for i, line := range lines {
		if mark := fence.FindStringSubmatch(line); mark != nil {
			in, language = !in, mark[1]
			lines[i] = ""
			continue
		}
		if !in || language != "bash" {
			lines[i] = ""
			continue
		}
		commands++
	}
	lines[0] = prologue
	return strings.Join(lines, "\n"), commands
}

// prologue stops at the first command that fails and says where. That a reader
// such as head stops listening is no failure of gaon.
const prologue = `set -euo pipefail; trap 'echo "failed at line $LINENO: $BASH_COMMAND" >&2' ERR; ` +
	`gaon() { local status=0; command gaon "$@" || status=$?; [ $status -eq 141 ] || return $status; }`

// TestPageScript: lines keep their numbers, and only bash is run.
func TestPageScript(t *testing.T) {
	got, commands := pageScript("# T\ntext\n```bash\na\nb\n```\n```text\nc\n```\n")
	lines := strings.Split(got, "\n")
	if commands != 2 || lines[3] != "a" || lines[4] != "b" || strings.TrimSpace(strings.Join(lines[5:], "")) != "" {
		t.Errorf("%d commands in %q", commands, lines)
	}
}

// docsCentre is the running centre that the pages talk to.
type docsCentre struct {
	dir     string
	address string
	keys    map[string]string // of each reader but the local user and the developer
	signers []string
}

// startDocsCentre runs a demo once, starts the centre again to stay, and gives
// the people of the pages their keys.
func startDocsCentre(t *testing.T) *docsCentre {
	root := t.TempDir()
	c := &docsCentre{dir: filepath.Join(root, "gaon-data"), keys: map[string]string{}}
	recipe := filepath.Join(root, "recipe.yaml")
	if err := os.WriteFile(recipe, []byte(docsRecipe), 0o644); err != nil {
		t.Fatal(err)
	}
	c.gaon(t, "demo", "--once", "--address", "127.0.0.1:0", "--recipe", recipe)

	up := exec.Command(filepath.Join(binary, "gaon"), "--data", c.dir, "up", "--address", "127.0.0.1:0", "--slots", "4")
	var said bytes.Buffer
	up.Stdout, up.Stderr = &said, &said
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = up.Process.Signal(syscall.SIGINT) // it may have ended already
		if err := up.Wait(); err != nil {
			t.Errorf("gaon up: %v\n%s", err, said.String())
		}
		stopLeftovers(c.dir)
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if exec.Command("pgrep", "-f", "supervise "+c.dir).Run() != nil {
				return // none is left that writes into the folder
			}
		}
		t.Error("jobs of the pages do not end")
	})
	c.waitFor(t, "node", "list", "-o", "id")

	var access struct{ Address string }
	c.readJSON(t, "user.json", &access)
	c.address = access.Address
	var people struct {
		Tenant  string
		Signers []string
	}
	c.readJSON(t, "demo.json", &people)
	c.keys[tenant], c.signers = people.Tenant, people.Signers
	for _, role := range []string{officer, auditor} {
		person := c.gaon(t, "person", "add", "the "+role, "--org", "O0", "--role", role, "-o", "id")
		c.keys[role] = c.gaon(t, "key", "add", person, "-o", "id")
	}
	c.gaon(t, "endpoint", "open", c.gaon(t, "model", "list", "-o", "id"), "--grant", c.gaon(t, "grant", "list", "-o", "id"), "--name", "gaon-mini")
	for deadline := time.Now().Add(time.Minute); !strings.Contains(c.gaon(t, "endpoint", "list"), "ready"); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the endpoint does not get ready:\n%s", c.gaon(t, "endpoint", "list"))
		}
	}
	return c
}

// gaon runs a command as the local user and returns what it printed.
func (c *docsCentre) gaon(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.Command(filepath.Join(binary, "gaon"), append([]string{"--data", c.dir, "--lang", "en"}, args...)...)
	var complaint bytes.Buffer
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		t.Fatalf("gaon %s: %v\n%s%s", strings.Join(args, " "), err, out, complaint.String())
	}
	return strings.TrimSpace(string(out))
}

// waitFor waits until the command prints something.
func (c *docsCentre) waitFor(t *testing.T, args ...string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		out, err := exec.Command(filepath.Join(binary, "gaon"), append([]string{"--data", c.dir}, args...)...).Output()
		if err == nil && len(bytes.TrimSpace(out)) > 0 {
			return
		}
	}
	t.Fatalf("no centre answers from %s", c.dir)
}

func (c *docsCentre) readJSON(t *testing.T, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, name))
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// runPage runs a page's script in a folder with what its reader has at hand.
func (c *docsCentre) runPage(t *testing.T, page, as, lang, script string) {
	dir := t.TempDir()
	if _, err := sample.Write(filepath.Join(dir, "corpus"), filepath.Join(dir, "questions")); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"ledger.pub": "centre.pub", "model.pub": "model.pub"} {
		key, err := os.ReadFile(filepath.Join(c.dir, "keys", from))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), key, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "page.sh")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), pageTimeout)
	defer stop()
	command := exec.CommandContext(ctx, "bash", file)
	command.Dir = dir
	command.WaitDelay = 5 * time.Second
	command.Env = append(os.Environ(), "LANG="+lang, "LC_ALL=", "GAON_SERVER="+c.address,
		"PATH="+binary+string(os.PathListSeparator)+os.Getenv("PATH"))
	switch as {
	case developer:
		command.Dir = ".."
	case tenant:
		command.Env = append(command.Env, "GAON_DATA="+filepath.Join(dir, "none"), "GAON_KEY="+c.keys[as])
	default:
		command.Env = append(command.Env, "GAON_DATA="+c.dir, "GAON_KEY="+c.keys[as],
			"FIRST_SIGNER="+c.signers[0], "SECOND_SIGNER="+c.signers[1])
	}
	out, err := command.CombinedOutput()
	if err == nil {
		return
	}
	line := 0
	if found := regexp.MustCompile(`failed at line (\d+)`).FindAllSubmatch(out, -1); found != nil {
		line, _ = strconv.Atoi(string(found[0][1])) // digits, by the pattern
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("it takes longer than %s", pageTimeout)
	}
	t.Errorf("%s:%d: %v\n%s", page, line, err, out)
}
