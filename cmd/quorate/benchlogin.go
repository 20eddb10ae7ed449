package main

import (
	"context"

	"github.com/quorate/quorate/bench"
)

type benchLoginCmd struct {
	benchFlags
	Counts        []int   `help:"Conversations of the users that open alone." default:"1,100,1000,5000"`
	Rounds        int     `help:"How often each of them opens." default:"20"`
	Sessions      int     `help:"Sessions that then open all at once; 0: none." default:"500"`
	Conversations int     `help:"Conversations that each of those follows." default:"50"`
	Members       int     `help:"Members of each of those conversations." default:"10"`
	Changed       float64 `help:"Share of those conversations that have a new message." default:"0.02"`
	Opening       int     `help:"How many of those are being opened at once; 0: all." default:"0"`
}

// Help is what --help adds.
func (benchLoginCmd) Help() string {
	return `A session is ready when it has signed in, has the list of its conversations, follows its own log and the newest 1,999 of them, and knows what is unread in the newest 50. One of those that open all at once is ready when it follows its conversations from where it was and has every message that it has missed. It exits with 1 if any failed.

Examples:
  quorate bench login --counts 1,100 --sessions 0
  quorate bench login --sessions 2000 --conversations 100 --transport ws`
}

// Run measures.
func (c *benchLoginCmd) Run(ctx context.Context, e *env) error {
	return c.measure(ctx, e, bench.Login{
		Counts: c.Counts, Rounds: c.Rounds, Sessions: c.Sessions, Conversations: c.Conversations, Members: c.Members, Changed: c.Changed, Opening: c.Opening,
	})
}
