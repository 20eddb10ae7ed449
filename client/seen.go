package client

import (
	"sync"

	"github.com/quorate/quorate/wire"
)

// maxSeen is how many logs the client remembers an offset of. Of one that was
// forgotten the next read is a strong one, which is never older.
const maxSeen = 16384

// seen is the highest offset that the client has met in each log. Reads ask
// for at least that, so what a user sees never goes back, whichever node
// answers.
type seen struct {
	mu struct {
		sync.Mutex
		offsets map[string]wire.Offset // by conversation; empty: the user log
	}
}

func newSeen() *seen {
	s := &seen{}
	s.mu.offsets = map[string]wire.Offset{}
	return s
}

func (s *seen) note(log string, offset wire.Offset) {
	if offset == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.mu.offsets[log]
	if offset <= old {
		return
	}
	if !known && len(s.mu.offsets) >= maxSeen {
		for k := range s.mu.offsets { // any one
			delete(s.mu.offsets, k)
			break
		}
	}
	s.mu.offsets[log] = offset
}

// at returns the highest offset met, or 0, which asks for a strong read.
func (s *seen) at(log string) wire.Offset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.offsets[log]
}
