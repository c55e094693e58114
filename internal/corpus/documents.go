package corpus

import (
	"encoding/json"
	"errors"
	"io"
	"iter"
	"path/filepath"
)

// Documents reads the documents of train.jsonl.zst or heldout.jsonl.zst, or of
// any file of that form. It stops at the first error, a *FileError with the
// line; an error comes with an empty document.
func Documents(path string) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		f := inputFile{path: path, name: filepath.Base(path), form: formOf(path)}
		if f.form != formLines {
			yield(Document{}, &FileError{File: f.name, Err: errors.New("it is not a .jsonl, .jsonl.gz or .jsonl.zst file")})
			return
		}
		// Our own files may well pack tighter than foreign ones are trusted to.
		config := Config{ExpandRatioMax: 1 << 20, ExpandBytesMax: expandBytesDefault}
		s, err := openSource(f, config, nil)
		if err != nil {
			yield(Document{}, err)
			return
		}
		defer s.Close()
		lines := lineReader{r: s.Reader, max: documentLineMax}
		var buf []byte
		for {
			line, long, err := lines.next(buf[:0])
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil && long > 0 {
				err = &LimitError{File: f.name, Limit: "documentLineMax", Max: documentLineMax, Seen: long}
			}
			var d Document
			if err == nil {
				if err = json.Unmarshal(line, &d); err != nil {
					lines.line-- // readError names the line after the last one read
				}
			}
			if err != nil {
				yield(Document{}, readError(f.name, lines.line+1, err))
				return
			}
			if buf = line; !yield(d, nil) {
				return
			}
		}
	}
}

// documentLineMax bounds a line that Documents reads: the longest document of
// a corpus, every character of it escaped.
const documentLineMax = 6 << 30
