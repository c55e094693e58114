// Package schedule decides who runs what where: a View of the centre in, a
// Plan out. It has no clock, no chance and no goroutine, so the same View
// gives the same Plan anywhere.
//
// This scheduler is simple: in order of arrival, a job fits or waits, and a
// job that waits for a chip keeps later ones from overtaking it on that chip,
// so nobody starves.
//
// Begin with Decide.
package schedule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/unit"
)

// View is what the scheduler may know, in any order; Decide sorts.
type View struct {
	Nodes   []Node
	Waiting []Job
}

// Node is a present node with what is free on it.
type Node struct {
	ID      fleet.NodeID
	Free    []fleet.Device
	Total   map[fleet.Chip]int
	Holders map[fleet.Chip][]job.ID // who holds the rest, in order
	Memory  unit.Bytes              // free

	MemoryTotal unit.Bytes // free or not; a job that wants more never fits here
}

// Job is a waiting job. Allowed lists the nodes where policy lets it run.
type Job struct {
	ID       job.ID
	Order    int64
	Chip     fleet.Chip
	CountMin int
	Count    int
	Memory   unit.Bytes
	Allowed  []fleet.NodeID
	Denied   string // the policy's words where it denied any node, else empty
}

// Plan is what should happen now.
type Plan struct {
	Place []Placed
	Wait  []Reason
}

// Placed gives one job its devices.
type Placed struct {
	Job job.ID
	job.Placement
}

// Reason says why one job waits, for programs and in plain words.
type Reason struct {
	Job  job.ID `json:"job"`
	Code string `json:"code"` // policy, absent, busy, behind, memory
	EN   string `json:"en"`
	KO   string `json:"ko"`
}

// Decide plans the view.
func Decide(v View) Plan {
	nodes := slices.Clone(v.Nodes)
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(string(a.ID), string(b.ID)) })
	for i := range nodes {
		nodes[i].Free = slices.Clone(nodes[i].Free)
		slices.SortFunc(nodes[i].Free, func(a, b fleet.Device) int { return compareDevices(a.ID, b.ID) })
	}
	waiting := slices.Clone(v.Waiting)
	slices.SortFunc(waiting, func(a, b Job) int {
		if a.Order != b.Order {
			return int(a.Order - b.Order)
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
	var plan Plan
	blocked := map[fleet.Chip]job.ID{} // chips that an earlier job waits for
	for _, j := range waiting {
		if first, ok := blocked[j.Chip]; ok {
			plan.Wait = append(plan.Wait, behind(j, first))
			continue
		}
		placed, reason := fit(nodes, j)
		if reason == nil {
			plan.Place = append(plan.Place, placed)
			continue
		}
		plan.Wait = append(plan.Wait, *reason)
		if reason.Code == "busy" || reason.Code == "memory" {
			blocked[j.Chip] = j.ID
		}
	}
	return plan
}

// compareDevices orders cpu2 before cpu10.
func compareDevices(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// fit takes the devices from the first node that has enough, and the most of
// all nodes that have; it changes nodes only when it succeeds.
func fit(nodes []Node, j Job) (Placed, *Reason) {
	if len(j.Allowed) == 0 && j.Denied != "" {
		return Placed{}, &Reason{j.ID, "policy",
			"policy allows it on no node: " + j.Denied,
			"정책이 어느 노드에서도 허용하지 않습니다: " + j.Denied}
	}
	best, bestCount, total, short := -1, 0, 0, false
	memory, tooSmall := unit.Bytes(0), 0 // the largest node's, and how many devices there are where it is too little
	for i, node := range nodes {
		if !slices.Contains(j.Allowed, node.ID) {
			continue
		}
		memory = max(memory, node.MemoryTotal)
		if node.MemoryTotal < j.Memory {
			tooSmall = max(tooSmall, node.Total[j.Chip])
			continue
		}
		total = max(total, node.Total[j.Chip])
		free := 0
		for _, device := range node.Free {
			if device.Chip == j.Chip {
				free++
			}
		}
		if free >= j.CountMin && node.Memory < j.Memory {
			short = true
			continue
		}
		if free = min(free, j.Count); free >= j.CountMin && free > bestCount {
			best, bestCount = i, free
		}
	}
	switch {
	case best >= 0:
		return take(&nodes[best], j, bestCount), nil
	case total < j.CountMin && tooSmall >= j.CountMin:
		return Placed{}, &Reason{j.ID, "absent",
			fmt.Sprintf("wants %s of memory beside %d × %s on one node; the largest node it may use has %s", j.Memory, j.CountMin, j.Chip, memory),
			fmt.Sprintf("한 노드에 %s %d개와 메모리 %s가 필요하지만, 쓸 수 있는 가장 큰 노드에 메모리 %s가 있습니다", j.Chip, j.CountMin, j.Memory, memory)}
	case total < j.CountMin:
		return Placed{}, &Reason{j.ID, "absent",
			fmt.Sprintf("wants %d × %s on one node; the largest node it may use has %d", j.CountMin, j.Chip, total),
			fmt.Sprintf("한 노드에 %s %d개가 필요하지만, 쓸 수 있는 가장 큰 노드에 %d개가 있습니다", j.Chip, j.CountMin, total)}
	case short:
		return Placed{}, &Reason{j.ID, "memory",
			fmt.Sprintf("waits for %s of memory", j.Memory), fmt.Sprintf("메모리 %s를 기다립니다", j.Memory)}
	}
	return Placed{}, busy(nodes, j)
}

func take(node *Node, j Job, count int) Placed {
	placed := Placed{Job: j.ID, Placement: job.Placement{Node: node.ID}}
	var left []fleet.Device
	for _, device := range node.Free {
		if device.Chip == j.Chip && len(placed.Devices) < count {
			placed.Devices = append(placed.Devices, device.ID)
			continue
		}
		left = append(left, device)
	}
	node.Free = left
	node.Memory -= j.Memory
	holders := map[fleet.Chip][]job.ID{}
	for chip, ids := range node.Holders {
		holders[chip] = ids
	}
	holders[j.Chip] = append(slices.Clone(holders[j.Chip]), j.ID)
	node.Holders = holders
	return placed
}

// holdersShown bounds how many names a reason lists.
const holdersShown = 5

func busy(nodes []Node, j Job) *Reason {
	var holders []string
	for _, node := range nodes {
		if slices.Contains(j.Allowed, node.ID) {
			for _, id := range node.Holders[j.Chip] {
				holders = append(holders, string(id))
			}
		}
	}
	if more := len(holders) - holdersShown; more > 0 {
		holders = append(holders[:holdersShown], fmt.Sprintf("+%d", more))
	}
	names := strings.Join(holders, ", ")
	return &Reason{j.ID, "busy",
		fmt.Sprintf("waits for %d × %s, held by %s", j.CountMin, j.Chip, names),
		fmt.Sprintf("%s %d개를 기다립니다. 지금 쓰는 작업: %s", j.Chip, j.CountMin, names)}
}

func behind(j Job, first job.ID) Reason {
	return Reason{j.ID, "behind",
		fmt.Sprintf("waits behind %s, which came first and wants %s too", first, j.Chip),
		fmt.Sprintf("먼저 온 %s 작업도 %s를 기다리므로 그 뒤에 있습니다", first, j.Chip)}
}
