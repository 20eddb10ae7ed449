package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

// initPause is how long a leader waits before it proposes Init again after a
// failure.
const initPause = time.Second

// runSteward does what the group needs done on this node: it says who leads,
// sets the cluster up when this node leads first, and writes a snapshot after
// each change.
func (m *Meta) runSteward(ctx context.Context, boot *Bootstrap) {
	logger := m.opts.Logger
	var initAgain, snapshot <-chan time.Time
	seen := m.Table().Index()
	for {
		changed := m.Changed()
		if index := m.Table().Index(); index != seen {
			seen = index
			if snapshot == nil {
				snapshot = time.After(m.opts.SnapshotDelay)
			}
		}
		select {
		case <-ctx.Done():
			return
		case leads := <-m.raft.LeaderCh():
			logger.Info("meta group leadership changed", "node", m.self, "leads", leads, "term", m.raft.CurrentTerm())
			if leads {
				initAgain = m.setUp(boot)
			}
		case <-initAgain:
			initAgain = m.setUp(boot)
		case <-snapshot:
			snapshot = nil
			if err := m.raft.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
				logger.Warn("meta group snapshot not written", "node", m.self, "error", err)
			}
		case <-changed:
		}
	}
}

// setUp proposes Init if this node leads a cluster that is not set up. It
// returns when to try again, or nil.
func (m *Meta) setUp(boot *Bootstrap) <-chan time.Time {
	if boot.empty() || m.Table().Ready() || !m.IsLeader() {
		return nil
	}
	c, err := boot.Command()
	if err != nil {
		m.opts.Logger.Error("cluster cannot be set up", "node", m.self, "error", err)
		return nil
	}
	data, err := encodeCommand(c)
	if err != nil {
		m.opts.Logger.Error("cluster cannot be set up", "node", m.self, "error", err)
		return nil
	}
	res, err := m.commit(data)
	switch {
	case err != nil:
		m.opts.Logger.Warn("cluster not set up yet", "node", m.self, "error", err)
		return time.After(initPause)
	case res.Err() != nil:
		m.opts.Logger.Error("cluster cannot be set up", "node", m.self, "error", res.Err())
		return nil
	}
	m.opts.Logger.Info("cluster set up", "node", m.self, "index", res.Index)
	return nil
}
