package client

import (
	"cmp"
	"slices"
	"time"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// maxPositions is how many logs one request subscribes to.
const maxPositions = 100

// following is what the link knows of subscriptions. The link's lock guards its
// fields: methods take it, unless they are called ...Locked.
type following struct {
	link    *link
	subs    map[string]*Subscription // by log: a conversation, or "" for the user log
	wanted  []*Subscription          // to be asked for
	dropped []string                 // logs to say are followed no more
}

// again asks for everything once more, of a new session.
func (f *following) againLocked() {
	f.wanted, f.dropped = f.wanted[:0], f.dropped[:0]
	for _, s := range f.subs {
		f.wanted = append(f.wanted, s)
	}
	slices.SortFunc(f.wanted, func(a, b *Subscription) int { return cmp.Compare(a.log, b.log) })
}

func (f *following) allLocked() []*Subscription {
	all := make([]*Subscription, 0, len(f.subs))
	for _, s := range f.subs {
		all = append(all, s)
	}
	return all
}

func (f *following) waitsLocked() bool { return len(f.wanted)+len(f.dropped) > 0 }

func (f *following) hasLocked(s *Subscription) bool { return f.subs[s.log] == s }

// follow makes the client follow a log. There is one subscription a log.
func (f *following) follow(s *Subscription) error {
	f.link.mu.Lock()
	defer f.link.mu.Unlock()
	return f.followLocked(s)
}

// followAll makes the client follow many logs, and returns an error for each. The
// session does not write in between, so it asks for many in one request.
func (f *following) followAll(subs []*Subscription) []error {
	f.link.mu.Lock()
	defer f.link.mu.Unlock()
	errs := make([]error, len(subs))
	for i, s := range subs {
		errs[i] = f.followLocked(s)
	}
	return errs
}

func (f *following) followLocked(s *Subscription) error {
	l := f.link
	if l.mu.err != nil {
		return l.mu.err
	}
	if f.subs[s.log] != nil {
		return wire.Errorf(wire.CodeExists, opSubscribe, "this client follows the log already")
	}
	f.subs[s.log] = s
	f.wanted = append(f.wanted, s)
	f.dropped = slices.DeleteFunc(f.dropped, func(log string) bool { return log == s.log })
	l.kickLocked()
	return nil
}

// unfollow forgets a subscription, and tells the node unless it is the node
// that has ended it.
func (f *following) unfollow(s *Subscription, tell bool) {
	l := f.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if !f.hasLocked(s) {
		return
	}
	delete(f.subs, s.log)
	f.wanted = slices.DeleteFunc(f.wanted, func(w *Subscription) bool { return w == s })
	if tell && l.mu.err == nil {
		f.dropped = append(f.dropped, s.log)
		l.kickLocked()
	}
}

// takeLocked writes the requests that subscribe and unsubscribe,
// many logs in one.
func (f *following) takeLocked(s *session, now time.Time) {
	l := f.link
	for len(f.dropped) > 0 && len(l.mu.flight) < s.limit() {
		n := min(len(f.dropped), maxPositions)
		var refs []*pb.LogRef
		for _, log := range f.dropped[:n] {
			refs = append(refs, &pb.LogRef{Conversation: log})
		}
		f.dropped = f.dropped[n:]
		f.launchLocked(s, now, &pb.Request{Op: &pb.Request_Unsubscribe{Unsubscribe: &pb.Unsubscribe{Logs: refs}}},
			func(*pb.Response, error) {}) // a push that comes all the same is ignored
	}
	for len(f.wanted) > 0 && len(l.mu.flight) < s.limit() {
		n := min(len(f.wanted), maxPositions)
		subs := slices.Clone(f.wanted[:n])
		f.wanted = f.wanted[n:]
		positions := make([]*pb.Position, len(subs))
		for i, sub := range subs {
			positions[i] = sub.position()
		}
		f.launchLocked(s, now, &pb.Request{Op: &pb.Request_Subscribe{Subscribe: &pb.Subscribe{Positions: positions}}},
			func(resp *pb.Response, err error) { f.subscribed(s, subs, resp.GetSubscribed(), err) })
	}
}

func (f *following) launchLocked(s *session, now time.Time, req *pb.Request, done func(*pb.Response, error)) {
	payload, err := encode(opSubscribe, req)
	if err != nil {
		return // cannot be: the ids were checked when the subscription was made
	}
	f.link.launchLocked(s, &call{payload: payload, bound: true, done: done}, now)
}

// subscribed takes the answer for several subscriptions.
func (f *following) subscribed(s *session, subs []*Subscription, answer *pb.Subscribed, err error) {
	logs := map[string]*pb.SubscribedLog{}
	for _, log := range answer.GetLogs() {
		logs[log.GetLog().GetConversation()] = log
	}
	var later []*Subscription
	for _, sub := range subs {
		log, why := logs[sub.log], err
		if why == nil && log == nil {
			why = wire.Errorf(wire.CodeInternal, opSubscribe, "the answer does not name the log")
		}
		if refusal := log.GetError(); why == nil && refusal != nil {
			why = errorOf(refusal)
		}
		switch {
		case why == nil:
			f.link.seen.note(sub.log, wire.Offset(log.GetLast()))
			sub.begun(wire.Offset(log.GetAfter()), wire.Offset(log.GetLast()))
		case wire.CodeOf(why).Retryable():
			later = append(later, sub)
		default:
			f.unfollow(sub, false)
			sub.refused(why)
		}
	}
	if len(later) > 0 {
		f.later(s, later)
	}
}

// later asks once more, after a pause, for what was refused for now.
func (f *following) later(s *session, subs []*Subscription) {
	l := f.link
	failed := 0
	for _, sub := range subs {
		failed = max(failed, sub.refusedAgain())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pauseLocked(pause{due: time.Now().Add(backoff(failed)), resume: func() {
		if l.mu.session != s {
			return // the next session has asked for everything
		}
		for _, sub := range subs {
			if f.hasLocked(sub) {
				f.wanted = append(f.wanted, sub)
			}
		}
	}})
}

// events hands out what a node pushes.
func (f *following) events(e *pb.Events) {
	l := f.link
	for _, batch := range e.GetLogs() {
		log := batch.GetLog().GetConversation()
		l.seen.note(log, wire.Offset(max(batch.GetUpto(), batch.GetLast())))
		l.mu.Lock()
		sub := f.subs[log]
		l.mu.Unlock()
		if sub != nil {
			sub.push(batch)
		}
	}
	if handle := l.opts.Handlers.Cursor; handle != nil {
		for _, c := range e.GetCursors() {
			handle(cursorMoved(c))
		}
	}
	if handle := l.opts.Handlers.Transient; handle != nil {
		for _, m := range e.GetTransients() {
			handle(messageOf(m, ""))
		}
	}
}
