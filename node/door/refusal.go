package door

import (
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// RefusalOf turns the code of a host's error that stands for a refusal back into
// it; false: it stands for none.
func RefusalOf(c wire.Code) (state.Refusal, bool) {
	r, ok := map[wire.Code]state.Refusal{
		wire.CodeNotFound: state.NotFound, wire.CodeNotMember: state.NotMember, wire.CodeForbidden: state.Forbidden,
		wire.CodeExists: state.Exists, wire.CodeGone: state.Gone, wire.CodeLimit: state.Limit, wire.CodeConflict: state.Conflict,
		wire.CodeMuted: state.Muted, wire.CodeInvalid: state.Invalid, wire.CodeStartOver: state.StartOver,
	}[c]
	return r, ok
}
