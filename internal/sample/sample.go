// Package sample is the text that ships with Gaon: original Korean and English
// prose written for it, and seeded flaws whose number is known, so that
// curation has real work whose result can be checked.
//
// It is small on purpose, and no substitute for a nation's data.
//
// Begin with Documents for the prose alone, and Write for a folder of files
// as they reach a centre: duplicated, untidy, with personal data in them.
package sample

import (
	"embed"
	"fmt"
	"path"
	"strings"
)

//go:embed texts/*.txt texts/eval-choice.jsonl
var texts embed.FS

// Document is one text.
type Document struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// separator stands on a line of its own between documents of one file.
const separator = "---"

// Documents returns the prose as it was written, in the order of its files.
func Documents() []Document {
	names, err := texts.ReadDir("texts")
	if err != nil {
		panic(err) // the files are part of the program
	}
	var all []Document
	for _, entry := range names {
		subject, isText := strings.CutSuffix(entry.Name(), ".txt")
		if !isText {
			continue
		}
		data, err := texts.ReadFile(path.Join("texts", entry.Name()))
		if err != nil {
			panic(err)
		}
		n := 0
		for _, text := range strings.Split("\n"+string(data), "\n"+separator+"\n") {
			if text = strings.TrimSpace(text); text != "" {
				n++
				all = append(all, Document{fmt.Sprintf("%s-%03d", subject, n), text})
			}
		}
	}
	return all
}

// Questions returns the multiple-choice questions, one JSON object a line:
// {"id","question","choices","answer"}.
func Questions() []byte {
	data, err := texts.ReadFile("texts/eval-choice.jsonl")
	if err != nil {
		panic(err)
	}
	return data
}
