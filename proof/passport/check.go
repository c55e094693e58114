package passport

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gaon-ai/gaon/internal/unit"
)

// Check refuses a passport that is not complete or contradicts itself: every
// released model has a whole chain, documents → corpus → tokenizer → training
// → evaluation → gate → approvals, and every number that can be derived from
// others agrees with them. All problems are returned, joined; each is a
// *FieldError. Files and signatures are Verify's business.
func Check(p Passport) error {
	var problems []error
	for _, section := range sections {
		problems = append(problems, section.check(p)...)
	}
	return errors.Join(problems...)
}

// section is one group of claims that is judged together and shown as a line.
type section struct {
	id    string
	check func(Passport) []error
}

var sections = []section{
	{CheckForm, checkForm},
	{CheckData, checkData},
	{CheckChain, checkChain},
	{CheckTraining, checkTraining},
	{CheckLabels, checkLabels},
	{CheckIndependence, checkIndependence},
	{CheckEvaluation, checkEvaluation},
	{CheckApprovals, checkApprovals},
}

// finder collects what is wrong, bounded: who has a hundred faults in a
// passport needs no longer list.
type finder struct{ found []error }

const problemsMax = 100

func (f *finder) add(field, format string, args ...any) {
	if len(f.found) < problemsMax {
		f.found = append(f.found, &FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
}

func (f *finder) need(ok bool, field, format string, args ...any) {
	if !ok {
		f.add(field, format, args...)
	}
}

// words checks texts that must say something.
func (f *finder) words(pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		field, text := pairs[i], pairs[i+1]
		switch {
		case strings.TrimSpace(text) == "":
			f.add(field, "is empty")
		case len(text) > textBytesMax:
			f.add(field, "is longer than %d bytes", textBytesMax)
		case !utf8.ValidString(text) || strings.ContainsFunc(text, isControl):
			f.add(field, "has control characters or is not UTF-8")
		}
	}
}

func isControl(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }

func (f *finder) bilingual(field string, t Words) { f.words(field+".ko", t.Ko, field+".en", t.En) }

func (f *finder) digest(field string, d unit.Digest) {
	if _, err := unit.ParseDigest(string(d)); err != nil {
		f.add(field, "%v", err)
	}
}

func (f *finder) country(field, code string) {
	f.need(len(code) == 2 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "", field, "%q is no country code such as KR", code)
}

func (f *finder) oneOf(field, value string, allowed ...string) {
	f.need(slices.Contains(allowed, value), field, "%q: want one of %s", value, strings.Join(allowed, ", "))
}

// countMax keeps counts exact in every JSON reader and sums far from wrapping.
const countMax = 1 << 53

func (f *finder) count(field string, n int64) {
	f.need(n >= 0 && n <= countMax, field, "%d is outside 0 to 2^53", n)
}

// spdxWord is the form of a licence identifier (SPDX 3.0.1, annex B).
var spdxWord = regexp.MustCompile(`^(DocumentRef-[A-Za-z0-9.-]+:)?[A-Za-z0-9][A-Za-z0-9.-]*\+?$`)

// licence checks the form of a licence expression. That rights are unknown
// (NOASSERTION, NONE) is no ground to use anything.
func (f *finder) licence(field, expression string) {
	words := strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(expression))
	depth, wantName := 0, true
	for _, word := range words {
		switch {
		case word == "(" && wantName:
			depth++
		case word == ")" && !wantName && depth > 0:
			depth--
		case (word == "AND" || word == "OR" || word == "WITH") && !wantName:
			wantName = true
		case wantName && spdxWord.MatchString(word) && word != "NOASSERTION" && word != "NONE":
			wantName = false
		default:
			f.add(field, "%q is no SPDX licence expression such as Apache-2.0", expression)
			return
		}
	}
	f.need(!wantName && depth == 0, field, "%q is no SPDX licence expression such as Apache-2.0", expression)
}

// checkForm judges what stands for itself: names, the files, the lists' lengths.
func checkForm(p Passport) []error {
	var f finder
	f.need(p.Format == Format, "format", "%q is not known, want %q", p.Format, Format)
	f.need(p.Issued > 0, "issued", "is no instant")
	m := p.Model
	f.words("model.name", m.Name, "model.version", m.Version, "model.architecture", m.Architecture)
	f.bilingual("model.summary", m.Summary)
	f.bilingual("model.uses", m.Uses)
	f.bilingual("model.limits", m.Limits)
	f.need(m.Parameters > 0 && m.Context > 0 && m.Vocabulary > 0, "model", "parameters, context and vocabulary must be positive")
	f.need(len(m.Languages) > 0, "model.languages", "is empty")
	f.licence("model.licence", m.Licence)
	f.words("issuer.name", p.Issuer.Name, "issuer.address", p.Issuer.Address, "issuer.contact", p.Issuer.Contact)
	f.country("issuer.country", p.Issuer.Country)
	f.words("revocation.address", p.Revocation.Address)
	f.digest("revocation.digest", p.Revocation.Digest)
	f.lengths(p)
	f.files(p)
	return f.found
}

func (f *finder) lengths(p Passport) {
	for field, n := range map[string]int{"files": len(p.Files), "stages": len(p.Stages), "data.sources": len(p.Data.Sources),
		"data.removed": len(p.Data.Removed), "evaluation.results": len(p.Evaluation.Results), "views": len(p.Views),
		"approvals.given": len(p.Approvals.Given), "ledger.entries": len(p.Ledger.Entries)} {
		f.need(n <= listMax, field, "%d items, at most %d are allowed", n, listMax)
	}
}

func (f *finder) files(p Passport) {
	roles := map[string]int{}
	seen := map[string]bool{File: true}
	for i, file := range p.Files {
		field := fmt.Sprintf("files[%d]", i)
		f.words(field+".path", file.Path)
		f.oneOf(field+".role", file.Role, FileWeights, FileTokenizer, FileConfiguration, FileDocument)
		f.digest(field+".digest", file.Digest)
		f.count(field+".size", int64(file.Size))
		f.need(!seen[file.Path], field+".path", "%q is listed twice", file.Path)
		seen[file.Path] = true
		roles[file.Role]++
	}
	for _, role := range []string{FileWeights, FileTokenizer, FileConfiguration} {
		f.need(roles[role] > 0, "files", "no file has the role %s", role)
	}
	if want := FilesDigest(p.Files); p.Model.Digest != want {
		f.add("model.digest", "%s, but the files listed give %s", p.Model.Digest, want)
	}
	for i, view := range p.Views {
		field := fmt.Sprintf("views[%d]", i)
		f.words(field+".kind", view.Kind, field+".path", view.Path, field+".media_type", view.MediaType)
		f.digest(field+".digest", view.Digest)
		f.need(!seen[view.Path], field+".path", "%q is listed twice", view.Path)
		seen[view.Path] = true
	}
	for _, want := range viewKinds {
		f.need(slices.ContainsFunc(p.Views, func(v View) bool { return v.Kind == want }), "views", "the view %s is missing", want)
	}
}

// checkData judges the data ledger: rights for every source, and that every
// document that came in is either in the corpus or counted as removed.
func checkData(p Passport) []error {
	var f finder
	d := p.Data
	f.need(len(d.Sources) > 0, "data.sources", "is empty: a model without documents has no chain")
	var documents, used, tokens int64
	counted := true // tokens of every source
	names := map[string]bool{}
	for i, s := range d.Sources {
		field := fmt.Sprintf("data.sources[%d]", i)
		f.words(field+".name", s.Name, field+".owner", s.Owner, field+".consent", s.Consent, field+".address", s.Address)
		f.oneOf(field+".kind", s.Kind, KindPublic, KindLicensed, KindPrivate, KindCrawled, KindUser, KindSynthetic, KindOther)
		f.country(field+".origin", s.Origin)
		f.licence(field+".licence", s.Licence)
		f.digest(field+".digest", s.Digest)
		f.need(s.DocumentsUsed >= 0 && s.DocumentsUsed <= s.Documents, field+".documents_used", "%d of %d documents cannot be used", s.DocumentsUsed, s.Documents)
		f.count(field+".documents", s.Documents)
		f.need(s.TokensUsed == Unknown || s.TokensUsed >= 0 && s.TokensUsed <= countMax, field+".tokens_used", "%d is outside 0 to 2^53, and not %d for unknown", s.TokensUsed, Unknown)
		f.need(!names[s.Name], field+".name", "%q is listed twice", s.Name)
		names[s.Name] = true
		documents, used, tokens = documents+s.Documents, used+s.DocumentsUsed, tokens+max(s.TokensUsed, 0)
		counted = counted && s.TokensUsed != Unknown
	}
	var removed int64
	for i, r := range d.Removed {
		field := fmt.Sprintf("data.removed[%d]", i)
		f.words(field+".filter", r.Filter, field+".version", r.Version)
		f.count(field+".documents", r.Documents)
		removed += r.Documents
	}
	c := d.Corpus
	f.digest("data.corpus.digest", c.Digest)
	f.digest("data.report", d.Report)
	f.need(c.Documents > 0 && c.Tokens > 0 && c.Size > 0, "data.corpus", "must hold documents, bytes and tokens")
	f.need(c.HeldOut >= 0 && c.HeldOut <= c.Documents, "data.corpus.held_out", "%d of %d documents cannot be held out", c.HeldOut, c.Documents)
	f.need(documents-removed == c.Documents, "data.removed", "%d documents came in and %d were removed, but the corpus has %d", documents, removed, c.Documents)
	f.need(used == c.Documents, "data.sources", "%d documents are used, but the corpus has %d", used, c.Documents)
	f.need(tokens == c.Tokens || !counted && tokens < c.Tokens, "data.sources", "%d tokens are used, but the corpus has %d", tokens, c.Tokens)
	f.dataReports(d)
	return f.found
}

func (f *finder) dataReports(d Data) {
	f.words("data.personal_data.method", d.PersonalData.Method, "data.personal_data.version", d.PersonalData.Version,
		"data.personal_data.action", d.PersonalData.Action, "data.duplicates.method", d.Duplicates.Method,
		"data.decontamination.method", d.Decontamination.Method)
	f.bilingual("data.rights_reserved", d.RightsReserved)
	f.bilingual("data.illegal_content", d.IllegalContent)
	for i, found := range d.PersonalData.Found {
		f.words(fmt.Sprintf("data.personal_data.found[%d].kind", i), found.Kind)
		f.count(fmt.Sprintf("data.personal_data.found[%d].count", i), found.Count)
	}
	f.count("data.duplicates.exact", d.Duplicates.Exact)
	f.count("data.duplicates.near", d.Duplicates.Near)
	f.count("data.decontamination.removed", d.Decontamination.Removed)
	for i, set := range d.Decontamination.Against {
		f.digest(fmt.Sprintf("data.decontamination.against[%d].digest", i), set.Digest)
	}
}

// flopDigitsMax allows far more than all computers of the world can do.
const flopDigitsMax = 40

// Operations returns the cumulative floating-point operations of the training.
func (t Training) Operations() (*big.Int, error) {
	n, ok := new(big.Int).SetString(t.FLOP, 10)
	if !ok || len(t.FLOP) > flopDigitsMax || n.Sign() < 0 || n.String() != t.FLOP {
		return nil, &FieldError{Field: "training.flop", Problem: fmt.Sprintf("%.50q is no plain integer of at most %d digits", t.FLOP, flopDigitsMax)}
	}
	return n, nil
}

// checkTraining judges the record of the training.
func checkTraining(p Passport) []error {
	var f finder
	t := p.Training
	sites := map[string]bool{}
	for i, s := range t.Sites {
		f.words(fmt.Sprintf("training.sites[%d].name", i), s.Name)
		f.country(fmt.Sprintf("training.sites[%d].country", i), s.Country)
		sites[s.Name] = true
	}
	f.need(len(t.Devices) > 0, "training.devices", "is empty")
	for i, d := range t.Devices {
		field := fmt.Sprintf("training.devices[%d]", i)
		f.words(field+".kind", d.Kind, field+".name", d.Name)
		f.need(d.Count > 0, field+".count", "%d is not positive", d.Count)
		f.need(sites[d.Site], field+".site", "%q is not among the sites", d.Site)
	}
	f.need(t.Steps > 0 && t.Tokens > 0, "training", "steps and tokens must be positive")
	if n, err := t.Operations(); err != nil {
		f.found = append(f.found, err)
	} else {
		f.need(n.Sign() > 0, "training.flop", "must be positive")
	}
	f.words("training.flop_method", t.FLOPMethod, "training.energy_method", t.EnergyMethod, "training.seed", t.Seed)
	f.need(t.EnergyKWh >= 0, "training.energy_kwh", "%s is negative", t.EnergyKWh)
	f.need(t.EnergyKWh == 0 || t.EnergyClass != EnergyUnknown, "training.energy_kwh", "%s, but its class says unknown", t.EnergyKWh)
	f.oneOf("training.energy_class", t.EnergyClass, EnergyCounter, EnergySampled, EnergyEstimated, EnergyUnknown)
	f.count("training.chip_seconds", int64(t.ChipSeconds))
	f.digest("training.loss_log", t.LossLog)
	var last unit.Instant
	for i, stop := range t.Interruptions {
		field := fmt.Sprintf("training.interruptions[%d]", i)
		f.words(field+".reason", stop.Reason)
		if stop.Step > 0 || stop.Checkpoint != "" {
			f.digest(field+".checkpoint", stop.Checkpoint)
		}
		f.need(stop.At >= last && stop.Resumed >= stop.At, field, "instants are out of order")
		f.need(stop.Step >= 0 && stop.Step <= t.Steps, field+".step", "%d of %d steps", stop.Step, t.Steps)
		last = stop.Resumed
	}
	if s, ok := stageOf(p, StageTrain); ok {
		f.need(covers(s.Outputs, t.LossLog), "training.loss_log", "is not among the outputs of the training stage")
		for i, stop := range t.Interruptions {
			f.need(stop.At >= s.Started && stop.Resumed <= s.Finished, fmt.Sprintf("training.interruptions[%d]", i), "lies outside the training stage")
		}
	}
	return f.found
}

// classes in rising order; what is made of data is at least as confined as it.
var classes = []string{"public", "internal", "confidential", "national"}

// checkLabels holds the model's label against those of its sources: the class
// goes up, the residency narrows, and the training stood where every source
// may be processed.
func checkLabels(p Passport) []error {
	var f finder
	f.oneOf("model.class", p.Model.Class, classes...)
	for i, country := range p.Model.Residency {
		f.country(fmt.Sprintf("model.residency[%d]", i), country)
	}
	for i, s := range p.Data.Sources {
		field := fmt.Sprintf("data.sources[%d]", i)
		f.oneOf(field+".class", s.Class, classes...)
		f.need(slices.Index(classes, s.Class) <= slices.Index(classes, p.Model.Class), "model.class", "%s, but the source %s is %s", p.Model.Class, s.Name, s.Class)
		if len(s.Residency) == 0 {
			continue
		}
		f.need(len(p.Model.Residency) > 0, "model.residency", "is anywhere, but the source %s may be kept only in %s", s.Name, strings.Join(s.Residency, ", "))
		for _, country := range p.Model.Residency {
			f.need(slices.Contains(s.Residency, country), "model.residency", "%s, but the source %s may be kept only in %s", country, s.Name, strings.Join(s.Residency, ", "))
		}
		for _, site := range p.Training.Sites {
			f.need(slices.Contains(s.Residency, site.Country), "training.sites", "%s is in %s, but the source %s may be processed only in %s", site.Name, site.Country, s.Name, strings.Join(s.Residency, ", "))
		}
	}
	return f.found
}
