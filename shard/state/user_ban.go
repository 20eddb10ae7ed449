package state

import (
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// BanUser keeps a user of the app from signing in, or lets him again. Only the
// app may. Sessions that are open stay so: see [Kick].
type BanUser struct {
	User  wire.UserID
	Unban bool
}

func (*BanUser) kind() Kind { return kindBanUser }

func (c *BanUser) subject() Subject { return Subject{User: c.User} }

func (c *BanUser) append(b []byte) []byte {
	return bin.AppendBool(bin.AppendString(b, c.User), c.Unban)
}

func (c *BanUser) decode(in *bin.Reader) {
	*c = BanUser{User: readID[wire.UserID](in), Unban: in.Bool()}
}

func (c *BanUser) apply(t *txn, h *Header) Result {
	if h.Actor != "" {
		return refuse(Forbidden, "only the app bans users")
	}
	u := t.user(h.App, c.User)
	if u.head.Banned == !c.Unban {
		return Result{Existed: true, Timestamp: t.stamp}
	}
	u.head.Banned = !c.Unban
	u.write(t)
	return Result{Timestamp: t.stamp}
}
