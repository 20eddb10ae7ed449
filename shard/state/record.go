package state

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/wire/bin"
)

// Record says which entry a shard's rows are at. It is the first row of the
// shard's range and changes in the same batch as the rows do.
//
//	| version, 1 | applied | term | configuration index | chain, 8 | stamp | n | configuration, n |
//
// Numbers without a width are uvarints.
type Record struct {
	Applied            uint64 // index of the last applied entry
	Term               uint64 // and its term
	ConfigurationIndex uint64 // index of the entry that Configuration came with
	Configuration      []byte // raft's, opaque here
	Chain              uint64 // hash over the writes of all entries so far
	Stamp              int64  // the last entry's time, milliseconds since 1970; never goes back
}

const recordVersion = 1

// AppendRecord appends the durable form.
func AppendRecord(b []byte, r Record) []byte {
	b = append(b, recordVersion)
	b = bin.AppendUvarint(b, r.Applied)
	b = bin.AppendUvarint(b, r.Term)
	b = bin.AppendUvarint(b, r.ConfigurationIndex)
	b = appendUint64(b, r.Chain)
	b = bin.AppendUvarint(b, uint64(r.Stamp))
	return bin.AppendString(b, r.Configuration)
}

// DecodeRecord reads what AppendRecord wrote. The result shares nothing with b.
func DecodeRecord(b []byte) (Record, error) {
	in := bin.NewReader(b)
	checkVersion(in, recordVersion)
	r := Record{
		Applied:            in.Uvarint(),
		Term:               in.Uvarint(),
		ConfigurationIndex: in.Uvarint(),
		Chain:              in.Uint64(),
		Stamp:              int64(in.Uvarint()),
		Configuration:      slices.Clone(in.Bytes()),
	}
	if err := in.Close(); err != nil {
		return Record{}, fmt.Errorf("decode the shard's record: %w", err)
	}
	return r, nil
}
