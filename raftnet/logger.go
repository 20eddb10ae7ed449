package raftnet

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// Logger hands raft's warnings and errors to a slog.Logger. What raft says of
// nodes that are away, over and over, is a debugging matter: who leads and who
// does not answer is said once, by others. Raft's arguments are indexes, node
// ids and errors, never data of an entry.
func Logger(to *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Warn, Output: io.Discard})
	l.RegisterSink(raftSink{to})
	return l
}

// raftSink implements hclog.SinkAdapter.
type raftSink struct{ to *slog.Logger }

// Accept implements hclog.SinkAdapter.
func (s raftSink) Accept(_ string, level hclog.Level, message string, args ...any) {
	to := slog.LevelInfo
	switch {
	case level < hclog.Warn:
		return
	case ofAbsence(message):
		to = slog.LevelDebug
	case level >= hclog.Error:
		to = slog.LevelWarn
	}
	if !s.to.Enabled(context.Background(), to) {
		return
	}
	attrs := []slog.Attr{slog.String("what", message)}
	for i := 0; i+1 < len(args); i += 2 {
		attrs = append(attrs, slog.String(fmt.Sprint(args[i]), fmt.Sprint(args[i+1])))
	}
	s.to.LogAttrs(context.Background(), to, "raft says", attrs...)
}

// ofAbsence tells whether raft only says that another node did not answer, or
// that there was an election because of it.
func ofAbsence(message string) bool {
	for _, about := range []string{
		"failed to heartbeat", "failed to make request", "failed to appendEntries", "failed to contact", "failed to pipeline",
		"heartbeat timeout reached", "Election timeout reached", "appendEntries rejected", "rejecting", "aborting pipeline",
	} {
		if strings.Contains(message, about) {
			return true
		}
	}
	return false
}
