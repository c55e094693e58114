package evaluation

import (
	"testing"
)

// FuzzContamination: any text is given away by itself, if it has words.
func FuzzContamination(f *testing.F) {
	f.Add("하나 둘 셋", "ﬁ")
	f.Add("a\xffb C", "İ")
	f.Add("ΌΣΟΣ ΣΑΣ", "ǅ")
	f.Fuzz(func(t *testing.T, text, other string) {
		c := newContamination(Input{HeldOut: []Document{{Text: text}}})
		c.scan(other)
		c.scan(text)
		if got := c.result(); got.Found != got.Items {
			t.Errorf("%q was not found in itself: %+v", text, got)
		}
	})
}
