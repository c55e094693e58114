package portal

import (
	"net/http"

	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/model"
)

// namesMax bounds the models that a playground lists.
const namesMax = 50

// playground is who may be asked.
type playground struct {
	Names []string
	Key   bool // the visitor has a key to ask with
}

func (p *Portal) playgroundOf(v *visit) playground {
	names := p.asks.get(v.Person, v.aWhile(), func([]string) []string {
		var names []string
		for name, id := range v.State.Models.Names.All() {
			if len(names) < namesMax && v.mayAsk(id) {
				names = append(names, name)
			}
		}
		return names
	})
	return playground{names, v.Key != ""}
}

// mayAsk says whether the endpoint answers and the visitor may read it; the
// gateway asks the same.
func (v *visit) mayAsk(id model.EndpointID) bool {
	e, _ := v.State.Models.Endpoints.Get(id)
	m, ok := v.State.Models.Models.Get(e.Model)
	j, live := v.State.Jobs.Live.Get(e.Job)
	return ok && live && e.State == model.Ready && j.State == job.Running && v.mayLabelled("Endpoint", string(id), e.Org, m.Label)
}

// ask hands a question to the gateway in the name of the visitor's key: the
// browser never holds one.
func (p *Portal) ask(w http.ResponseWriter, r *http.Request, v *visit) {
	if v.Key == "" || p.Gateway == nil {
		p.refuse(w, v, http.StatusForbidden, "playground.no-key")
		return
	}
	p.Gateway.Ask(w, r, v.Key)
}
