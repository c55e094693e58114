package host

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/stage"
	"github.com/gaon-ai/gaon/proof/modelsign"
	"github.com/gaon-ai/gaon/proof/passport"
)

// The centre signs the model that was evaluated, with a passport that holds,
// and nothing else; and what it signed is served only as long as every byte of
// it is as it was.
func TestSignAndServe(t *testing.T) {
	c := newCentreWithRun(t)
	c.factory()
	run := c.release()
	state := c.Writer.State()
	good, _ := releaseOf(run)
	refuse := func(name, words string, change func(dir string)) {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "release")
		if err := artifact.Checkout(t.Context(), c.Store, good, dir); err != nil {
			t.Fatal(err)
		}
		change(dir)
		tree, size, err := artifact.PutTree(t.Context(), c.Store, dir)
		if err != nil {
			t.Fatal(err)
		}
		changed := run
		changed.Stages = maps.Clone(run.Stages)
		signs := run.Stages[factory.StageSign]
		signs.Outputs = []job.Output{{Name: "release", Tree: tree, Size: size}}
		changed.Stages[factory.StageSign] = signs
		_, err = c.Sign(t.Context(), state, c.run, changed)
		var refused *signError
		if !errors.As(err, &refused) || refused.Code() != "model.unsignable" || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refuse("other weights", "model.safetensors is not the one that was evaluated", func(dir string) { flip(t, dir, "model.safetensors") })
	refuse("another tokenizer", "tokenizer.json is not the one that was evaluated", func(dir string) { flip(t, dir, "tokenizer.json") })
	refuse("no weights", "model.safetensors is not the one", func(dir string) { remove(t, dir, "model.safetensors") })
	refuse("a passport changed by hand", "the passport does not hold", func(dir string) { replace(t, dir, passport.File, `"passed": true`, `"passed": false`) })
	for field, change := range map[string]func(*passport.Passport){
		"model.name":              func(p *passport.Passport) { p.Model.Name = "national-treasure" },
		"model.version":           func(p *passport.Passport) { p.Model.Version = "R1" },
		"model.class":             func(p *passport.Passport) { p.Model.Class = "public" },
		"model.residency":         func(p *passport.Passport) { p.Model.Residency = nil },
		"issuer.name":             func(p *passport.Passport) { p.Issuer.Name = "Another Centre" },
		"data.sources[0].licence": func(p *passport.Passport) { p.Data.Sources[0].Licence = "CC0-1.0" },
		"data.sources[0].owner":   func(p *passport.Passport) { p.Data.Sources[0].Owner = "Nobody" },
	} {
		refuse("another "+field, field, func(dir string) { rewrite(t, dir, change) })
	}
	for name, change := range map[string]func(*passport.Passport){
		"better scores than were measured": func(p *passport.Passport) { p.Evaluation.Results[0].Value++ },
		"an approval less":                 func(p *passport.Passport) { p.Approvals.Given = p.Approvals.Given[1:]; p.Approvals.Required = 1 },
		"a stage of another run":           func(p *passport.Passport) { p.Stages[2].Outputs[0].Digest = digest("other") },
	} {
		refuse(name, "the passport does not hold", func(dir string) { rewrite(t, dir, change) })
	}
	refuse("no passport", "the passport does not hold", func(dir string) { remove(t, dir, passport.File) })
	refuse("a file more", "the passport does not hold", func(dir string) { add(t, dir, "run.py", "import os") })
	empty := run
	empty.Stages = map[string]factory.Stage{}
	if _, err := c.Sign(t.Context(), state, c.run, empty); err == nil || !strings.Contains(err.Error(), "no release") {
		t.Errorf("no release: %v", err)
	}

	signed, err := c.Sign(t.Context(), state, c.run, run)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Sign(t.Context(), state, c.run, run)
	if err != nil || again.ID != signed.ID || again.Passport != signed.Passport || again.Signer != signed.Signer {
		t.Errorf("signed again: %+v, %v", again, err)
	}
	c.do(centre.Controller, centre.RecordSignature{WasSigned: signed})
	for _, left := range []string{"chain-", "sign-"} {
		if found, _ := filepath.Glob(filepath.Join(c.Dir, left+"*")); len(found) > 0 {
			t.Errorf("left behind: %v", found)
		}
	}
	serve(t, c)
}

// rewrite writes another passport, with its views, into a release; where the
// passport's own form forbids it, only the passport.
func rewrite(t *testing.T, dir string, change func(*passport.Passport)) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, passport.File))
	if err != nil {
		t.Fatal(err)
	}
	p, err := passport.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	change(&p)
	fresh := filepath.Join(t.TempDir(), "fresh")
	if err := os.CopyFS(fresh, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := passport.Write(fresh, p); err == nil {
		err = errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(fresh)))
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if data, err = passport.Encode(p); err != nil {
		t.Fatal(err)
	}
	edit(t, dir, passport.File, func([]byte) []byte { return data })
}

func flip(t *testing.T, dir, name string) {
	t.Helper()
	edit(t, dir, name, func(data []byte) []byte {
		data[len(data)-len(data)/4-1] ^= 1
		return data
	})
}

func replace(t *testing.T, dir, name, old, new string) {
	t.Helper()
	edit(t, dir, name, func(data []byte) []byte {
		changed := strings.Replace(string(data), old, new, 1)
		if changed == string(data) {
			t.Fatalf("%s does not hold %s", name, old)
		}
		return []byte(changed)
	})
}

func edit(t *testing.T, dir, name string, change func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	data, err := os.ReadFile(path)
	if err == nil {
		err = errors.Join(os.Chmod(filepath.Dir(path), 0o755), os.Chmod(path, 0o644), os.WriteFile(path, change(data), 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := errors.Join(os.Chmod(dir, 0o755), os.Remove(filepath.Join(dir, name))); err != nil {
		t.Fatal(err)
	}
}

func add(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// serve runs the serve stage on the signed release: whole, and changed in
// every file of it.
func serve(t *testing.T, c *centreWithRun) {
	state := c.Writer.State()
	c.do(centre.Controller, centre.SubmitStage{Run: c.run, Stage: factory.StageServe})
	state = c.Writer.State()
	var id job.ID
	for _, e := range state.Models.Endpoints.All() {
		id = e.Job
	}
	dir := c.lay(id)
	t.Chdir(dir)
	release := filepath.Join(dir, "in", "release")
	whole := files(t, release)
	refused := func(name string) {
		t.Helper()
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
		defer stop()
		if err := stage.Run(ctx, factory.StageServe, "."); err == nil || !strings.Contains(err.Error(), "not served") {
			t.Errorf("%s: served, or not refused: %v", name, err)
		}
		if _, err := os.Stat("serve.sock"); err == nil {
			t.Errorf("%s: a socket is there", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(whole)) {
		flip(t, release, name)
		refused("a changed byte of " + name)
		edit(t, release, name, func([]byte) []byte { return []byte(whole[name]) })
	}
	add(t, release, "more.py", "import os")
	refused("a file more")
	remove(t, release, "more.py")
	remove(t, release, modelsign.SignatureFile)
	refused("no signature")
	add(t, release, modelsign.SignatureFile, whole[modelsign.SignatureFile])
	params, err := os.ReadFile("params.json")
	if err != nil {
		t.Fatal(err)
	}
	other, err := modelsign.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := keys{model: other}.modelPublic()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := c.keys.modelPublic()
	if err != nil {
		t.Fatal(err)
	}
	line := func(s string) string { return strings.ReplaceAll(s, "\n", `\n`) }
	replace(t, ".", "params.json", line(ours), line(stranger))
	refused("another centre's key")
	edit(t, ".", "params.json", func([]byte) []byte { return params })

	// Whole, it is served, over a socket that a life before this one left.
	add(t, ".", "serve.sock", "")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- stage.Run(ctx, factory.StageServe, ".") }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", "serve.sock")
	}}}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		response, err := client.Get("http://service/health")
		if err == nil {
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("does not answer: %v", err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("asked to end: %v", err)
	}
	if _, err := os.Stat("statement.json"); err == nil {
		t.Error("a service made a claim")
	}
}
