package leanmessage

import (
	"errors"
	"sync"
	"time"

	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// rateWindow is the time in which a user's commands are counted. It begins with
// the first of them.
const rateWindow = time.Minute

// The kinds of commands that are counted apart.
const (
	rateSend = iota
	rateHistory
	rateOther
	rateReturn // of sessions
	rateKinds
	rateFree = -1 // not counted
)

// returnsPerOther is how often a user may come back, as a multiple of his other
// commands: a network that comes and goes is not his doing.
const returnsPerOther = 4

// rates counts the commands of users on this node. Its zero value is empty. Who
// has given none for a minute is forgotten.
type rates struct {
	mu    sync.Mutex
	users map[rateKey]*rateCount
	swept time.Time
}

type rateKey struct {
	app  wire.AppID
	user wire.UserID
}

type rateCount struct {
	since time.Time
	given [rateKinds]int
}

// rateKind says what a command is counted as. What clients do by themselves, as
// to acknowledge, is not counted; to come back is, as rateReturn.
func rateKind(o op) int {
	switch o.cmd {
	case leanpb.CommandType_direct:
		return rateSend
	case leanpb.CommandType_logs:
		return rateHistory
	case leanpb.CommandType_conv, leanpb.CommandType_blacklist:
		return rateOther
	case leanpb.CommandType_patch:
		if o.op == leanpb.OpType_modify {
			return rateOther
		}
	case leanpb.CommandType_session:
		if o.op != leanpb.OpType_close {
			return rateOther
		}
	default:
	}
	return rateFree
}

// take counts a command of a user, or says how long he has to wait, if he gives
// more than the settings allow.
func (r *rates) take(key rateKey, kind int, allowed *door.RateSettings) (wait time.Duration) {
	if kind == rateFree {
		return 0
	}
	most := [rateKinds]int{allowed.Send, allowed.History, allowed.Other, returnsPerOther * allowed.Other}[kind]
	if most == 0 {
		return 0
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweepLocked(now)
	c := r.users[key]
	if c == nil || now.Sub(c.since) >= rateWindow {
		c = &rateCount{since: now}
		r.users[key] = c
	}
	if c.given[kind] >= most {
		return rateWindow - now.Sub(c.since)
	}
	c.given[kind]++
	return 0
}

// sweepLocked forgets whose window has ended.
func (r *rates) sweepLocked(now time.Time) {
	if r.users == nil {
		r.users, r.swept = map[rateKey]*rateCount{}, now
	}
	if now.Sub(r.swept) < rateWindow {
		return
	}
	r.swept = now
	for key, c := range r.users {
		if now.Sub(c.since) >= rateWindow {
			delete(r.users, key)
		}
	}
}

// errRestless closes a socket on which somebody comes back too often. An error would
// end his session for good: so he waits, as clients do, and tries again.
var errRestless = errors.New("leanmessage: a session comes back too often")

// tooMany is the error for a command that is one too many of its kind, or nil.
func (s *socket) tooMany(user wire.UserID, kind int) *Error {
	t := s.tenant.Load()
	wait := s.door.rates.take(rateKey{t.ID, user}, kind, &t.settings.Rate)
	if wait == 0 {
		return nil
	}
	return errorf(CodeSendQuotaExceeded, "too many commands, again in %d s", (wait+time.Second-1)/time.Second)
}
