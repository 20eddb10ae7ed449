package main

import (
	"context"

	"github.com/quorate/quorate/bench"
)

type benchHistoryCmd struct {
	benchFlags
	loadFlags
	Set           string `help:"Name of the conversations, so that a later run with the same flags finds them and reads only." placeholder:"NAME"`
	Connections   int    `help:"Connections that read." default:"8"`
	Conversations int    `help:"Conversations that the pages are of." default:"200"`
	Messages      int    `help:"Messages in each conversation." default:"500"`
	Page          int    `help:"Messages in a page." default:"50"`
	Body          int    `help:"Bytes of a message." default:"256"`
	Strong        bool   `help:"Each page is true when it is read: the leader is asked."`
}

// Help is what --help adds.
func (benchHistoryCmd) Help() string {
	return `It writes conversations, and reads pages of them by sequence and by time: cold, each page once in a random order, and warm, 64 pages again and again. Without --set, what is cold was written just now, and is partly in the nodes' memory. For empty caches, give a --set, restart the nodes, and run it again.

Examples:
  quorate bench history --conversations 1000 --in-flight 16
  quorate bench history --set big --conversations 5000 --messages 1000 --rate 500`
}

// Run measures.
func (c *benchHistoryCmd) Run(ctx context.Context, e *env) error {
	return c.measure(ctx, e, bench.History{
		Load: c.load(), Set: c.Set, Connections: min(c.Connections, c.Conversations), Conversations: c.Conversations, Messages: c.Messages,
		PageMessages: c.Page, BodyBytes: c.Body, Strong: c.Strong,
	})
}
