package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopTimeout bounds how long a process may take to stop; then it is killed.
const stopTimeout = 15 * time.Second

// process is a server or a load that this program has started. It is in a
// process group of its own, so that Ctrl-C reaches this program only, which
// stops the others in order.
type process struct {
	name  string
	log   *os.File // what it writes to stderr, unless somebody reads it
	cmd   *exec.Cmd
	end   context.CancelFunc
	ended chan struct{}
	err   error // valid once ended is closed
}

// prepare makes a process that is not started yet. It is told to stop when ctx
// ends.
func prepare(ctx context.Context, log, exe string, args ...string) (*process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open a log: %w", err)
	}
	ctx, end := context.WithCancel(ctx)
	p := &process{name: filepath.Base(exe), log: file, end: end, ended: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, exe, args...)
	p.cmd.Stderr = file
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = stopTimeout
	return p, nil
}

func (p *process) start() error {
	if err := p.cmd.Start(); err != nil {
		p.end()
		return errors.Join(fmt.Errorf("start %s: %w", p.name, err), p.log.Close())
	}
	go func() {
		defer close(p.ended)
		p.err = errors.Join(p.cmd.Wait(), p.log.Close())
	}()
	return nil
}

// stop stops the process and waits for its end.
func (p *process) stop() {
	p.end()
	<-p.ended
}

// pid is valid once the process is started.
func (p *process) pid() int { return p.cmd.Process.Pid }

// gone says why a process has ended that should not have.
func (p *process) gone() error {
	return fmt.Errorf("%s (pid %d) has ended, see %s: %w", p.name, p.pid(), p.log.Name(), p.err)
}

// ticks is the unit of processor time in /proc: Linux gives 1/100 s on all
// machines that Go runs on.
const ticks = 100

// cpuOf is the processor time that processes have taken together.
func cpuOf(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, fmt.Errorf("read the processor time of %d: %w", pid, err)
		}
		one, err := parseProcStat(string(text))
		if err != nil {
			return 0, fmt.Errorf("read the processor time of %d: %w", pid, err)
		}
		sum += one
	}
	return sum, nil
}

// parseProcStat returns user and system time of a /proc/PID/stat. The second
// field is the program's name, which may hold anything, in parentheses.
func parseProcStat(text string) (time.Duration, error) {
	end := strings.LastIndexByte(text, ')')
	fields := strings.Fields(text[end+1:])
	const user, system = 11, 12 // fields 14 and 15 of all, less the two before
	if end < 0 || len(fields) <= system {
		return 0, fmt.Errorf("%q is no /proc/PID/stat", text)
	}
	return sumTicks(fields[user : system+1])
}

// busy is the time that all processors of the machine were not idle.
func busy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read the machine's processor time: %w", err)
	}
	return parseMachineStat(string(text))
}

// parseMachineStat returns user, nice, system, irq, softirq and steal of
// /proc/stat: what is neither idle nor waiting for a disk.
func parseMachineStat(text string) (time.Duration, error) {
	line, _, _ := strings.Cut(text, "\n")
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != "cpu" {
		return 0, fmt.Errorf("%q is no /proc/stat", line)
	}
	return sumTicks([]string{f[1], f[2], f[3], f[6], f[7], f[8]})
}

func sumTicks(fields []string) (time.Duration, error) {
	var sum time.Duration
	for _, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read processor time: %w", err)
		}
		sum += time.Duration(n) * time.Second / ticks
	}
	return sum, nil
}

// loopback is the only place where anything listens.
const loopback = "127.0.0.1"

// freePorts returns ports that nobody listens on just now.
func freePorts(ctx context.Context, n int) ([]int, error) {
	var ports []int
	var lc net.ListenConfig
	for range n {
		l, err := lc.Listen(ctx, "tcp", loopback+":0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = l.Close() }() // only once all are found, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// freeBlock returns a port that is free with those above it, below where the
// kernel takes ports for outgoing connections from.
func freeBlock(ctx context.Context, size int) (int, error) {
	const lowest, highest = 20_000, 32_000
	for first := lowest + os.Getpid()%5_000; first+size < highest; first += size {
		if blockFree(ctx, first, size) {
			return first, nil
		}
	}
	return 0, fmt.Errorf("find %d free ports in a row: there are none", size)
}

func blockFree(ctx context.Context, first, size int) bool {
	var lc net.ListenConfig
	for port := first; port < first+size; port++ {
		address := net.JoinHostPort(loopback, strconv.Itoa(port))
		l, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			return false
		}
		_ = l.Close()
		u, err := lc.ListenPacket(ctx, "udp", address)
		if err != nil {
			return false
		}
		_ = u.Close()
	}
	return true
}
