package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/job"
)

// Bounds of what work may leave behind.
const (
	outputsMax        = 64
	statementBytesMax = 32 << 10 // it becomes part of a ledger entry
)

// OutputError refuses what an attempt left behind.
type OutputError struct {
	Attempt engine.Attempt
	Path    string // in its working folder
	Problem string
}

// Code names the refusal for programs.
func (e *OutputError) Code() string { return "attempt.output" }

func (e *OutputError) Error() string {
	return fmt.Sprintf("attempt %s left %s, which %s", e.Attempt, e.Path, e.Problem)
}

// AliveError says that an attempt has not ended yet.
type AliveError struct{ Attempt engine.Attempt }

// Code names the refusal for programs.
func (e *AliveError) Code() string { return "attempt.alive" }

func (e *AliveError) Error() string { return fmt.Sprintf("attempt %s has not ended yet", e.Attempt) }

// ended returns the attempt if it has ended.
func (e *Engine) ended(a engine.Attempt) (*attempt, error) {
	at, err := e.known(a)
	if err != nil {
		return nil, err
	}
	o, err := e.observe(at)
	if err != nil {
		return nil, err
	}
	if o.State != engine.Ended && o.State != engine.Lost {
		return nil, &AliveError{a}
	}
	return at, nil
}

// Collect stores the folders in out/ and reads the statement. Loose files in
// out/ are nobody's output and stay behind.
func (e *Engine) Collect(ctx context.Context, a engine.Attempt) (engine.Result, error) {
	at, err := e.ended(a)
	if err != nil {
		return engine.Result{}, err
	}
	work := filepath.Join(at.dir, workFolder)
	var r engine.Result
	if r.Statement, err = readStatement(a, work); err != nil {
		return engine.Result{}, err
	}
	out := filepath.Join(work, "out")
	if !realDir(out) {
		return r, nil // the work removed it, or made it something else
	}
	entries, err := os.ReadDir(out) // in order of name
	if err != nil {
		return engine.Result{}, fmt.Errorf("collect attempt %s: %w", a, err)
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		path := filepath.Join("out", entry.Name())
		if !plainName(entry.Name()) {
			return engine.Result{}, &OutputError{a, strconv.Quote(path), "has no plain name"}
		}
		if len(r.Outputs) == outputsMax {
			return engine.Result{}, &OutputError{a, path, fmt.Sprintf("is one more than %d outputs", outputsMax)}
		}
		tree, size, err := artifact.PutTree(ctx, e.config.Store, filepath.Join(work, path))
		var refused *artifact.TreeError
		if errors.As(err, &refused) {
			return engine.Result{}, &OutputError{a, path, fmt.Sprintf("cannot be stored: %v", err)}
		}
		if err != nil {
			return engine.Result{}, fmt.Errorf("collect output %s of attempt %s: %w", entry.Name(), a, err)
		}
		r.Outputs = append(r.Outputs, job.Output{Name: entry.Name(), Tree: tree, Size: size})
	}
	return r, nil
}

func realDir(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

func readStatement(a engine.Attempt, work string) (*factory.Statement, error) {
	const name = "statement.json"
	f, err := openInside(filepath.Join(work, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &OutputError{a, name, "cannot be read: " + err.Error()}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, statementBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("collect attempt %s: %w", a, err)
	}
	s, err := parseStatement(data)
	if err != nil {
		return nil, &OutputError{a, name, err.Error()}
	}
	return s, nil
}

// parseStatement is strict: a statement becomes part of a model's passport,
// and a misspelt field must not go missing there without a word.
func parseStatement(data []byte) (*factory.Statement, error) {
	if len(data) > statementBytesMax {
		return nil, fmt.Errorf("is longer than %d bytes", statementBytesMax)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var s *factory.Statement
	if err := decoder.Decode(&s); err != nil {
		return nil, fmt.Errorf("is no statement: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("has something after the statement")
	}
	if s == nil || s.Stage == "" {
		return nil, errors.New("does not say of which stage it is")
	}
	return s, nil
}

// Forget removes what an ended attempt left, logs aside, and the job's keep/
// with its last attempt unless keep.
func (e *Engine) Forget(ctx context.Context, a engine.Attempt, keep bool) error {
	at, err := e.ended(a)
	if err != nil {
		return err
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	// The mark comes first: if we stop here, the attempt stays forgotten and
	// only its working folder takes space until the job's end.
	if err := writeState(at.dir, forgottenFile, true); err != nil {
		return fmt.Errorf("forget attempt %s: %w", a, err)
	}
	at.forgotten = true
	if err := removeAll(filepath.Join(at.dir, workFolder)); err != nil {
		return fmt.Errorf("forget attempt %s: %w", a, err)
	}
	if keep || e.othersKnown(a) {
		return nil
	}
	if err := removeAll(e.keep(a.Job)); err != nil {
		return fmt.Errorf("forget attempt %s: %w", a, err)
	}
	return nil
}

// othersKnown says whether other attempts at the same job are not forgotten.
func (e *Engine) othersKnown(a engine.Attempt) bool {
	for _, other := range e.all() {
		if other.id.Job != a.Job || other.id == a {
			continue
		}
		if _, err := e.known(other.id); err == nil {
			return true
		}
	}
	return false
}
