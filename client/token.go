package client

import "time"

// Token names a command for ever, so that it can be asked again and is done
// once. A program that keeps the tokens of messages without an answer, and its
// client's Identity, can send them again after it was restarted.
//
// The cluster remembers a token for 255 later commands of the same client to the
// conversation, and for 23 hours. What is older is refused with
// wire.CodeTooOld, and whether it was done is not known any more.
type Token struct {
	Instance [16]byte  // the client's
	N        uint64    // the command's number; 0: not given yet
	First    time.Time // when the sending began
}

// Identity is what makes a client's tokens its own.
type Identity struct {
	Instance [16]byte
	Last     uint64 // no command has a higher number
}

// Identity returns what another client needs to resume this one when it has
// ended. While both live, or when Last is not the last one, two commands may get
// one token, and one of them is never done.
func (c *Client) Identity() Identity {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	id := Identity{Instance: l.instance, Last: l.mu.floor}
	for _, ln := range l.mu.lanes {
		id.Last = max(id.Last, ln.next-1)
	}
	return id
}
