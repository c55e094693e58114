package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Class says how far data may be shown, least first. Joining goes up.
type Class string

// The classes in rising order.
const (
	Public       Class = "public"
	Internal     Class = "internal"
	Confidential Class = "confidential"
	National     Class = "national"
)

var classes = []Class{Public, Internal, Confidential, National}

// ParseClass refuses a word that is no class.
func ParseClass(s string) (Class, error) {
	if slices.Contains(classes, Class(s)) {
		return Class(s), nil
	}
	return "", fmt.Errorf("class %q: want public, internal, confidential or national", s)
}

// Label is what data carries with it: its class and the countries it may be
// stored and processed in. No countries at all means anywhere.
type Label struct {
	Class     Class    `json:"class"`
	Residency []string `json:"residency,omitempty"` // ISO 3166-1 alpha-2, sorted; empty: anywhere
	Nowhere   bool     `json:"nowhere,omitempty"`   // inputs' residencies exclude each other
}

// MakeLabel checks and normalises a label.
func MakeLabel(class string, residency []string) (Label, error) {
	c, err := ParseClass(class)
	if err != nil {
		return Label{}, err
	}
	countries := slices.Clone(residency)
	for i, country := range countries {
		if len(country) != 2 || strings.Trim(country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return Label{}, fmt.Errorf("residency[%d] %q: want a country code such as KR", i, country)
		}
	}
	slices.Sort(countries)
	return Label{Class: c, Residency: slices.Compact(countries)}, nil
}

// Join is the label of what is made from both: the higher class, and only the
// countries both allow. It is commutative, associative and idempotent.
func (l Label) Join(other Label) Label {
	joined := Label{Class: l.Class, Nowhere: l.Nowhere || other.Nowhere}
	if slices.Index(classes, other.Class) > slices.Index(classes, l.Class) {
		joined.Class = other.Class
	}
	switch {
	case joined.Nowhere:
		// No countries to list: the label says nowhere outright.
	case len(l.Residency) == 0:
		joined.Residency = slices.Clone(other.Residency)
	case len(other.Residency) == 0:
		joined.Residency = slices.Clone(l.Residency)
	default:
		for _, country := range l.Residency {
			if slices.Contains(other.Residency, country) {
				joined.Residency = append(joined.Residency, country)
			}
		}
		joined.Nowhere = len(joined.Residency) == 0
	}
	return joined
}

// Allows says whether the data may be stored and processed in the country.
func (l Label) Allows(country string) bool {
	return !l.Nowhere && (len(l.Residency) == 0 || slices.Contains(l.Residency, country))
}

// String writes the label as people read it: internal@KR,SG.
func (l Label) String() string {
	switch {
	case l.Nowhere:
		return string(l.Class) + "@nowhere"
	case len(l.Residency) == 0:
		return string(l.Class) + "@anywhere"
	}
	return string(l.Class) + "@" + strings.Join(l.Residency, ",")
}
