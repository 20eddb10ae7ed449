package main

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

func TestStopEndsAProcessAndWaits(t *testing.T) {
	for name, stop := range map[string]func(context.CancelFunc, *process){
		"stop":   func(_ context.CancelFunc, p *process) { p.stop() },
		"Ctrl-C": func(cancel context.CancelFunc, p *process) { cancel(); <-p.ended },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p, err := prepare(ctx, filepath.Join(t.TempDir(), "log"), "sleep", "600")
			if err != nil {
				t.Fatal(err)
			}
			if err := p.start(); err != nil {
				t.Fatal(err)
			}
			if group, err := syscall.Getpgid(p.pid()); err != nil || group != p.pid() {
				t.Errorf("it is in the process group %d, want one of its own: %v", group, err)
			}
			stop(cancel, p)
			if got := p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal(); got != syscall.SIGTERM {
				t.Errorf("it has ended by %v, want SIGTERM", got)
			}
		})
	}
}

func TestAProcessThatDoesNotStartIsAnError(t *testing.T) {
	p, err := prepare(t.Context(), filepath.Join(t.TempDir(), "log"), filepath.Join(t.TempDir(), "absent"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.start(); err == nil {
		t.Error("it is started")
	}
}

func TestFreePortsDifferAndAreFree(t *testing.T) {
	ports, err := freePorts(t.Context(), 6)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, p := range ports {
		if seen[p] {
			t.Errorf("%d is there twice", p)
		}
		seen[p] = true
	}
}

func TestABlockWithATakenPortIsNotFree(t *testing.T) {
	first, err := freeBlock(t.Context(), 30)
	if err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", net.JoinHostPort(loopback, strconv.Itoa(first+29)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if blockFree(t.Context(), first, 30) {
		t.Errorf("%d to %d is said to be free, and the last is taken", first, first+29)
	}
	if next, err := freeBlock(t.Context(), 30); err != nil || next == first {
		t.Errorf("%d, %v", next, err)
	}
}
