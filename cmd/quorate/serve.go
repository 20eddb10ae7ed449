package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"github.com/BurntSushi/toml"

	"github.com/quorate/quorate/node"
)

type serveCmd struct {
	Config   string `required:"" help:"The node's configuration (TOML)." type:"existingfile" placeholder:"FILE"`
	LogLevel string `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info"`
	LogJSON  bool   `name:"log-json" help:"Log JSON lines."`
}

// Help is what --help adds.
func (serveCmd) Help() string {
	return "The log goes to stderr. SIGTERM and Ctrl-C stop the node: its leaderships and clients move first.\n\nExample: quorate serve --config /etc/quorate/n1.toml"
}

// parentFD names the environment variable with a file descriptor that "dev"
// gives to its nodes: it ends when dev does, also when dev is killed.
const parentFD = "QUORATE_PARENT_FD"

// Run runs the node until it is told to stop.
func (c *serveCmd) Run(ctx context.Context, e *env) error {
	cfg, err := readConfig(c.Config)
	if err != nil {
		return err
	}
	setProcessors(cfg)
	logger, err := c.logger(e)
	if err != nil {
		return err
	}
	calmMonitor(logger)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchParent(cancel)

	// A node that cannot go on ends at once, whatever hangs: only so are its
	// leaderships free for others.
	fatal := func(err error) {
		e.say("quorate: node %s ends: %v", cfg.Node, err)
		os.Exit(exitFailed)
	}
	env, err := node.System(cfg, logger, fatal)
	if err != nil {
		return fmt.Errorf("node %s: %w", cfg.Node, err)
	}
	if err := node.Run(ctx, cfg, env, nil); err != nil {
		return fmt.Errorf("node %s: %w", cfg.Node, err)
	}
	return nil
}

func (c *serveCmd) logger(e *env) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, misused("--log-level: %v", err)
	}
	opts := &slog.HandlerOptions{Level: level}
	if c.LogJSON {
		return slog.New(slog.NewJSONHandler(e.stderr, opts)), nil
	}
	return slog.New(slog.NewTextHandler(e.stderr, opts)), nil
}

// readConfig reads a node's configuration. Paths in it are relative to it.
func readConfig(path string) (node.Config, error) {
	var cfg node.Config
	meta, err := toml.DecodeFile(path, &cfg)
	if err != nil {
		return node.Config{}, fmt.Errorf("read %s: %w", path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return node.Config{}, misused("%s: %s is no setting", path, unknown[0])
	}
	base, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return node.Config{}, fmt.Errorf("find the directory of %s: %w", path, err)
	}
	for _, p := range []*string{&cfg.Dir, &cfg.Web, &cfg.TLS.CA, &cfg.TLS.Node, &cfg.TLS.Client} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(base, *p)
		}
	}
	if err := cfg.Validate(); err != nil {
		return node.Config{}, misused("%s:\n%v", path, err)
	}
	return cfg, nil
}

// watchParent calls stop when the process that started this one has ended, if it
// left a pipe to tell.
func watchParent(stop func()) {
	fd, err := strconv.Atoi(os.Getenv(parentFD))
	if err != nil {
		return
	}
	pipe := os.NewFile(uintptr(fd), "parent")
	go func() { // ends with the process
		if _, err := io.Copy(io.Discard, pipe); err == nil {
			stop()
		}
	}()
}
