package local

import (
	"os"
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	const rest = " S 7 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 2000 18446744073709551615"
	for _, name := range []string{"sh", "a b", ") S 9 (", "", strings.Repeat(")", 15)} {
		p, err := parseStat(42, []byte("42 ("+name+")"+rest))
		if err != nil || p != (process{pid: 42, parent: 7, state: 'S', start: 987654}) {
			t.Errorf("name %q: %+v, %v", name, p, err)
		}
	}
	me, err := readProcess(os.Getpid())
	if err != nil || me.parent != os.Getppid() || me.dead() || me.start == 0 {
		t.Fatalf("this process is %+v, %v", me, err)
	}
	if alive := killIf(processID{PID: os.Getpid(), Start: me.start + 1, Boot: bootID()}); alive {
		t.Fatal("a process of another start was taken for this one")
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("1 (init) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 3 0 0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := parseStat(1, data); err == nil && p.state == 0 {
			t.Fatalf("%q gives %+v", data, p)
		}
	})
}

func TestHidden(t *testing.T) {
	dir := t.TempDir()
	l := launch{Hide: []string{dir, dir + "/inner", "/usr", "/usr/lib", "/no/such/folder"}}
	for _, path := range hidden(l) {
		if path == "/usr/lib" || path == "/no/such/folder" || strings.HasPrefix(path, "/tmp") {
			t.Errorf("hides %s, which is hidden with another, or is not there", path)
		}
	}
	if ways := waysTo("/run/gaon/gaon", []string{"/run", "/tmp"}); len(ways) != 1 || ways[0] != "/run/gaon" {
		t.Errorf("ways are %v", ways)
	}
	if ways := waysTo("/usr/bin/x", []string{"/run", "/tmp"}); ways != nil {
		t.Errorf("ways are %v", ways)
	}
}
