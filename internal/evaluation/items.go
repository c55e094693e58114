package evaluation

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Item is one multiple-choice question. Answer is the place of the right
// choice, from 0.
type Item struct {
	ID       string   `json:"id"`
	Question string   `json:"question"`
	Choices  []string `json:"choices"`
	Answer   int      `json:"answer"`
}

// Limits of multiple-choice files.
const (
	itemsMax         = 1 << 17
	itemLineBytesMax = 1 << 20
	itemTextBytesMax = 1 << 18 // question and choices together
	itemIDBytesMax   = 1024
	choicesMin       = 2
	choicesMax       = 26
)

// ReadItems reads items from JSON lines such as
//
//	{"id": "1", "question": "…", "choices": ["…", "…"], "answer": 0}
//
// Empty lines are skipped. Errors name the file by name, the line and the
// field.
func ReadItems(name string, r io.Reader) ([]Item, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), itemLineBytesMax)
	var items []Item
	seen := map[string]int{}
	n := 0
	for lines.Scan() {
		n++
		line := bytes.TrimSpace(lines.Bytes())
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if len(line) == 0 {
			continue
		}
		item, err := parseItem(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if first, twice := seen[item.ID]; twice {
			return nil, fmt.Errorf("%s:%d: id %q stands already in line %d", name, n, item.ID, first)
		}
		if len(items) == itemsMax {
			return nil, fmt.Errorf("%s:%d: over %d items", name, n, itemsMax)
		}
		seen[item.ID] = n
		items = append(items, item)
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("%s:%d: line of over %d bytes", name, n+1, itemLineBytesMax)
	} else if err != nil {
		return nil, fmt.Errorf("%s:%d: %w", name, n+1, err)
	}
	return items, nil
}

func parseItem(line []byte) (Item, error) {
	if !utf8.Valid(line) {
		return Item{}, errors.New("not UTF-8")
	}
	var row struct {
		ID       *string   `json:"id"`
		Question *string   `json:"question"`
		Choices  *[]string `json:"choices"`
		Answer   *int      `json:"answer"`
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&row); err != nil {
		return Item{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Item{}, errors.New("more after the end of the JSON object: want one a line")
	}
	switch {
	case row.ID == nil:
		return Item{}, errors.New("id is missing")
	case row.Question == nil:
		return Item{}, errors.New("question is missing")
	case row.Choices == nil:
		return Item{}, errors.New("choices are missing")
	case row.Answer == nil:
		return Item{}, errors.New("answer is missing: give the place of the right choice, from 0")
	}
	item := Item{ID: *row.ID, Question: *row.Question, Choices: *row.Choices, Answer: *row.Answer}
	return item, item.check()
}

func (item *Item) check() error {
	switch {
	case item.ID == "" || len(item.ID) > itemIDBytesMax:
		return fmt.Errorf("id has %d bytes, want 1 to %d", len(item.ID), itemIDBytesMax)
	case item.Question == "":
		return errors.New("question is empty")
	case len(item.Choices) < choicesMin || len(item.Choices) > choicesMax:
		return fmt.Errorf("choices has %d entries, want %d to %d", len(item.Choices), choicesMin, choicesMax)
	case item.Answer < 0 || item.Answer >= len(item.Choices):
		return fmt.Errorf("answer %d, want 0 to %d", item.Answer, len(item.Choices)-1)
	}
	size := len(item.Question)
	seen := map[string]bool{}
	for i, choice := range item.Choices {
		if choice == "" {
			return fmt.Errorf("choices[%d] is empty", i)
		}
		if seen[choice] {
			return fmt.Errorf("choices[%d] %.60q stands there twice", i, choice)
		}
		seen[choice] = true
		size += len(choice)
	}
	if size > itemTextBytesMax {
		return fmt.Errorf("question and choices have %d bytes, at most %d", size, itemTextBytesMax)
	}
	return nil
}

// checkItems checks items that may not have come from ReadItems.
func checkItems(items []Item) error {
	if len(items) > itemsMax {
		return fmt.Errorf("%d items, at most %d", len(items), itemsMax)
	}
	for i := range items {
		if err := items[i].check(); err != nil {
			return fmt.Errorf("item %d (%s): %w", i, items[i].ID, err)
		}
	}
	return nil
}
