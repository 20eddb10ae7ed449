package leanrest

import (
	"net/http"
	"sync"
	"time"

	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/wire"
)

// family is requests that share a rate.
type family int

const (
	familyNone        family = iota
	familyMessages           // sent, edited and recalled messages
	familySubscribers        // the same, to all subscribers of a service
	familyBroadcasts         // and to all users
)

// rates counts requests by app, family and minute. Each node counts its own.
type rates struct {
	mu     sync.Mutex
	minute int64
	counts map[rateKey]int // of this minute: as many as apps have asked in it
}

type rateKey struct {
	app    wire.AppID
	family family
}

func newRates() *rates { return &rates{counts: map[rateKey]int{}} }

// take counts a request, or refuses it until the minute is over.
func (r *rates) take(app wire.AppID, f family, s door.RESTSettings, now int64) error {
	most := 0
	switch f {
	case familyMessages:
		most = s.PerMinute
	case familySubscribers:
		most = s.Subscribers
	case familyBroadcasts:
		most = s.Broadcasts
	case familyNone:
	}
	if most == 0 {
		return nil
	}
	const minute = int64(time.Minute / time.Millisecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.minute != now/minute {
		r.minute = now / minute
		clear(r.counts)
	}
	key := rateKey{app, f}
	if r.counts[key] >= most {
		after := time.Duration(minute-now%minute) * time.Millisecond
		return &failure{status: http.StatusTooManyRequests, code: codeTooMany, text: "too many requests in this minute", after: max(after, time.Second)}
	}
	r.counts[key]++
	return nil
}
