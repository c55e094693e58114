package centre

import (
	"slices"
	"strings"

	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/schedule"
	"github.com/gaon-ai/gaon/internal/unit"
)

// View is what the scheduler may know of this state.
func (s *State) View() schedule.View {
	var v schedule.View
	for id, node := range s.Fleet.Nodes.All() {
		if node.Away {
			continue
		}
		holders, memory := s.holdersOn(id)
		n := schedule.Node{ID: id, Total: map[fleet.Chip]int{}, Holders: map[fleet.Chip][]job.ID{}, Memory: node.Memory - memory, MemoryTotal: node.Memory}
		for _, device := range node.Devices {
			n.Total[device.Chip]++
			holder := holders[device.ID]
			if holder == "" {
				n.Free = append(n.Free, device)
			} else if !slices.Contains(n.Holders[device.Chip], holder) {
				n.Holders[device.Chip] = append(n.Holders[device.Chip], holder)
			}
		}
		v.Nodes = append(v.Nodes, n)
	}
	for id, j := range s.Jobs.Live.All() {
		if j.State == job.Waiting && !j.Stopping {
			v.Waiting = append(v.Waiting, s.viewJob(id, j))
		}
	}
	return v
}

// viewJob adds policy's verdict on each node: a job is never even considered
// where it may not run.
func (s *State) viewJob(id job.ID, j job.Job) schedule.Job {
	waiting := schedule.Job{ID: id, Order: j.Order, Chip: j.Chip, CountMin: j.CountMin, Count: j.Count, Memory: j.Spec.Memory}
	for node, n := range s.Fleet.Nodes.All() {
		if n.Away {
			continue
		}
		if verdict := s.mayRun(id, j, node); verdict.Allowed {
			waiting.Allowed = append(waiting.Allowed, node)
		} else {
			waiting.Denied = "no policy permits it"
			if len(verdict.Reasons) > 0 {
				waiting.Denied = "forbidden by " + strings.Join(verdict.Reasons, ", ")
			}
		}
	}
	return waiting
}

func (s *State) runRequest(id job.ID, j job.Job, node fleet.NodeID) policy.Request {
	n, _ := s.Fleet.Nodes.Get(node)
	return policy.Request{
		Actor: policy.Actor{ID: Controller}, Action: "run",
		Resource: policy.Resource{Kind: "Job", ID: string(id), Org: string(j.Org), Label: j.Label},
		Context: policy.Context{Country: n.Country, Network: j.Network,
			EnforcesNetwork: n.Enforce.Network, EnforcesInputs: n.Enforce.Inputs},
	}
}

func (s *State) mayRun(id job.ID, j job.Job, node fleet.NodeID) policy.Verdict {
	return s.Policy.Decide(s.runRequest(id, j, node))
}

// holdersOn returns who holds each device of the node, and the memory they
// set aside together.
func (s *State) holdersOn(node fleet.NodeID) (map[string]job.ID, unit.Bytes) {
	holders, memory := map[string]job.ID{}, unit.Bytes(0)
	for id, j := range s.Jobs.Live.All() {
		if !j.Alive() || j.Placement.Node != node {
			continue
		}
		memory += j.Spec.Memory
		for _, device := range j.Placement.Devices {
			holders[device] = id
		}
	}
	return holders, memory
}

// Why returns in words what a waiting job waits for.
func (s *State) Why(id job.ID) (schedule.Reason, bool) {
	for _, reason := range schedule.Decide(s.View()).Wait {
		if reason.Job == id {
			return reason, true
		}
	}
	return schedule.Reason{}, false
}
