package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// stack is what a node has opened. It is closed from the top: what is opened
// first is closed last.
type stack struct {
	items  []item
	logger *slog.Logger
	failed chan error // the first error of a part that ended by itself
}

type item struct {
	name  string
	close func() error
}

func newStack(logger *slog.Logger) *stack {
	return &stack{logger: logger, failed: make(chan error, 1)}
}

// push adds something that is open.
func (s *stack) push(name string, closeIt func() error) {
	s.items = append(s.items, item{name, closeIt})
}

// run starts a loop, which ends when the stack is closed down to it. A loop
// that ends before is a failure of the node.
func (s *stack) run(name string, loop func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := loop(ctx)
		if ctx.Err() == nil {
			err = errors.Join(fmt.Errorf("%s ended", name), err)
			select {
			case s.failed <- err:
			default:
			}
			err = nil // told already
		}
		done <- err
	}()
	s.push(name, func() error {
		cancel()
		return <-done
	})
}

// close closes everything, from the top.
func (s *stack) close() error {
	var errs []error
	for _, part := range slices.Backward(s.items) {
		began := time.Now()
		if err := part.close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", part.name, err))
		}
		s.logger.Debug("closed", "part", part.name, "took", time.Since(began))
	}
	s.items = nil
	return errors.Join(errs...)
}
