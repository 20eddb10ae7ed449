package ask

import (
	"encoding/json"

	"github.com/quorate/quorate/shard/state"
)

// BinaryContent is the content type of a message whose body is bytes and no
// text.
const BinaryContent = "application/octet-stream"

// Recalled is the type of a message that was taken back.
const Recalled = -127

func isType(m *state.Message, want int64) bool {
	switch {
	case m.Recalled:
		return want == Recalled
	case m.ContentType == BinaryContent:
		return false
	default:
		got, ok := TypeOf(m.Body)
		return ok && got == want
	}
}

// TypeOf returns the type that a body states: the number `_lctype` of a JSON
// object. Any other body has none.
func TypeOf(body []byte) (int64, bool) {
	if len(body) == 0 || body[0] != '{' {
		return 0, false
	}
	var typed struct {
		Type *int64 `json:"_lctype"`
	}
	if json.Unmarshal(body, &typed) != nil || typed.Type == nil {
		return 0, false
	}
	return *typed.Type, true
}
