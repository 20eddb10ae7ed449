package state

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate/quorate/mutant"
	"github.com/quorate/quorate/wire"
)

// State is one replica's copy of a shard. Apply and Reload are called by one
// goroutine; queries, Record and Settle by any.
//
// The rows that Apply writes are gathered in memory and go to the store when
// they are many, or when somebody wants to read: many small batches cost several
// times what one large batch does, in which a row that changed often is written
// once. Nothing is less durable for it: the store has no log of its own, and
// after a crash the entries since its last flush are applied again either way.
type State struct {
	Queries
	opts Options

	shown     atomic.Pointer[Record] // as of the last entry that was applied
	unsettled atomic.Bool            // rows are gathered that the store does not have
	reloads   atomic.Uint64

	mu     sync.Mutex // over what follows; held by Apply and by who settles
	record Record
	broken error // why Apply must not go on

	conversations *cache[conversation]
	members       *cache[member]
	rings         *cache[tokenRing]
	halves        *cache[tokenHalf]
	pending       pending
	tokens        tokenFilter
	decoder       decoder
	txn           *txn // empty between two calls of Apply
}

// LogEntry is one committed entry of the raft log.
type LogEntry struct {
	Index         uint64
	Term          uint64
	Configuration bool   // Data is raft's configuration, and nothing else changes
	Data          []byte // as AppendEntry made it; empty: nothing changes
}

// Open opens the shard that owns an interval of slots in the store. The store
// is not closed with it.
func Open(db *pebble.DB, rng wire.SlotRange, opts Options) (*State, error) {
	opts = opts.withDefaults()
	s := &State{
		Queries:       newQueries(db, rng),
		opts:          opts,
		conversations: newCache[conversation](opts.Conversations),
		members:       newCache[member](opts.Members),
		rings:         newCache[tokenRing](opts.Tokens),
		halves:        newCache[tokenHalf](opts.Tokens),
	}
	s.decoder, s.txn = newDecoder(), newTxn(s)
	s.settle = s.settled
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Reload forgets what is in memory and reads the record again. It must be
// called after the shard's range was replaced, before the next Apply; and Settle
// before the range is replaced, so that nothing from before is written over it.
func (s *State) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !mutant.On(mutant.StaleCaches) { // a planted bug, see package mutant
		s.forget()
	}
	s.reloads.Add(1)
	v, closer, err := s.db.Get(s.recordKey)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		s.record = Record{}
	case err != nil:
		return fmt.Errorf("read the record of slots %s: %w", s.rng, err)
	default:
		r, err := DecodeRecord(v)
		if err = errors.Join(err, closer.Close()); err != nil {
			return fmt.Errorf("read the record of slots %s: %w", s.rng, err)
		}
		s.record = r
	}
	if err := errors.Join(s.pending.load(s.db, s.rng), s.tokens.load(s.db, s.rng, s.record.Stamp)); err != nil {
		return err
	}
	s.broken = nil
	s.show()
	return nil
}

// Reloads counts how often the rows were replaced: what was known of those from
// before is worth nothing.
func (s *State) Reloads() uint64 { return s.reloads.Load() }

// forget empties all caches.
func (s *State) forget() {
	s.conversations.clear()
	s.members.clear()
	s.rings.clear()
	s.halves.clear()
}

// Record returns what entry the state is at. The rows may be behind what is
// durable: see [State.Settle] and [pebble.DB.Flush].
func (s *State) Record() Record { return *s.shown.Load() }

func (s *State) show() {
	r := s.record
	s.shown.Store(&r)
}

// Settle hands the store all rows of what was applied. Queries do it themselves;
// whoever reads or flushes the store past the State must do it first.
func (s *State) Settle() error {
	if !s.unsettled.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	if err := s.commit(); err != nil {
		return s.fail(err)
	}
	return nil
}

// settled is Settle, and says which entry the store is at, at least.
func (s *State) settled() (uint64, error) {
	applied := s.Record().Applied
	return applied, s.Settle()
}

// commit writes what is gathered. The caller holds the lock.
func (s *State) commit() error {
	if !s.unsettled.Load() {
		return nil
	}
	if err := s.txn.commit(s.record); err != nil {
		return err
	}
	s.unsettled.Store(false)
	return nil
}

// fail ends everything: the caches may know changes that no row has.
func (s *State) fail(err error) error {
	s.broken = errors.Join(err, s.txn.reset())
	s.unsettled.Store(false)
	s.forget()
	return s.broken
}

// Apply applies committed entries in order and returns each one's results, one
// a command. Entries at or below the applied index are skipped: their results
// are nil. An error means that the store failed or that a command is not known;
// nothing after it may be applied, and the host stops the process.
func (s *State) Apply(entries []LogEntry) ([][]Result, error) {
	b := applyBatch{s: s, t: s.txn}
	results, err := b.applyAll(entries)
	if err != nil {
		return nil, err
	}
	// Outside of the lock: who is told may ask.
	for _, a := range b.told {
		s.opts.Applied(*a)
	}
	for _, scrub := range b.scrubs {
		s.opts.ScrubAt(scrub)
	}
	return results, nil
}

func (b *applyBatch) applyAll(entries []LogEntry) ([][]Result, error) {
	s := b.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return nil, s.broken
	}
	results := make([][]Result, len(entries))
	for i, e := range entries {
		if e.Index <= s.record.Applied {
			continue
		}
		var err error
		if results[i], err = b.entry(e); err != nil {
			return nil, s.fail(fmt.Errorf("apply entry %d of term %d: %w", e.Index, e.Term, err))
		}
		s.unsettled.Store(true)
		if b.t.own.large(s.opts.BatchBytes) || b.scrub != nil {
			if err := b.settle(); err != nil {
				return nil, s.fail(err)
			}
		}
	}
	return results, b.end()
}

// applyBatch is the entries that are applied together.
type applyBatch struct {
	s      *State
	t      *txn
	told   []*Applied
	scrub  []*Scrub // of the last entry, to be started after its commit
	scrubs []*Scrub // started
}

// entry applies one entry to the batch.
func (b *applyBatch) entry(e LogEntry) ([]Result, error) {
	s, t := b.s, b.t
	stamp := s.record.Stamp
	var commands [][]byte
	if !e.Configuration && len(e.Data) > 0 {
		at, packed, err := s.decoder.entry(e.Data)
		if err != nil {
			return nil, err
		}
		stamp, commands = max(stamp, at), packed
	}
	t.beginEntry(e.Index, stamp)
	t.packed = len(commands)
	results := make([]Result, len(commands))
	for i, c := range commands {
		h, command, err := s.decoder.command(c)
		if err != nil {
			return nil, err
		}
		results[i] = t.command(h, command)
		if scrub, ok := command.(*Scrub); ok && results[i].Refusal == None {
			b.scrub = append(b.scrub, scrub)
		}
	}
	chain := t.endEntry()
	if t.err != nil {
		return nil, t.err
	}
	if e.Configuration {
		s.record.Configuration, s.record.ConfigurationIndex = slices.Clone(e.Data), e.Index
	}
	s.record.Applied, s.record.Term, s.record.Stamp, s.record.Chain = e.Index, e.Term, stamp, chain
	if t.told != nil {
		b.told = append(b.told, t.told)
	}
	return results, nil
}

// settle commits, and starts the scrubs that waited for it.
func (b *applyBatch) settle() error {
	if err := b.s.commit(); err != nil {
		return err
	}
	for _, scrub := range b.scrub {
		started, err := b.s.startScrub(scrub)
		if err != nil {
			return err
		}
		if started {
			b.scrubs = append(b.scrubs, scrub)
		}
	}
	b.scrub = nil
	return nil
}

// end shows what was applied.
func (b *applyBatch) end() error {
	s := b.s
	b.t.clear()
	if err := b.t.pause(); err != nil {
		return s.fail(err)
	}
	s.show()
	s.pending.committed()
	s.conversations.rotate()
	s.members.rotate()
	s.rings.rotate()
	s.halves.rotate()
	return nil
}

// command is the dispatcher: recognise a repeated command, let it refuse or
// change, remember the answer.
func (t *txn) command(h *Header, c Command) Result {
	t.header = h
	slot := CommandSlot(*h, c)
	if !t.owns(slot) {
		return refuse(Moved, "the slot is another shard's")
	}
	memory := tokenMemory{t: t, h: h, scope: scope{slot: slot, app: h.App}}
	switch sub := c.subject(); {
	case sub.Conversation != "":
		memory.scope.root = string(sub.Conversation)
		memory.native, memory.random = tableToken, tableRandomToken
		t.subject = memory.scope
	case sub.User != "" && h.Actor != "" && h.Actor != sub.User:
		return refuse(Forbidden, "what is a user's own only he and the app may change")
	case sub.User != "":
		memory.scope.root = string(sub.User)
		memory.native, memory.random = tableUserToken, tableUserRandomToken
		t.subject = memory.scope
	case c.kind().ofSlots():
		return c.apply(t, h)
	default:
		return refuse(Invalid, "the command has no subject")
	}
	if mutant.On(mutant.EarlySequence) { // a planted bug, see package mutant
		t.earlySequence(c)
	}
	if past, ok := memory.recall(); ok {
		return past
	}
	result := c.apply(t, h)
	if result.Refusal == None {
		memory.remember(&result)
	}
	return result
}
