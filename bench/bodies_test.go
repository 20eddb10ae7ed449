package bench

import (
	"bytes"
	"compress/flate"
	"testing"

	"github.com/quorate/quorate/wire"
)

func TestBodiesDoNotCompress(t *testing.T) {
	const conversations, messages = 64, 128 // of one of them, about what is compressed together
	b := newBodies(256)
	var block bytes.Buffer
	for i := range conversations * messages {
		if body := b.take(); i%conversations == 0 {
			block.Write(body)
		}
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(block.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if out.Len() < block.Len() {
		t.Errorf("%d bytes of bodies are %d compressed", block.Len(), out.Len())
	}
}

func TestEveryBodyComesBeforeOneComesAgain(t *testing.T) {
	for _, size := range []int{1, 128, 256, 4096, bodyPool / bodyStride, wire.MaxBodyBytes, bodyPool + 1} {
		b := newBodies(size)
		seen := map[*byte]bool{}
		for range b.count {
			body := b.take()
			if len(body) != size {
				t.Fatalf("a body of %d bytes, want %d", len(body), size)
			}
			if size < 128 {
				continue // too many to remember
			}
			if seen[&body[0]] {
				t.Fatalf("size %d: a body comes again after %d of %d", size, len(seen), b.count)
			}
			seen[&body[0]] = true
		}
	}
}
