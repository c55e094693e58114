package passport

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gaon-ai/gaon/internal/unit"
)

// checkEvaluation judges the results and decides the gate once more from them.
func checkEvaluation(p Passport) []error {
	var f finder
	f.need(p.Evaluation.Subject == p.Model.Digest, "evaluation.subject", "is %s, the model is %s", p.Evaluation.Subject, p.Model.Digest)
	f.need(p.Gate.Subject == p.Model.Digest, "gate.subject", "is %s, the model is %s", p.Gate.Subject, p.Model.Digest)
	f.need(len(p.Evaluation.Results) > 0, "evaluation.results", "is empty")
	stage, known := stageOf(p, StageEvaluate)
	scores := map[string]Decimal{}
	for i, r := range p.Evaluation.Results {
		field := fmt.Sprintf("evaluation.results[%d]", i)
		f.words(field+".name", r.Name, field+".set", r.Set, field+".seed", r.Seed)
		f.oneOf(field+".better", r.Better, "lower", "higher")
		f.digest(field+".set_digest", r.SetHash)
		f.digest(field+".outputs", r.Outputs)
		f.need(r.Samples > 0, field+".samples", "%d is not positive", r.Samples)
		_, twice := scores[r.Name]
		f.need(!twice, field+".name", "%q is listed twice", r.Name)
		f.need(!known || covers(stage.Outputs, r.Outputs), field+".outputs", "is not among the outputs of the evaluation stage")
		f.need(!known || covers(stage.Inputs, r.SetHash), field+".set_digest", "is not among the inputs of the evaluation stage")
		scores[r.Name] = r.Value
	}
	f.gate(p.Gate, scores)
	f.need(!known || p.Gate.Decided >= stage.Finished, "gate.decided", "is before the evaluation finished")
	return f.found
}

// gate decides each condition anew: a number in the document that the results
// do not give is found, and so is a gate that was not passed.
func (f *finder) gate(g Gate, scores map[string]Decimal) {
	f.need(len(g.Conditions) > 0, "gate.conditions", "is empty: a gate without conditions stops nothing")
	for i, c := range g.Conditions {
		field := fmt.Sprintf("gate.conditions[%d]", i)
		value, limit, holds, err := decide(c.Condition, scores)
		if err != nil {
			f.add(field+".condition", "%v", err)
			continue
		}
		f.need(c.Value == value, field+".value", "%s, but the results say %s", c.Value, value)
		f.need(c.Limit == limit, field+".limit", "%s, but the results say %s", c.Limit, limit)
		f.need(c.Holds == holds, field+".holds", "%v, but %s is compared with %s", c.Holds, value, limit)
		f.need(holds, field, "%s does not hold: %s against %s", c.Condition, value, limit)
	}
	f.need(g.Passed, "gate.passed", "the gate was not passed")
}

// decide reads "score < other" or "score < 0.5".
func decide(condition string, scores map[string]Decimal) (value, limit Decimal, holds bool, err error) {
	words := strings.Fields(condition)
	if len(words) != 3 {
		return 0, 0, false, fmt.Errorf("%q: want SCORE < SCORE-OR-NUMBER, with <, <=, > or >=", condition)
	}
	value, ok := scores[words[0]]
	if !ok {
		return 0, 0, false, fmt.Errorf("%q was not measured", words[0])
	}
	if limit, ok = scores[words[2]]; !ok {
		number, err := unit.ParseMicro(words[2])
		if err != nil {
			return 0, 0, false, fmt.Errorf("%q was not measured and is no number", words[2])
		}
		limit = Decimal(number)
	}
	switch words[1] {
	case "<":
		holds = value < limit
	case "<=":
		holds = value <= limit
	case ">":
		holds = value > limit
	case ">=":
		holds = value >= limit
	default:
		return 0, 0, false, fmt.Errorf("%q: %q is none of <, <=, >, >=", condition, words[1])
	}
	return value, limit, holds, nil
}

// checkApprovals wants four eyes over this very model, after its gate.
func checkApprovals(p Passport) []error {
	var f finder
	a := p.Approvals
	f.need(a.Required >= ApprovalsMin, "approvals.required", "%d: at least %d different people must approve", a.Required, ApprovalsMin)
	var people []string
	for i, given := range a.Given {
		field := fmt.Sprintf("approvals.given[%d]", i)
		f.words(field+".role", given.Role, field+".person", given.Person)
		f.need(!slices.Contains(people, given.Person), field+".person", "%s approved twice", given.Person)
		people = append(people, given.Person)
		f.need(given.Subject == p.Model.Digest, field+".subject", "is %s, the model is %s", given.Subject, p.Model.Digest)
		f.need(given.At >= p.Gate.Decided, field+".at", "is before the gate was decided")
		f.need(given.At <= p.Issued, field+".at", "is after the passport was issued")
	}
	f.need(len(people) >= a.Required, "approvals.given", "%d of %d approvals", len(people), a.Required)
	return f.found
}
