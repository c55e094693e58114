package evaluation

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"

	"github.com/gaon-ai/gaon/internal/unit"
)

// rawLineBytesMax bounds one line of raw outputs.
const rawLineBytesMax = 4 << 20

// Rescore calculates the scores a second time, from raw outputs alone. Seed is
// the evaluation's, which settles ties. If these are the raw outputs of a
// report, the scores are equal to the report's to the last millionth.
//
// What a compressor measured stands in the raw outputs as it was measured.
func Rescore(raw io.Reader, seed uint64) (map[string]unit.Micro, error) {
	r := rescorer{e: &evaluation{config: Config{Seed: seed}}}
	r.e.report.Scores = map[string]unit.Micro{}
	lines := bufio.NewScanner(raw)
	lines.Buffer(make([]byte, 0, 64<<10), rawLineBytesMax)
	for n := 1; lines.Scan(); n++ {
		if err := r.line(lines.Bytes()); err != nil {
			return nil, fmt.Errorf("raw outputs line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("raw outputs: %w", err)
	}
	return r.scores()
}

type rescorer struct {
	e                       *evaluation
	bytes                   int64
	bits, unigram, fivegram float64
	choice                  Choice
	searched                rawSearched
	found                   rawSearched
	ends                    bool // the compressor's line was there: the outputs are whole
}

func (r *rescorer) line(data []byte) error {
	var kind struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(data, &kind); err != nil {
		return err
	}
	switch kind.Kind {
	case "document":
		var d rawDocument
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		r.bytes += int64(d.Bytes)
		r.bits, r.unigram, r.fivegram = r.bits+d.Bits, r.unigram+d.ByteUnigram, r.fivegram+d.ByteFivegram
	case "choice":
		var c rawChoice
		if err := json.Unmarshal(data, &c); err != nil {
			return err
		}
		return r.question(c)
	case "searched":
		return json.Unmarshal(data, &r.searched)
	case "contamination":
		var c rawContamination
		if err := json.Unmarshal(data, &c); err != nil {
			return err
		}
		r.found.count(c.Of, true)
	case "compressor":
		var c rawCompressor
		if err := json.Unmarshal(data, &c); err != nil {
			return err
		}
		r.e.report.Compressor, r.ends = c.Compressor, true
	default:
		return fmt.Errorf("kind %q is not known", kind.Kind)
	}
	return nil
}

func (r *rescorer) question(c rawChoice) error {
	if len(c.Nats) < choicesMin || len(c.Nats) != len(c.Bytes) || c.Answer < 0 || c.Answer >= len(c.Nats) {
		return fmt.Errorf("question %s: %d log-likelihoods, %d sizes, answer %d do not belong together", c.ID, len(c.Nats), len(c.Bytes), c.Answer)
	}
	perByte := make([]float64, len(c.Nats))
	for k, nats := range c.Nats {
		perByte[k] = nats / float64(c.Bytes[k])
	}
	r.choice.Items++
	r.choice.Chance += 1 / float64(len(c.Nats))
	if r.e.pick(c.ID, perByte) == c.Answer {
		r.choice.Accuracy.Correct++
	}
	if r.e.pick(c.ID, c.Nats) == c.Answer {
		r.choice.AccuracyRaw.Correct++
	}
	return nil
}

func (r *rescorer) scores() (map[string]unit.Micro, error) {
	if r.bytes == 0 || !r.ends {
		return nil, fmt.Errorf("raw outputs: cut short: they must hold a held-out document and the compressor's line")
	}
	report, bytes := &r.e.report, float64(r.bytes)
	report.BitsPerByte, report.ByteUnigram, report.ByteFivegram = r.bits/bytes, r.unigram/bytes, r.fivegram/bytes
	if r.choice.Items > 0 {
		r.choice.Chance /= float64(r.choice.Items)
		r.choice.Accuracy.fill(r.choice.Items)
		r.choice.AccuracyRaw.fill(r.choice.Items)
		report.Choice = &r.choice
	}
	report.Contamination = contaminationOf(r.searched, r.found)
	report.fillScores()
	return report.Scores, nil
}
