package evaluation

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"math"

	"github.com/gaon-ai/gaon/internal/unit"
)

const reportFormat = "gaon.evaluation/1"

// Names of scores, for gates. A score that was not measured is absent.
const (
	ScoreBitsPerByte          = "bits_per_byte"
	ScoreByteUnigram          = "baseline.byte_unigram"
	ScoreByteFivegram         = "baseline.byte_5gram"
	ScoreZstd                 = "baseline.zstd"           // the best of the three ways below
	ScoreZstdPrefix           = "baseline.zstd_prefix"    // held-out text, the training text as prefix
	ScoreZstdJoint            = "baseline.zstd_joint"     // training and held-out text, less training text
	ScoreZstdAlone            = "baseline.zstd_alone"     // held-out text by itself
	ScoreChoiceAccuracy       = "choice.accuracy"         // by log-likelihood per byte
	ScoreChoiceAccuracyLow    = "choice.accuracy_low"     // lower end of its 95 % interval
	ScoreChoiceAccuracyRaw    = "choice.accuracy_raw"     // by log-likelihood
	ScoreChoiceAccuracyRawLow = "choice.accuracy_raw_low" // lower end of its 95 % interval
	ScoreChoiceChance         = "choice.chance"           // what guessing would get
	ScoreContamination        = "contamination"           // share of all eval items
	ScoreContaminationChoice  = "contamination.choice"    // share of the questions
	ScoreContaminationHeldOut = "contamination.held_out"  // share of the held-out documents
)

// Report is what was measured: numbers for people, and Scores in millionths
// for gates and records.
type Report struct {
	Format  string `json:"format"`
	Seed    uint64 `json:"seed"`
	Train   Train  `json:"train"`
	HeldOut Corpus `json:"held_out"`

	// Bits per byte of the held-out documents, each document by itself; lower
	// is better, 8 is nothing learned.
	BitsPerByte  float64    `json:"bits_per_byte"`
	ByteUnigram  float64    `json:"byte_unigram"`
	ByteFivegram float64    `json:"byte_5gram"`
	Compressor   Compressor `json:"compressor"`

	Choice        *Choice       `json:"choice,omitempty"` // nil without items
	Contamination Contamination `json:"contamination"`

	Scores map[string]unit.Micro `json:"scores"`
	Raw    unit.Digest           `json:"raw_outputs"` // of the bytes written to Config.Raw
}

// Corpus names documents by count, size and digest. The digest is SHA-256 over
// each document's length (8 bytes, big-endian) and bytes, in order.
type Corpus struct {
	Documents int64       `json:"documents"`
	Bytes     int64       `json:"bytes"`
	Digest    unit.Digest `json:"digest"`
}

// Train is the training corpus and how much of it the baselines learned from:
// all of it, unless it is beyond their limits.
type Train struct {
	Corpus
	BaselineBytes int64 `json:"baseline_bytes"`
}

// fillScores puts every measured number into Scores.
func (r *Report) fillScores() {
	r.score(ScoreBitsPerByte, r.BitsPerByte)
	r.score(ScoreByteUnigram, r.ByteUnigram)
	r.score(ScoreByteFivegram, r.ByteFivegram)
	c := r.Compressor
	r.score(ScoreZstd, c.BitsPerByte)
	r.score(ScoreZstdAlone, c.Alone)
	if c.Prefix > 0 {
		r.score(ScoreZstdPrefix, c.Prefix)
	}
	if c.Joint > 0 {
		r.score(ScoreZstdJoint, c.Joint)
	}
	if r.Choice != nil {
		r.score(ScoreChoiceAccuracy, r.Choice.Accuracy.Share)
		r.score(ScoreChoiceAccuracyLow, r.Choice.Accuracy.Low)
		r.score(ScoreChoiceAccuracyRaw, r.Choice.AccuracyRaw.Share)
		r.score(ScoreChoiceAccuracyRawLow, r.Choice.AccuracyRaw.Low)
		r.score(ScoreChoiceChance, r.Choice.Chance)
		r.score(ScoreContaminationChoice, r.Contamination.Choice)
	}
	r.score(ScoreContamination, r.Contamination.Share)
	r.score(ScoreContaminationHeldOut, r.Contamination.HeldOut)
}

func (r *Report) score(name string, value float64) {
	r.Scores[name] = unit.Micro(math.Round(value * 1e6))
}

// textDigest digests documents so that no two lists share a digest.
type textDigest struct{ hash hash.Hash }

func newTextDigest() textDigest { return textDigest{sha256.New()} }

func (d textDigest) add(text string) {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(text)))
	d.hash.Write(size[:])
	io.WriteString(d.hash, text)
}

func (d textDigest) sum() unit.Digest {
	return unit.NewDigest([sha256.Size]byte(d.hash.Sum(nil)))
}

// The lines of the raw outputs.
type (
	rawDocument struct {
		Kind         string  `json:"kind"`
		Index        int     `json:"index"`
		ID           string  `json:"id,omitempty"`
		Bytes        int     `json:"bytes"`
		Bits         float64 `json:"bits"`
		ByteUnigram  float64 `json:"byte_unigram_bits"`
		ByteFivegram float64 `json:"byte_5gram_bits"`
	}
	rawChoice struct {
		Kind      string    `json:"kind"`
		ID        string    `json:"id"`
		Nats      []float64 `json:"nats"`
		Bytes     []int     `json:"bytes"` // of each choice
		Chosen    int       `json:"chosen"`
		ChosenRaw int       `json:"chosen_raw"`
		Answer    int       `json:"answer"`
	}
	rawContamination struct {
		Kind     string `json:"kind"`
		Of       string `json:"of"`
		ID       string `json:"id"`
		Gram     string `json:"gram"`
		Document int64  `json:"train_document"`
	}
	// rawSearched says how many items the search for contamination was for.
	rawSearched struct {
		Kind    string `json:"kind"`
		Choice  int    `json:"choice"`
		HeldOut int    `json:"held_out"`
	}
	rawCompressor struct {
		Kind string `json:"kind"`
		Compressor
	}
)

// rawWriter writes the raw outputs and digests them.
type rawWriter struct {
	hash hash.Hash
	out  *bufio.Writer
	json *json.Encoder
	err  error
}

func newRawWriter(to io.Writer) *rawWriter {
	if to == nil {
		to = io.Discard
	}
	w := &rawWriter{hash: sha256.New()}
	w.out = bufio.NewWriter(io.MultiWriter(w.hash, to))
	w.json = json.NewEncoder(w.out)
	w.json.SetEscapeHTML(false)
	return w
}

// write keeps the first error for finish.
func (w *rawWriter) write(line any) {
	if w.err == nil {
		w.err = w.json.Encode(line)
	}
}

func (w *rawWriter) finish() (unit.Digest, error) {
	if w.err == nil {
		w.err = w.out.Flush()
	}
	if w.err != nil {
		return "", fmt.Errorf("write raw outputs: %w", w.err)
	}
	return unit.NewDigest([sha256.Size]byte(w.hash.Sum(nil))), nil
}
