// Package corpus turns raw text into a training corpus: it reads documents as
// a stream, cleans them, tells their language, takes out duplicates, junk,
// personal data and everything that overlaps the evaluation sets, and writes
// what is left beside a report of what was dropped and why.
//
// It is not a crawler, and it knows nothing of jobs, grants or stores: it
// reads files and writes files. The same input gives the same bytes whatever
// the number of workers.
//
// Begin with Curate; FindPersonal, Identify and Contamination stand alone.
package corpus

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"

	"github.com/gaon-ai/gaon/internal/unit"
)

// Names of the files that Curate writes into Config.Out.
const (
	TrainFile   = "train.jsonl.zst"   // documents to train on
	HeldOutFile = "heldout.jsonl.zst" // documents kept apart to measure with
	DroppedFile = "dropped.jsonl.zst" // one line a dropped document: id, source, reason, detail
	ReportFile  = "report.json"       // Report
	PageFile    = "report.html"       // Report for people, one self-contained page
)

// Defaults and bounds of Config.
const (
	memoryDefault        unit.Bytes = 512 << 20
	memoryMin            unit.Bytes = 16 << 20
	lineBytesDefault     unit.Bytes = 64 << 20
	splitBytesDefault    unit.Bytes = 64 << 10
	expandRatioDefault              = 250
	expandBytesDefault   unit.Bytes = 1 << 40
	expandRatioFloor                = 32 << 20 // bytes that may come out before the ratio counts
	heldOutPerMilleMax              = 500
	workersMax                      = 1024
	documentsMax                    = 1<<32 - 2 // documents are numbered by uint32
	evaluationGramsMax              = 1 << 26
	heldOutShareOfMemory            = 16 // held-out text may fill a sixteenth of Memory
)

// Names of limits as they stand in errors.
const (
	limitExpandRatio = "ExpandRatioMax"
	limitExpandBytes = "ExpandBytesMax"
	limitDocuments   = "documentsMax"
	limitEvaluation  = "evaluationGramsMax"
	limitParquetPage = "LineBytesMax (parquet page)"
)

// Config says what to curate and how. Only Inputs and Out must be set.
type Config struct {
	// Inputs are files or folders. A folder is read whole, in the order of
	// its paths; files in it whose ending is not known are skipped and named
	// in the report. Known: .txt .jsonl (each also .gz and .zst) and .parquet.
	Inputs []string
	// Out is the folder for the results; it is made if absent. Work files live
	// in a folder in it and are gone at the end.
	Out string

	TextField string // field that holds the text in jsonl and parquet; "text"
	IDField   string // field that holds the document's name; "id"
	// Separator, if set, is a line that ends a document in .txt files ("---").
	// Without it a .txt file is one document, split where a paragraph ends
	// once it is longer than SplitBytes (64 KiB).
	Separator  string
	SplitBytes unit.Bytes

	// Evaluation names jsonl files (also .gz, .zst) whose items must not be
	// in the corpus: every string in text, question, context, premise,
	// hypothesis, sentence, passage and choices counts.
	Evaluation []string
	// HeldOut is the share of documents kept apart, per mille (0 to 500).
	HeldOut int

	Languages []string          // languages kept; all that Identify names
	Limits    map[string]Limits // quality limits by language; DefaultLimits
	Tokens    TokenStyle        // how personal data is replaced; TokensKorean

	Workers int        // documents are worked on by so many goroutines; GOMAXPROCS
	Memory  unit.Bytes // bound on queues and sort buffers; 512 MiB. 9 bytes a document come on top

	LineBytesMax   unit.Bytes // longest line or document read; longer ones are dropped; 64 MiB
	ExpandRatioMax int        // a compressed file may grow by so much; 250
	ExpandBytesMax unit.Bytes // and to no more than this; 1 TiB

	// Progress, if set, is called from one goroutine at a time, several
	// times a second and at the end of each step.
	Progress func(Progress)

	create createFunc // how output files are made; tests put a full disk here
}

// Progress tells how far a step has come. Totals are 0 where unknown.
type Progress struct {
	Step           string `json:"step"` // "read", "duplicates", "filter" or "heldout"
	Documents      int64  `json:"documents"`
	DocumentsTotal int64  `json:"documents_total"`
	Bytes          int64  `json:"bytes"` // as they lie on disk
	BytesTotal     int64  `json:"bytes_total"`
}

// withDefaults fills in what is unset and refuses what cannot be.
func (c Config) withDefaults() (Config, error) {
	if len(c.Inputs) == 0 {
		return c, &ConfigError{"Inputs", "name at least one file or folder"}
	}
	if c.Out == "" {
		return c, &ConfigError{"Out", "name the folder for the results"}
	}
	setString(&c.TextField, "text")
	setString(&c.IDField, "id")
	setNumber(&c.SplitBytes, splitBytesDefault)
	setNumber(&c.Memory, memoryDefault)
	setNumber(&c.LineBytesMax, lineBytesDefault)
	setNumber(&c.ExpandRatioMax, expandRatioDefault)
	setNumber(&c.ExpandBytesMax, expandBytesDefault)
	setNumber(&c.Workers, runtime.GOMAXPROCS(0))
	if c.Tokens == "" {
		c.Tokens = TokensKorean
	}
	if len(c.Languages) == 0 {
		c.Languages = Languages()
	}
	limits := DefaultLimits()
	maps.Copy(limits, c.Limits)
	c.Limits = limits
	if c.create == nil {
		c.create = createFile
	}
	return c, c.check()
}

func (c Config) check() error {
	switch {
	case c.Tokens != TokensKorean && c.Tokens != TokensLatin:
		return &ConfigError{"Tokens", fmt.Sprintf("%q is neither %q nor %q", c.Tokens, TokensKorean, TokensLatin)}
	case c.HeldOut < 0 || c.HeldOut > heldOutPerMilleMax:
		return &ConfigError{"HeldOut", fmt.Sprintf("%d per mille is outside 0 to %d", c.HeldOut, heldOutPerMilleMax)}
	case c.Workers < 1 || c.Workers > workersMax:
		return &ConfigError{"Workers", fmt.Sprintf("%d is outside 1 to %d", c.Workers, workersMax)}
	case c.Memory < memoryMin:
		return &ConfigError{"Memory", fmt.Sprintf("%s is less than %s", c.Memory, memoryMin)}
	case c.LineBytesMax < 0 || c.LineBytesMax > 1<<30:
		return &ConfigError{"LineBytesMax", fmt.Sprintf("%s is outside 1 B to 1 GiB", c.LineBytesMax)}
	case c.SplitBytes < 0:
		return &ConfigError{"SplitBytes", "it is negative"}
	case c.ExpandRatioMax < 1 || c.ExpandBytesMax < 1:
		return &ConfigError{"ExpandRatioMax", "it and ExpandBytesMax must be positive"}
	}
	for _, l := range c.Languages {
		if !slices.Contains(Languages(), l) && l != Other {
			return &ConfigError{"Languages", fmt.Sprintf("%q is not one of %v or %q", l, Languages(), Other)}
		}
	}
	return nil
}

func setString(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

func setNumber[N int | unit.Bytes](n *N, value N) {
	if *n == 0 {
		*n = value
	}
}

// Curate reads the inputs, curates them and writes the files named above into
// c.Out. The Report is returned as far as it goes even with an error; an
// *EmptyError says that nothing was left, *LimitError, *FileError and
// *WriteError name the file at fault. Files under the final names are written
// only once the whole run has succeeded, the report last.
func Curate(ctx context.Context, c Config) (Report, error) {
	c, err := c.withDefaults()
	if err != nil {
		return Report{}, err
	}
	r, err := newRun(c)
	if err != nil {
		return Report{}, err
	}
	defer r.close()
	return r.curate(ctx)
}
