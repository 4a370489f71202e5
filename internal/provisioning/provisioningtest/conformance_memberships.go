// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioningtest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// crowd is how many members a big entitlement has.
const crowd = 2000

// memberships are the cases about who holds what.
func (s *suite) memberships() []conformance {
	return []conformance{
		{name: "grant, again, remove, again, and remove what was never granted", run: grantAndRemove},
		{name: "a level is changed up and down", run: changeLevel},
		{name: "a removal without a level takes every mapped entitlement", run: removeAll},
		{name: "the last member goes and comes back", run: lastMember},
		{name: "access that is inherited is told from access that is held", unless: when(s.traits.Inherit != nil, "nothing is inherited, or it is not seen"), run: inherited},
		{name: "eight grants at once to one entitlement", run: grantsAtOnce},
	}
}

func grantAndRemove(c *scene) {
	e := c.engine()
	c.does(e, c.ann, c.goal(provisioning.Remove, editor))
	c.holders(c.editors, c.bob)
	c.does(e, c.ann, c.goal(provisioning.Grant, editor), provisioning.AddEntitlement)
	c.holders(c.editors, c.ann, c.bob)
	c.does(e, c.ann, c.goal(provisioning.Grant, editor))
	c.does(c.engine(), c.ann, c.goal(provisioning.Grant, editor))
	c.holders(c.editors, c.ann, c.bob)
	c.does(e, c.ann, c.goal(provisioning.Remove, editor), provisioning.RemoveEntitlement)
	c.holders(c.editors, c.bob)
	c.does(e, c.ann, c.goal(provisioning.Remove, editor))
	c.does(c.engine(), c.ann, c.goal(provisioning.Remove, editor))
	c.holders(c.editors, c.bob)
	c.holders(c.viewers, c.bob)
}

func changeLevel(c *scene) {
	e := c.engine()
	c.does(e, c.ann, c.goal(provisioning.Grant, viewer), provisioning.AddEntitlement)
	c.does(e, c.ann, c.goal(provisioning.ChangeLevel, editor), provisioning.AddEntitlement, provisioning.RemoveEntitlement)
	c.holders(c.editors, c.ann, c.bob)
	c.holders(c.viewers, c.bob)
	c.does(e, c.ann, c.goal(provisioning.ChangeLevel, viewer), provisioning.RemoveEntitlement, provisioning.AddEntitlement)
	c.holders(c.editors, c.bob)
	c.holders(c.viewers, c.ann, c.bob)
	c.does(e, c.ann, c.goal(provisioning.ChangeLevel, viewer))
}

func removeAll(c *scene) {
	e := c.engine()
	c.does(e, c.ann, c.goal(provisioning.Grant, viewer), provisioning.AddEntitlement)
	c.does(e, c.ann, c.goal(provisioning.Grant, editor), provisioning.AddEntitlement)
	c.does(e, c.ann, c.goal(provisioning.Remove, provisioning.NoLevel), provisioning.RemoveEntitlement, provisioning.RemoveEntitlement)
	c.holders(c.viewers, c.bob)
	c.holders(c.editors, c.bob)
}

func lastMember(c *scene) {
	e := c.engine()
	alone := c.entitlement("alone")
	c.target.AddEntitlement(c, alone, c.ann)
	c.does(e, c.ann, only(provisioning.Remove, alone), provisioning.RemoveEntitlement)
	c.holders(alone)
	c.does(e, c.ann, only(provisioning.Grant, alone), provisioning.AddEntitlement)
	c.holders(alone, c.ann)
	c.does(e, c.ann, only(provisioning.Remove, alone), provisioning.RemoveEntitlement)
	c.holders(alone)
}

func otherMembers(c *scene) {
	all := make([]string, crowd)
	for i := range all {
		all[i] = c.subject(fmt.Sprintf("member%04d-", i))
	}
	c.addAccounts(all...)
	many := c.entitlement("many")
	c.target.AddEntitlement(c, many, all...)
	e := c.engine()
	c.does(e, c.ann, only(provisioning.Grant, many), provisioning.AddEntitlement)
	c.holders(many, append(slices.Clone(all), c.ann)...)
	c.does(e, c.ann, only(provisioning.Remove, many), provisioning.RemoveEntitlement)
	c.holders(many, all...)
	last := all[crowd-1]
	c.does(e, last, only(provisioning.Grant, many))
	c.does(e, last, only(provisioning.Remove, many), provisioning.RemoveEntitlement)
	c.holders(many, all[:crowd-1]...)
}

func inherited(c *scene) {
	e := c.engine()
	through := c.traits.Inherit(c, c.ann, c.editors)
	c.does(e, c.ann, c.goal(provisioning.Grant, editor), provisioning.AddEntitlement)
	for range 2 {
		err := c.refuses(e, c.ann, c.goal(provisioning.Remove, editor), provisioning.ReasonInherited)
		if err == nil || !strings.Contains(err.Error(), through) {
			c.Errorf("%v: does not name %q", err, through)
		}
	}
	// Among the mapped entitlements it is another level, and goes with it.
	both := provisioning.Goal{Kind: provisioning.Remove, Level: provisioning.NoLevel, Levels: [][]string{{c.editors}, {through}}}
	if c.traits.InheritsByEntitlement {
		c.does(e, c.ann, both, provisioning.RemoveEntitlement)
	}
	c.does(e, c.bob, c.goal(provisioning.Grant, editor))
}

func grantsAtOnce(c *scene) {
	people := make([]string, 8)
	for i := range people {
		people[i] = c.subject(fmt.Sprintf("p%d-", i))
	}
	c.addAccounts(people...)
	e := c.engine()
	c.atOnce(e, people, provisioning.Grant)
	c.holders(c.editors, append(slices.Clone(people), c.bob)...)
	c.atOnce(e, people[:4], provisioning.Remove)
	c.holders(c.editors, append(slices.Clone(people[4:]), c.bob)...)
}

// atOnce provisions several people at the same time. A target may refuse some of what meets for now.
func (c *scene) atOnce(e *provisioning.Engine, people []string, kind provisioning.Kind) {
	c.Helper()
	var all sync.WaitGroup
	for _, who := range people {
		all.Go(func() {
			var err error
			for range 5 {
				if _, err = c.provision(e, who, c.goal(kind, editor)); provisioning.Word(err) != "retryable" {
					break
				}
			}
			if err != nil {
				c.Errorf("%s of %s: %v", kind, who, err)
			}
		})
	}
	all.Wait()
}
