//go:build !linux

package local

import (
	"errors"

	"github.com/gaon-ai/gaon/internal/unit"
)

// group: only Linux has control groups, so there is never one.
type group struct{}

func findGroups(string) (*group, error) {
	return nil, errors.New("this system has no control groups")
}

func (g *group) below(string) *group                      { return g }
func (g *group) make(unit.Bytes, int) error               { return nil }
func (g *group) add(int) error                            { return nil }
func (g *group) struck(unit.Bytes) (killed, limited bool) { return false, false }
func (g *group) peak() unit.Bytes                         { return 0 }
func (g *group) end() error                               { return nil }
func (g *group) names() []string                          { return nil }

const tasksMax = 0
