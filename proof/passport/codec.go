package passport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof/internal/strict"
)

// Limits on documents that are read. A passport with eight ledger entries of
// the greatest length is under 2 MB.
const (
	passportBytesMax = 16 << 20
	proofBytesMax    = 1 << 20
	listMax          = 10_000 // items in any list
	textBytesMax     = 16 << 10
)

// Decimal is a number in millionths that travels as a string: "2.5".
type Decimal unit.Micro

// String writes the decimal.
func (d Decimal) String() string { return unit.Micro(d).String() }

// MarshalText writes the decimal.
func (d Decimal) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a decimal in its shortest form only: "2.5", not "2.50".
func (d *Decimal) UnmarshalText(text []byte) error {
	v, err := unit.ParseMicro(string(text))
	if err != nil {
		return err
	}
	if v.String() != string(text) {
		return fmt.Errorf("number %q: write it as %s", text, v)
	}
	*d = Decimal(v)
	return nil
}

// FieldError is a claim of the document that is missing, malformed or does
// not fit another. Field is its path: "data.sources[1].licence".
type FieldError struct{ Field, Problem string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// Encode writes the document: two spaces of indentation, lists never null, one
// line feed at the end. The same passport always gives the same bytes.
func Encode(p Passport) ([]byte, error) { return encode(p) }

func encode[T any](document T) ([]byte, error) {
	filled := reflect.New(reflect.TypeFor[T]()).Elem()
	filled.Set(reflect.ValueOf(document))
	fillLists(filled)
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(filled.Interface()); err != nil {
		return nil, fmt.Errorf("encode passport: %w", err)
	}
	return out.Bytes(), nil
}

// fillLists puts an empty list where there is none, since null is refused. It
// copies the lists it descends into: the caller's document stays as it is.
func fillLists(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fillLists(v.Field(i))
		}
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
			return
		}
		if v.Type().Elem().Kind() != reflect.Struct {
			return
		}
		list := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(list, v)
		for i := range list.Len() {
			fillLists(list.Index(i))
		}
		v.Set(list)
	}
}

// Parse reads a document. Fields that are unknown, missing or given twice,
// and anything after the document, are refused; Check judges what it says.
func Parse(data []byte) (Passport, error) {
	var p Passport
	if err := parse(data, passportBytesMax, &p); err != nil {
		return Passport{}, err
	}
	if p.Format != Format {
		return Passport{}, &FieldError{Field: "format", Problem: fmt.Sprintf("%q is not known, want %q", p.Format, Format)}
	}
	return p, nil
}

func parse(data []byte, limit int, v any) error {
	if len(data) > limit {
		return &FieldError{Field: "document", Problem: fmt.Sprintf("%d bytes, at most %d are read", len(data), limit)}
	}
	err := strict.Decode(data, v)
	var bad *strict.Error
	if errors.As(err, &bad) {
		field := bad.Path
		if field == "" {
			field = "document"
		}
		return &FieldError{Field: field, Problem: fmt.Sprintf("%s (byte %d)", bad.Problem, bad.Offset)}
	}
	return err
}
