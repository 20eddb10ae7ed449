// Command quorate runs the nodes of a Quorate cluster and is the tool of its
// operators and developers.
//
// Results go to stdout, sentences to stderr. The exit code is 0 when it is
// done, 1 when it failed and 2 when it was called wrongly. Everything that
// prints results prints one JSON object a line with --json.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// env is what a command works with beside its flags.
type env struct {
	stdout io.Writer
	stderr io.Writer
}

// say prints a sentence for people.
func (e *env) say(format string, args ...any) { fmt.Fprintf(e.stderr, format+"\n", args...) }

// cli is the command line: a command is a field.
type cli struct {
	Dev          devCmd          `cmd:"" help:"Run a cluster on this machine, ready to use."`
	Serve        serveCmd        `cmd:"" help:"Run one node."`
	Cluster      clusterCmd      `cmd:"" help:"Look at a cluster."`
	App          appCmd          `cmd:"" help:"Show apps, make them, and change their settings."`
	User         userCmd         `cmd:"" help:"Ban users, and let them in again."`
	Conversation conversationCmd `cmd:"" help:"Create and show conversations."`
	Message      messageCmd      `cmd:"" help:"Send, list and follow messages."`
	Bench        benchCmd        `cmd:"" help:"Measure a cluster under load."`
	Version      versionCmd      `cmd:"" help:"Print the version."`
}

const (
	exitDone    = 0
	exitFailed  = 1
	exitMisused = 2
)

const description = `Quorate is an instant-messaging cluster: conversations in replicated logs, clients on QUIC and WebSocket.

Begin with "quorate dev", and in another terminal:

  quorate conversation create --as tom --members jerry,mary
  quorate message send --as tom CONVERSATION 'Hello!'
  quorate message tail CONVERSATION
  quorate cluster status`

// run is main without the process around it, so that tests can call it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	e := &env{stdout: stdout, stderr: stderr}
	var c cli
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("quorate"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(e))
	if err != nil {
		e.say("quorate: %v", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exit >= 0 { // help was asked for and printed
		return exit
	}
	if err != nil {
		e.say("quorate: %v", err)
		e.say(`Run "%s --help" for what there is.`, meant(err))
		return exitMisused
	}
	err = parsed.Run()
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, new(*misuseError)):
		e.say("quorate: %v", err)
		return exitMisused
	case errors.Is(err, errEnded):
		return exitDone
	default:
		e.say("quorate: %v", err)
		return exitFailed
	}
}

// errEnded is returned by a command that a person ends with Ctrl-C, because it
// has no end of its own.
var errEnded = errors.New("ended")

// misuseError says that a command was called wrongly.
type misuseError struct{ text string }

func (e *misuseError) Error() string { return e.text }

func misused(format string, args ...any) error {
	return &misuseError{fmt.Sprintf(format, args...)}
}

// meant returns the command that somebody called wrongly.
func meant(err error) string {
	if wrong, ok := errors.AsType[*kong.ParseError](err); ok {
		if n := wrong.Context.Selected(); n != nil {
			return n.FullPath()
		}
	}
	return "quorate"
}
