package main

import (
	"context"
	"errors"

	"github.com/quorate/quorate/bench"
)

type benchCostCmd struct {
	ownFlags
	loadFlags
	Rounds      int   `help:"Rounds in the small world and in the large one, which take turns." default:"5"`
	Connections int   `help:"Connections that send." default:"8"`
	Groups      int   `help:"Groups of each size." default:"8"`
	Members     []int `help:"Members of a group, few and many; 0,0: that is not compared." default:"2,10000"`
	Stored      []int `help:"Conversations, few and many; 0,0: that is not compared." default:"1000,100000"`
	Body        int   `help:"Bytes of a message." default:"256"`
}

// Help is what --help adds.
func (benchCostCmd) Help() string {
	return `It starts clusters of its own, one for few conversations and one for many, so that both are there at once. Groups are compared within one cluster. --warmup and --duration are of each round. It exits with 1 if the large world costs a fifth more or less than the small one.

Example: quorate bench cost --rate 2000 --warmup 1s --duration 3s --dir /data`
}

// Run measures.
func (c *benchCostCmd) Run(ctx context.Context, e *env) (err error) {
	if len(c.Members) != 2 || len(c.Stored) != 2 {
		return misused("--members and --stored want two numbers each, few and many")
	}
	s := bench.SendCost{
		Load: c.load(), Rounds: c.Rounds, Connections: c.Connections, BodyBytes: c.Body, Groups: c.Groups,
		Members: [2]int(c.Members), Stored: [2]int(c.Stored),
	}
	if err := s.Validate(); err != nil {
		return misused("%v", err)
	}
	var targets []bench.Target
	for range 2 {
		cluster, failed := c.start(ctx, e)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, cluster.close()) }()
		t, failed := cluster.target(ctx, c.Transport)
		if failed != nil {
			return failed
		}
		t.Progress = e.say
		targets = append(targets, t)
	}
	s.Large = targets[1]
	return e.measure(ctx, s, targets[0], c.JSON)
}
