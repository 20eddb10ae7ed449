package state

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/wire/bin"
)

// MaxCommands is how many commands an entry may pack.
const MaxCommands = 256

const entryVersion = 1

// AppendEntry packs commands, as [EncodeCommand] wrote them, into one entry:
//
//	| version, 1 | stamp | count | length, command | length, command | ...
//
// The stamp is the leader's time in milliseconds since 1970.
func AppendEntry(b []byte, stampMillis int64, commands [][]byte) []byte {
	b = append(b, entryVersion)
	b = bin.AppendUvarint(b, uint64(stampMillis))
	b = bin.AppendUvarint(b, uint64(len(commands)))
	for _, c := range commands {
		b = bin.AppendString(b, c)
	}
	return b
}

// DecodeEntry reads what AppendEntry wrote. The commands share b.
func DecodeEntry(b []byte) (stampMillis int64, commands [][]byte, err error) {
	return decodeEntry(new(bin.Reader), nil, b)
}

// decodeEntry appends the commands to a slice.
func decodeEntry(in *bin.Reader, to [][]byte, b []byte) (stampMillis int64, commands [][]byte, err error) {
	in.Reset(b)
	checkVersion(in, entryVersion)
	stamp := in.Uvarint()
	if stamp > 1<<48 {
		in.Fail(fmt.Errorf("%w: stamp %d", bin.ErrRange, stamp))
	}
	n := in.Count(MaxCommands)
	commands = slices.Grow(to, n)
	for range n {
		commands = append(commands, in.Bytes())
	}
	if err := in.Close(); err != nil {
		return 0, nil, fmt.Errorf("decode an entry: %w", err)
	}
	return int64(stamp), commands, nil
}
