package load

import (
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/wire"
)

// conversation is one that clients may use.
type conversation struct {
	id   wire.ConversationID
	kind client.Kind
}

// said is a message that was acknowledged.
type said struct {
	in   wire.ConversationID
	id   wire.MessageID
	seq  wire.Seq
	from wire.UserID
}

// maxSaid is how many messages of each conversation are remembered, to be edited
// and recalled.
const maxSaid = 24

// board is what clients tell each other past the cluster.
type board struct {
	mu struct {
		sync.Mutex
		conversations []conversation
		said          map[wire.ConversationID][]said
	}
}

func newBoard() *board {
	b := &board{}
	b.mu.said = map[wire.ConversationID][]said{}
	return b
}

func (b *board) add(c conversation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, old := range b.mu.conversations {
		if old.id == c.id {
			return
		}
	}
	b.mu.conversations = append(b.mu.conversations, c)
}

// all returns the conversations, in the order in which they were told.
func (b *board) all() []conversation {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clip(b.mu.conversations)
}

// pick returns a conversation: the first one, which is the hot one, half of the
// time.
func (b *board) pick(rng *rand.Rand) conversation {
	all := b.all()
	if rng.IntN(2) == 0 {
		return all[0]
	}
	return all[rng.IntN(len(all))]
}

func (b *board) tell(s said) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := append(b.mu.said[s.in], s)
	if len(list) > maxSaid {
		list = list[1:]
	}
	b.mu.said[s.in] = list
}

// message returns a message that was told of, of the user's own if he has one
// and others are not wanted.
func (b *board) message(rng *rand.Rand, in wire.ConversationID, by wire.UserID) (said, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var some []said
	for _, s := range b.mu.said[in] {
		if by == "" || s.from == by {
			some = append(some, s)
		}
	}
	if len(some) == 0 {
		return said{}, false
	}
	return some[rng.IntN(len(some))], true
}
