package cluster

import (
	"context"
	"io"
	"log/slog"
	"slices"

	"github.com/hashicorp/go-hclog"
)

// newRaftLogger makes a logger for raft that writes warnings and errors to
// ours. What raft calls information we say ourselves, once per transition.
func newRaftLogger(logger *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Warn})
	l.RegisterSink(raftSink{logger})
	return l
}

type raftSink struct{ logger *slog.Logger }

// Accept implements hclog.SinkAdapter.
func (s raftSink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	if level < hclog.Warn {
		return
	}
	as := slog.LevelWarn
	if level >= hclog.Error {
		as = slog.LevelError
	}
	s.logger.Log(context.Background(), as, "raft says", slices.Concat([]any{"text", msg}, args)...)
}
