package native

import (
	"strconv"

	"github.com/quorate/quorate/wire"
)

// A place in a list of conversations is an offset of the user log, as text that
// clients do not look into.
func encodePlace(o wire.Offset) string { return strconv.FormatUint(uint64(o), 36) }

func decodePlace(text string) (wire.Offset, error) {
	if text == "" {
		return 0, nil
	}
	o, err := strconv.ParseUint(text, 36, 64)
	if err != nil {
		return 0, wire.Errorf(wire.CodeInvalid, "conversation.list", "%q is no place in the list", text)
	}
	return wire.Offset(o), nil
}
