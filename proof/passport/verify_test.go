package passport

import (
	"testing"
)

func TestVerify(t *testing.T) {
	r := newRelease(t)
	v := r.mustVerify()
	for _, o := range v.Outcomes {
		want := Passed
		if o.Check == CheckRevocation {
			want = Skipped // there is no list offline
		}
		if o.State != want || o.Sentence.Ko == "" || o.Sentence.En == "" {
			t.Errorf("%s: %s %q, want it %s", o.Check, o.State, o.Sentence, want)
		}
	}
	if len(v.Outcomes) != len(checkOrder) {
		t.Errorf("%d checks were made, there are %d", len(v.Outcomes), len(checkOrder))
	}
	if err := Check(v.Passport); err != nil {
		t.Error(err)
	}
}

func BenchmarkVerify(b *testing.B) {
	r := newRelease(b)
	for b.Loop() {
		r.mustVerify()
	}
}
