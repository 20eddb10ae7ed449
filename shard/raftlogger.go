package shard

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// raftLogger hands raft's warnings and errors to a slog.Logger.
func raftLogger(to *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Warn, Output: io.Discard})
	l.RegisterSink(slogSink{to})
	return l
}

// slogSink implements hclog.SinkAdapter.
type slogSink struct{ to *slog.Logger }

// Accept implements hclog.SinkAdapter. raft's arguments are indexes, node ids
// and errors, never data of an entry.
func (s slogSink) Accept(_ string, level hclog.Level, message string, args ...any) {
	to := slog.LevelDebug
	switch {
	case level >= hclog.Error:
		to = slog.LevelWarn // raft's errors are mostly peers that are away
	case level < hclog.Warn:
		return
	}
	if level == hclog.Warn {
		to = slog.LevelInfo
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
