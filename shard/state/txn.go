package state

// txn is the writing side of apply: the rows of one or more entries, and what
// belongs to the entry and the command that are being applied.
type txn struct {
	batch
	s     *State
	dirty []dirtyRow

	// Of the entry and the command that are being applied.
	index   uint64
	stamp   int64
	packed  int // commands in the entry
	header  *Header
	subject scope    // the conversation's or user's whose rows the command changes
	told    *Applied // what is collected for the hook; nil: there is none
	sent    *sentMessage
	keyBuf  []byte
	valBuf  []byte
}

// dirtyRow is a decoded row that changes many times in an entry and is written
// once, when the entry ends.
type dirtyRow interface{ write(t *txn) }

func newTxn(s *State) *txn {
	return &txn{s: s, batch: batch{db: s.db, rng: s.rng, own: newOverlay()}}
}

// beginEntry starts an entry.
func (t *txn) beginEntry(index uint64, stamp int64) {
	t.begin(t.s.record.Chain, index)
	t.index, t.stamp = index, stamp
	if t.s.opts.Applied != nil {
		t.told = &Applied{Index: index, Stamp: stamp}
	}
}

// endEntry writes what is dirty and returns the chain's link.
func (t *txn) endEntry() uint64 {
	t.flushDirty()
	return t.chain.Sum64()
}

// touch says that a decoded row has changed. The caller sees to it that a row
// is touched once per entry.
func (t *txn) touch(r dirtyRow) { t.dirty = append(t.dirty, r) }

func (t *txn) flushDirty() {
	for _, r := range t.dirty {
		r.write(t)
	}
	clear(t.dirty)
	t.dirty = t.dirty[:0]
}

func (t *txn) now() int64 { return t.stamp }

// commit writes the record and ends the batch. The txn is empty after it.
func (t *txn) commit(r Record) error {
	if err := t.batch.commit(t.s.recordKey, r); err != nil {
		return err
	}
	t.clear()
	return nil
}

// reset drops what the txn holds and makes it ready for another batch.
func (t *txn) reset() error {
	t.clear()
	return t.batch.reset()
}

// clear drops what belongs to the last entry.
func (t *txn) clear() {
	clear(t.dirty)
	t.dirty = t.dirty[:0]
	t.header, t.told, t.sent = nil, nil, nil
}

// refuse is the answer of a command that changes nothing.
func refuse(r Refusal, text string) Result { return Result{Refusal: r, Text: text} }
