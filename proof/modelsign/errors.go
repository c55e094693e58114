package modelsign

import (
	"errors"
	"fmt"

	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof/internal/strict"
)

// ChangedError: the file's content is not what was signed.
type ChangedError struct {
	Name      string
	Want, Got unit.Digest
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("file %q changed: signed %s, found %s", e.Name, e.Want, e.Got)
}

// ExtraError: the file stands in the folder but not in the signature.
type ExtraError struct{ Name string }

func (e *ExtraError) Error() string {
	return fmt.Sprintf("file %q is not covered by the signature", e.Name)
}

// MissingError: the signature names the file, the folder has none.
type MissingError struct{ Name string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("file %q is signed but missing", e.Name)
}

// KindError: the path is neither a regular file nor a folder.
type KindError struct{ Name, Kind string }

func (e *KindError) Error() string {
	return fmt.Sprintf("%q is a %s: a model holds only regular files and folders", e.Name, e.Kind)
}

// UnsteadyError: the file changed while it was being read.
type UnsteadyError struct{ Name string }

func (e *UnsteadyError) Error() string {
	return fmt.Sprintf("file %q changed while it was read: stop what writes to it and try again", e.Name)
}

// SignatureError: the bundle was not signed by the trusted key, or was
// changed after signing.
type SignatureError struct{ Problem string }

func (e *SignatureError) Error() string { return "signature: " + e.Problem }

// FormatError: the bundle or statement has not the form it must have. Field
// is the path of the field at fault.
type FormatError struct{ Field, Problem string }

func (e *FormatError) Error() string { return e.Field + ": " + e.Problem }

// KeyError: the key cannot be used.
type KeyError struct{ Problem string }

func (e *KeyError) Error() string { return "key: " + e.Problem }

func formatError(document string, err error) error {
	var bad *strict.Error
	if !errors.As(err, &bad) {
		return &FormatError{Field: document, Problem: err.Error()}
	}
	if bad.Path != "" {
		document += "." + bad.Path
	}
	return &FormatError{Field: document, Problem: fmt.Sprintf("%s (byte %d)", bad.Problem, bad.Offset)}
}
