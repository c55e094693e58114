//go:build linux && cgo && nvml

package local

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// peerVariable names, to the test process that loads it, the library that
// plays NVML. Names are bound into a process once, so a process that may have
// met a real library cannot meet the peer, nor one peer another.
const peerVariable = "GAON_PEER_LIBRARY"

// buildPeer compiles testdata/nvml/peer.c, our own stand-in for NVIDIA's
// library. A machine that builds with cgo has a compiler.
func buildPeer(t *testing.T, flags ...string) string {
	path := filepath.Join(t.TempDir(), nvmlName)
	compiler := strings.Fields(os.Getenv("CC"))
	if len(compiler) == 0 {
		compiler = []string{"cc"}
	}
	args := append(compiler[1:], "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", path, "testdata/nvml/peer.c")
	args = append(args, flags...)
	if out, err := exec.Command(compiler[0], args...).CombinedOutput(); err != nil {
		t.Fatalf("compile the peer: %v\n%s", err, out)
	}
	return path
}

// inChild runs this test alone in a process of its own with the peer.
func inChild(t *testing.T, path string) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), peerVariable+"="+path, "GAON_PEER_FOLDER="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestNVMLPeer(t *testing.T) {
	path := os.Getenv(peerVariable)
	if path == "" {
		inChild(t, buildPeer(t))
		return
	}
	toolSays(t, "exit 9\n")
	v := vendorNamed(t, "nvidia")
	v.library = &library{call: nvmlAt(path), max: time.Minute}
	const first, second = "0 GPU-1a2b3c4d-0000-1111-2222-333344445555 /dev/nvidia1", "1 GPU-9f8e7d6c-0000-1111-2222-333344445555 /dev/nvidia0"
	for _, r := range []struct {
		scene string
		want  []string
		says  string
	}{
		{"two", []string{first, second}, ""},
		{"two", []string{first, second}, ""}, // again: begun and ended each time
		{"none", nil, ""},
		{"lost", []string{second}, "device 0: GPU is lost"},
		{"driver-not-loaded", nil, "begin: Driver Not Loaded"},
		{"too-many", nil, "impossible"},
		{"odd-id", nil, "no plain form"},
		{"shared-memory", []string{first, second}, ""},
		{"two", []string{first, second}, ""}, // what failed leaves nothing behind
	} {
		t.Setenv("GAON_PEER_SCENE", r.scene)
		cards, err := v.look(t.Context())
		if (err == nil) != (r.says == "") || err != nil && !strings.Contains(err.Error(), r.says) {
			t.Errorf("%s: error %v, want %q", r.scene, err, r.says)
		}
		var got []string
		for i, d := range v.devices(cards) {
			got = append(got, strings.Join([]string{d.ID[len("gpu"):], d.value, d.nodes[len(d.nodes)-1]}, " "))
			wantMemory := cards[i].memory == 141<<30
			if d.Chip != "nvidia-h200" || wantMemory == (r.scene == "shared-memory") {
				t.Errorf("%s: chip %s with %d bytes", r.scene, d.Chip, cards[i].memory)
			}
		}
		if strings.Join(got, "\n") != strings.Join(r.want, "\n") {
			t.Errorf("%s: devices %q, want %q", r.scene, got, r.want)
		}
	}
}

// TestNVMLHangs: the engine answers although the library hangs as it begins,
// and it is begun once only.
func TestNVMLHangs(t *testing.T) {
	path := os.Getenv(peerVariable)
	if path == "" {
		inChild(t, buildPeer(t))
		return
	}
	t.Setenv("GAON_PEER_SCENE", "hang")
	folder := os.Getenv("GAON_PEER_FOLDER")
	l := &library{call: nvmlAt(path), max: 100 * time.Millisecond}
	for i := range vendors {
		vendors[i].library, vendors[i].argv = nil, nil
		if vendors[i].name == "nvidia" {
			vendors[i].library = l
		}
	}
	e := &Engine{log: slog.New(slog.DiscardHandler)}
	begun := func() int {
		marks, err := os.ReadFile(filepath.Join(folder, "begun"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return len(marks)
	}
	for range 3 {
		e.looked = time.Time{} // as if devicesFresh had passed
		if found := e.devices(t.Context()); len(found) != 0 {
			t.Fatalf("devices %v of a library that hangs", found)
		}
	}
	for begun() == 0 { // the first call may not have come that far yet
		time.Sleep(time.Millisecond)
	}
	if n := begun(); n != 1 {
		t.Fatalf("a library that hangs was begun %d times", n)
	}
	l.max = time.Minute
	if err := os.WriteFile(filepath.Join(folder, "release"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for len(e.devices(t.Context())) != 2 { // until the stuck call is back
		e.looked = time.Time{}
		time.Sleep(time.Millisecond)
	}
	if n := begun(); n != 2 {
		t.Fatalf("a library that came back was begun %d times", n)
	}
}

func TestNVMLAbsent(t *testing.T) {
	if cards, err := nvmlAt(filepath.Join(t.TempDir(), nvmlName))(); !errors.Is(err, errNoLibrary) || cards != nil {
		t.Fatalf("no library gives %v, %v", cards, err)
	}
}

// TestNVMLLacksFunction: a library without one of the functions is refused; it
// does not end the process when the function is called.
func TestNVMLLacksFunction(t *testing.T) {
	path := os.Getenv(peerVariable)
	if path == "" {
		inChild(t, buildPeer(t, "-DWITHOUT_MINOR"))
		return
	}
	if cards, err := nvmlAt(path)(); err == nil || !strings.Contains(err.Error(), "nvmlDeviceGetMinorNumber") || cards != nil {
		t.Fatalf("a library without a function gives %v, %v", cards, err)
	}
}
