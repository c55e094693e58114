package host

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/api"
	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof"
)

// serving runs the centre until the returned function stops it.
func serving(t *testing.T, h *Host) (client *api.Client, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(ctx) }()
	return api.NewClient(h.URL(), h.Access.Key), sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-ended, h.Close()); err != nil {
			t.Error(err)
		}
	})
}

func mustHint(t *testing.T, err error, words ...string) {
	t.Helper()
	var hint *ledger.HintError
	if !errors.As(err, &hint) || hint.Hint == "" {
		t.Fatalf("%v: want a hint", err)
	}
	for _, word := range words {
		if !strings.Contains(hint.Error()+"\n"+hint.Hint, word) {
			t.Errorf("%q, hint %q: want %q", hint, hint.Hint, word)
		}
	}
}

func TestFounding(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	h := mustOpen(t, config(dir))
	for name, mode := range map[string]os.FileMode{"format": 0o600, "user.json": 0o600, "keys/ledger.key": 0o600, "keys/model.pem": 0o600,
		"keys/ledger.pub": 0o644, "keys/model.pub": 0o644, "keys": os.ModeDir | 0o700, ".": os.ModeDir | 0o700} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, want %v (%v)", name, info.Mode(), mode, err)
		}
	}
	state := h.Writer.State()
	if state.Identity.Name != "Test Centre" || state.Identity.Site != "Chuncheon" || h.person() == "" {
		t.Errorf("%+v, the local user is %q", state.Identity, h.person())
	}
	ledgerKey, modelKey, err := PublicKeys(dir)
	if err != nil || ledgerKey.String() != state.Identity.LedgerKey || !modelKey.Equal(&h.keys.model.PublicKey) {
		t.Errorf("public keys: %v", err)
	}
	for name, text := range files(t, filepath.Join(dir, "ledger")) {
		if strings.Contains(text, h.Access.Key) {
			t.Errorf("%s holds the local user's key", name)
		}
	}
	key, person := h.Access.Key, h.person()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	c := config(dir)
	c.Name, c.Country = "Another Name", "JP" // an old centre keeps what it has
	again := mustOpen(t, c)
	if again.Access.Key != key || again.person() != person || again.Writer.State().Identity.Name != "Test Centre" || again.Writer.State().Seq != state.Seq {
		t.Errorf("opened again: %+v", again.Writer.State().Identity)
	}
	if again.Access.Address == h.Access.Address || again.Access.Address != again.URL() {
		t.Errorf("the address is %s, was %s", again.Access.Address, h.Access.Address)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Run("a second server on one folder", func(t *testing.T) {
		h := mustOpen(t, config(t.TempDir()))
		before := h.Access
		_, err := Open(t.Context(), config(h.Dir))
		if err == nil {
			t.Fatal("opened twice")
		}
		mustHint(t, err)
		if access, err := ReadAccess(h.Dir); err != nil || access != before {
			t.Errorf("the first server's access was changed: %+v, %v", access, err)
		}
	})
	t.Run("a port in use", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c := config(t.TempDir())
		c.Address = l.Addr().String()
		_, err = Open(t.Context(), c)
		mustHint(t, err, c.Address, "in use", "--address")
		mustOpen(t, config(c.Dir)) // nothing is left locked
	})
	t.Run("an address of another machine", func(t *testing.T) {
		c := config(t.TempDir())
		c.Address = "203.0.113.7:80"
		_, err := Open(t.Context(), c)
		mustHint(t, err, "203.0.113.7", "--address")
	})
	t.Run("a folder of a newer version", func(t *testing.T) {
		h := mustOpen(t, config(t.TempDir()))
		if err := errors.Join(h.Close(), os.WriteFile(filepath.Join(h.Dir, "format"), []byte("gaon.centre/9\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
		before := files(t, h.Dir)
		_, err := Open(t.Context(), config(h.Dir))
		mustHint(t, err, "gaon.centre/9", "newer")
		if !maps.Equal(before, files(t, h.Dir)) {
			t.Error("something was changed")
		}
	})
	t.Run("a spoiled key", func(t *testing.T) {
		h := mustOpen(t, config(t.TempDir()))
		path := filepath.Join(h.Dir, "keys", "ledger.key")
		if err := errors.Join(h.Close(), os.WriteFile(path, []byte("nonsense\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), config(h.Dir)); err == nil || !strings.Contains(err.Error(), "ledger key") || strings.Contains(err.Error(), "nonsense") {
			t.Errorf("%v", err)
		}
	})
	t.Run("another centre's key", func(t *testing.T) {
		h := mustOpen(t, config(t.TempDir()))
		other := mustOpen(t, config(t.TempDir()))
		if err := errors.Join(h.Close(), os.WriteFile(filepath.Join(h.Dir, "keys", "ledger.key"), []byte(other.keys.ledger.Secret()+"\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), config(h.Dir)); err == nil {
			t.Error("a ledger was opened with another's key")
		}
	})
	t.Run("no centre here", func(t *testing.T) {
		_, _, err := PublicKeys(t.TempDir())
		mustHint(t, err, "there is no centre", "gaon up")
	})
}

// Stopped between its key and its founding, a centre is founded with that key.
func TestFoundingAfterACrash(t *testing.T) {
	dir := t.TempDir()
	if err := prepareFolder(dir); err != nil {
		t.Fatal(err)
	}
	made, err := loadKeys(dir, "Test Centre")
	if err != nil {
		t.Fatal(err)
	}
	if err := writeAccess(dir, Access{Address: "http://127.0.0.1:1", Key: "gaon_before"}); err != nil {
		t.Fatal(err)
	}
	h := mustOpen(t, config(dir))
	if h.Access.Key != "gaon_before" || h.person() == "" || h.keys.ledger.Secret() != made.ledger.Secret() || !h.keys.model.Equal(made.model) {
		t.Error("the keys are others")
	}
}

// Two programs that make a centre's keys at once both have the same.
func TestKeysAreMadeOnce(t *testing.T) {
	dir := t.TempDir()
	if err := prepareFolder(dir); err != nil {
		t.Fatal(err)
	}
	made := make([]keys, 8)
	var group sync.WaitGroup
	for i := range made {
		group.Go(func() {
			var err error
			if made[i], err = loadKeys(dir, "c"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, k := range made[1:] {
		if k.ledger.Secret() != made[0].ledger.Secret() || !k.model.Equal(made[0].model) {
			t.Fatal("two servers have different keys")
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "keys", "*")); len(left) != 4 {
		t.Errorf("left: %v", left)
	}
}

// Whoever lost the access file is not locked out of his own centre; a key that
// was revoked on purpose stays revoked.
func TestLostAccessFile(t *testing.T) {
	h := mustOpen(t, config(t.TempDir()))
	operator := h.person()
	if err := errors.Join(h.Close(), os.WriteFile(filepath.Join(h.Dir, "user.json"), []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), config(h.Dir))
	mustHint(t, err, "user.json", "remove that file")
	if err := os.Remove(filepath.Join(h.Dir, "user.json")); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, config(h.Dir))
	if again.Access.Key == h.Access.Key || again.person() != operator {
		t.Errorf("the new key speaks for %q, want %q", again.person(), operator)
	}
	c := &centreWithRun{T: t, Host: again}
	id, _, _ := again.Writer.State().Party.ByKey(unit.DigestOf([]byte(again.Access.Key)), Now())
	c.do(string(operator), centre.RevokeKey{Key: id})
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if third := mustOpen(t, config(h.Dir)); third.person() != "" {
		t.Error("a revoked key is in force again")
	}
}

// What an entry of the ledger names is never collected, however old.
func TestGarbage(t *testing.T) {
	c := newCentreWithRun(t)
	put := func(text string) unit.Digest {
		t.Helper()
		d, _, err := c.Store.Put(t.Context(), strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	tree := func(text string) unit.Digest {
		t.Helper()
		d, err := artifact.PutTreeOf(t.Context(), c.Store, artifact.Tree{Format: artifact.TreeFormat,
			Files: []artifact.File{{Path: "a.txt", Digest: put(text), Size: unit.Bytes(len(text))}}})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	registered, output, input := tree("dataset"), tree("output"), tree("input")
	c.do(c.tenant, centre.RegisterDataset{Dataset: dataset.Dataset{Name: "d", Org: c.org, Licence: "CC0-1.0", Consent: "own", Purpose: dataset.Training,
		Tree: registered, Files: 1, Size: 7, Label: policy.Label{Class: policy.Internal}}})
	id := job.ID(c.do(c.tenant, centre.SubmitJob{Spec: job.Spec{Name: "work", Grant: c.grant, Argv: []string{"true"}, Chip: fleet.CPUSlot, CountMin: 1, Count: 1,
		TimeLimit: unit.Hour, Inputs: []job.Input{{Name: "in", Tree: input}}}}))
	c.do(centre.Controller, centre.PlaceJob{Job: id, Placement: job.Placement{Node: "local/here", Devices: []string{"cpu0"}}})
	c.do(centre.Controller, centre.StartJob{Job: id, Attempt: 1, At: Now()})
	c.do(centre.Controller, centre.FinishJob{Finished: job.Finished{ID: id, Attempt: 1, State: job.Succeeded, Ended: Now(), Outputs: []job.Output{{Name: "o", Tree: output, Size: 6}}}})
	junk := []unit.Digest{put("junk"), tree("junk in a tree")}
	old := time.Now().Add(-72 * time.Hour)
	err := filepath.WalkDir(filepath.Join(c.Dir, "artifacts", "sha256"), func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			err = os.Chtimes(path, old, old)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	young := put("an upload that nobody has named yet")
	removed, freed, err := c.CollectGarbage(t.Context())
	if err != nil || removed != 3 || freed == 0 {
		t.Errorf("removed %d, freed %s, %v; want 3", removed, freed, err)
	}
	for _, d := range []unit.Digest{registered, output, input, young} {
		if err := artifact.Verify(t.Context(), c.Store, d); err != nil {
			t.Errorf("%s is gone or spoiled: %v", d.Short(), err)
		}
	}
	for _, d := range junk {
		if _, err := c.Store.Size(t.Context(), d); err == nil {
			t.Errorf("junk %s is still here", d.Short())
		}
	}
}

// A person's details never stand anywhere in clear, and erasing them makes
// nothing else invalid.
func TestPersonErase(t *testing.T) {
	c := config(t.TempDir())
	log, err := os.Create(filepath.Join(c.Dir, "centre.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h := mustOpen(t, c)
	client, stop := serving(t, h)
	details := api.Details{Name: "홍길순 Plantedname", Email: "planted@example.kr", Phone: "010-9876-5432"}
	made, err := client.Post(t.Context(), "/people", "", api.NewPerson{Roles: []party.Role{{Name: party.Auditor}}, Details: details})
	if err != nil {
		t.Fatal(err)
	}
	shown := func(c *api.Client) *api.Details {
		t.Helper()
		var people []api.Person
		if err := c.Get(t.Context(), "/people", &people); err != nil {
			t.Fatal(err)
		}
		for _, p := range people {
			if string(p.ID) == made.ID {
				return p.Details
			}
		}
		t.Fatal("the person is not listed")
		return nil
	}
	if got := shown(client); got == nil || *got != details {
		t.Errorf("before: %+v", got)
	}
	neverInClear(t, h.Dir, details)
	if _, err := client.Post(t.Context(), "/people/"+made.ID+"/erase", "", api.Empty{}); err != nil {
		t.Fatal(err)
	}
	if got := shown(client); got != nil {
		t.Errorf("after: %+v", got)
	}
	neverInClear(t, h.Dir, details)
	stop()

	again := mustOpen(t, config(h.Dir))
	client, stop = serving(t, again)
	if got := shown(client); got != nil {
		t.Errorf("after a restart: %+v", got)
	}
	person, _ := again.Writer.State().Party.People.Get(party.PersonID(made.ID))
	if _, err := again.Seal.Open(t.Context(), person.Details); !errors.Is(err, ledger.ErrErased) {
		t.Errorf("opening the record: %v", err)
	}
	report, err := proof.VerifyLedger(t.Context(), again.Ledger, proof.Options{Keys: []proof.VerifierKey{again.keys.ledger.Verifier()}})
	if err != nil {
		t.Errorf("the ledger does not verify: %+v, %v", report, err)
	}
	if err := again.Writer.State().Check(); err != nil {
		t.Error(err)
	}
	stop()
	neverInClear(t, h.Dir, details)
}

// neverInClear looks through every file of the data folder.
func neverInClear(t *testing.T, dir string, d api.Details) {
	t.Helper()
	var words []string
	for _, word := range []string{"홍길순", "Plantedname", d.Email, d.Phone} {
		escaped, _ := json.Marshal(word)
		words = append(words, word, strings.Trim(string(escaped), `"`))
	}
	whole, _ := json.Marshal(d)
	words = append(words, base64.StdEncoding.EncodeToString(whole)[:40])
	all := files(t, dir)
	if len(all) < 8 {
		t.Fatalf("only %d files below %s", len(all), dir)
	}
	for name, text := range all {
		for _, word := range words {
			if strings.Contains(text, word) {
				t.Errorf("%s holds %q in clear", name, word)
			}
		}
	}
}

func TestServe(t *testing.T) {
	h := mustOpen(t, config(t.TempDir()))
	client, stop := serving(t, h)
	var nodes []api.Node
	for deadline := time.Now().Add(20 * time.Second); len(nodes) == 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err := client.Get(t.Context(), "/nodes", &nodes); err != nil {
			t.Fatal(err)
		}
	}
	if len(nodes) != 1 || len(nodes[0].Devices) < 2 || !strings.HasPrefix(string(nodes[0].ID), EngineName+"/") {
		t.Errorf("nodes %+v", nodes)
	}
	for path, want := range map[string]string{RevocationsPath: "gaon.revocations/1", "/log/checkpoint": h.keys.ledger.Origin(), "/api/v1/openapi.json": "components"} {
		response, err := http.Get(h.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 4096)
		n, _ := response.Body.Read(body)
		response.Body.Close()
		if response.StatusCode != http.StatusOK || !strings.Contains(string(body[:n]), want) {
			t.Errorf("%s: %d %.200s", path, response.StatusCode, body[:n])
		}
	}
	if !strings.HasPrefix(h.Link(), h.URL()+"/") {
		t.Errorf("link %s", h.Link())
	}
	stop()
	if err := client.Get(t.Context(), "/centre", new(api.Centre)); !errors.As(err, new(*api.UnreachableError)) {
		t.Errorf("after the stop: %v", err)
	}
}

func TestOrigin(t *testing.T) {
	for name, want := range map[string]string{"Gaon Centre": "gaon/gaon-centre/", "가온 센터": "gaon/centre/", "  A--B+C/9 ": "gaon/a-b-c-9/", "": "gaon/centre/"} {
		got := origin(name)
		if !strings.HasPrefix(got, want) || strings.ContainsAny(got, " +\n") || origin(name) == got {
			t.Errorf("%q: %q, want %s and something of its own", name, got, want)
		}
	}
}
