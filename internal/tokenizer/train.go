package tokenizer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config says what to learn. The zero value but for Vocab is a good choice.
type Config struct {
	// Vocab is the number of ids wanted: special tokens, the 256 bytes and the
	// learned merges. Fewer are learned if the text runs out of pairs.
	Vocab int
	// Special tokens get the ids 0, 1, … in this order. Nil means Specials().
	Special []string
	// Pattern cuts the text into pieces.
	Pattern Pattern
	// CountMin is how often a pair must occur to be merged; 0 means 2.
	CountMin int
	// BytesMax bounds the text learned from: documents beyond it are counted
	// in the report and left out. 0 means 4 GiB.
	BytesMax int64
	// Workers is the number of goroutines; 0 means one for each processor. The
	// result does not depend on it.
	Workers int
	// Progress, if set, is called now and then with the merges learned and the
	// merges wanted, always by the goroutine that called Train.
	Progress func(done, total int)
}

// Limits of training.
const (
	trainBytesMax    = 4 << 30 // text, unless Config.BytesMax says otherwise
	trainPieceMax    = 256     // bytes: a longer piece is no word and teaches nothing
	distinctPieceMax = 1 << 25 // distinct pieces, about 3 GiB of counts
	distinctBytesMax = 1 << 30 // bytes of the distinct pieces together
	batchBytes       = 1 << 18 // text handed to a worker at once
	progressEvery    = 64      // merges between two looks at ctx and Progress
)

// Train learns byte-level BPE from the documents and reports what it found.
// The same documents, in any order that keeps within BytesMax, give the same
// tokenizer, whatever the number of workers: the pair with the highest count
// is merged first (Sennrich et al. 2016, algorithm 1), and among equals the one
// with the lowest ids. An error from docs ends it.
func Train(ctx context.Context, config Config, docs iter.Seq2[string, error]) (*Tokenizer, Report, error) {
	began := time.Now()
	if err := config.fill(); err != nil {
		return nil, Report{}, err
	}
	counts, report, err := countPieces(ctx, config, docs)
	if err != nil {
		return nil, Report{}, err
	}
	if len(counts) == 0 {
		return nil, Report{}, errors.New("no text to learn a tokenizer from: every document is empty")
	}
	tokens, special := startTokens(config.Special)
	l := newLearner(counts, tokens, special, config)
	merges, err := l.learn(ctx, config)
	if err != nil {
		return nil, Report{}, err
	}
	t, err := newTokenizer(config.Pattern, l.tokens, l.special, merges)
	if err != nil {
		return nil, Report{}, err
	}
	report.VocabAsked, report.Vocab, report.Merges = config.Vocab, t.VocabSize(), len(merges)
	report.Tokens += l.tokenCount()
	report.Pattern, report.Specials = config.Pattern, t.Specials()
	report.DistinctPieces = int64(len(counts))
	report.Seconds = time.Since(began).Seconds()
	report.rates()
	return t, report, nil
}

func (c *Config) fill() error {
	if c.Special == nil {
		c.Special = Specials()
	}
	if err := checkSpecials(c.Special); err != nil {
		return err
	}
	if least := 256 + len(c.Special); c.Vocab < least || c.Vocab > vocabMax {
		return fmt.Errorf("vocabulary of %d: want %d (256 bytes and %d special tokens) to %d", c.Vocab, least, len(c.Special), vocabMax)
	}
	if c.Pattern > GPT2 {
		return fmt.Errorf("unknown %v: want llama3 or gpt2", c.Pattern)
	}
	if c.CountMin == 0 {
		c.CountMin = 2
	}
	if c.BytesMax == 0 {
		c.BytesMax = trainBytesMax
	}
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.CountMin < 1 || c.BytesMax < 0 || c.Workers < 0 {
		return fmt.Errorf("count_min %d, bytes_max %d, workers %d: none may be negative", c.CountMin, c.BytesMax, c.Workers)
	}
	return nil
}

// startTokens returns the vocabulary before any merge: specials, then bytes.
func startTokens(specials []string) (tokens []string, special []bool) {
	tokens = slices.Clone(specials)
	for _, b := range bytesByRune() {
		tokens = append(tokens, string([]byte{b}))
	}
	special = make([]bool, len(tokens))
	for i := range specials {
		special[i] = true
	}
	return tokens, special
}

// pieceCount is how often a piece occurs.
type pieceCount struct {
	piece string
	count int64
}

// countPieces cuts all documents on all workers and adds up their counts,
// sorted by piece.
func countPieces(ctx context.Context, config Config, docs iter.Seq2[string, error]) ([]pieceCount, Report, error) {
	batches := make(chan []string, config.Workers)
	counters := make([]pieceCounter, config.Workers)
	var group sync.WaitGroup
	for i := range counters {
		counters[i] = pieceCounter{pattern: config.Pattern, index: map[string]int{}}
		group.Go(func() {
			for batch := range batches {
				for _, text := range batch {
					counters[i].add(text)
				}
			}
		})
	}
	report, err := feed(ctx, config, docs, batches)
	close(batches)
	group.Wait()
	if err != nil {
		return nil, Report{}, err
	}
	total := &counters[0]
	for i := range counters[1:] {
		total.join(&counters[1+i])
	}
	if slices.ContainsFunc(counters, func(c pieceCounter) bool { return c.full() }) {
		return nil, Report{}, fmt.Errorf("over %d distinct pieces or %d bytes of them in %d bytes of text: set bytes_max lower, or clean the corpus of random text",
			distinctPieceMax, distinctBytesMax, report.Bytes)
	}
	report.Tokens, report.BytesLongPieces, report.Eojeols = total.longBytes, total.longBytes, total.eojeols
	out := make([]pieceCount, 0, len(total.counts))
	for _, piece := range slices.Sorted(maps.Keys(total.index)) {
		out = append(out, pieceCount{piece: piece, count: total.counts[total.index[piece]]})
	}
	return out, report, nil
}

// feed hands the documents to the workers in batches and counts bytes.
func feed(ctx context.Context, config Config, docs iter.Seq2[string, error], batches chan<- []string) (report Report, err error) {
	var batch []string
	size := 0
	send := func() error {
		select {
		case batches <- batch:
			batch, size = nil, 0
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for text, err := range docs {
		if err != nil {
			return Report{}, fmt.Errorf("read document %d: %w", report.Documents+report.DocumentsLeftOut, err)
		}
		if report.Bytes+int64(len(text)) > config.BytesMax || report.DocumentsLeftOut > 0 {
			report.DocumentsLeftOut++
			continue
		}
		report.Documents++
		report.Bytes += int64(len(text))
		batch, size = append(batch, text), size+len(text)
		if size >= batchBytes {
			if err := send(); err != nil {
				return Report{}, err
			}
		}
	}
	if len(batch) > 0 {
		if err := send(); err != nil {
			return Report{}, err
		}
	}
	return report, ctx.Err()
}

// pieceCounter counts the pieces of one worker.
type pieceCounter struct {
	pattern   Pattern
	index     map[string]int // piece to its place in counts
	counts    []int64
	bytes     int64 // of the keys of index
	longBytes int64
	eojeols   int64
}

func (c *pieceCounter) full() bool {
	return len(c.counts) > distinctPieceMax || c.bytes > distinctBytesMax
}

func (c *pieceCounter) add(text string) {
	cut := newCutter(c.pattern, text)
	c.eojeols += countEojeols(text)
	for i := 0; i < len(text) && !c.full(); {
		end := cut.next(i)
		piece := text[i:end]
		i = end
		if len(piece) > trainPieceMax {
			c.longBytes += int64(len(piece))
			continue
		}
		if at, ok := c.index[piece]; ok {
			c.counts[at]++
			continue
		}
		c.index[strings.Clone(piece)] = len(c.counts)
		c.counts = append(c.counts, 1)
		c.bytes += int64(len(piece))
	}
}

func (c *pieceCounter) join(from *pieceCounter) {
	c.longBytes += from.longBytes
	c.eojeols += from.eojeols
	for piece, at := range from.index {
		if mine, ok := c.index[piece]; ok {
			c.counts[mine] += from.counts[at]
			continue
		}
		c.index[piece] = len(c.counts)
		c.counts = append(c.counts, from.counts[at])
		c.bytes += int64(len(piece))
	}
}
