package corpus

import (
	"cmp"
	"math/bits"
	"slices"
)

// tally adds up what the report tells. Tallies of frames are merged in the
// order of the input.
type tally struct {
	in        Count
	out       [outputCount]Count
	reasons   map[string]*Reason
	languages map[string]*LanguageCount
	files     []SourceCount
	touched   map[uint32]*SourceCount // of a frame: few files
	found     [2 * personalKindCount]int64
	kept      [2 * personalKindCount]int64
	clusters  []Cluster
	measured  []measured // of a frame
	quality   *quality   // of the whole run alone
}

type measured struct {
	values measures
	kept   bool
}

// newTally makes a tally of so many files; that of a frame has none.
func newTally(files int) tally {
	return tally{reasons: map[string]*Reason{}, languages: map[string]*LanguageCount{},
		files: make([]SourceCount, files), touched: map[uint32]*SourceCount{}}
}

// document counts one document of a frame.
func (t *tally) document(d *draft, to int, reason, detail string) {
	in, out := int64(d.size), int64(len(d.Text))
	t.in.Documents, t.in.Bytes = t.in.Documents+1, t.in.Bytes+in
	source := t.touched[d.file]
	if source == nil {
		source = &SourceCount{}
		t.touched[d.file] = source
	}
	source.DocumentsIn, source.BytesIn = source.DocumentsIn+1, source.BytesIn+in
	var lang *LanguageCount
	if d.Lang != "" {
		lang = t.language(d.Lang)
		lang.DocumentsIn, lang.BytesIn = lang.DocumentsIn+1, lang.BytesIn+in
	}
	for k, n := range d.personal {
		t.found[k] += int64(n)
	}
	if !d.early {
		t.measured = append(t.measured, measured{d.measures, to != toDropped})
	}
	if to == toDropped {
		t.out[to].Documents, t.out[to].Bytes = t.out[to].Documents+1, t.out[to].Bytes+in
		t.reason(reason, 1, in, Example{d.Source, detail, clip(d.Text, exampleRunesMax)})
		return
	}
	t.out[to].Documents, t.out[to].Bytes = t.out[to].Documents+1, t.out[to].Bytes+out
	source.DocumentsUsed, source.BytesUsed = source.DocumentsUsed+1, source.BytesUsed+out
	for k, n := range d.personal {
		t.kept[k] += int64(n)
	}
	if to == toTrain {
		lang.DocumentsTrain, lang.BytesTrain = lang.DocumentsTrain+1, lang.BytesTrain+out
	} else {
		lang.DocumentsHeldOut, lang.BytesHeldOut = lang.DocumentsHeldOut+1, lang.BytesHeldOut+out
	}
}

func (t *tally) language(lang string) *LanguageCount {
	if t.languages[lang] == nil {
		t.languages[lang] = &LanguageCount{Lang: lang}
	}
	return t.languages[lang]
}

func (t *tally) reason(name string, documents, bytes int64, examples ...Example) {
	r := t.reasons[name]
	if r == nil {
		r = &Reason{Count: Count{Name: name}, Examples: []Example{}}
		t.reasons[name] = r
	}
	r.Documents, r.Bytes = r.Documents+documents, r.Bytes+bytes
	for _, e := range examples {
		if len(r.Examples) < reportExamplesMax {
			r.Examples = append(r.Examples, e)
		}
	}
}

func (t *tally) cluster(d *draft) {
	t.clusters = append(t.clusters, Cluster{d.Source, d.Copies, clip(d.Text, exampleRunesMax)})
}

// merge adds the tally of a frame.
func (t *tally) merge(f *tally) {
	t.in.Documents, t.in.Bytes = t.in.Documents+f.in.Documents, t.in.Bytes+f.in.Bytes
	for i := range t.out {
		t.out[i].Documents, t.out[i].Bytes = t.out[i].Documents+f.out[i].Documents, t.out[i].Bytes+f.out[i].Bytes
	}
	for name, r := range f.reasons {
		t.reason(name, r.Documents, r.Bytes, r.Examples...)
	}
	for name, l := range f.languages {
		to := t.language(name)
		to.DocumentsIn, to.BytesIn = to.DocumentsIn+l.DocumentsIn, to.BytesIn+l.BytesIn
		to.DocumentsTrain, to.BytesTrain = to.DocumentsTrain+l.DocumentsTrain, to.BytesTrain+l.BytesTrain
		to.DocumentsHeldOut, to.BytesHeldOut = to.DocumentsHeldOut+l.DocumentsHeldOut, to.BytesHeldOut+l.BytesHeldOut
	}
	for file, s := range f.touched {
		t.files[file].add(*s)
	}
	for k := range t.found {
		t.found[k], t.kept[k] = t.found[k]+f.found[k], t.kept[k]+f.kept[k]
	}
	t.clusters = append(t.clusters, f.clusters...)
	slices.SortStableFunc(t.clusters, func(a, b Cluster) int { return cmp.Compare(b.Documents, a.Documents) })
	for i := range f.measured {
		t.quality.add(&f.measured[i])
	}
}

// funnelSteps says after which step a reason's documents are gone.
var funnelSteps = []struct {
	name    string
	reasons []string
}{
	{"readable", []string{ReasonBadUTF8, ReasonBadJSON, ReasonTooLong, ReasonMissingText, ReasonEmptyText}},
	{"language", []string{ReasonLanguage}},
	{"unique", []string{ReasonExactDuplicate, ReasonNearDuplicate}},
	{"quality", nil}, // every other reason
	{"evaluation", []string{ReasonEvaluation}},
	{"heldout", []string{ReasonHeldOutOverlap}},
}

// funnel returns how many documents are left after each step.
func (r Reasons) funnel(t *tally) []Count {
	left := Count{"read", t.in.Documents, t.in.Bytes}
	list := []Count{left}
	named := map[string]bool{}
	for _, s := range funnelSteps {
		for _, reason := range s.reasons {
			named[reason] = true
		}
	}
	for _, s := range funnelSteps {
		left.Name = s.name
		for _, x := range r {
			if slices.Contains(s.reasons, x.Name) || s.reasons == nil && !named[x.Name] {
				left.Documents, left.Bytes = left.Documents-x.Documents, left.Bytes-x.Bytes
			}
		}
		list = append(list, left)
	}
	return list
}

// Measure is how one measure of quality is spread, over all documents that
// were compared and over those kept. Quantiles are of the documents, shares
// per mille, lengths in thousandths of a character; above 64 words they are
// true to 3 %.
type Measure struct {
	Name   string    `json:"name"`
	Before Quantiles `json:"before"`
	After  Quantiles `json:"after"`
	Bins   []Bin     `json:"bins"`
}

// Quantiles are values that so many per cent of documents do not exceed.
type Quantiles struct {
	P1  int `json:"p1"`
	P5  int `json:"p5"`
	P25 int `json:"p25"`
	P50 int `json:"p50"`
	P75 int `json:"p75"`
	P95 int `json:"p95"`
	P99 int `json:"p99"`
}

// Bin counts documents with From <= value < To.
type Bin struct {
	From   int   `json:"from"`
	To     int   `json:"to"`
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

const (
	qualityCells = 1024 // cells of a measure
	qualityBins  = 24   // bins in the report
	wordCellBits = 5    // words over 64: 32 cells a doubling
)

// quality counts documents by cell of each measure.
type quality struct {
	before, after [measureCount][qualityCells]int64
}

func (q *quality) add(m *measured) {
	for i, v := range m.values {
		c := cellOf(i, v)
		q.before[i][c]++
		if m.kept {
			q.after[i][c]++
		}
	}
}

// stepOf is how wide a cell of the measure is; 0 says that cells grow.
func stepOf(measure int) uint32 {
	switch measure {
	case measureWords:
		return 0
	case measureWordLength:
		return 20
	case measureLineBreaks, measureSymbols:
		return 2
	}
	return 1
}

func cellOf(measure int, v uint32) int {
	if step := stepOf(measure); step > 0 {
		return int(min(v/step, qualityCells-1))
	}
	if v < 2<<wordCellBits {
		return int(v)
	}
	shift := bits.Len32(v) - wordCellBits - 1
	return min(shift<<wordCellBits+int(v>>shift), qualityCells-1)
}

// cellStart is the least value of a cell.
func cellStart(measure, cell int) int {
	if step := stepOf(measure); step > 0 {
		return cell * int(step)
	}
	if cell < 2<<wordCellBits {
		return cell
	}
	shift := cell>>wordCellBits - 1
	return (cell - shift<<wordCellBits) << shift
}

func (q *quality) report() []Measure {
	list := make([]Measure, measureCount)
	for i := range list {
		before, after := &q.before[i], &q.after[i]
		list[i] = Measure{measureNames[i], quantiles(i, before), quantiles(i, after), binsOf(i, before, after)}
	}
	return list
}

func quantiles(measure int, cells *[qualityCells]int64) (q Quantiles) {
	total := int64(0)
	for _, n := range cells {
		total += n
	}
	if total == 0 {
		return q
	}
	at := func(percent int64) int {
		rank, sum := max(1, (total*percent+99)/100), int64(0)
		for c, n := range cells {
			if sum += n; sum >= rank {
				return cellStart(measure, c)
			}
		}
		return 0
	}
	return Quantiles{at(1), at(5), at(25), at(50), at(75), at(95), at(99)}
}

// binsOf joins the cells in use into bins: growing ones for words, equal widths
// for the rest. The last bin takes the rarest half per cent, so that one odd
// document does not flatten the picture.
func binsOf(measure int, before, after *[qualityCells]int64) []Bin {
	total, most := int64(0), qualityCells-1
	for _, n := range before {
		total += n
	}
	for most > 0 && before[most] == 0 {
		most--
	}
	last := most
	for rare := before[last]; last > 0 && rare*200 <= total; rare += before[last] {
		last--
	}
	var edges []int
	if measure == measureWords {
		for edge := 0; edge <= cellStart(measure, last); edge = max(1, edge+edge/2, edge+1) {
			edges = append(edges, edge)
		}
	} else {
		width := roundUp((cellStart(measure, last) + qualityBins) / qualityBins)
		for edge := 0; edge <= cellStart(measure, last); edge += width {
			edges = append(edges, edge)
		}
	}
	list := []Bin{}
	for i, from := range edges {
		to := cellStart(measure, most) + 1
		if i+1 < len(edges) {
			to = edges[i+1]
		}
		list = append(list, Bin{From: from, To: to})
	}
	for c := 0; c <= most; c++ {
		v := cellStart(measure, c)
		at, found := slices.BinarySearch(edges, v)
		if !found {
			at--
		}
		list[at].Before += before[c]
		list[at].After += after[c]
	}
	return list
}

// roundUp returns the next of 1, 2, 5, 10, 20, 50, and so on.
func roundUp(n int) int {
	for unit := 1; ; unit *= 10 {
		for _, digit := range [...]int{1, 2, 5} {
			if digit*unit >= n {
				return digit * unit
			}
		}
	}
}
