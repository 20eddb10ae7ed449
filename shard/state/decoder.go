package state

import (
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// decoder decodes the commands of apply, one after the other. The header and a
// send, which is by far the most frequent command, are valid only until the
// next one; ids that came before are the strings of before.
type decoder struct {
	in       bin.Reader
	names    names
	commands [][]byte // scratch: of one entry
	header   Header
	send     SendMessage
}

func newDecoder() decoder { return decoder{names: names{kept: make([]string, keptNames)}} }

// entry is DecodeEntry; the commands are valid until the next entry.
func (d *decoder) entry(b []byte) (stampMillis int64, commands [][]byte, err error) {
	clear(d.commands)
	stampMillis, d.commands, err = decodeEntry(&d.in, d.commands[:0], b)
	return stampMillis, d.commands, err
}

// command is DecodeCommand.
func (d *decoder) command(b []byte) (*Header, Command, error) {
	in := &d.in
	in.Reset(b)
	checkVersion(in, commandVersion)
	kind := Kind(in.Uvarint())
	var c Command
	if kind == kindSendMessage {
		c = &d.send
	} else if c = newCommand(kind); in.Err() == nil && c == nil {
		return nil, nil, fmt.Errorf("decode a command: %s is not known", kind)
	}
	d.header = readHeader(in, &d.names)
	switch {
	case in.Err() != nil:
	case kind == kindSendMessage:
		d.send.read(in, &d.names)
	default:
		c.decode(in)
	}
	if err := in.Close(); err != nil {
		return nil, nil, fmt.Errorf("decode a command, %s: %w", kind, err)
	}
	return &d.header, c, nil
}

// names makes the strings of what is decoded. Its zero value makes new ones.
type names struct {
	kept []string // one at the place of each's hash: what comes again is not allocated again
	none bool     // no strings are wanted: what is decoded is only checked
}

// keptNames is how many strings a decoder keeps.
const keptNames = 1024

func (n *names) string(b []byte) string {
	switch {
	case n.none, len(b) == 0:
		return ""
	case len(n.kept) == 0 || len(b) > wire.MaxIDBytes:
		return string(b)
	}
	kept := &n.kept[xxhash.Sum64(b)%uint64(len(n.kept))]
	if *kept != string(b) {
		*kept = string(b)
	}
	return *kept
}

// readName is readID with the strings of names.
func readName[S ~string](in *bin.Reader, n *names) S {
	b := in.Bytes()
	if len(b) > wire.MaxIDBytes {
		in.Fail(fmt.Errorf("%w: an id of %d bytes", bin.ErrRange, len(b)))
		return ""
	}
	return S(n.string(b))
}
