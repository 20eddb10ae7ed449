package state

import (
	"fmt"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// PlaceBroadcasts moves places that a user has among the broadcasts of his app.
// The larger one wins, but the beginning stays where it was put first.
type PlaceBroadcasts struct {
	User   wire.UserID
	Places []BroadcastPlace // at most 100
}

// BroadcastPlace is how far a user is among the broadcasts.
type BroadcastPlace struct {
	Name wire.ConversationID // a service: what he has read as its; or one of the names below
	Seq  wire.Seq            // of the last message
}

// The names of places that are no service's.
const (
	PlaceBegin  wire.ConversationID = "~begin"  // what was before his time
	PlaceHanded wire.ConversationID = "~handed" // what he was handed
)

const (
	maxPlaces     = 100  // in one command
	maxPlacesKept = 1000 // of one user
)

func (*PlaceBroadcasts) kind() Kind { return kindPlaceBroadcasts }

func (c *PlaceBroadcasts) subject() Subject { return Subject{User: c.User} }

func (c *PlaceBroadcasts) append(b []byte) []byte {
	b = bin.AppendString(b, c.User)
	b = bin.AppendUvarint(b, uint64(len(c.Places)))
	for _, p := range c.Places {
		b = bin.AppendUvarint(bin.AppendString(b, p.Name), uint64(p.Seq))
	}
	return b
}

func (c *PlaceBroadcasts) decode(in *bin.Reader) {
	*c = PlaceBroadcasts{User: readID[wire.UserID](in), Places: readMany(in, func(in *bin.Reader) BroadcastPlace {
		return BroadcastPlace{Name: readID[wire.ConversationID](in), Seq: wire.Seq(in.Uvarint())}
	})}
}

func (c *PlaceBroadcasts) apply(t *txn, h *Header) Result {
	if len(c.Places) > maxPlaces {
		return refuse(Limit, "too many places in one command")
	}
	s := userScope(h.App, c.User)
	result := Result{Timestamp: t.stamp}
	for _, p := range c.Places {
		if p.Name == "" {
			return refuse(Invalid, "a place without a name")
		}
		key := s.name(nil, tableBroadcast, string(p.Name))
		old, there := loadPlace(t, key)
		switch {
		case there && (p.Name == PlaceBegin || p.Seq <= old):
			continue
		case !there && placesFull(t, s):
			return refuse(Limit, "too many places of one user")
		}
		t.put(key, appendPlace(nil, p.Seq))
		result.Count++
	}
	return result
}

// placesFull tells whether a user has as many places as he may.
func placesFull(t *txn, s scope) bool {
	prefix := s.key(nil, tableBroadcast)
	return len(keysOf(t, prefix, prefixEnd(prefix), maxPlacesKept)) == maxPlacesKept
}

const placeVersion = 1

// appendPlace appends the row of a place: | version, 1 | sequence |.
func appendPlace(b []byte, seq wire.Seq) []byte {
	return bin.AppendUvarint(append(b, placeVersion), uint64(seq))
}

func decodePlace(b []byte) (wire.Seq, error) {
	in := bin.NewReader(b)
	checkVersion(in, placeVersion)
	seq := wire.Seq(in.Uvarint())
	if err := in.Close(); err != nil {
		return 0, fmt.Errorf("decode a place among broadcasts: %w", err)
	}
	return seq, nil
}

func loadPlace(r reader, key []byte) (wire.Seq, bool) {
	b := r.get(key)
	if b == nil {
		return 0, false
	}
	seq, err := decodePlace(b)
	if err != nil {
		r.fail(err)
	}
	return seq, err == nil
}

// BroadcastPlaces returns the places that a user has among the broadcasts, by
// name. Of a user who never had any there are none.
func (s *Queries) BroadcastPlaces(app wire.AppID, user wire.UserID) ([]BroadcastPlace, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	var places []BroadcastPlace
	prefix := userScope(app, user).key(nil, tableBroadcast)
	v.scan(prefix, prefixEnd(prefix), func(key, value []byte) bool {
		seq, err := decodePlace(value)
		if err != nil {
			v.fail(err)
			return false
		}
		places = append(places, BroadcastPlace{Name: wire.ConversationID(key[len(prefix):]), Seq: seq})
		return true
	})
	return places, v.close()
}
