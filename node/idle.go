package node

import (
	"context"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

const (
	// idleLook is how often a node looks whether an app wants its idle
	// conversations ended, and idleEvery how often it then looks for them at most.
	idleLook  = 5 * time.Second
	idleEvery = time.Hour
	// idleAtOnce is how many of a shard are ended before the next look.
	idleAtOnce = 1000
)

// idleWatch ends the conversations in which nothing has happened for as long as
// their app wants, in the shards that this node leads. It remembers nothing: what
// is left when it stops is found by the next look, here or elsewhere.
type idleWatch struct{ *Node }

func (w idleWatch) run(ctx context.Context) error {
	looked := map[wire.AppID]time.Time{}
	for clock.Sleep(ctx, idleLook) == nil {
		for _, app := range w.table().Apps() {
			life := door.ParseSettings(app.Settings).Time.Idle
			if life == 0 || time.Since(looked[app.ID]) < min(idleEvery, life/10) {
				continue
			}
			looked[app.ID] = time.Now()
			for _, h := range w.shards.all() {
				if err := w.end(ctx, h, app.ID, life); err != nil && ctx.Err() == nil {
					w.env.Logger.Warn("idle conversations were not ended", "shard", h.id, "app", app.ID, "error", err)
				}
			}
		}
	}
	return nil
}

// end looks through a shard's conversations of an app.
func (w idleWatch) end(ctx context.Context, h *hosted, app wire.AppID, life time.Duration) error {
	if !h.leads.Load() {
		return nil
	}
	before := w.env.Wall.Millis() - life.Milliseconds()
	var idle []wire.ConversationID
	err := h.state.EachDetail(app, "", 0, func(c state.ConversationDetail) bool {
		if c.Policy.Preset.EndsIdle() && c.LastActive(c.LastMessage) < before {
			idle = append(idle, c.ID)
		}
		return len(idle) < idleAtOnce && ctx.Err() == nil
	})
	ended := 0
	for _, id := range idle {
		if err != nil {
			break
		}
		var gone bool
		gone, err = w.endOne(ctx, app, &state.EndIdle{ID: id, Before: before})
		if gone {
			ended++
		}
	}
	if ended > 0 {
		w.env.Logger.Info("idle conversations ended", "shard", h.id, "app", app, "count", ended, "idle", life)
	}
	return err
}

// endOne ends a conversation, unless something has happened in it since, and
// tells whether it did.
func (w idleWatch) endOne(ctx context.Context, app wire.AppID, c *state.EndIdle) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, choreTimeout)
	defer cancel()
	result, err := w.host().Change(ctx, state.Header{App: app}, c)
	switch {
	case err != nil:
		return false, err
	case result.Refusal == state.Gone, result.Refusal == state.NotFound:
		return false, nil // somebody else has ended it
	case result.Refusal != state.None:
		return false, &state.RefusedError{Refusal: result.Refusal, Text: result.Text}
	}
	return !result.Existed, nil
}
