package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// toolSays puts a program in front of PATH that stands for nvidia-smi.
func toolSays(t *testing.T, text string) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestLibraryOrTool(t *testing.T) {
	const tool = "echo '0, NVIDIA H100, GPU-tool'\n"
	fault := errors.New("driver not loaded")
	one := []card{{index: 0, product: "NVIDIA H200", id: "GPU-library"}}
	for _, r := range []struct {
		name, tool string
		cards      []card
		err        error
		want       string // ids
		says       string // the error, empty where there must be none
	}{
		{"the library answers, the tool is not asked", "exit 9", one, nil, "GPU-library", ""},
		{"the library knows no device, the tool is not asked", tool, []card{}, nil, "", ""},
		{"the library answers for some", tool, one, fault, "GPU-library", "driver not loaded"},
		{"no library", tool, nil, errNoLibrary, "GPU-tool", ""},
		{"a library that fails leaves a remark", tool, nil, fault, "GPU-tool", "driver not loaded"},
		{"both fail", "exit 9", nil, fault, "", "exit status 9"},
	} {
		toolSays(t, r.tool)
		v := vendorNamed(t, "nvidia")
		v.library = &library{max: time.Minute, call: func() ([]card, error) { return r.cards, r.err }}
		cards, err := v.look(t.Context())
		var ids []string
		for _, c := range cards {
			ids = append(ids, c.id)
		}
		if strings.Join(ids, " ") != r.want {
			t.Errorf("%s: cards %v, want %s", r.name, cards, r.want)
		}
		if (err == nil) != (r.says == "") || err != nil && !strings.Contains(err.Error(), r.says) {
			t.Errorf("%s: error %v, want %q", r.name, err, r.says)
		}
	}
}

// TestLibraryHangs: nobody waits longer than agreed, a call that is stuck is
// not joined by another, the tool that would hang with it is not asked, and
// once it has come back the library is asked again.
func TestLibraryHangs(t *testing.T) {
	toolSays(t, "echo '0, NVIDIA H100, GPU-tool'\n")
	release, calls := make(chan struct{}), 0
	v := vendorNamed(t, "nvidia")
	v.library = &library{max: time.Millisecond, call: func() ([]card, error) {
		calls++
		<-release
		return []card{{index: 0, id: "GPU-library"}}, nil
	}}
	var silent silentError
	cards, err := v.look(t.Context())
	if !errors.As(err, &silent) || !errors.Is(err, context.DeadlineExceeded) || cards != nil {
		t.Fatalf("a library that hangs gives %v, %v", cards, err)
	}
	for range 3 {
		if cards, err := v.look(t.Context()); !errors.Is(err, errAskedAlready) || cards != nil {
			t.Fatalf("a library that is stuck gives %v, %v", cards, err)
		}
	}
	close(release)
	v.library.max = time.Minute
	for {
		cards, err = v.look(t.Context())
		if err == nil {
			break
		}
		if !errors.Is(err, errAskedAlready) {
			t.Fatalf("a library that has come back gives %v", err)
		}
		time.Sleep(time.Millisecond)
	}
	if len(cards) != 1 || cards[0].id != "GPU-library" || calls != 2 {
		t.Fatalf("after %d calls the library gives %v", calls, cards)
	}
}
