package passport

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// HTML lays a verified passport out as one page that needs nothing else: no
// script, no font, no picture from anywhere. lang is "ko" for Korean, anything
// else gives English. All that a document says is escaped.
func HTML(v Verified, lang string) ([]byte, error) {
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, newSheet(v, lang)); err != nil {
		return nil, fmt.Errorf("passport page: %w", err)
	}
	return out.Bytes(), nil
}
