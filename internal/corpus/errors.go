package corpus

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/gaon-ai/gaon/internal/unit"
)

// EmptyError says that curation ended with no document to train on. The
// reports and dropped.jsonl.zst are written all the same, so that a person
// can see where the documents went.
type EmptyError struct {
	Files     int     // input files read
	Documents int64   // documents read from them
	Reasons   []Count // why they were dropped, most frequent first
}

func (e *EmptyError) Error() string {
	if e.Files == 0 {
		return "corpus is empty: no input file has a known form"
	}
	if e.Documents == 0 {
		return fmt.Sprintf("corpus is empty: no document in %d input files", e.Files)
	}
	parts := make([]string, 0, 3)
	for _, c := range e.Reasons[:min(3, len(e.Reasons))] {
		parts = append(parts, fmt.Sprintf("%s %d", c.Name, c.Documents))
	}
	return fmt.Sprintf("corpus is empty: all %d documents were dropped (%s)", e.Documents, strings.Join(parts, ", "))
}

// Code names the refusal.
func (e *EmptyError) Code() string { return "corpus.empty" }

// Hint says what to do next.
func (e *EmptyError) Hint() string {
	switch {
	case e.Files == 0:
		return "give files that end in " + strings.Join(knownEndings(), " ")
	case e.Documents == 0:
		return "the files hold no text; check that the right folder was given"
	case len(e.Reasons) > 0 && e.Reasons[0].Name == ReasonMissingText:
		return "name the field that holds the text, it is not the one configured"
	case len(e.Reasons) > 0 && e.Reasons[0].Name == ReasonTooFewWords:
		return "the documents are short: use the limits for short texts, or join lines into documents"
	}
	return "read report.html in the output folder: it shows each reason with examples"
}

// LimitError says that an input would need more than a named limit allows.
type LimitError struct {
	File  string // as it is called in reports
	Limit string // the limit's name in Config
	Max   int64
	Seen  int64
}

func (e *LimitError) Error() string {
	switch e.Limit {
	case limitExpandRatio:
		return fmt.Sprintf("read %s: expands more than %d times its compressed size, as a zip bomb does (%s)", e.File, e.Max, e.Limit)
	case limitExpandBytes:
		return fmt.Sprintf("read %s: expands to more than %s (%s)", e.File, unit.Bytes(e.Max), e.Limit)
	}
	return fmt.Sprintf("read %s: %d is over the limit of %d (%s)", e.File, e.Seen, e.Max, e.Limit)
}

// Code names the refusal.
func (e *LimitError) Code() string { return "corpus.limit" }

// Hint says what to do next.
func (e *LimitError) Hint() string {
	return fmt.Sprintf("if the input is trusted, raise %s; otherwise leave %s out", e.Limit, e.File)
}

// FileError says that a file could not be read as what its name claims.
type FileError struct {
	File string // as it is called in reports
	Line int64  // 0 when no line can be named
	Err  error
	hint string
}

func (e *FileError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("read %s:%d: %v", e.File, e.Line, e.Err)
	}
	return fmt.Sprintf("read %s: %v", e.File, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// Code names the refusal.
func (e *FileError) Code() string { return "corpus.file" }

// Hint says what to do next.
func (e *FileError) Hint() string {
	switch {
	case e.hint != "":
		return e.hint
	case errors.Is(e.Err, fs.ErrNotExist):
		return "check the path; nothing is there"
	case errors.Is(e.Err, fs.ErrPermission):
		return "give this user the right to read it"
	case errors.Is(e.Err, io.ErrUnexpectedEOF):
		return "the file is cut short; copy it again and compare its size"
	}
	return "the file is damaged or not what its name says; repair it or leave it out"
}

// ConfigError says which field of Config cannot be used and why.
type ConfigError struct{ Field, Problem string }

func (e *ConfigError) Error() string {
	return fmt.Sprintf("curation config: %s: %s", e.Field, e.Problem)
}

// Code names the refusal.
func (e *ConfigError) Code() string { return "corpus.config" }

// Hint says what to do next.
func (e *ConfigError) Hint() string { return "correct the field and start again" }

// WriteError says which output file could not be written. Nothing stands
// under the final names then, save what an earlier run left there.
type WriteError struct {
	File string
	Err  error
}

func (e *WriteError) Error() string { return fmt.Sprintf("write %s: %v", e.File, e.Err) }

func (e *WriteError) Unwrap() error { return e.Err }

// Code names the refusal.
func (e *WriteError) Code() string {
	if errors.Is(e.Err, syscall.ENOSPC) || errors.Is(e.Err, syscall.EDQUOT) {
		return "corpus.disk_full"
	}
	return "corpus.write"
}

// Hint says what to do next.
func (e *WriteError) Hint() string {
	if e.Code() == "corpus.disk_full" {
		return "free space on that disk (about twice the size of the text is needed) and start again; nothing half-written was left"
	}
	return "check that the folder exists and may be written; nothing half-written was left"
}
