package local_test

import (
	"os"
	"testing"
	"time"
	"fmt"
	"io"

	"github.com/gaon-ai/gaon/internal/artifact/folder"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/engine/enginetest"
	"github.com/gaon-ai/gaon/internal/engine/local"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "supervise" {
		os.Exit(local.Supervise(os.Args[2]))
	}
	enginetest.Work()
	os.Exit(m.Run())
}

func TestTry(t *testing.T) {
	for _, kind := range []string{"", "namespaces", "bubblewrap", "none"} {
		dir := t.TempDir()
		store, err := folder.Open(dir + "/store")
		if err != nil { t.Fatal(err) }
		at := time.Now()
		e, err := local.Open(t.Context(), local.Config{Folder: dir+"/engine", Store: store, Country: "KR", Sandbox: kind})
		if err != nil { t.Fatal(err) }
		fmt.Println(kind, time.Since(at))
		n, err := e.Nodes(t.Context())
		fmt.Println(n, err)
		a := engine.Attempt{Job: "J1", Number: 1}
		fmt.Println(e.Start(t.Context(), engine.Task{Attempt: a, Argv: []string{"gaon", "enginetest", "env"}, Memory: 1<<30}))
		for range 100 {
			o, err := e.Observe(t.Context(), a)
			if o.State == engine.Ended || err != nil { fmt.Println(o, err); break }
			time.Sleep(20*time.Millisecond)
		}
		r, _ := e.Logs(t.Context(), a, "stdout", 0)
		d, _ := io.ReadAll(r)
		fmt.Println(string(d))
		r, _ = e.Logs(t.Context(), a, "stderr", 0)
		d, _ = io.ReadAll(r)
		fmt.Println(string(d))
		fmt.Println(time.Since(at))
		e.Close()
	}
}
