package raftnet

import (
	"log/slog"
	"strings"
	"testing"
)

func TestLogger(t *testing.T) {
	var b strings.Builder
	l := Logger(slog.New(slog.NewTextHandler(&b, nil)))
	l.Info("chatter")
	l.Warn("heartbeat timeout reached", "last-leader", "n1")
	l.Error("failed to heartbeat to", "peer", "n2")
	l.Error("failed to commit logs", "error", "no space left")
	if got := b.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `level=WARN msg="raft says" what="failed to commit logs" error="no space left"`) {
		t.Errorf("logged %q, want the last one alone, with its attributes", got)
	}
}
