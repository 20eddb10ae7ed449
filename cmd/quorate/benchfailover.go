package main

import (
	"context"
	"errors"
	"time"

	"github.com/quorate/quorate/bench"
)

type benchFailoverCmd struct {
	ownFlags
	Rate          float64       `help:"Messages a second, going round in the conversations." default:"1000"`
	Connections   int           `help:"Connections that send, each a user of its own." default:"48"`
	Conversations int           `help:"Conversations." default:"10000"`
	Before        time.Duration `help:"Load before the kill." default:"3s"`
	After         time.Duration `help:"Load after the kill." default:"10s"`
	Within        time.Duration `help:"After the kill each conversation is sent to once more, evenly spread over this time." default:"1s"`
	Body          int           `help:"Bytes of a message." default:"256"`
}

// Help is what --help adds.
func (benchFailoverCmd) Help() string {
	return `It starts a cluster of its own, kills the node that leads most shards with SIGKILL while messages are sent, and reads everything back at the end. The longest time without success is how long any message of any conversation waited for its acknowledgement. It exits with 1 if anything acknowledged is lost, anything is there twice, or a conversation takes no sends. Out of order are messages that were sent without waiting for the answer to the one before, and have changed places while there was no leader.

Example: quorate bench failover --conversations 10000 --rate 1000 --dir /data`
}

// Run measures.
func (c *benchFailoverCmd) Run(ctx context.Context, e *env) (err error) {
	s := bench.Failover{
		Rate: c.Rate, Connections: min(c.Connections, c.Conversations), Conversations: c.Conversations,
		Before: c.Before, After: c.After, Within: c.Within, BodyBytes: c.Body,
	}
	if err := s.Validate(); err != nil {
		return misused("%v", err)
	}
	if c.Nodes < 3 {
		return misused("%d nodes survive no failure: give at least 3", c.Nodes)
	}
	cluster, err := c.start(ctx, e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.close()) }()
	target, err := cluster.target(ctx, c.Transport)
	if err != nil {
		return err
	}
	s.Kill = cluster.kill
	return e.measure(ctx, s, target, c.JSON)
}
