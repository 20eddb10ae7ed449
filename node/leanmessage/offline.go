package leanmessage

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

const (
	// replayBatch is how many messages are replayed at once.
	replayBatch = 20
	// replayPatience is how long the client may take to acknowledge them. Then the
	// next ones are replayed, and these again when it comes back.
	replayPatience = 20 * time.Second
	// noDevice stands for the device of a client that names none.
	noDevice = "-"
)

// deviceName names the device for what was handed to it.
func (c progress) deviceName() string { return cmp.Or(c.now().device, noDevice) }

// missedMessage is a message to be replayed.
type missedMessage struct {
	*state.Message
	id     wire.ConversationID
	preset state.Preset
}

// replay pushes the messages that the device has missed, in the order of their
// times: a batch, and the next when the client has got that.
func (c following) replay(ctx context.Context, states []*ask.State) {
	var all []missedMessage
	for _, s := range states {
		for _, m := range s.Missed {
			all = append(all, missedMessage{m, s.Conversation, s.Preset})
		}
	}
	slices.SortStableFunc(all, func(a, b missedMessage) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	for len(all) > 0 {
		batch := all[:min(len(all), replayBatch)]
		all = all[len(batch):]
		out := make([]outgoing, 0, len(batch))
		for _, m := range batch {
			one := encodeDirect(m.Message, shownID(m.id, m.preset), m.preset, directFlags{offline: true, hasMore: len(all) > 0})
			out = append(out, outgoing{head: c.peer, body: appendDirectPush(nil, one, c.host().Millis())})
		}
		done := c.feed.await(batch)
		if !c.tell(ctx, out...) || len(all) > 0 && !awaitAcks(ctx, done) {
			return
		}
	}
}

// awaitAcks waits until a batch is acknowledged, but not for ever. It returns
// false if ctx has ended.
func awaitAcks(ctx context.Context, done <-chan struct{}) bool {
	timer := time.NewTimer(replayPatience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// awaited is what a client has not acknowledged of a batch that is replayed.
type awaited struct {
	last map[wire.ConversationID]wire.Seq
	done chan struct{} // closed when nothing is left
}

// await begins to wait for the acknowledgement of a batch.
func (f *feed) await(batch []missedMessage) <-chan struct{} {
	a := &awaited{last: map[wire.ConversationID]wire.Seq{}, done: make(chan struct{})}
	for _, m := range batch {
		a.last[m.id] = max(a.last[m.id], m.Seq)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.awaited = a
	return a.done
}

// acked notes that a client has got a conversation up to a message.
func (f *feed) acked(id wire.ConversationID, seq wire.Seq) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.awaited
	if a == nil || a.last[id] == 0 || seq < a.last[id] {
		return
	}
	delete(a.last, id)
	if len(a.last) == 0 {
		close(a.done)
		f.awaited = nil
	}
}
