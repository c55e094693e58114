package corpus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// evaluationFields are the fields of evaluation files whose text counts, in
// the order in which the strings of an item are joined. The answer is a number
// or stands among the choices.
var evaluationFields = []string{"context", "passage", "text", "sentence", "premise", "hypothesis", "question", "choices"}

const evaluationLineMax = 1 << 20

// readEvaluation builds the index of everything that must not be in the
// corpus: each item as a whole, and each of its strings by itself save the
// choices, which are words like any other.
func readEvaluation(ctx context.Context, c Config) (index *Contamination, items int64, err error) {
	index = &Contamination{}
	for _, path := range c.Evaluation {
		f := inputFile{path: path, name: filepath.Base(path), form: formOf(path)}
		if f.form != formLines {
			return nil, 0, &FileError{File: f.name, Err: errors.New("an evaluation file must be .jsonl, .jsonl.gz or .jsonl.zst")}
		}
		n, err := index.readFile(ctx, f, c)
		if err != nil {
			return nil, 0, err
		}
		items += n
	}
	return index, items, nil
}

func (c *Contamination) readFile(ctx context.Context, f inputFile, config Config) (items int64, err error) {
	s, err := openSource(f, config, nil)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	lines := lineReader{r: s.Reader, max: evaluationLineMax}
	var buf []byte
	for ctx.Err() == nil {
		line, long, err := lines.next(buf[:0])
		if errors.Is(err, io.EOF) {
			return items, nil
		}
		if err != nil {
			return items, readError(f.name, lines.line+1, err)
		}
		if long > 0 {
			return items, &LimitError{File: f.name, Limit: "evaluationLineMax", Max: evaluationLineMax, Seen: long}
		}
		if buf = line; blankLine(line) {
			continue
		}
		if lines.line == 1 {
			line = trimMark(line)
		}
		if err := c.addItem(f.name, lines.line, line); err != nil {
			return items, err
		}
		items++
	}
	return items, ctx.Err()
}

func (c *Contamination) addItem(file string, line int64, data []byte) error {
	var item map[string]json.RawMessage
	if err := json.Unmarshal(data, &item); err != nil {
		return &FileError{File: file, Line: line, Err: err, hint: "write one JSON object a line; an evaluation item that cannot be read cannot be kept out of the corpus"}
	}
	name, whole := fmt.Sprintf("%s:%d", file, line), []string(nil)
	for _, field := range evaluationFields {
		for _, s := range stringsOf(item[field]) {
			whole = append(whole, s)
			if field == "choices" {
				continue
			}
			if err := c.Add(name, s); err != nil {
				return err
			}
		}
	}
	return c.Add(name, strings.Join(whole, "\n"))
}

// stringsOf returns the strings in a JSON value: itself, or those of a list.
func stringsOf(value json.RawMessage) []string {
	var one string
	if json.Unmarshal(value, &one) == nil && one != "" {
		return []string{one}
	}
	var many []any
	if json.Unmarshal(value, &many) != nil {
		return nil
	}
	var list []string
	for _, v := range many {
		switch v := v.(type) {
		case string:
			list = append(list, v)
		case map[string]any: // {"text": "…"}, as some sets write choices
			if s, ok := v["text"].(string); ok {
				list = append(list, s)
			}
		}
	}
	return list
}

// trimMark takes the byte order mark off a first line.
func trimMark(line []byte) []byte {
	if len(line) >= 3 && line[0] == 0xEF && line[1] == 0xBB && line[2] == 0xBF {
		return line[3:]
	}
	return line
}
