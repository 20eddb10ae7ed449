package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code) //nolint:forbidigo // this is main
}

// command is one of the things that this program does.
type command func(ctx context.Context, args []string, out, progress io.Writer) error

const usage = `compare nats         measure Quorate and NATS JetStream in turn
compare nats-load    the load on NATS, as "compare nats" starts it
compare performance  measure what docs/performance.md tells, and write it

Every command takes -h.
`

// run is main without the process around it: 0 done, 1 failed, 2 misused.
func run(ctx context.Context, args []string, out, progress io.Writer) int {
	commands := map[string]command{"nats": compareNATS, "nats-load": natsLoad, "performance": performance}
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprint(progress, usage)
		return 2
	}
	err := commands[args[0]](ctx, args[1:], out, progress)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errMisused):
		fmt.Fprintln(progress, "compare:", err)
		return 2
	default:
		fmt.Fprintln(progress, "compare:", err)
		return 1
	}
}

// errMisused is wrapped by what is wrong with the command line.
var errMisused = errors.New("misused")

// parse parses a command's flags; arguments that are left over are an error.
func parse(flags *flag.FlagSet, args []string, progress io.Writer) error {
	flags.SetOutput(progress)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errMisused, err)
	}
	return nil
}
