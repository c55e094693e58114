// Package strict decodes JSON that came from outside into Go structs and
// accepts exactly one spelling of each document's meaning: no unknown, missing
// or repeated field, no field in other letter case, no null where none is
// meant, no invalid UTF-8, nothing after the value.
//
// It is not a schema language and not a faster encoding/json; encoding/json
// does the decoding, this package only refuses first what it would let pass
// (a second "payload" field that overrides the first, "Payload" for
// "payload"), because two readers of one signed document must never see two
// different documents.
//
// Begin with Decode.
package strict

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// depthMax bounds nesting; the deepest document of this project has 8 levels.
const depthMax = 48

// Error says what is wrong and where: Path is the field from the root
// ("training.devices[2].count", empty for the root), Offset the byte.
type Error struct {
	Path    string
	Offset  int64
	Problem string
}

func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("byte %d: %s", e.Offset, e.Problem)
	}
	return fmt.Sprintf("%s (byte %d): %s", e.Path, e.Offset, e.Problem)
}

// Decode reads the one JSON value in data into the struct that v points to.
//
// A struct field is required unless its tag says omitempty or omitzero; null
// is refused unless the field is a pointer. Fields of type json.RawMessage and
// types with their own decoding take any value, in which repeated names are
// still refused. The error is an *Error.
func Decode(data []byte, v any) error {
	if !utf8.Valid(data) {
		return &Error{Offset: invalidAt(data), Problem: "not valid UTF-8"}
	}
	w := &walker{dec: json.NewDecoder(bytes.NewReader(data))}
	w.dec.UseNumber()
	if err := w.value(reflect.TypeOf(v).Elem(), "", 0); err != nil {
		return err
	}
	if _, err := w.dec.Token(); !errors.Is(err, io.EOF) {
		return w.fail("", "data after the end of the document")
	}
	if err := json.Unmarshal(data, v); err != nil {
		return decodeError(err)
	}
	return nil
}

func invalidAt(data []byte) int64 {
	at := 0
	for at < len(data) {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return int64(at)
}

func decodeError(err error) error {
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		return &Error{Path: mismatch.Field, Offset: mismatch.Offset, Problem: "a JSON " + mismatch.Value + " does not fit here"}
	}
	return &Error{Problem: err.Error()}
}

type walker struct{ dec *json.Decoder }

func (w *walker) fail(path, problem string) error {
	return &Error{Path: path, Offset: w.dec.InputOffset(), Problem: problem}
}

var (
	jsonReader = reflect.TypeFor[json.Unmarshaler]()
	textReader = reflect.TypeFor[encoding.TextUnmarshaler]()
	anything   = reflect.TypeFor[any]()
)

// shape returns the type whose form a value must have, and whether null may
// stand in its place. Types that decode themselves may have any form.
func shape(t reflect.Type) (reflect.Type, bool) {
	nullable := false
	for t.Kind() == reflect.Pointer {
		t, nullable = t.Elem(), true
	}
	if t.Kind() == reflect.Interface {
		return anything, true
	}
	if t == reflect.TypeFor[[]byte]() {
		return reflect.TypeFor[string](), nullable // base64 text
	}
	if p := reflect.PointerTo(t); p.Implements(jsonReader) || p.Implements(textReader) {
		return anything, nullable || t == reflect.TypeFor[json.RawMessage]()
	}
	return t, nullable
}

func (w *walker) value(t reflect.Type, path string, depth int) error {
	if depth > depthMax {
		return w.fail(path, fmt.Sprintf("nested deeper than %d levels", depthMax))
	}
	t, nullable := shape(t)
	token, err := w.dec.Token()
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return w.fail(path, "the document ends too early")
		}
		return w.fail(path, "not JSON: "+err.Error())
	}
	switch token {
	case json.Delim('{'):
		return w.object(t, path, depth)
	case json.Delim('['):
		return w.array(t, path, depth)
	case nil:
		if !nullable {
			return w.fail(path, "null where a value is needed")
		}
	}
	return nil
}

func (w *walker) object(t reflect.Type, path string, depth int) error {
	fields, isStruct := fieldsOf(t)
	if !isStruct && t.Kind() != reflect.Map && t != anything {
		return w.fail(path, "an object where another kind of value is needed")
	}
	seen := map[string]bool{}
	for w.dec.More() {
		token, err := w.dec.Token()
		if err != nil {
			return w.fail(path, "not JSON: "+err.Error())
		}
		name, _ := token.(string)
		at := join(path, name)
		if seen[name] {
			return w.fail(at, "field given twice")
		}
		seen[name] = true
		inner := anything
		switch {
		case isStruct:
			field, known := fields[name]
			if !known && (!isOpen(t) || folds(fields, name)) {
				return w.fail(at, "unknown field")
			}
			if known {
				inner = field.kind
			}
		case t.Kind() == reflect.Map:
			inner = t.Elem()
		}
		if err := w.value(inner, at, depth+1); err != nil {
			return err
		}
	}
	if _, err := w.dec.Token(); err != nil {
		return w.fail(path, "the object does not end")
	}
	if isStruct {
		return w.complete(t, fields, seen, path)
	}
	return nil
}

// complete walks the struct's fields in their order of declaration, so that
// the first one missing is always the same one.
func (w *walker) complete(t reflect.Type, fields map[string]field, seen map[string]bool, path string) error {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if f, known := fields[name]; known && f.required && !seen[name] {
			return w.fail(join(path, name), "field missing")
		}
	}
	return nil
}

func (w *walker) array(t reflect.Type, path string, depth int) error {
	inner := anything
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		inner = t.Elem()
	default:
		if t != anything {
			return w.fail(path, "a list where another kind of value is needed")
		}
	}
	for i := 0; w.dec.More(); i++ {
		if err := w.value(inner, path+"["+strconv.Itoa(i)+"]", depth+1); err != nil {
			return err
		}
	}
	if _, err := w.dec.Token(); err != nil {
		return w.fail(path, "the list does not end")
	}
	return nil
}

type field struct {
	kind     reflect.Type
	required bool
}

// fieldsOf lists a struct's fields by wire name; every field that is to be
// read carries a json tag.
func fieldsOf(t reflect.Type) (map[string]field, bool) {
	if t.Kind() != reflect.Struct {
		return nil, false
	}
	fields := make(map[string]field, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		fields[name] = field{kind: f.Type, required: !optional}
	}
	return fields, true
}

// isOpen tells whether a format's specification lets its readers meet fields
// they do not know in this object. Such a struct says so with a field
//
//	_ struct{} `strict:"open"`
func isOpen(t reflect.Type) bool {
	blank, found := t.FieldByName("_")
	return found && blank.Tag.Get("strict") == "open"
}

// folds tells whether the unknown name differs from a known one in letter case
// only: encoding/json would read it into that field.
func folds(fields map[string]field, name string) bool {
	for known := range fields {
		if strings.EqualFold(known, name) {
			return true
		}
	}
	return false
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
