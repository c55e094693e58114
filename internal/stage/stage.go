// Package stage is what a stage of a factory run does inside its job: it reads
// params.json and in/, works, and leaves out/ and statement.json.
//
// It knows nothing of the control plane: no ledger, no store, no keys. What it
// says of its work is only believed where it can be checked again.
//
// Begin with Run.
package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Names in a stage's working folder; package engine promises them.
const (
	paramsFile    = "params.json"
	inputFolder   = "in"
	outputFolder  = "out"
	keepFolder    = "keep"
	statementFile = "statement.json"
	progressFile  = "progress.json"
	metricsFile   = "metrics.jsonl"
	socketFile    = "serve.sock"
)

// stages says what each stage does. Sign only writes the release: the centre
// signs it outside, where the key is.
var stages = map[string]func(ctx context.Context, w *work) error{
	factory.StageCurate:    curate,
	factory.StageTokenizer: learnTokenizer,
	factory.StageTrain:     train,
	factory.StageEvaluate:  evaluate,
	factory.StageGate:      rescore,
	factory.StageSign:      writeRelease,
	factory.StageServe:     serve,
}

// Run does the stage in the working folder dir.
func Run(ctx context.Context, name, dir string) error {
	do, ok := stages[name]
	if !ok {
		return fmt.Errorf("stage %q is not known; there are %s", name, strings.Join(factory.Stages, ", "))
	}
	w, err := open(name, dir)
	if err != nil {
		return err
	}
	if err := do(ctx, w); err != nil {
		return err
	}
	if name == factory.StageServe {
		return nil // a service ends by being stopped and makes no claim
	}
	return w.writeJSON(statementFile, w.statement)
}

// work is one stage under way.
type work struct {
	dir       string
	params    factory.Params
	slots     int // CPU slots the job was given
	statement factory.Statement
	told      time.Time // when progress was last written
}

func open(name, dir string) (*work, error) {
	data, err := os.ReadFile(filepath.Join(dir, paramsFile))
	if err != nil {
		return nil, fmt.Errorf("stage parameters: %w", err)
	}
	w := &work{dir: dir, slots: 1, statement: factory.Statement{Stage: name, Counts: map[string]int64{},
		Scores: map[string]unit.Micro{}, Notes: map[string]string{}}}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&w.params); err != nil {
		return nil, fmt.Errorf("stage parameters: %s: %w", paramsFile, err)
	}
	if w.params.Stage != name {
		return nil, fmt.Errorf("stage parameters: they are for stage %q, not %q", w.params.Stage, name)
	}
	if n, err := strconv.Atoi(os.Getenv("GAON_SLOTS")); err == nil && n > 0 {
		w.slots = n
	}
	return w, nil
}

func (w *work) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

// in is the folder of an input.
func (w *work) in(name string) string { return w.path(inputFolder, name) }

// inputs lists the input folders whose names begin with prefix, in order.
func (w *work) inputs(prefix string) ([]string, error) {
	entries, err := os.ReadDir(w.path(inputFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var found []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			found = append(found, w.in(e.Name()))
		}
	}
	return found, err
}

// out makes the folder of an output. What an earlier attempt left in it is
// removed: a stage writes its outputs whole.
func (w *work) out(name string) (string, error) {
	dir := w.path(outputFolder, name)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// progressEvery bounds how often progress is written.
const progressEvery = 100 * time.Millisecond

// progress tells how far the work has come.
func (w *work) progress(step string, done, total int64, values map[string]float64) {
	if done < total && time.Since(w.told) < progressEvery {
		return
	}
	w.told = time.Now()
	// Only for looking at: a full disk shows where it matters.
	_ = w.writeJSON(progressFile, engine.Progress{Step: step, Done: done, Total: total, Values: values})
}

// writeJSON writes a file whole or not at all.
func (w *work) writeJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	return writeWhole(w.path(name), append(data, '\n'))
}

func writeWhole(path string, data []byte) error {
	temp := path + ".new"
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// filesBelow lists the files of folders whose names end in one of the endings.
func filesBelow(folders []string, endings ...string) ([]string, error) {
	var found []string
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() && slices.ContainsFunc(endings, func(end string) bool { return strings.HasSuffix(path, end) }) {
				found = append(found, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
