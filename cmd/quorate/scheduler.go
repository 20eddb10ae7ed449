package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/quorate/quorate/node"
)

// monitorSlack is how late the runtime's monitor may wake.
const monitorSlack = time.Millisecond

// setProcessors lets more goroutines than processors run at once, since each
// sync of the disk blocks one.
func setProcessors(cfg node.Config) {
	switch {
	case os.Getenv("GOMAXPROCS") != "":
	case cfg.SharedMachine:
		runtime.GOMAXPROCS(max(4, runtime.NumCPU()))
	default:
		runtime.GOMAXPROCS(max(4, 2*runtime.NumCPU()))
	}
}

// calmMonitor makes the runtime's monitor thread sleep longer: while a program
// does many short system calls, as a node does with each sync, it looks after
// them every 20 µs, which on a small machine takes a tenth of all processor time
// and twice as many context switches. What it is for, taking a processor from a
// goroutine that is blocked in the kernel, matters less with more processors
// than goroutines that sync.
//
// The kernel's timer slack of that one thread is raised. That wants the
// capability CAP_SYS_NICE; without it everything is as it was. The monitor is
// the first thread that the runtime starts after the main one.
func calmMonitor(logger *slog.Logger) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil || len(threads) < 2 {
		return // not Linux
	}
	monitor := 0
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err == nil && id > os.Getpid() && (monitor == 0 || id < monitor) {
			monitor = id
		}
	}
	if monitor == 0 {
		return
	}
	slack := []byte(strconv.FormatInt(monitorSlack.Nanoseconds(), 10))
	if err := os.WriteFile(filepath.Join("/proc", strconv.Itoa(monitor), "timerslack_ns"), slack, 0); err != nil {
		logger.Debug("the runtime's monitor thread stays as busy as it is: give the process CAP_SYS_NICE", "error", err)
	}
}
