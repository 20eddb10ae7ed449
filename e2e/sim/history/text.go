package history

import (
	"fmt"
	"strings"

	"github.com/quorate/quorate/wire"
)

// Everybody stands among the mentions of a message that mentions all.
const Everybody wire.UserID = "*"

// filler is what texts are padded with.
const filler = "x"

// Pad makes a text longer: by a blank, and n characters more.
func Pad(text string, n int) string { return text + " " + strings.Repeat(filler, n) }

// Text is a body as a history has it: what Pad has added is told by its length
// alone. A body whose padding was damaged stays as it is, and is another text
// then. What Text has made is what it makes of it again.
func Text(body []byte) string {
	text, pad, found := strings.Cut(string(body), " ")
	if !found || strings.Trim(pad, filler) != "" {
		return string(body)
	}
	return fmt.Sprintf("%s+%d", text, len(pad))
}
