package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/gaon-ai/gaon/internal/lm"
)

// rebuilt marks a program that was built again, so that one that has no SIMD
// all the same does not try for ever.
const rebuilt = "GAON_REBUILT"

// withSIMD builds this program again with SIMD and becomes it, where it was
// started by go run in its own source: that command cannot ask for the
// experiment, and without it the demo trains eight times as long. Where it
// cannot, it returns and the demo goes on as it is.
func (s *settings) withSIMD(ctx context.Context, out io.Writer) {
	if lm.Kernel() != "gonum" || runtime.GOARCH != "amd64" || os.Getenv(rebuilt) != "" {
		return
	}
	module, err := os.ReadFile("go.mod")
	goTool, missing := exec.LookPath("go")
	cache, err2 := os.UserCacheDir()
	if err != nil || err2 != nil || missing != nil || !bytes.HasPrefix(module, []byte("module github.com/gaon-ai/gaon\n")) {
		return
	}
	fmt.Fprintln(out, s.say("building again with SIMD, as make run does …", "make run 처럼 SIMD를 넣어 다시 빌드합니다 …"))
	program := filepath.Join(cache, "gaon", "gaon-simd")
	build := exec.CommandContext(ctx, goTool, "build", "-o", program, "./cmd/gaon")
	build.Env = append(os.Environ(), "GOEXPERIMENT=simd")
	if said, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(out, s.say("it does not build with SIMD, so it goes on without: %v\n%s", "SIMD로 빌드되지 않아 그대로 계속합니다: %v\n%s"), err, said)
		return
	}
	err = syscall.Exec(program, append([]string{program}, os.Args[1:]...), append(os.Environ(), rebuilt+"=1"))
	fmt.Fprintf(out, "gaon: %s: %v\n", program, err) // only reached when it failed
}
