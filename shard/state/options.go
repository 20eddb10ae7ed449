package state

import "log/slog"

// Options tune a State. The zero value is ready to use.
type Options struct {
	// Applied is told, after it can be read and on the goroutine of Apply, what
	// each entry changed that edges or sweepers want to know. It must not
	// block. Default: nobody is told.
	Applied func(Applied)

	// ScrubAt is handed the rows of a slot as they are right after a Scrub
	// command, on the goroutine of Apply. It must not block, and must close the
	// Scrub in time: it pins the store's files. Default: scrubs do nothing.
	ScrubAt func(*Scrub)

	// Conversations, Members and Tokens bound how many decoded rows apply keeps
	// in memory; up to twice as many are held between two rotations. Beyond it
	// rows are read again. Default 2048, 8192 and 8192,
	// which is some 3 MB a shard when all are in use.
	Conversations, Members, Tokens int

	// BatchBytes is how much is gathered before it goes to the store, at the
	// next border of entries. Default 64 KiB.
	BatchBytes int

	// Logger takes the state's log. Default: nothing is logged.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.Conversations = orDefault(o.Conversations, 2048)
	o.Members = orDefault(o.Members, 8192)
	o.Tokens = orDefault(o.Tokens, 8192)
	o.BatchBytes = orDefault(o.BatchBytes, 64<<10)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func orDefault(v, usual int) int {
	if v <= 0 {
		return usual
	}
	return v
}
